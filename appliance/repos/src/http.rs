//! Git's smart HTTP: three requests, to be mounted by whoever owns the routes.
//!
//! Why here and not there: what the bytes mean belongs to this room; who may call belongs to the
//! one that mounts it. Blocking work runs on blocking threads; memory for each transfer is bounded,
//! for a slow client holds its sender back.
//! Source: `gitprotocol-http` of the Git documentation. The dumb protocol is not spoken.

mod stream;

pub use stream::Body;

use crate::{
    checkout::Checkout,
    error::Error,
    failure::Failure,
    receive::{self, PushPolicy, PushWatcher, Wait, Watching},
    repository::Repository,
    upload::{self, Version},
};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use std::{
    io::Read,
    sync::Arc,
    time::{Duration, SystemTime},
};
use stream::{BodyReader, ChannelWriter};
use tokio::{runtime::Handle, sync::OwnedSemaphorePermit, task::JoinError};

/// How long a request waits for its turn before it is sent away.
const TURN_WAIT: Duration = Duration::from_secs(30);

/// Which of Git's two services.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Service {
    /// Clone and fetch: reads.
    UploadPack,
    /// Push: writes.
    ReceivePack,
}

impl Service {
    /// From the query `service=…` of `info/refs`, or the last part of a request's path.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "git-upload-pack" => Some(Self::UploadPack),
            "git-receive-pack" => Some(Self::ReceivePack),
            _ => None,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::UploadPack => "git-upload-pack",
            Self::ReceivePack => "git-receive-pack",
        }
    }
}

/// The longest request for a fetch once it is decoded: a million lines. A compressed one can be a
/// thousand times what was sent.
const UPLOAD_REQUEST_MAX: u64 = 64 << 20;

/// Any body that a request may have.
pub type BoxError = Box<dyn std::error::Error + Send + Sync + 'static>;

/// `GET …/info/refs?service=…`.
pub async fn advertise(
    repository: Repository,
    service: Service,
    headers: &HeaderMap,
) -> Response<Body> {
    let version = version(headers);
    let content_type = format!("application/x-{}-advertisement", service.name());
    answer(&repository.clone(), &content_type, move |mut to| {
        let result = match service {
            Service::UploadPack => upload::advertise(&repository, version, &mut to),
            Service::ReceivePack => receive::advertise(&repository, version, &mut to),
        };
        to.finish()?;
        result
    })
    .await
}

/// `GET …/info/refs?service=git-receive-pack` of a repository that the first push to it makes.
#[must_use]
pub fn advertise_new(headers: &HeaderMap) -> Response<Body> {
    let mut bytes = Vec::new();
    // Memory takes whatever is written.
    let _ = receive::advertise_none(version(headers), &mut bytes);
    let mut response = Response::new(Body::from_text(String::from_utf8_lossy(&bytes).into_owned()));
    let content_type = HeaderValue::from_static("application/x-git-receive-pack-advertisement");
    response.headers_mut().insert(header::CONTENT_TYPE, content_type);
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}

/// `POST …/git-upload-pack`.
pub async fn upload_pack<B>(repository: Repository, headers: &HeaderMap, body: B) -> Response<Body>
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let version = version(headers);
    let from = match request_body(&repository, Service::UploadPack, headers, body) {
        Ok(from) => from,
        Err(response) => return *response,
    };
    answer(&repository.clone(), "application/x-git-upload-pack-result", move |mut to| {
        let mut from = from.open().take(UPLOAD_REQUEST_MAX);
        let result = upload::serve(&repository, version, &mut from, &mut to);
        to.finish()?;
        result
    })
    .await
}

/// `POST …/git-receive-pack`. The caller has made sure that the client may push; `policy` says
/// what it may do beyond adding, and `watcher` is told.
pub async fn receive_pack<B>(
    repository: Repository,
    headers: &HeaderMap,
    body: B,
    policy: PushPolicy,
    watcher: Arc<dyn PushWatcher>,
) -> Response<Body>
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let from = match request_body(&repository, Service::ReceivePack, headers, body) {
        Ok(from) => from,
        Err(response) => return *response,
    };
    answer(&repository.clone(), "application/x-git-receive-pack-result", move |mut to| {
        let waiter = Blocking(Handle::current());
        let result = receive::serve(
            &repository,
            policy,
            watcher.as_ref(),
            &waiter,
            &mut from.open(),
            &mut to,
        );
        to.finish()?;
        result?;
        crate::upkeep::after_push(&repository);
        Ok(())
    })
    .await
}

/// The working copy of a commit as a tar archive; see [`Checkout`].
pub async fn checkout(repository: Repository, checkout: Checkout) -> Response<Body> {
    answer(&repository.clone(), "application/x-tar", move |mut to| {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        repository.write_checkout(&checkout, now.as_secs(), &mut to)?;
        Ok(to.finish()?)
    })
    .await
}

struct Blocking(Handle);

impl Wait for Blocking {
    fn wait<T>(&self, work: Watching<'_, T>) -> T {
        self.0.block_on(work)
    }
}

fn version(headers: &HeaderMap) -> Version {
    let header = headers.get("git-protocol").and_then(|value| value.to_str().ok());
    Version::from_header(header.unwrap_or_default())
}

/// A request's body that is not read yet.
struct RequestBody {
    reader: BodyReader,
    is_gzip: bool,
}

impl RequestBody {
    /// A reader of what the client meant. To be called on a blocking thread: it reads ahead.
    fn open(self) -> Box<dyn Read> {
        if self.is_gzip {
            Box::new(flate2::read::MultiGzDecoder::new(self.reader))
        } else {
            Box::new(self.reader)
        }
    }
}

/// The body as the headers describe it.
fn request_body<B>(
    repository: &Repository,
    service: Service,
    headers: &HeaderMap,
    body: B,
) -> Result<RequestBody, Box<Response<Body>>>
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let expected = format!("application/x-{}-request", service.name());
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    if content_type != Some(expected.as_str()) {
        let why = format!("this address takes requests of type {expected}, as Git sends them");
        return Err(Box::new(plain(StatusCode::UNSUPPORTED_MEDIA_TYPE, &why)));
    }
    let reader = BodyReader::new(body, Handle::current(), repository.limits().idle);
    match headers.get(header::CONTENT_ENCODING).map(HeaderValue::as_bytes) {
        None | Some(b"identity") => Ok(RequestBody { reader, is_gzip: false }),
        Some(b"gzip" | b"x-gzip") => Ok(RequestBody { reader, is_gzip: true }),
        Some(_) => {
            let why = "only gzip is understood as content encoding";
            Err(Box::new(plain(StatusCode::UNSUPPORTED_MEDIA_TYPE, why)))
        }
    }
}

/// Runs `work` on a blocking thread, in its turn, and answers with what it writes.
///
/// The status is 200 from the first byte on: from there, Git's own protocol tells of failures.
async fn answer(
    repository: &Repository,
    content_type: &str,
    work: impl FnOnce(ChannelWriter) -> Result<(), Failure> + Send + 'static,
) -> Response<Body> {
    let Some(turn) = take_turn(repository).await else {
        let mut busy = plain(
            StatusCode::SERVICE_UNAVAILABLE,
            "too many Git transfers at the same time; try again in a minute",
        );
        busy.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("60"));
        return busy;
    };
    let (writer, mut body) = stream::channel(Handle::current(), repository.limits().idle);
    let name = repository.name().clone();
    let task = tokio::task::spawn_blocking(move || {
        let turn = turn;
        let result = work(writer);
        if let Err(failure) = &result {
            log(&name, failure);
        }
        drop(turn);
        result
    });
    if !body.has_begun().await
        && let Some(response) = refusal(task.await)
    {
        return response;
    }
    let mut response = Response::new(body);
    let content_type = HeaderValue::from_str(content_type)
        .unwrap_or_else(|_| HeaderValue::from_static("application/octet-stream"));
    response.headers_mut().insert(header::CONTENT_TYPE, content_type);
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}

async fn take_turn(repository: &Repository) -> Option<OwnedSemaphorePermit> {
    let turns = Arc::clone(&repository.shared().transfers);
    tokio::time::timeout(TURN_WAIT, turns.acquire_owned()).await.ok()?.ok()
}

fn log(name: &base::ids::RepoName, failure: &Failure) {
    match failure {
        Failure::Repository(error) => {
            let cause = std::error::Error::source(error).map(ToString::to_string);
            tracing::error!(repository = %name, %error, cause, "a Git request failed");
        }
        Failure::Connection(error) => {
            tracing::debug!(repository = %name, %error, "a Git client left early");
        }
        Failure::Refused(why) => {
            tracing::debug!(repository = %name, why, "a Git request was refused")
        }
    }
}

/// The response to work that ended without a word; `None` when silence is the answer.
fn refusal(ended: Result<Result<(), Failure>, JoinError>) -> Option<Response<Body>> {
    let status = match &ended {
        Ok(Ok(())) => return None,
        Ok(Err(Failure::Repository(Error::NoRepository(_) | Error::Unknown { .. }))) => {
            StatusCode::NOT_FOUND
        }
        Ok(Err(Failure::Repository(
            Error::TooLarge { .. } | Error::WrongObject { .. } | Error::MissingObject(_),
        ))) => StatusCode::UNPROCESSABLE_ENTITY,
        Ok(Err(Failure::Repository(error))) if error.is_disk_full() => {
            StatusCode::INSUFFICIENT_STORAGE
        }
        Ok(Err(Failure::Repository(_))) | Err(_) => StatusCode::INTERNAL_SERVER_ERROR,
        Ok(Err(Failure::Refused(_) | Failure::Connection(_))) => StatusCode::BAD_REQUEST,
    };
    let message = match ended {
        Ok(Err(failure)) => failure.message(),
        _ => "the server could not do this; its log says why".into(),
    };
    Some(plain(status, &message))
}

/// A short answer for a person: Git shows it after `remote:`.
fn plain(status: StatusCode, message: &str) -> Response<Body> {
    let mut response = Response::new(Body::from_text(format!("{message}\n")));
    *response.status_mut() = status;
    let content_type = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, content_type);
    response
}
