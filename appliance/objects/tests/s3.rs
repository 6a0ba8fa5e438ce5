//! The S3 face, with the clients that people use. Skipped with a note where none is installed.

#![expect(clippy::unwrap_used, reason = "a test ends where its preparation fails")]

use base::secret::Secret;
use objects::{Config, Objects, Owner, Scope};
use std::{
    path::Path,
    process::{Command, Output},
    time::Duration,
};
use store::{SiteKey, Store};
use tower::ServiceExt;

const KEY: &str = "AKTEST";
const SECRET: &str = "test-secret";

async fn open(dir: &Path) -> Objects {
    let store = Store::open(&store::Config::new(dir.join("store")), SiteKey::new([7; 32])).unwrap();
    let config = Config { keep_free: 0, ..Config::new(dir.join("blobs")) };
    let objects = Objects::open(config, store).await.unwrap();
    let owner = Owner { id: "ann".into(), display: "Ann".into(), email: String::new() };
    objects.key_import(KEY, &Secret::new(SECRET), owner, Scope::Owner, None).await.unwrap();
    objects
}

async fn listen(objects: Objects) -> u16 {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(axum::serve(listener, objects::s3::router(objects)).into_future());
    port
}

#[expect(clippy::disallowed_methods, reason = "a test drives the real client")]
fn aws(port: u16, dir: &Path, args: &[&str]) -> Option<Output> {
    Command::new("aws")
        .args(["--endpoint-url", &format!("http://127.0.0.1:{port}"), "--region", "us-east-1"])
        .args(args)
        .env("AWS_ACCESS_KEY_ID", KEY)
        .env("AWS_SECRET_ACCESS_KEY", SECRET)
        .env("AWS_CONFIG_FILE", dir.join("none"))
        .output()
        .ok()
}

/// Runs the client; `None` when there is none that works.
fn run(port: u16, dir: &Path, args: &[&str]) -> Option<String> {
    let output = aws(port, dir, args)?;
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    Some(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_aws_command_line_works_with_it() {
    let dir = tempfile::tempdir().unwrap();
    let port = listen(open(dir.path()).await).await;
    let at = dir.path().to_owned();
    let work = move || {
        if !aws(port, &at, &["--version"]).is_some_and(|output| output.status.success()) {
            eprintln!("skipped: the AWS command line is not installed");
            return;
        }
        let big: Vec<u8> = (0..20_000_000_u32).map(|number| number.to_le_bytes()[1]).collect();
        let (big_path, back) = (at.join("big"), at.join("back"));
        std::fs::write(&big_path, &big).unwrap();
        run(port, &at, &["s3", "mb", "s3://site-bucket"]);
        run(port, &at, &["s3", "cp", big_path.to_str().unwrap(), "s3://site-bucket/a/big file"]);
        run(port, &at, &["s3", "cp", "s3://site-bucket/a/big file", back.to_str().unwrap()]);
        assert!(std::fs::read(&back).unwrap() == big, "20 MB in parts come back");
        run(port, &at, &["s3", "cp", "s3://site-bucket/a/big file", "s3://site-bucket/b"]);
        let list = run(port, &at, &["s3", "ls", "--recursive", "s3://site-bucket"]).unwrap();
        assert_eq!(list.lines().count(), 2, "{list}");
        run(port, &at, &["s3", "rb", "--force", "s3://site-bucket"]);
    };
    tokio::task::spawn_blocking(work).await.unwrap();
}

fn request(method: &str, uri: &str, body: &'static str) -> http::Request<axum::body::Body> {
    http::Request::builder()
        .method(method)
        .uri(uri)
        .header("content-length", body.len())
        .body(axum::body::Body::from(body))
        .unwrap()
}

#[tokio::test]
async fn an_address_that_the_house_signs_works_under_its_prefix_and_only_for_its_method() {
    let dir = tempfile::tempdir().unwrap();
    let objects = open(dir.path()).await;
    let app = axum::Router::new().nest("/s3", objects::s3::router(objects.clone()));
    let put = objects.presign(&http::Method::PUT, "caches", "a/ü b", Duration::from_secs(60), "");
    let put = put.url.expose();
    let status = |request: http::Request<axum::body::Body>| {
        let app = app.clone();
        async move {
            ServiceExt::<http::Request<axum::body::Body>>::oneshot(app, request)
                .await
                .unwrap()
                .status()
                .as_u16()
        }
    };
    assert_eq!(status(request("PUT", put, "bytes")).await, 200);
    assert_eq!(objects.get_small("caches", "a/ü b", 10).await.unwrap(), b"bytes");
    assert_eq!(status(request("DELETE", put, "")).await, 403);
    assert_eq!(status(request("PUT", &put.replace("caches", "images"), "x")).await, 403);
    assert_eq!(status(request("GET", "/s3/caches/a", "")).await, 403);
    assert_eq!(status(request("PUT", "/s3/caches/a", "x")).await, 403);
}
