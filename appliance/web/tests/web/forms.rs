//! What a person is told of a form: refused with what was typed, saved with a word, and what stands at
//! an address that takes nothing but a form.

use crate::{
    doors::{BASE, CROSS, FORM, HTML, SAME, WORD, ask, cookie, log_in, text},
    site::Site,
};
use base::time::Timestamp;
use http::{StatusCode, header};
use store::access::Role;

const SETTINGS: &str = "/projects/acme/relay/settings";

/// A site and the session of its administrator.
async fn desk() -> (Site, String) {
    let site = Site::open(BASE).await;
    site.project("acme/relay").await;
    site.account("ada", Role::Admin, WORD, false).await;
    let session = cookie(&log_in(&site, "ada", WORD).await);
    (site, session)
}

/// Sends a form that is refused: its page comes, in the frame, with these texts.
async fn check(site: &Site, session: &str, path: &str, body: &str, status: u16, texts: &[&str]) {
    let headers = [("cookie", session), SAME, FORM, HTML];
    let answer = ask(site, "POST", path, &headers, body).await;
    assert_eq!(answer.status(), status, "{path}");
    let page = text(answer).await;
    assert!(page.contains("<nav class=\"rail\""), "{path} is out of the frame: {page}");
    assert!(page.contains("role=\"alert\""), "{path}: {page}");
    for text in texts {
        assert!(page.contains(text), "{path} lacks {text}: {page}");
    }
    assert!(!page.contains("hush"), "a secret came back: {page}");
}

#[tokio::test]
async fn a_refused_form_comes_again_with_the_reason_and_what_was_typed() {
    let (site, session) = desk().await;
    let check = async |path: &str, body: &str, status, texts: &[&str]| {
        check(&site, &session, path, body, status, texts).await;
    };
    let body = "default_branch=trunk&jobs_max=many&network=full&allow=10.1.0.0%2F16&force_push=1&protected_branches=main&protected_tags=v%221";
    let typed = [
        "max concurrent jobs must be a number",
        "name=\"default_branch\" value=\"trunk\"",
        "name=\"jobs_max\" type=\"number\" min=\"1\" max=\"10000\" value=\"many\"",
        "value=\"full\" checked",
        ">10.1.0.0/16</textarea>",
        "name=\"force_push\" value=\"1\" checked",
        ">v&quot;1</textarea>",
        "name=\"autocancel\" value=\"1\"><span>",
    ];
    check(SETTINGS, body, 400, &typed).await;
    let variables = "/projects/acme/relay/variables";
    check(
        variables,
        "name=1X&value=hush",
        400,
        &["name=\"name\" value=\"1X\"", "begin with a digit"],
    )
    .await;
    let delete = "/projects/acme/relay/delete";
    check(delete, "name=acme%2Frely", 400, &["nothing was deleted", "value=\"acme/rely\""]).await;
    check("/contexts", "org=acmee&name=x", 400, &["no organisation", "value=\"acmee\""]).await;
    let user = "login=ada&name=Ada+L&role=viewer";
    check("/users", user, 409, &["value=\"Ada L\"", "value=\"viewer\" selected"]).await;
    check("/account/tokens", "label=+&scope=viewer&days=365", 400, &["value=\"365\" selected"])
        .await;
}

#[tokio::test]
async fn another_site_fills_no_form() {
    let (site, session) = desk().await;
    let headers = [("cookie", session.as_str()), CROSS, FORM, HTML];
    let answer = ask(&site, "POST", "/contexts", &headers, "org=evil&name=evil").await;
    assert_eq!(answer.status(), StatusCode::FORBIDDEN);
    assert!(!text(answer).await.contains("evil"));
}

#[tokio::test]
async fn a_saved_form_says_so_on_its_page() {
    let (site, session) = desk().await;
    let session = ("cookie", session.as_str());
    let saved = "default_branch=main&network=site&protected_branches=&protected_tags=";
    let answer = ask(&site, "POST", SETTINGS, &[session, SAME, FORM, HTML], saved).await;
    assert_eq!(answer.status(), StatusCode::SEE_OTHER);
    let to = answer.headers()[header::LOCATION].to_str().unwrap().to_owned();
    let told = "role=\"status\">Saved the project settings.</p>";
    let page = text(ask(&site, "GET", &to, &[session, SAME, HTML], "").await).await;
    assert!(page.contains(told), "{page}");
    let page = text(ask(&site, "GET", &to, &[session, CROSS, HTML], "").await).await;
    assert!(!page.contains(told), "another site makes it say nothing");
    let made =
        ask(&site, "POST", "/contexts", &[session, SAME, FORM, HTML], "org=acme&name=new").await;
    let to = made.headers()[header::LOCATION].to_str().unwrap().to_owned();
    let page = text(ask(&site, "GET", &to, &[session, SAME, HTML], "").await).await;
    assert!(page.contains("Created the context.") && page.contains("<h1>new</h1>"), "{page}");
}

#[tokio::test]
async fn an_address_that_takes_a_form_alone_is_a_page_with_a_way_back() {
    let (site, session) = desk().await;
    let job = "/jobs/00000000-0000-7000-8000-000000000001";
    for (path, back) in [
        ("/projects/acme/relay/delete".to_owned(), SETTINGS.to_owned()),
        ("/account/password".to_owned(), "/account".to_owned()),
        (format!("{job}/cancel"), job.to_owned()),
    ] {
        let answer = ask(&site, "GET", &path, &[("cookie", &session), HTML], "").await;
        assert_eq!(answer.status(), StatusCode::METHOD_NOT_ALLOWED, "{path}");
        assert_eq!(answer.headers()[header::ALLOW], "POST", "{path}");
        let page = text(answer).await;
        assert!(page.contains("<nav class=\"rail\""), "{path}: {page}");
        assert!(page.contains(&format!("href=\"{back}\">Back")), "{path}: {page}");
    }
    let nobody = ask(&site, "GET", "/account/password", &[HTML], "").await;
    assert!(!text(nobody).await.contains("<nav class=\"rail\""));
    let program = ask(&site, "GET", "/account/password", &[], "").await;
    assert_eq!(text(program).await, "this address does not take that method");
}

#[tokio::test]
async fn many_contexts_come_in_pages_and_so_do_their_variables() {
    let (site, session) = desk().await;
    let fill = |txn: &mut store::Txn<'_>| {
        let org = txn.org_ensure("acme", Timestamp(1))?.id;
        for number in 0..120 {
            let context = txn.context_create(org, &format!("team-{number:03}"), Timestamp(1))?;
            if number == 60 {
                for number in 0..130 {
                    let value = base::secret::Secret::new("hush-hush");
                    txn.context_variable_set(
                        context.id,
                        &format!("V{number:03}"),
                        &value,
                        Timestamp(1),
                    )?;
                }
            }
        }
        txn.context_by_name(org, "team-060")
    };
    let id = site.store.write(fill).await.unwrap().unwrap().id;
    let get = async |path: &str| {
        text(ask(&site, "GET", path, &[("cookie", &session), HTML], "").await).await
    };
    let first = get("/contexts").await;
    assert!(first.contains("team-049") && !first.contains("team-050"), "{first}");
    assert!(first.contains("/contexts?after=acme%2Fteam-049"), "{first}");
    let second = get("/contexts?after=acme%2Fteam-049").await;
    assert!(second.contains("team-050") && second.contains(">130<"), "{second}");
    assert!(!second.contains("team-049<") && !second.contains("V000"));
    let found = get("/contexts?name=TEAM-11").await;
    assert_eq!(
        found.matches("/contexts/0").count() + found.matches("/contexts/1").count(),
        10,
        "{found}"
    );
    let page = get(&format!("/contexts/{id}")).await;
    assert!(page.contains(">V099<") && !page.contains(">V100<"), "{page}");
    let rest = get(&format!("/contexts/{id}?after=V099")).await;
    assert!(rest.contains(">V100<") && rest.contains(">V129<"), "{rest}");
    let wrong = [
        ("cookie", session.as_str()),
        SAME,
        FORM,
        HTML,
        ("referer", "https://ci.test:8443/contexts?after=acme%2Fteam-049"),
    ];
    let again = text(ask(&site, "POST", "/contexts", &wrong, "org=acme&name=team-000").await).await;
    assert!(
        again.contains("team-050") && again.contains("already"),
        "the page that was looked at: {again}"
    );
}
