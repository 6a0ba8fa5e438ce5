//! Memory stays bounded whatever an object's size: a process that serves is asked by another one,
//! and the most memory that it held meanwhile is what the kernel counted.
//!
//! Units: sizes in bytes, memory in KiB as the kernel tells it. `APPLIANCE_PIECES=32` sends 256 MiB.

#![expect(clippy::unwrap_used, reason = "a test ends where its preparation fails")]
#![expect(clippy::disallowed_methods, reason = "the test starts a process that serves")]
#![expect(clippy::print_stderr, reason = "the test tells what it measured")]

use axum::{body::Body, extract::Request};
use base::secret::Secret;
use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};
use http::{Response, StatusCode};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use object_store::{MultipartUpload, ObjectStore, ObjectStoreExt, PutPayload};
use objects::{Config, Objects, Owner, Place, Scope, digest::hex, registry::Caller};
use sha2::{Digest, Sha256};
use std::{
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::Arc,
};
use store::{SiteKey, Store};

/// A part, and a piece of what is sent in one: each is more than the bound.
const PIECE: usize = 8 << 20;

/// The most that the process may grow by while it does one thing, in KiB.
const GROWTH: u64 = 6 << 10;

/// Pieces of an object, few because nothing here is optimised.
fn count() -> usize {
    std::env::var("APPLIANCE_PIECES").ok().and_then(|text| text.parse().ok()).unwrap_or(4)
}

const BUCKET: &str = "large";

/// Not a test by itself: the process that serves.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn server() {
    let Some(dir) = std::env::var_os("OBJECTS_SERVER").map(PathBuf::from) else { return };
    let store = Store::open(&store::Config::new(dir.join("store")), SiteKey::new([7; 32])).unwrap();
    let config = Config { keep_free: 0, ..Config::new(dir.join("blobs")) };
    let objects = Objects::open(config, store).await.unwrap();
    let owner = Owner { id: "ann".into(), ..Owner::default() };
    objects.key_import("AK", &Secret::new("secret"), owner, Scope::Owner, None).await.unwrap();
    objects.bucket_create(BUCKET, "ann", objects::alone).await.unwrap();
    let registry = objects.clone();
    let push = move |request: Request| {
        let registry = registry.clone();
        async move {
            registry.registry(request, Some(Caller::new(|_, _| true)), "http://box/v2/token").await
        }
    };
    let router = axum::Router::new()
        .route("/v2/{*rest}", axum::routing::any(push))
        .fallback_service(objects::s3::router(objects));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    println!("@ {}", listener.local_addr().unwrap());
    axum::serve(listener, router).await.unwrap();
}

/// The process and its address.
struct Server {
    child: Child,
    address: String,
}

impl Server {
    fn start(dir: &Path) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "server", "--nocapture", "--test-threads=1"])
            .env("OBJECTS_SERVER", dir)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let said = lines.find_map(|line| Some(line.unwrap().split_once("@ ")?.1.to_owned()));
        Self { child, address: said.expect("it tells its address") }
    }

    fn file(&self, name: &str) -> PathBuf {
        format!("/proc/{}/{name}", self.child.id()).into()
    }

    /// A figure of the kernel's, in KiB.
    fn figure(&self, name: &str) -> u64 {
        let text = std::fs::read_to_string(self.file("status")).unwrap();
        let line = text.lines().find(|line| line.starts_with(name)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }

    /// Does something and compares the most memory during it with the memory before.
    async fn watch<T>(&self, what: &str, work: impl Future<Output = T>) -> T {
        std::fs::write(self.file("clear_refs"), "5").unwrap();
        let (before, begun) = (self.figure("VmRSS"), std::time::Instant::now());
        let done = work.await;
        let growth = self.figure("VmHWM").saturating_sub(before);
        eprintln!("{what}: {growth} KiB more than {before} in {:?}", begun.elapsed());
        assert!(growth < GROWTH, "{what}: {growth} KiB");
        done
    }

    fn s3(&self, more: &[(&str, &str)]) -> Arc<dyn ObjectStore> {
        let address = format!("http://{}", self.address);
        let options = [
            ("aws_endpoint", &*address),
            ("aws_access_key_id", "AK"),
            ("aws_secret_access_key", "secret"),
            ("aws_region", "us-east-1"),
            ("aws_unsigned_payload", "true"),
            ("allow_http", "true"),
        ];
        let options: Vec<_> = options
            .iter()
            .chain(more)
            .map(|(name, value)| ((*name).into(), (*value).into()))
            .collect();
        match Place::remote(&format!("s3://{BUCKET}"), &options, Path::new("/nowhere")).unwrap() {
            Place::Remote(client) => client,
            Place::Folder(_) => panic!("a remote place"),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// The piece that all is made of, many times over; no copy of it is made.
fn piece() -> Bytes {
    (0..PIECE).map(|at| (at / 5) as u8).collect::<Vec<_>>().into()
}

fn pieces(count: usize) -> impl Iterator<Item = Bytes> {
    std::iter::repeat_n(piece(), count)
}

/// Reads to the end; how many bytes it were.
async fn drain<E: std::fmt::Debug>(
    mut bytes: impl futures_util::Stream<Item = Result<Bytes, E>> + Unpin,
) -> usize {
    let mut count = 0;
    while let Some(part) = bytes.next().await {
        count += part.unwrap().len();
    }
    count
}

async fn put(s3: &Arc<dyn ObjectStore>, key: &str, count: usize) {
    s3.put(&key.into(), PutPayload::from_iter(pieces(count))).await.unwrap();
}

async fn parts(s3: &Arc<dyn ObjectStore>, key: &str, count: usize) {
    let mut upload = s3.put_multipart(&key.into()).await.unwrap();
    for piece in pieces(count) {
        upload.put_part(piece.into()).await.unwrap();
    }
    upload.complete().await.unwrap();
}

async fn get(s3: &Arc<dyn ObjectStore>, key: &str, count: usize) {
    let found = s3.get(&key.into()).await.unwrap();
    assert_eq!(drain(found.into_stream()).await, count * PIECE);
}

#[tokio::test(flavor = "multi_thread")]
async fn large_objects_pass_through_little_memory() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path());
    let (s3, count) = (server.s3(&[]), count());
    // What is made once is not counted.
    s3.put(&"warm".into(), piece().into()).await.unwrap();
    drain(s3.get(&"warm".into()).await.unwrap().into_stream()).await;
    server.watch("an upload", put(&s3, "whole", count)).await;
    server.watch("a download", get(&s3, "whole", count)).await;
    server.watch("an upload in parts", parts(&s3, "parts", count)).await;
    server.watch("a download of parts", get(&s3, "parts", count)).await;
    let size = count * PIECE;
    let range = 1000..size as u64 - 1000;
    let ranged = async {
        let options = object_store::GetOptions::new().with_range(Some(range.clone()));
        let found = s3.get_opts(&"parts".into(), options).await.unwrap();
        assert_eq!(drain(found.into_stream()).await, size - 2000);
    };
    server.watch("a range", ranged).await;
    server.watch("a copy", s3.copy(&"parts".into(), &"copy".into())).await.unwrap();
    let sealing = server.s3(&[("aws_server_side_encryption", "AES256")]);
    let fewer = count.div_ceil(2);
    server.watch("a sealed upload", put(&sealing, "sealed", fewer)).await;
    server.watch("a sealed download", get(&s3, "sealed", fewer)).await;
}

/// A client of the registry.
struct Registry<'a> {
    server: &'a Server,
    client: Client<HttpConnector, Body>,
}

impl Registry<'_> {
    async fn ask(&self, method: &str, at: &str, body: Body) -> Response<Incoming> {
        let address = format!("http://{}{at}", self.server.address);
        let request = Request::builder().method(method).uri(address).body(body).unwrap();
        self.client.request(request).await.unwrap()
    }

    /// Sends all in one chunk; where it was kept.
    async fn push(&self) -> String {
        let mut hasher = Sha256::new();
        pieces(count()).for_each(|piece| hasher.update(&piece));
        let digest = hex(&hasher.finalize());
        let begun = self.ask("POST", "/v2/site/tool/blobs/uploads/", Body::empty()).await;
        let at = begun.headers()["location"].to_str().unwrap().to_owned();
        let body = Body::from_stream(stream::iter(pieces(count()).map(Ok::<_, std::io::Error>)));
        let sent = self.ask("PATCH", &at, body).await;
        assert_eq!(sent.status(), StatusCode::ACCEPTED);
        let done = self.ask("PUT", &format!("{at}?digest=sha256:{digest}"), Body::empty()).await;
        assert_eq!(done.status(), StatusCode::CREATED);
        format!("/v2/site/tool/blobs/sha256:{digest}")
    }

    async fn pull(&self, at: &str) {
        let found = self.ask("GET", at, Body::empty()).await;
        assert_eq!(found.status(), StatusCode::OK);
        assert_eq!(
            drain(found.into_body().into_data_stream().into_stream()).await,
            count() * PIECE
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn large_layers_pass_through_little_memory() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path());
    let client = Client::builder(TokioExecutor::new()).build_http();
    let registry = Registry { server: &server, client };
    drop(registry.ask("POST", "/v2/site/warm/blobs/uploads/", Body::empty()).await);
    let at = server.watch("a push", registry.push()).await;
    server.watch("a pull", registry.pull(&at)).await;
}
