//! The `object_store` library as a client of the S3 face, by its own tests; and this room over the
//! S3 of another, and over stand-ins of a different make, for Azure (`npm install azurite`), and for
//! Google Cloud Storage, whose XML interface is that of S3 but for its credentials.

#![expect(clippy::unwrap_used, reason = "a test ends where its preparation fails")]
#![expect(clippy::disallowed_methods, reason = "the test starts a server of another make")]

use axum::{
    body::{Body, to_bytes},
    extract::Request as Received,
    middleware::{Next, from_fn},
    response::{IntoResponse, Response},
};
use base::secret::Secret;
use base64::{Engine, engine::general_purpose::STANDARD};
use futures_util::TryStreamExt;
use hmac::{Hmac, KeyInit, Mac};
use http::{Request, StatusCode, header};
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use object_store::{
    ObjectStore, ObjectStoreExt,
    aws::{AwsAuthorizer, AwsCredential},
    client::HttpRequest,
    integration,
};
use objects::{Config, Objects, Owner, Place, Scope};
use percent_encoding::percent_decode_str;
use sha2::Sha256;
use std::{
    path::Path,
    process::{Child, Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};
use store::{SiteKey, Store};
use tokio::net::{TcpListener, TcpStream};

const BUCKET: &str = "far-away";

async fn room(dir: &Path, place: Place) -> Objects {
    let store = Store::open(&store::Config::new(dir.join("store")), SiteKey::new([7; 32])).unwrap();
    Objects::open(Config { keep_free: 0, ..Config::over(place) }, store).await.unwrap()
}

/// Another room, its face served; its address.
async fn far(dir: &Path) -> String {
    far_over(dir, Place::Folder(dir.join("blobs"))).await
}

async fn far_over(dir: &Path, place: Place) -> String {
    serve(objects::s3::router(far_room(dir, place).await)).await
}

async fn far_room(dir: &Path, place: Place) -> Objects {
    let objects = room(dir, place).await;
    let owner = Owner { id: "hub".into(), ..Owner::default() };
    objects.key_import("AKFAR", &Secret::new("far"), owner, Scope::Owner, None).await.unwrap();
    assert!(objects.bucket_create(BUCKET, "hub", objects::alone).await.unwrap());
    objects
}

async fn serve(face: axum::Router) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, face).await });
    address
}

fn place(address: &str, prefix: &str) -> Place {
    let options = [
        ("aws_endpoint", address),
        ("aws_access_key_id", "AKFAR"),
        ("aws_secret_access_key", "far"),
        ("aws_region", "us-east-1"),
        ("allow_http", "true"),
    ];
    let options = options.map(|(name, value)| (name.to_owned(), value.to_owned()));
    Place::remote(&format!("s3://{BUCKET}/{prefix}"), &options, Path::new("/nowhere")).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_library_passes_its_own_tests_against_the_face() {
    let dir = tempfile::tempdir().unwrap();
    let address = far(dir.path()).await;
    let client = |prefix: &str| match place(&address, prefix) {
        Place::Remote(client) => client,
        Place::Folder(_) => panic!("a remote place"),
    };
    // Each wants an empty store.
    integration::put_get_delete_list(&client("a")).await;
    integration::list_with_offset_exclusivity(&client("b")).await;
    integration::list_uses_directories_correctly(&client("c")).await;
    integration::list_with_delimiter(&client("d")).await;
    integration::rename_and_copy(&client("e")).await;
    integration::get_nonexistent_object(&client("f"), None).await.unwrap_err();
    integration::get_opts(&client("g")).await;
    integration::put_opts(&client("h"), true).await;
    integration::stream_get(&client("i")).await;
    integration::put_get_attributes(&client("j")).await;
}

/// What a room does to its place: store, read whole and in part, remove, sweep, scrub.
async fn use_place(dir: &Path, place: Place) {
    let bytes: Vec<u8> = (0..9_000_000_u32).map(|n| (n / 7) as u8).collect();
    let Place::Remote(client) = place.clone() else { panic!("a remote place") };
    {
        let objects = room(dir, place.clone()).await;
        objects.put("caches", "big", bytes.clone()).await.unwrap();
        objects.put("caches", "gone", vec![1; 40_000]).await.unwrap();
        objects.put("caches", "small", b"few".to_vec()).await.unwrap();
        assert!(objects.get_small("caches", "big", 1 << 24).await.unwrap() == bytes);
        let part = objects.get("caches", "big", Some(8_388_000..8_389_000)).await.unwrap();
        let part: Vec<_> = part.bytes.try_collect().await.unwrap();
        assert!(part.concat() == bytes[8_388_000..8_389_000]);
        objects.delete("caches", "gone").await.unwrap();
        assert_eq!(objects.gc_now().await.unwrap().blobs, 1);
        client.put(&"00/of-a-cut".into(), vec![2; 10].into()).await.unwrap();
    }
    let objects = room(&dir.join("again"), place).await;
    assert_eq!(objects.scrub_all().await.unwrap().rotten, 0);
    drop(objects);
    let left: Vec<_> = client.list(None).try_collect().await.unwrap();
    assert_eq!(left.len(), 2, "the large object, and what a cut left: {left:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_room_keeps_its_bytes_in_the_s3_of_another() {
    let (dir, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let address = far(other.path()).await;
    use_place(dir.path(), place(&address, "site-1")).await;
    // What a cut left is swept by the next room of that store.
    let objects = room(dir.path(), place(&address, "site-1")).await;
    assert_eq!(objects.sweep_now().await.unwrap(), 1);
    assert_eq!(objects.get_small("caches", "small", 9).await.unwrap(), b"few");
}

/// Ended when dropped.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

async fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port()
}

/// Starts a server and waits until it listens; or tells why there is none.
async fn start(mut server: Command, port: u16) -> Result<Ended, String> {
    let name = server.get_program().to_owned();
    let started = server.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    let started =
        started.map(Ended).map_err(|why| format!("{name:?} cannot be started ({why})"))?;
    let begun = Instant::now();
    while TcpStream::connect(("127.0.0.1", port)).await.is_err() {
        if begun.elapsed() > Duration::from_secs(60) {
            return Err(format!("{name:?} does not listen"));
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Ok(started)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_room_keeps_its_bytes_in_a_store_of_another_make() {
    let port = free_port().await;
    let mut server = Command::new("moto_server");
    server.args(["-H", "127.0.0.1", "-p", &port.to_string()]);
    let _server = match start(server, port).await {
        Ok(server) => server,
        Err(why) => return eprintln!("skipped: {why}"),
    };
    let address = format!("http://127.0.0.1:{port}");
    let made = Command::new("python3")
        .args(["-c", "import boto3,sys; boto3.client('s3', endpoint_url=sys.argv[1], aws_access_key_id='a', aws_secret_access_key='b', region_name='us-east-1').create_bucket(Bucket=sys.argv[2])", &address, BUCKET])
        .status();
    if !made.is_ok_and(|status| status.success()) {
        return eprintln!("skipped: boto3 is needed to make the bucket");
    }
    let dir = tempfile::tempdir().unwrap();
    use_place(dir.path(), place(&address, "")).await;
}

/// An account of the stand-in for Azure, and its key.
const ACCOUNT: (&str, &[u8]) = ("site", b"not a secret");

/// Makes the container; the address must name the account.
async fn make_container(address: &str) {
    let (account, key) = ACCOUNT;
    let date = jiff::Timestamp::now().strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
    let headers = format!("x-ms-date:{date}\nx-ms-version:2021-08-06");
    let text = format!(
        "PUT{}{headers}\n/{account}/{account}/{BUCKET}\nrestype:container",
        "\n".repeat(12)
    );
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    mac.update(text.as_bytes());
    let signature = STANDARD.encode(mac.finalize().into_bytes());
    let request = Request::put(format!("{address}/{BUCKET}?restype=container"))
        .header("x-ms-date", date)
        .header("x-ms-version", "2021-08-06")
        .header("authorization", format!("SharedKey {account}:{signature}"))
        .body(String::new())
        .unwrap();
    let client = Client::builder(TokioExecutor::new()).build_http::<String>();
    assert_eq!(client.request(request).await.unwrap().status(), StatusCode::CREATED);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_room_keeps_its_bytes_in_azure() {
    let (port, folder) = (free_port().await, tempfile::tempdir().unwrap());
    let (account, key) = (ACCOUNT.0, STANDARD.encode(ACCOUNT.1));
    let mut server = Command::new("azurite-blob");
    server
        .args(["--blobPort", &port.to_string(), "--disableTelemetry", "--skipApiVersionCheck"])
        .arg("--location")
        .arg(folder.path())
        .env("AZURITE_ACCOUNTS", format!("{account}:{key}"));
    let _server = match start(server, port).await {
        Ok(server) => server,
        Err(why) => return eprintln!("skipped: {why}"),
    };
    let address = format!("http://127.0.0.1:{port}/{account}");
    make_container(&address).await;
    let options = [
        ("azure_storage_account_name", account),
        ("azure_storage_account_key", &key),
        ("azure_storage_endpoint", &address),
        ("allow_http", "true"),
    ];
    let options = options.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let azure = |prefix: &str| {
        Place::remote(&format!("az://{BUCKET}/{prefix}"), &options, Path::new("/nowhere")).unwrap()
    };
    let (dir, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    use_place(dir.path(), azure("near")).await;
    // Through the face of such a room: uploads in parts, ranges, lists, deletes.
    let face = far_over(other.path(), azure("far")).await;
    use_place(&dir.path().join("over"), place(&face, "site-1")).await;
}

/// What Google's clients show instead of a signature.
const TOKEN: &str = "site-1-token";

/// The face behind Google's credentials: a token comes in, a signature goes on.
async fn as_google(received: Received, next: Next) -> Response {
    let shown = received.headers().get(header::AUTHORIZATION);
    if shown.is_none_or(|shown| shown != &format!("Bearer {TOKEN}")) {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    let (mut parts, body) = received.into_parts();
    let body = to_bytes(body, 64 << 20).await.unwrap();
    let host = parts.headers[header::HOST].clone();
    let mut signed = HttpRequest::new(body.clone().into());
    *signed.method_mut() = parts.method.clone();
    // Signed is the path without escapes that need not be; here none need be.
    let path = percent_decode_str(parts.uri.path()).decode_utf8().unwrap();
    let asked = parts.uri.query().map(|query| format!("?{query}")).unwrap_or_default();
    let uri = format!("http://{}{path}{asked}", host.to_str().unwrap());
    *signed.uri_mut() = uri.parse().unwrap();
    let credential =
        AwsCredential { key_id: "AKFAR".to_owned(), secret_key: "far".to_owned(), token: None };
    AwsAuthorizer::new(&credential, "s3", "us-east-1").try_authorize(&mut signed, None).unwrap();
    parts.headers.remove(header::AUTHORIZATION);
    parts.headers.extend(signed.headers().clone());
    next.run(Received::from_parts(parts, Body::from(body))).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_room_keeps_its_bytes_in_google_cloud_storage() {
    let (dir, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let google = far_room(other.path(), Place::Folder(other.path().join("blobs"))).await;
    let address = serve(objects::s3::router(google).layer(from_fn(as_google))).await;
    let options = |token: &str| {
        [("google_base_url", &*address), ("google_bearer_token", token), ("allow_http", "true")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
    };
    let gs = |token: &str, prefix: &str| {
        let address = format!("gs://{BUCKET}/{prefix}");
        Place::remote(&address, &options(token), Path::new("/nowhere")).unwrap()
    };
    use_place(dir.path(), gs(TOKEN, "near")).await;
    let Place::Remote(stranger) = gs("guessed", "near") else { panic!("a remote place") };
    let refused = stranger.put(&"00/of-a-stranger".into(), vec![1].into()).await.unwrap_err();
    assert!(matches!(refused, object_store::Error::Unauthenticated { .. }), "{refused}");
    // Through the face of such a room: uploads in parts, ranges, lists, deletes.
    let face = far_over(&other.path().join("over"), gs(TOKEN, "far")).await;
    use_place(&dir.path().join("over"), place(&face, "site-1")).await;
}

#[tokio::test]
async fn a_store_that_cannot_be_reached_is_an_error_and_small_objects_go_on() {
    let dir = tempfile::tempdir().unwrap();
    let address = {
        let closed = TcpListener::bind("127.0.0.1:0").await.unwrap();
        format!("http://{}", closed.local_addr().unwrap())
    };
    let options = [
        ("aws_endpoint", &*address),
        ("allow_http", "true"),
        ("aws_access_key_id", "a"),
        ("aws_secret_access_key", "b"),
    ];
    let options = options.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let place = Place::remote("s3://b", &options, Path::new("/nowhere")).unwrap();
    let objects = room(dir.path(), place).await;
    objects.put("caches", "small", b"few".to_vec()).await.unwrap();
    assert_eq!(objects.get_small("caches", "small", 9).await.unwrap(), b"few");
    let _: Arc<dyn std::error::Error> =
        Arc::new(objects.put("caches", "big", vec![1; 40_000]).await.unwrap_err());
}
