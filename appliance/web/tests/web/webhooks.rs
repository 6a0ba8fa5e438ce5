//! Outbound webhooks: made through the API, told over a cut to a receiver that refuses at first.

use crate::{
    clients::run,
    doors::{BASE, FORM, HTML, SAME, WORD, ask, text},
    site::{
        Site,
        past::{self, Run},
    },
};
use axum::{Router, extract::State, http::HeaderMap, routing::post};
use base::{ids::ProjectId, secret::Secret};
use serde_json::{Value, json};
use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};
use store::access::Role;

const DEADLINE: Duration = Duration::from_secs(60);

const CONFIG: &str =
    "version: 2.1\njobs: {j: {machine: true, steps: [run: x]}}\nworkflows: {w: {jobs: [j]}}\n";

/// What the receiver was told: kind, signature, body.
#[derive(Clone, Default)]
struct Heard(Arc<Mutex<Vec<(String, String, String)>>>);

/// Refuses the first two, then takes all.
async fn hook(State(heard): State<Heard>, headers: HeaderMap, body: String) -> http::StatusCode {
    let text = |name: &str| headers.get(name).map_or("", |text| text.to_str().unwrap()).to_owned();
    assert_eq!(text("content-type"), "application/json");
    let mut heard = heard.0.lock().unwrap();
    heard.push((text("circleci-event-type"), text("circleci-signature"), body));
    if heard.len() > 2 { http::StatusCode::OK } else { http::StatusCode::SERVICE_UNAVAILABLE }
}

async fn listen(heard: Heard) -> String {
    let router = Router::new().route("/ci/{who}", post(hook)).with_state(heard);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}/ci/", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}

/// One call of the API.
async fn call(
    site: &Site,
    token: &str,
    (method, path): (&str, &str),
    body: &Value,
) -> (u16, Value) {
    let headers = [("circle-token", token), ("content-type", "application/json")];
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let answer = ask(site, method, path, &headers, &body).await;
    let status = answer.status().as_u16();
    (status, serde_json::from_str(&text(answer).await).unwrap())
}

/// Triggers a pipeline and cancels it, so that a job and its workflow end.
async fn run_and_end(site: &Site, project: ProjectId, token: &str) {
    let trigger = past::trigger(&Run { project, config: CONFIG, ..run(1) });
    let made = site.engine.trigger(trigger).await.unwrap();
    let path = format!("/api/v2/pipeline/{}/workflow", made.pipeline);
    let (_, workflows) = call(site, token, ("GET", &path), &Value::Null).await;
    let id = workflows["items"][0]["id"].as_str().unwrap();
    let cancel = format!("/api/v2/workflow/{id}/cancel");
    assert_eq!(call(site, token, ("POST", &cancel), &Value::Null).await.0, 202);
}

/// Waits until so many requests came.
async fn until(heard: &Heard, count: usize) -> Vec<(String, String, Value)> {
    let begun = Instant::now();
    loop {
        let now = heard.0.lock().unwrap().clone();
        if now.len() >= count {
            let read = |(kind, sign, body): (String, String, String)| {
                let expected = objects::telling::signature(&Secret::new("s3cret!"), &body);
                assert_eq!(sign, format!("v1={expected}"));
                (kind, sign, serde_json::from_str(&body).unwrap())
            };
            return now.into_iter().map(read).collect();
        }
        assert!(begun.elapsed() < DEADLINE, "{now:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_ends_is_told_until_it_is_heard() {
    let heard = Heard::default();
    let hooks = listen(heard.clone()).await;
    let site = Site::open_telling(BASE, std::slice::from_ref(&hooks)).await;
    let (project, other) = (site.project("acme/relay").await, site.project("acme/other").await);
    let user = site.account("ada", Role::Admin, WORD, false).await;
    let token = site.token(user, Role::Admin).await;
    run_and_end(&site, project, &token).await;
    let new = json!({
        "name": "board", "url": format!("{hooks}a"), "events": ["workflow-completed", "job-completed"],
        "signing-secret": "s3cret!", "verify-tls": true, "scope": { "id": project, "type": "project" },
    });
    let (status, made) = call(&site, &token, ("POST", "/api/v2/webhook"), &new).await;
    assert_eq!((status, &made["signing-secret"]), (201, &"xxxxet!".into()), "{made}");
    // While nobody tells: a restart comes between the deed and its telling.
    run_and_end(&site, project, &token).await;
    run_and_end(&site, other, &token).await;
    let telling = tokio::spawn(web::webhooks::keep(site.state.clone()));
    until(&heard, 2).await;
    telling.abort();
    let telling = tokio::spawn(web::webhooks::keep(site.state.clone()));
    let told = until(&heard, 4).await;
    let kinds: Vec<&str> = told.iter().map(|(kind, ..)| kind.as_str()).collect();
    assert!(kinds[..2].contains(&"job-completed") && kinds[2..].contains(&"workflow-completed"));
    for (kind, _, body) in &told {
        let again = told.iter().filter(|(_, _, other)| other["id"] == body["id"]);
        assert_eq!((again.count(), &body["type"]), (2, &kind.as_str().into()), "{body}");
        assert_eq!(body["webhook"], json!({ "id": made["id"], "name": "board" }));
        assert_eq!(
            body["project"]["slug"], "gh/acme/relay",
            "what was before, or is another's, is not"
        );
        assert_eq!(
            (&body["pipeline"]["number"], &body["pipeline"]["vcs"]["branch"]),
            (&2.into(), &"main".into())
        );
        assert!(body["workflow"]["stopped_at"].is_string() && body["happened_at"].is_string());
        let (job, workflow) = (&body["job"]["status"], &body["workflow"]["status"]);
        match kind.as_str() {
            "job-completed" => assert_eq!((job, workflow), (&"canceled".into(), &Value::Null)),
            _ => assert_eq!((job, workflow), (&Value::Null, &"canceled".into())),
        }
    }
    let headers = [("circle-token", token.as_str())];
    let settings = "/projects/acme/relay/settings";
    let begun = Instant::now();
    let page = loop {
        let page = text(ask(&site, "GET", settings, &headers, "").await).await;
        if page.matches("200 OK").count() == 2 {
            break page;
        }
        assert!(begun.elapsed() < DEADLINE, "{page}");
    };
    assert!(page.contains("board") && !page.contains("s3cret!"), "{page}");
    telling.abort();
}

#[tokio::test]
async fn webhooks_are_changed_by_administrators_within_what_the_operator_allows() {
    let site = Site::open_telling(BASE, &["https://hooks.test/ci/".to_owned()]).await;
    let project = site.project("acme/relay").await;
    let mut tokens = Vec::new();
    for (login, role) in [("ada", Role::Admin), ("mira", Role::Member), ("vera", Role::Viewer)] {
        let user = site.account(login, role, WORD, false).await;
        tokens.push(site.token(user, role).await);
    }
    let [admin, member, viewer] = [&tokens[0], &tokens[1], &tokens[2]];
    let new = |change: &[(&str, Value)]| {
        let mut new = json!({
            "name": "board", "url": "https://hooks.test/ci/a", "events": ["job-completed"],
            "signing-secret": "", "verify-tls": true, "scope": { "id": project, "type": "project" },
        });
        for (key, value) in change {
            new[*key] = value.clone();
        }
        new
    };
    let make = ("POST", "/api/v2/webhook");
    for (change, told) in [
        (("url", json!("https://hooks.test/other")), "webhook_allow"),
        (("url", json!("https://hooks.test/ci/../b")), "webhook_allow"),
        (("events", json!([])), "events"),
        (("events", json!(["ping"])), "unknown variant"),
        (("name", json!(" ")), "name"),
        (("verify-tls", json!(false)), "outward_roots"),
        (("scope", json!({ "id": project, "type": "organization" })), "scope"),
        (("scope", Value::Null), "scope"),
    ] {
        let (status, answer) = call(&site, admin, make, &new(std::slice::from_ref(&change))).await;
        let message = answer["message"].as_str().unwrap();
        assert!(status == 400 && message.contains(told), "{change:?}: {status} {answer}");
    }
    for token in [member, viewer] {
        assert_eq!(call(&site, token, make, &new(&[])).await.0, 403);
    }
    let (status, made) = call(&site, admin, make, &new(&[])).await;
    assert_eq!((status, &made["scope"]["id"]), (201, &project.to_string().into()), "{made}");
    let one = format!("/api/v2/webhook/{}", made["id"].as_str().unwrap());
    let list = format!("/api/v2/webhook?scope-id={project}&scope-type=project");
    let none = &Value::Null;
    let (_, listed) = call(&site, member, ("GET", &list), none).await;
    assert_eq!((&listed["items"][0], &listed["next_page_token"]), (&made, none));
    assert_eq!(call(&site, member, ("GET", &one), none).await, (200, made));
    assert_eq!(call(&site, viewer, ("GET", &one), none).await.0, 403);
    assert_eq!(call(&site, admin, ("GET", "/api/v2/webhook"), none).await.0, 400);
    let change = json!({ "name": "other", "events": ["workflow-completed"] });
    assert_eq!(call(&site, member, ("PUT", &one), &change).await.0, 403);
    let (_, changed) = call(&site, admin, ("PUT", &one), &change).await;
    assert_eq!(
        (&changed["name"], &changed["url"]),
        (&"other".into(), &"https://hooks.test/ci/a".into())
    );
    let elsewhere = json!({ "url": "https://elsewhere.test/" });
    assert_eq!(call(&site, admin, ("PUT", &one), &elsewhere).await.0, 400);
    for count in 1..=5 {
        let status = call(&site, admin, make, &new(&[])).await.0;
        assert_eq!(status, if count < 5 { 201 } else { 409 }, "{count}");
    }
    assert_eq!(call(&site, admin, ("DELETE", &one), none).await.0, 200);
    assert_eq!(call(&site, admin, ("DELETE", &one), none).await.0, 404);
    let path = "/projects/acme/relay/webhooks";
    let form =
        "name=page&url=https%3A%2F%2Fhooks.test%2Fci%2Fb&signing_secret=hidden&job_completed=1";
    let headers = [("circle-token", admin.as_str()), FORM, SAME, HTML];
    let answer = ask(&site, "POST", path, &headers, form).await;
    assert_eq!(answer.status(), 303);
    let refused = ask(&site, "POST", path, &headers, &form.replace("hooks.test", "no.test")).await;
    assert_eq!(refused.status(), 400, "no other address than by the API");
    let (_, listed) = call(&site, member, ("GET", &list), none).await;
    assert_eq!(listed["items"][4]["name"], "page", "{listed}");
    let form = format!("id={}", listed["items"][4]["id"].as_str().unwrap());
    let answer = ask(&site, "POST", &format!("{path}/remove"), &headers, &form).await;
    assert_eq!(answer.status(), 303);
    let noted = site.store.read(|reader| reader.audit_list(None, 50)).await.unwrap();
    let noted: Vec<String> = noted.into_iter().map(|entry| entry.deed.action).collect();
    assert_eq!(noted[..3], ["webhook.remove", "webhook.create", "webhook.remove"]);
    assert_eq!(noted.iter().filter(|action| *action == "webhook.change").count(), 1);
}

#[tokio::test]
async fn where_no_address_is_allowed_page_and_api_say_so() {
    let site = Site::open(BASE).await;
    let project = site.project("acme/relay").await;
    let user = site.account("ada", Role::Admin, WORD, false).await;
    let token = site.token(user, Role::Admin).await;
    let new = json!({
        "name": "board", "url": "https://hooks.test/ci/a", "events": ["job-completed"],
        "scope": { "id": project, "type": "project" },
    });
    let (status, answer) = call(&site, &token, ("POST", "/api/v2/webhook"), &new).await;
    let told = "the operator allows no address";
    assert!(status == 400 && answer["message"].as_str().unwrap().contains(told), "{answer}");
    let headers = [("circle-token", token.as_str())];
    let page = text(ask(&site, "GET", "/projects/acme/relay/settings", &headers, "").await).await;
    assert!(page.contains(told) && !page.contains("Add webhook"), "{page}");
    let metrics = text(ask(&site, "GET", "/metrics", &headers, "").await).await;
    for row in ["waiting 0", "lost_total 0"] {
        assert!(metrics.contains(&format!("\nappliance_webhook_deliveries_{row}\n")), "{metrics}");
    }
}
