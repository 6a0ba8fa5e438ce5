//! Every route with every kind of caller, and the ways in.

use crate::site::Site;
use axum::{body::Body, http::Request};
use http::{Response, StatusCode, header};
use http_body_util::BodyExt;
use store::access::Role;
use tower::ServiceExt;
use web::access::Entry;

pub(crate) const BASE: &str = "https://ci.test:8443";
pub(crate) const WORD: &str = "correct horse battery";

/// One request; headers as pairs.
pub(crate) async fn ask(
    site: &Site,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Response<Body> {
    let mut request = Request::builder().method(method).uri(path).header("host", "ci.test:8443");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(Body::from(body.to_owned())).unwrap();
    site.faces().oneshot(request).await.unwrap()
}

pub(crate) async fn text(response: Response<Body>) -> String {
    String::from_utf8(response.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap()
}

pub(crate) const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");
pub(crate) const SAME: (&str, &str) = ("sec-fetch-site", "same-origin");
pub(crate) const CROSS: (&str, &str) = ("sec-fetch-site", "cross-site");
pub(crate) const HTML: (&str, &str) = ("accept", "text/html,*/*");

pub(crate) async fn log_in(site: &Site, login: &str, word: &str) -> Response<Body> {
    let body = format!("login={login}&password={}&next=%2Fprojects", word.replace(' ', "+"));
    ask(site, "POST", "/login", &[FORM, SAME, HTML], &body).await
}

/// `name=value` of the session cookie that an answer gives.
pub(crate) fn cookie(response: &Response<Body>) -> String {
    let given = response.headers()[header::SET_COOKIE].to_str().unwrap();
    assert!(given.starts_with("__Host-session=") && given.contains("; HttpOnly"), "{given}");
    given.split(';').next().unwrap().to_owned()
}

/// A path with something in place of each placeholder.
fn filled(path: &str) -> String {
    let part = |part: &str| match part {
        "{org}" => "acme".to_owned(),
        "{repo}" => "relay".to_owned(),
        "{node}" | "{step}" | "{number}" => "1".to_owned(),
        part if part.starts_with('{') => "00000000-0000-7000-8000-000000000001".to_owned(),
        part => part.to_owned(),
    };
    path.split('/').map(part).collect::<Vec<_>>().join("/")
}

/// May a caller of this kind come in where `permit` stands?
fn admits(permit: &str, caller: &str) -> bool {
    let rank = |role: &str| ["viewer", "member", "admin"].iter().position(|known| *known == role);
    match permit {
        "public" | "anyone" => true,
        "account" => rank(caller).is_some(),
        // Its socket, or an address with a pass, alone opens these.
        "runner" | "report" => false,
        "registry" => rank(caller).is_some(),
        role => rank(caller).is_some_and(|caller| rank(role).is_some_and(|role| caller >= role)),
    }
}

async fn check_route(site: &Site, entry: &Entry, caller: &str, token: Option<&str>) {
    let mut headers = vec![];
    if let Some(token) = token {
        headers.push(("circle-token", token));
    }
    let response = ask(site, entry.method, &filled(entry.path), &headers, "").await;
    let mut refused = matches!(response.status(), StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN);
    if entry.path == "/graphql-unstable" {
        // Its client reads no other status than 200.
        let text = text(ask(site, entry.method, entry.path, &headers, "{}").await).await;
        refused = text.contains("must log in");
    }
    let place = format!("{} {} as {caller}", entry.method, entry.path);
    if admits(entry.permit, caller) {
        // A form without its fields, or a thing that is not there, is refused in other words.
        assert_ne!(response.status(), StatusCode::UNAUTHORIZED, "{place}");
    } else {
        assert!(refused, "{place}: {}", response.status());
    }
}

#[tokio::test]
async fn every_route_admits_those_it_names_and_nobody_else() {
    let site = Site::open(BASE).await;
    let mut callers: Vec<(&str, Option<String>)> = vec![("nobody", None)];
    for (name, role) in [("viewer", Role::Viewer), ("member", Role::Member), ("admin", Role::Admin)]
    {
        let user = site.account(name, role, WORD, false).await;
        callers.push((name, Some(site.token(user, Role::Admin).await)));
    }
    let table = web::table();
    assert!(table.len() > 40, "{}", table.len());
    for entry in table.iter().filter(|entry| !entry.path.starts_with("/git/")) {
        for (caller, token) in &callers {
            check_route(&site, entry, caller, token.as_deref()).await;
        }
    }
}

#[tokio::test]
async fn only_these_routes_are_open_to_nobody() {
    let open: Vec<String> = web::table()
        .iter()
        .filter(|entry| matches!(entry.permit, "public" | "anyone"))
        .filter(|entry| !entry.path.starts_with("/git/"))
        .map(|entry| format!("{} {}", entry.method, entry.path))
        .collect();
    let expected = [
        "GET /.well-known/appliance-ca.pem",
        // The table of routes, which is published with the program.
        "GET /api/v2/openapi.json",
        // Who has the continuation key of a setup job may use it, once: it stands in the body.
        "POST /api/v2/pipeline/continue",
        "GET /assets/{version}/{name}",
        // Badges: how a branch stands, to those who may see it or have the badge's token.
        "GET /gh/{org}/{repo}",
        "GET /gh/{org}/{repo}/tree/{*branch}",
        "GET /github/{org}/{repo}",
        "GET /github/{org}/{repo}/tree/{*branch}",
        "GET /healthz",
        "GET /login",
        "POST /login",
        "GET /readyz",
        "GET /status-badge/img/{vcs}/{org}/{repo}",
        "GET /status-badge/img/{vcs}/{org}/{repo}/tree/{*branch}",
        "POST /theme",
    ];
    assert_eq!(open, expected);
}

#[tokio::test]
async fn a_person_logs_in_looks_and_logs_out() {
    let site = Site::open(BASE).await;
    site.account("mira", Role::Admin, WORD, false).await;
    let response = ask(&site, "GET", "/projects?x=1", &[HTML], "").await;
    assert_eq!(response.headers()[header::LOCATION], "/login?next=%2Fprojects%3Fx%3D1");
    let response = log_in(&site, "Mira", WORD).await;
    assert_eq!(response.status(), StatusCode::SEE_OTHER);
    assert_eq!(response.headers()[header::LOCATION], "/projects");
    let session = cookie(&response);
    let session = ("cookie", session.as_str());
    let page = text(ask(&site, "GET", "/", &[session, HTML], "").await).await;
    assert!(
        page.contains("git remote add appliance https://ci.test:8443/git/ORG/REPO.git"),
        "{page}"
    );
    let response = ask(&site, "POST", "/logout", &[session, SAME, HTML], "").await;
    assert_eq!(response.status(), StatusCode::SEE_OTHER);
    let response = ask(&site, "GET", "/", &[session, HTML], "").await;
    assert_eq!(response.status(), StatusCode::SEE_OTHER, "the session is over");
    let deeds = site.store.read(|reader| reader.audit_list(None, 10)).await.unwrap();
    let actions: Vec<&str> = deeds.iter().map(|entry| entry.deed.action.as_str()).collect();
    assert_eq!(actions, ["session.remove", "session.create"]);
}

#[tokio::test]
async fn a_one_time_password_opens_nothing_but_its_change() {
    let site = Site::open(BASE).await;
    site.account("admin", Role::Admin, WORD, true).await;
    let session = cookie(&log_in(&site, "admin", WORD).await);
    let session = ("cookie", session.as_str());
    let response = ask(&site, "GET", "/", &[session, HTML], "").await;
    assert!(response.headers()[header::LOCATION].to_str().unwrap().starts_with("/account?"));
    let response = ask(&site, "GET", "/api/v2/me", &[session], "").await;
    assert_eq!(response.status(), StatusCode::FORBIDDEN);
    for (new, again, expected) in [
        ("short", "short", "too short"),
        ("another horse", "other", "not the same"),
        ("correct+horse+battery", "correct+horse+battery", "must differ"),
    ] {
        let body = format!("old=correct+horse+battery&new={new}&again={again}");
        let response =
            ask(&site, "POST", "/account/password", &[session, SAME, FORM, HTML], &body).await;
        assert_eq!(response.status(), StatusCode::UNPROCESSABLE_ENTITY);
        assert!(text(response).await.contains(expected), "{expected}");
    }
    let body = "old=correct+horse+battery&new=quite+another+one&again=quite+another+one";
    let response =
        ask(&site, "POST", "/account/password", &[session, SAME, FORM, HTML], body).await;
    let fresh = cookie(&response);
    let page = ask(&site, "GET", "/", &[("cookie", &fresh), HTML], "").await;
    assert_eq!(page.status(), StatusCode::OK);
    let old = ask(&site, "GET", "/", &[session, HTML], "").await;
    assert_eq!(old.status(), StatusCode::SEE_OTHER, "older sessions end");
}

#[tokio::test]
async fn other_sites_cannot_make_a_browser_do_anything() {
    let site = Site::open(BASE).await;
    let user = site.account("mira", Role::Admin, WORD, false).await;
    site.project("acme/relay").await;
    let session = cookie(&log_in(&site, "mira", WORD).await);
    let session = ("cookie", session.as_str());
    let body = "org=acme&name=production";
    let foreign = [CROSS, ("origin", "https://evil.test"), ("origin", "null")];
    for origin in foreign {
        let response = ask(&site, "POST", "/contexts", &[session, origin, FORM], body).await;
        assert_eq!(response.status(), StatusCode::FORBIDDEN, "{origin:?}");
        let response = ask(&site, "POST", "/login", &[origin, FORM], "login=a&password=b").await;
        assert_eq!(response.status(), StatusCode::FORBIDDEN, "log-in {origin:?}");
    }
    let silent = ask(&site, "POST", "/contexts", &[session, FORM], body).await;
    assert_eq!(silent.status(), StatusCode::FORBIDDEN, "a session without the browser's word");
    let token = site.token(user, Role::Member).await;
    let program = ask(&site, "POST", "/contexts", &[("circle-token", &token), FORM], body).await;
    assert_eq!(program.status(), StatusCode::SEE_OTHER, "a program with a token");
    let same = ask(&site, "POST", "/contexts", &[session, SAME, FORM], "org=acme&name=two").await;
    assert_eq!(same.status(), StatusCode::SEE_OTHER, "our own page");
}

#[tokio::test]
async fn guessing_is_slowed_down_and_tells_nothing() {
    let site = Site::open(BASE).await;
    site.account("mira", Role::Viewer, WORD, false).await;
    let known = text(log_in(&site, "mira", "wrong horse").await).await;
    let unknown = text(log_in(&site, "nobody", "wrong horse").await).await;
    assert_eq!(known.replace("mira", "nobody"), unknown);
    let mut last = StatusCode::OK;
    for _ in 0..10 {
        let response = log_in(&site, "mira", "wrong horse").await;
        last = response.status();
        if last == StatusCode::TOO_MANY_REQUESTS {
            break;
        }
    }
    assert_eq!(last, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(log_in(&site, "mira", WORD).await.status(), StatusCode::TOO_MANY_REQUESTS);
    let secret = site.store.read(|reader| reader.audit_list(None, 50)).await.unwrap();
    assert!(secret.iter().all(|entry| !format!("{entry:?}").contains("wrong horse")));
}

#[tokio::test]
async fn a_token_may_no_more_than_its_scope() {
    let site = Site::open(BASE).await;
    let user = site.account("mira", Role::Admin, WORD, false).await;
    let token = site.token(user, Role::Viewer).await;
    let headers = [("authorization", format!("Bearer {token}"))];
    let headers: Vec<(&str, &str)> = headers.iter().map(|(n, v)| (*n, v.as_str())).collect();
    assert_eq!(ask(&site, "GET", "/projects", &headers, "").await.status(), StatusCode::OK);
    assert_eq!(ask(&site, "GET", "/users", &headers, "").await.status(), StatusCode::FORBIDDEN);
    let wrong = ask(&site, "GET", "/projects", &[("circle-token", "apl_wrong")], "").await;
    assert_eq!(wrong.status(), StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_token_bound_to_a_project_opens_no_other_and_nothing_of_the_site() {
    let site = Site::open(BASE).await;
    let own = site.project("acme/relay").await;
    site.project("other/secret").await;
    let admin = site.account("mira", Role::Admin, WORD, false).await;
    let token = site.bound_token(admin, Role::Admin, own).await;
    let token = [("circle-token", token.as_str())];
    let status =
        async |method: &str, path: &str| ask(&site, method, path, &token, "").await.status();
    assert_eq!(status("GET", "/api/v2/project/gh/acme/relay").await, StatusCode::OK);
    for path in [
        "/api/v2/project/gh/other/secret",
        "/api/v2/project/gh/other/secret/envvar",
        "/api/v2/project/gh/other/secret/pipeline",
        "/projects/other/secret/settings",
        "/api/v2/context?owner-slug=gh/other",
        "/contexts",
        "/api/appliance/v1/event",
        "/metrics",
    ] {
        assert_eq!(status("GET", path).await, StatusCode::FORBIDDEN, "{path}");
    }
    for entry in web::table().iter().filter(|entry| entry.permit == "admin") {
        let found = status(entry.method, &filled(entry.path)).await;
        assert_eq!(found, StatusCode::FORBIDDEN, "{} {}", entry.method, entry.path);
    }
}

/// A token that leaked must not become a wider one, nor outlive its end.
#[tokio::test]
async fn a_token_makes_no_wider_token() {
    let site = Site::open(BASE).await;
    let admin = site.account("mira", Role::Admin, WORD, false).await;
    site.account("robot", Role::Admin, WORD, false).await;
    let json = ("content-type", "application/json");
    let make = async |token: &str, login: &str, role: &str| {
        let body = format!(r#"{{"label":"x","role":"{role}"}}"#);
        let path = format!("/api/appliance/v1/user/{login}/token");
        ask(&site, "POST", &path, &[("circle-token", token), json], &body).await
    };
    let narrow = site.token(admin, Role::Member).await;
    let wide = site.token(admin, Role::Admin).await;
    for (token, login) in [(&narrow, "mira"), (&wide, "mira"), (&narrow, "robot")] {
        let refused = make(token, login, "admin").await;
        assert_eq!(refused.status(), StatusCode::FORBIDDEN, "for {login}");
    }
    let made = make(&wide, "robot", "viewer").await;
    assert_eq!(made.status(), StatusCode::CREATED, "an administrator, for a machine account");
    let deeds = site.store.read(|reader| reader.audit_list(None, 1)).await.unwrap();
    assert_eq!(deeds[0].deed.subject, "account robot token x as viewer", "what was granted");
    let made: serde_json::Value = serde_json::from_str(&text(made).await).unwrap();
    let token = made["token"].as_str().unwrap();
    let refused = ask(&site, "GET", "/users", &[("circle-token", token)], "").await;
    assert_eq!(refused.status(), StatusCode::FORBIDDEN, "a viewer's");
}

#[tokio::test]
async fn what_no_job_could_use_and_who_nobody_may_be_is_refused_with_the_reason() {
    let site = Site::open(BASE).await;
    site.project("acme/relay").await;
    let admin = site.account("mira", Role::Admin, WORD, false).await;
    site.account("robot", Role::Member, WORD, false).await;
    let token = site.token(admin, Role::Admin).await;
    for (path, body, words) in [
        (
            "/api/v2/project/gh/acme/relay/envvar",
            r#"{"name":"KEY","value":"a\u0000b"}"#,
            "`KEY` holds a NUL byte",
        ),
        (
            "/api/appliance/v1/user/robot/token",
            r#"{"label":"x","days":0}"#,
            "days must be 1 to 3650",
        ),
        (
            "/api/appliance/v1/user",
            r#"{"login":"operator","role":"member"}"#,
            "what the appliance calls itself",
        ),
    ] {
        let headers = [("circle-token", token.as_str()), ("content-type", "application/json")];
        let refused = ask(&site, "POST", path, &headers, body).await;
        let status = refused.status();
        let told = text(refused).await;
        assert!(status == StatusCode::BAD_REQUEST && told.contains(words), "{status} {told}");
    }
}

#[tokio::test]
async fn answers_carry_their_id_and_their_guards() {
    let site = Site::open(BASE).await;
    let response = ask(&site, "GET", "/nowhere", &[HTML], "").await;
    assert_eq!(response.status(), StatusCode::NOT_FOUND);
    let headers = response.headers().clone();
    assert!(headers["content-security-policy"].to_str().unwrap().contains("default-src 'none'"));
    assert!(headers["strict-transport-security"].to_str().unwrap().contains("max-age"));
    let id = headers["x-request-id"].to_str().unwrap().to_owned();
    assert!(text(response).await.contains(&id), "the page names the request");
    let program = ask(&site, "GET", "/api/v2/nowhere", &[], "").await;
    let expected = r#"{"message":"this appliance does not offer GET /api/v2/nowhere"}"#;
    assert_eq!(text(program).await, expected);
    let large = "x".repeat(300 << 10);
    let response =
        ask(&site, "POST", "/login", &[FORM, SAME], &format!("login={large}&password=x")).await;
    assert_eq!(response.status(), StatusCode::PAYLOAD_TOO_LARGE);
}
