//! Addresses that carry their own signature, and keys that stop to work, over a real connection.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use base::secret::Secret;
use objects::{Config, Objects, Owner, Scope};
use std::{path::Path, process::Command};
use store::{SiteKey, Store};

const KEY: &str = "AKPRESIGNED";
const SECRET: &str = "test-secret";

async fn open(dir: &Path) -> (Objects, u16) {
    let store = Store::open(&store::Config::new(dir.join("store")), SiteKey::new([7; 32])).unwrap();
    let config = Config { keep_free: 0, ..Config::new(dir.join("blobs")) };
    let objects = Objects::open(config, store).await.unwrap();
    let owner = Owner { id: "ann".into(), display: "Ann".into(), email: String::new() };
    objects.key_import(KEY, &Secret::new(SECRET), owner, Scope::Owner, None).await.unwrap();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(axum::serve(listener, objects::s3::router(objects.clone())).into_future());
    (objects, port)
}

/// Runs a client off the runtime; `None` when there is none, its words when it failed.
#[expect(clippy::disallowed_methods, reason = "a test drives the real clients")]
async fn run(program: &'static str, args: Vec<String>) -> Option<Result<String, String>> {
    let command = move || {
        Command::new(program)
            .args(args)
            .env("AWS_ACCESS_KEY_ID", KEY)
            .env("AWS_SECRET_ACCESS_KEY", SECRET)
            .env("AWS_DEFAULT_REGION", "us-east-1")
            .env("AWS_CONFIG_FILE", concat!(env!("CARGO_MANIFEST_DIR"), "/tests/aws_config"))
            .env("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
            .env("NO_PROXY", "127.0.0.1")
            .output()
            .ok()
    };
    let output = tokio::task::spawn_blocking(command).await.unwrap()?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    Some(if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) })
}

async fn aws(port: u16, args: &[&str]) -> Option<Result<String, String>> {
    let mut all = vec!["--endpoint-url".to_owned(), format!("http://127.0.0.1:{port}")];
    all.extend(args.iter().map(|arg| (*arg).to_owned()));
    run("aws", all).await
}

/// The body and the status behind it.
async fn curl(args: &[&str]) -> Option<String> {
    let mut all = ["-s", "-w", " %{http_code}"].map(str::to_owned).to_vec();
    all.extend(args.iter().map(|arg| (*arg).to_owned()));
    run("curl", all).await.map(|answer| answer.unwrap_or_else(|error| error))
}

#[expect(clippy::print_stderr, reason = "a skipped test says why")]
async fn clients_are_there(port: u16) -> bool {
    let aws = matches!(aws(port, &["--version"]).await, Some(Ok(_)));
    let there = aws && curl(&["--version"]).await.is_some();
    if !there {
        eprintln!("skipped: it needs the AWS command line and curl");
    }
    there
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signed_address_gives_the_object_and_nothing_else_does() {
    let dir = tempfile::tempdir().unwrap();
    let (objects, port) = open(dir.path()).await;
    if !clients_are_there(port).await {
        return;
    }
    let file = dir.path().join("file");
    std::fs::write(&file, "0123456789").unwrap();
    aws(port, &["s3", "mb", "s3://shared"]).await.unwrap().unwrap();
    let target = "s3://shared/a b+ü";
    aws(port, &["s3", "cp", file.to_str().unwrap(), target]).await.unwrap().unwrap();
    let address = aws(port, &["s3", "presign", target]).await.unwrap().unwrap();
    assert_eq!(curl(&[&address]).await.unwrap(), "0123456789 200");
    assert_eq!(curl(&["-r", "2-4", &address]).await.unwrap(), "234 206");
    let behind = curl(&["-r", "90-", &address]).await.unwrap();
    assert!(behind.ends_with(" 416"), "{behind}");
    let check = async |args: &[&str], code: &str| {
        let answer = curl(args).await.unwrap();
        assert!(answer.contains(&format!("<Code>{code}</Code>")), "{args:?}: {answer}");
        assert!(answer.ends_with(" 403"), "{args:?}: {answer}");
    };
    let other = address.replace("/shared/", "/caches/");
    check(&[&other], "SignatureDoesNotMatch").await;
    check(&["-X", "DELETE", &address], "SignatureDoesNotMatch").await;
    let bare = address.split('?').next().unwrap();
    check(&[bare], "AccessDenied").await;
    check(&["-T", file.to_str().unwrap(), bare], "AccessDenied").await;
    assert!(objects.key_revoke(KEY, objects::alone).await.unwrap());
    check(&[&address], "InvalidAccessKeyId").await;
    let refused = aws(port, &["s3", "ls"]).await.unwrap().unwrap_err();
    assert!(refused.contains("InvalidAccessKeyId"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_reaches_no_bucket_of_the_house_and_many_objects_go_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let (objects, port) = open(dir.path()).await;
    if !clients_are_there(port).await {
        return;
    }
    objects.put("artifacts", "x", b"secret".to_vec()).await.unwrap();
    let api = async |args: &[&str]| aws(port, &[&["s3api"], args].concat()).await.unwrap();
    let refused = api(&["list-objects-v2", "--bucket", "artifacts"]).await.unwrap_err();
    assert!(refused.contains("AccessDenied"), "{refused}");
    api(&["create-bucket", "--bucket", "many"]).await.unwrap();
    for key in ["a", "b", "c/d"] {
        objects.put("many", key, key.as_bytes().to_vec()).await.unwrap();
    }
    let first = api(&["list-objects-v2", "--bucket", "many", "--delimiter", "/"]).await.unwrap();
    assert!(first.contains("\"c/\"") && !first.contains("c/d"), "{first}");
    let named = "Objects=[{Key=a},{Key=b},{Key=missing}]";
    let gone = api(&["delete-objects", "--bucket", "many", "--delete", named]).await.unwrap();
    assert!(gone.contains("missing"), "{gone}");
    let left = api(&["list-objects", "--bucket", "many", "--query", "Contents[].Key"]).await;
    assert_eq!(left.unwrap().split_whitespace().collect::<String>(), "[\"c/d\"]");
    let place = api(&["get-bucket-location", "--bucket", "many"]).await.unwrap();
    assert!(place.contains("LocationConstraint"), "{place}");
    let full = api(&["delete-bucket", "--bucket", "many"]).await.unwrap_err();
    assert!(full.contains("BucketNotEmpty"), "{full}");
}
