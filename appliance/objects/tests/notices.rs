//! Notices of a bucket, set and caused by a real client, told over a restart to an address that
//! refuses at first.

#![expect(clippy::unwrap_used, reason = "a test ends where its preparation fails")]
#![expect(clippy::disallowed_methods, reason = "the test starts a real client")]

use axum::{Router, extract::State, http::HeaderMap, routing::post};
use base::secret::Secret;
use hmac::{Hmac, KeyInit, Mac};
use objects::{Config, Objects, Owner, Scope};
use serde_json::Value;
use sha2::Sha256;
use std::{
    collections::BTreeSet,
    path::Path,
    process::Command,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};
use store::{SiteKey, Store};
use tokio::net::TcpListener;

const DEADLINE: Duration = Duration::from_secs(90);

/// What the receiver was told: signature, number, body.
#[derive(Clone, Default)]
struct Heard(Arc<Mutex<Vec<(String, String, String)>>>);

/// Refuses the first two, then takes all.
async fn hook(State(heard): State<Heard>, headers: HeaderMap, body: String) -> http::StatusCode {
    let text = |name: &str| headers[name].to_str().unwrap().to_owned();
    let mut heard = heard.0.lock().unwrap();
    heard.push((text("x-appliance-signature"), text("x-appliance-event"), body));
    if heard.len() > 2 { http::StatusCode::OK } else { http::StatusCode::SERVICE_UNAVAILABLE }
}

async fn listen(router: Router) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}

async fn room(dir: &Path, allow: &[String]) -> (Objects, Store) {
    let store = Store::open(&store::Config::new(dir.join("store")), SiteKey::new([7; 32])).unwrap();
    let config =
        Config { keep_free: 0, webhook_allow: allow.to_vec(), ..Config::new(dir.join("blobs")) };
    (Objects::open(config, store.clone()).await.unwrap(), store)
}

fn mac(key: &Secret, body: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(key.expose().as_bytes()).unwrap();
    mac.update(body.as_bytes());
    format!("sha256={}", objects::digest::hex(&mac.finalize().into_bytes()))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_happens_in_a_bucket_is_told_after_a_restart_until_it_is_heard() {
    let dir = tempfile::tempdir().unwrap();
    let heard = Heard::default();
    let hooks = listen(Router::new().route("/told", post(hook)).with_state(heard.clone())).await;
    let allow = [format!("{hooks}/")];
    {
        // Nothing is told yet: this room is not kept.
        let (objects, store) = room(dir.path(), &allow).await;
        let owner = Owner { id: "ann".into(), ..Owner::default() };
        objects.key_import("AKTEST", &Secret::new("s"), owner, Scope::Owner, None).await.unwrap();
        let face = listen(objects::s3::router(objects.clone())).await;
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clients/notify_check.py");
        let script = Command::new("python3").args([script, &face, &hooks]).output();
        let output = script.unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        if said.contains("No module named") {
            return eprintln!("skipped: boto3 is not installed");
        }
        assert!(output.status.success(), "{said}");
        let targets = objects.notice_targets(None).await.unwrap();
        assert_eq!((targets.len(), targets[0].waiting, targets[0].told), (1, 8, 0));
        drop(objects);
        tokio::task::spawn_blocking(move || store.close()).await.unwrap().unwrap();
    }
    let (objects, _store) = room(dir.path(), &allow).await;
    let keeping = tokio::spawn(objects.clone().keep());
    let begun = Instant::now();
    let target = loop {
        let target = objects.notice_targets(Some("told")).await.unwrap().remove(0);
        if target.waiting == 0 {
            break target;
        }
        assert!(begun.elapsed() < DEADLINE, "{target:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    keeping.abort();
    assert_eq!((target.told, target.lost, target.error), (8, 0, None));
    let key = objects.bucket_webhook_key("told").await.unwrap();
    let heard = heard.0.lock().unwrap().clone();
    let mut events = BTreeSet::new();
    for (signature, _, body) in &heard {
        assert_eq!(*signature, mac(&key, body));
        let told: Value = serde_json::from_str(body).unwrap();
        let record = &told["Records"][0];
        let name = record["eventName"].as_str().or(told["Event"].as_str()).unwrap();
        events.insert(format!("{name} {}", record["s3"]["object"]["key"].as_str().unwrap_or("-")));
    }
    let expected = [
        "ObjectCreated:CompleteMultipartUpload in%2Fparts",
        "ObjectCreated:Copy in%2Fcopy",
        "ObjectCreated:Put in%2Fa%20b",
        "ObjectCreated:Put in%2Fc",
        "ObjectRemoved:Delete in%2Fa%20b",
        "ObjectRemoved:Delete in%2Fcopy",
        "ObjectRemoved:DeleteMarkerCreated in%2Fc",
        "s3:TestEvent -",
    ];
    assert_eq!(events.iter().map(String::as_str).collect::<Vec<_>>(), expected);
    let numbers: BTreeSet<_> = heard.iter().map(|(_, number, _)| number).collect();
    assert_eq!(numbers.len(), 8, "those that were refused came again under their number");
}
