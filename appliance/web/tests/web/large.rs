//! Large bodies: callers who have shown nothing keep nobody else waiting.

use crate::{
    clients::run,
    doors::{BASE, WORD, ask, text},
    site::{
        Site,
        past::{self, Run},
    },
};
use axum::body::Body;
use base::secret::Secret;
use futures_util::{StreamExt, future, stream};
use http::Request;
use serde_json::json;
use std::{convert::Infallible, time::Duration};
use store::access::Role;
use tower::ServiceExt;

const CONTINUE: &str = "/api/v2/pipeline/continue";

const SETUP: &str = "version: 2.1\nsetup: true\njobs: {j: {machine: true, steps: [run: x]}}\nworkflows: {w: {jobs: [j]}}\n";

const JSON: (&str, &str) = ("content-type", "application/json");

/// Sends the beginning of a large body, and nothing more.
fn stall(site: &Site) {
    let begun = format!(r#"{{"configuration":"{}"#, "x".repeat(100_000));
    let begun = stream::once(future::ready(Ok::<_, Infallible>(begun)));
    let body = Body::from_stream(begun.chain(stream::pending()));
    let request = Request::post(CONTINUE).header("host", "ci.test:8443").header(JSON.0, JSON.1);
    let faces = site.faces();
    drop(tokio::spawn(async move { faces.oneshot(request.body(body).unwrap()).await }));
}

#[tokio::test]
async fn strangers_keep_neither_members_nor_setups_waiting() {
    let site = Site::open(BASE).await;
    let project = site.project("acme/relay").await;
    let user = site.account("mira", Role::Member, WORD, false).await;
    let token = site.token(user, Role::Member).await;
    let trigger = past::trigger(&Run { project, config: SETUP, ..run(1) });
    let made = site.engine.trigger(trigger).await.unwrap();
    let key: Secret =
        site.store.read(move |reader| reader.continuation_key(made.pipeline)).await.unwrap();
    (0..8).for_each(|_| stall(&site));
    tokio::time::sleep(Duration::from_millis(100)).await;
    let soon = Duration::from_secs(5);
    let compile = json!({ "config_yaml": SETUP }).to_string();
    let headers = [("circle-token", token.as_str()), JSON];
    let asked = ask(&site, "POST", "/api/v2/compile-config-with-defaults", &headers, &compile);
    assert_eq!(tokio::time::timeout(soon, asked).await.unwrap().status(), 200);
    let config = SETUP.replace("setup: true\n", "");
    let go_on = json!({ "configuration": config, "continuation-key": key.expose() }).to_string();
    let asked = ask(&site, "POST", CONTINUE, &[JSON], &go_on);
    let answer = tokio::time::timeout(soon, asked).await.unwrap();
    assert_eq!(answer.status(), 200, "{}", text(answer).await);
}
