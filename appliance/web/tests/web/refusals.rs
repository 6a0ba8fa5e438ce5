//! What is refused, in which words, and what a person can do then.

use crate::{
    doors::{BASE, FORM, SAME, WORD, ask, text},
    site::Site,
};
use http::StatusCode;
use store::access::Role;

const HTML: (&str, &str) = ("accept", "text/html,*/*");

#[tokio::test]
async fn a_form_after_the_end_of_its_session_leads_back_over_the_log_in() {
    let site = Site::open(BASE).await;
    let gone = ("cookie", "__Host-session=gone");
    for (from, next) in [
        (
            "https://ci.test:8443/projects/acme/relay/settings?a=1",
            "%2Fprojects%2Facme%2Frelay%2Fsettings%3Fa%3D1",
        ),
        ("https://evil.test/projects", "%2F"),
        ("https://ci.test:8443.evil.test/x", "%2F"),
    ] {
        let headers = [gone, SAME, HTML, FORM, ("referer", from)];
        let answer = ask(&site, "POST", "/projects/acme/relay/settings", &headers, "a=b").await;
        assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
        let page = text(answer).await;
        assert!(page.contains(&format!("href=\"/login?next={next}\"")), "{from}: {page}");
    }
}

#[tokio::test]
async fn a_page_that_is_loaded_again_makes_no_second_token() {
    let site = Site::open(BASE).await;
    let user = site.account("mira", Role::Member, WORD, false).await;
    let token = site.token(user, Role::Member).await;
    let session = crate::doors::cookie(&crate::doors::log_in(&site, "mira", WORD).await);
    let headers = [("cookie", session.as_str()), SAME, FORM, HTML];
    for (body, status, told) in [
        ("label=ci&scope=member&days=30", 200, "Your new token"),
        ("label=ci&scope=member&days=30", 409, "there is a token `ci` already"),
        ("label=+&scope=member&days=30", 400, "the label is empty"),
    ] {
        let answer = ask(&site, "POST", "/account/tokens", &headers, body).await;
        assert_eq!(answer.status(), status, "{body}");
        let page = text(answer).await;
        assert!(page.contains(told) && page.contains("New personal API token"), "{body}: {page}");
    }
    let headers = [("circle-token", token.as_str()), ("content-type", "application/json")];
    let path = "/api/appliance/v1/user/mira/token";
    let answer = ask(&site, "POST", path, &headers, r#"{"label":" "}"#).await;
    assert_eq!(answer.status(), StatusCode::FORBIDDEN, "a token makes none for oneself");
    let made = site.store.read(move |reader| reader.token_list(user)).await.unwrap();
    assert_eq!(made.len(), 2, "the one of this test, and one of the page");
}

#[tokio::test]
async fn a_bucket_or_key_without_an_owner_is_refused() {
    let site = Site::open(BASE).await;
    let admin = site.account("ada", Role::Admin, WORD, false).await;
    let token = site.token(admin, Role::Admin).await;
    let headers = [("circle-token", token.as_str()), ("content-type", "application/json")];
    for path in ["/api/appliance/v1/bucket", "/api/appliance/v1/key"] {
        for (owner, told) in [
            ("", "the owner is empty"),
            (" ", "the owner is empty"),
            ("site", "the appliance itself"),
        ] {
            let body = format!(r#"{{"name":"open","owner":"{owner}"}}"#);
            let answer = ask(&site, "POST", path, &headers, &body).await;
            assert_eq!(answer.status(), StatusCode::BAD_REQUEST, "{path} `{owner}`");
            let answer = text(answer).await;
            assert!(answer.contains(told), "{path} `{owner}`: {answer}");
        }
        let answer = ask(&site, "POST", path, &headers, r#"{"name":"mine"}"#).await;
        assert_eq!(answer.status(), StatusCode::CREATED, "{path}");
    }
}

#[tokio::test]
async fn a_body_that_is_no_object_is_refused_in_words_of_json() {
    let site = Site::open(BASE).await;
    site.project("acme/relay").await;
    let admin = site.account("ada", Role::Admin, WORD, false).await;
    let token = site.token(admin, Role::Admin).await;
    let headers = [("circle-token", token.as_str()), ("content-type", "application/json")];
    let pipeline = "/api/v2/project/gh/acme/relay/pipeline";
    for (path, body, told) in [
        ("/api/v2/workflow/00000000-0000-7000-8000-000000000001/rerun", "[]", "not an object"),
        (pipeline, r#"["main"]"#, "not an object"),
        (pipeline, r#"{"parameters":{"a":[1]}}"#, "true or false, a whole number or a text"),
        (pipeline, r#"{"parameters":5}"#, "expected a map"),
        ("/api/v2/context", r#"{"name":"a","owner":"gh/acme"}"#, "expected an object"),
    ] {
        let answer = ask(&site, "POST", path, &headers, body).await;
        assert_eq!(answer.status(), StatusCode::BAD_REQUEST, "{path} {body}");
        let answer = text(answer).await;
        assert!(answer.contains(told), "{path} {body}: {answer}");
        assert!(!answer.contains("struct") && !answer.contains("enum"), "{answer}");
    }
}
