//! A small HTTP server that mounts the room as the web face does.

use base::ids::RepoName;
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, combinators::BoxBody};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use repos::{
    Limits, Push, PushPolicy, PushWatcher, Repos, Repository, Standing, Watching,
    http::{BoxError, Service},
};
use std::{
    convert::Infallible,
    net::SocketAddr,
    path::Path,
    sync::{Arc, Mutex},
};
use tokio::{net::TcpListener, runtime::Runtime};

/// What the tests' server does with pushes.
#[derive(Default)]
pub(crate) struct Watcher {
    pub(crate) before: Mutex<Vec<Push>>,
    pub(crate) after: Mutex<Vec<Push>>,
    pub(crate) refusal: Mutex<Option<String>>,
    /// A reference that is not open.
    pub(crate) standing: Mutex<Option<(&'static str, Standing)>>,
}

impl PushWatcher for Watcher {
    fn standing(&self, name: &str) -> Standing {
        let found = self.standing.lock().unwrap().clone();
        found.filter(|(of, _)| *of == name).map_or(Standing::Open, |(_, standing)| standing)
    }

    fn before<'a>(&'a self, push: &'a Push) -> Watching<'a, Result<(), String>> {
        Box::pin(async {
            self.before.lock().unwrap().push(push.clone());
            self.refusal.lock().unwrap().clone().map_or(Ok(()), Err)
        })
    }

    fn after<'a>(&'a self, push: &'a Push) -> Watching<'a, Vec<String>> {
        Box::pin(async {
            self.after.lock().unwrap().push(push.clone());
            vec!["pipeline https://example.test/pipelines/1".into()]
        })
    }
}

pub(crate) struct Server {
    pub(crate) repos: Repos,
    pub(crate) watcher: Arc<Watcher>,
    pub(crate) policy: Arc<Mutex<PushPolicy>>,
    address: SocketAddr,
    _runtime: Runtime,
}

pub(crate) fn name() -> RepoName {
    "acme/relay".parse().unwrap()
}

impl Server {
    pub(crate) fn start(root: &Path, limits: Limits) -> Self {
        Self::start_at(root, limits, "127.0.0.1:0")
    }

    pub(crate) fn start_at(root: &Path, limits: Limits, address: &str) -> Self {
        let repos = Repos::open(root, limits).unwrap();
        if !repos.exists(&name()) {
            repos.create(&name()).unwrap();
        }
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        let listener = runtime.block_on(TcpListener::bind(address)).unwrap();
        let server = Self {
            repos,
            watcher: Arc::default(),
            policy: Arc::new(Mutex::new(PushPolicy::ALL)),
            address: listener.local_addr().unwrap(),
            _runtime: runtime,
        };
        server.serve(listener);
        server
    }

    fn serve(&self, listener: TcpListener) {
        let (repos, watcher, policy) =
            (self.repos.clone(), Arc::clone(&self.watcher), Arc::clone(&self.policy));
        self._runtime.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (repos, watcher, policy) =
                    (repos.clone(), Arc::clone(&watcher), Arc::clone(&policy));
                let service = service_fn(move |request| {
                    route(repos.clone(), Arc::clone(&watcher), *policy.lock().unwrap(), request)
                });
                tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
            }
        });
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/acme/relay.git", self.address)
    }

    pub(crate) fn repository(&self) -> Repository {
        self.repos.get(&name()).unwrap()
    }
}

type Answer = Response<BoxBody<Bytes, BoxError>>;

fn boxed(response: Response<repos::http::Body>) -> Answer {
    response.map(|body| body.map_err(Into::into).boxed())
}

fn missing() -> Answer {
    let body = Full::new(Bytes::new()).map_err(|never| match never {}).boxed();
    Response::builder().status(StatusCode::NOT_FOUND).body(body).unwrap()
}

async fn route(
    repos: Repos,
    watcher: Arc<Watcher>,
    policy: PushPolicy,
    request: Request<Incoming>,
) -> Result<Answer, Infallible> {
    let path = request.uri().path().to_owned();
    let Some(rest) = path.strip_prefix("/acme/relay.git/") else { return Ok(missing()) };
    let repository = repos.get(&name()).unwrap();
    let (parts, body) = request.into_parts();
    let response = match (rest, Service::from_name(rest)) {
        ("info/refs", _) => {
            let query = parts.uri.query().unwrap_or_default();
            let asked = query.strip_prefix("service=").and_then(Service::from_name);
            let Some(service) = asked else { return Ok(missing()) };
            repos::http::advertise(repository, service, &parts.headers).await
        }
        (_, Some(Service::UploadPack)) => {
            repos::http::upload_pack(repository, &parts.headers, body).await
        }
        (_, Some(Service::ReceivePack)) => {
            repos::http::receive_pack(repository, &parts.headers, body, policy, watcher).await
        }
        _ => return Ok(missing()),
    };
    Ok(boxed(response))
}
