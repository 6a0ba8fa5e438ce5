//! The form that triggers a pipeline: what stands in its fields is what is built.

use crate::git::Site;
use axum::body::Body;
use http::{Request, StatusCode};
use http_body_util::BodyExt;
use std::{
    net::{IpAddr, Ipv4Addr},
    path::Path,
};
use store::{access::Role, runs::Pipeline};
use tower::ServiceExt;
use web::Peer;

const PAGE: &str = "/projects/acme/relay/trigger";

/// Of `mira` and the password of every account there.
const MIRA: &str = "Basic bWlyYTpjb3JyZWN0IGhvcnNlIGJhdHRlcnk=";

/// The plain branches declare nothing, `board` a parameter, and `plate` the same name otherwise.
async fn site() -> Site {
    let site = Site::open().await;
    site.account("mira", Role::Member).await;
    let copy = site.copy("a").await;
    let push = async |branch: &str| {
        copy.git(&["push", "-q", &site.url("mira"), &format!("HEAD:refs/heads/{branch}")]).await;
    };
    push("main").await;
    push("dev").await;
    for (branch, declared) in [
        ("board", "board: {type: enum, enum: [a, b], default: a}"),
        ("plate", "board: {type: string, default: x}"),
    ] {
        let config = Path::new(&copy.dir).join(".circleci/config.yml");
        let plain = std::fs::read_to_string(&config).unwrap();
        let plain = plain.lines().filter(|line| !line.starts_with("parameters"));
        let text = plain.map(|line| format!("{line}\n")).collect::<String>();
        std::fs::write(&config, format!("{text}parameters: {{ {declared} }}\n")).unwrap();
        copy.git(&["commit", "-q", "-a", "-m", branch]).await;
        push(branch).await;
    }
    site
}

async fn ask(site: &Site, method: &str, query: &str, form: &str) -> (StatusCode, String) {
    let request = Request::builder()
        .method(method)
        .uri(format!("{PAGE}{query}"))
        .header("authorization", MIRA)
        .header("content-type", "application/x-www-form-urlencoded")
        .extension(Peer::Network(IpAddr::V4(Ipv4Addr::LOCALHOST)))
        .body(Body::from(form.to_owned()))
        .unwrap();
    let answer = web::router(site.state.clone()).oneshot(request).await.unwrap();
    let status = answer.status();
    let bytes = answer.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8(bytes.to_vec()).unwrap())
}

/// Posts the form; the pipeline that it made.
async fn made(site: &Site, form: &str) -> Pipeline {
    let before = site.pipelines().await.len();
    let (status, page) = ask(site, "POST", "", form).await;
    assert_eq!(status, StatusCode::SEE_OTHER, "{form}: {page}");
    let mut pipelines = site.pipelines().await;
    assert_eq!(pipelines.len(), before + 1, "{form}");
    pipelines.pop().unwrap()
}

/// Posts the form, which makes none; the form that is shown again.
async fn refused(site: &Site, form: &str) -> String {
    let before = site.pipelines().await.len();
    let (status, page) = ask(site, "POST", "", form).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{form}: {page}");
    assert_eq!(site.pipelines().await.len(), before, "{form}");
    page
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_typed_is_built_whatever_was_shown() {
    let site = site().await;
    for (form, branch, set) in [
        ("branch=dev&tag=&shown.branch=main", "dev", false),
        ("branch=&tag=&shown.branch=main", "main", false),
        ("branch=dev&tag=", "dev", false),
        ("branch=board&tag=&shown.branch=board&parameter.board=b", "board", true),
        ("branch=board&shown.branch=main", "board", false),
        // What nobody changed stays what the place that is built has by itself.
        ("branch=plate&shown.branch=board&parameter.board=a", "plate", false),
        ("branch=dev&shown.branch=board&parameter.board=a", "dev", false),
    ] {
        let made = made(&site, form).await;
        assert_eq!(made.vcs.branch.as_deref(), Some(branch), "{form}");
        assert_eq!(made.parameters.contains_key("board"), set, "{form}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn parameters_of_another_place_are_said_and_not_used() {
    let site = site().await;
    for (form, told) in [
        ("branch=main&shown.branch=board&parameter.board=b", ["<b>board</b>", "<b>main</b>"]),
        ("branch=plate&shown.branch=board&parameter.board=b", ["<b>board</b>", "<b>plate</b>"]),
        ("branch=dev&shown.tag=gone&parameter.board=b", ["<b>gone</b>", "<b>dev</b>"]),
    ] {
        let page = refused(&site, form).await;
        assert!(page.contains("Nothing was triggered yet"), "{page}");
        assert!(told.iter().all(|part| page.contains(part)), "{told:?}: {page}");
    }
    // The form that came is of the place that was typed, and holds what it declares.
    let page = refused(&site, "branch=plate&shown.branch=board&parameter.board=b").await;
    assert!(page.contains(r#"name="shown.branch" value="plate""#), "{page}");
    assert!(page.contains(r#"name="parameter.board" value="x""#), "{page}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_place_that_is_none_is_said_on_the_form() {
    let site = site().await;
    let page = refused(&site, "branch=nowhere&tag=&shown.branch=main").await;
    assert!(page.contains("nowhere") && page.contains("Read its parameters"), "{page}");
    let page = refused(&site, "branch=dev&tag=v1&shown.branch=main").await;
    assert!(page.contains("a branch or a tag, not both"), "{page}");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_form_reads_the_parameters_and_triggers() {
    let site = site().await;
    let (status, page) = ask(&site, "GET", "?branch=board&tag=&shown.branch=main", "").await;
    assert_eq!(status, StatusCode::OK);
    let form = page.split("<form class=\"panel").nth(1).unwrap();
    let form = form.split("</form>").next().unwrap();
    for part in [
        r#"name="branch" value="board""#,
        r#"formmethod="get""#,
        r#"name="parameter.board""#,
        "Trigger pipeline",
    ] {
        assert!(form.contains(part), "{part}: {form}");
    }
    assert!(!form.contains(r#"type="hidden" name="branch""#), "{form}");
}
