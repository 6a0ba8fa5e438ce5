//! What administrators alone set: protected branches, pushes of jobs, restrictions of contexts.

use crate::{
    doors::{BASE, FORM, SAME, WORD, ask, cookie, log_in, text},
    site::Site,
};
use base::time::Timestamp;
use http::StatusCode;
use store::{access::Role, projects::Settings};

/// Sends a form as somebody who has logged in; the answer's status.
async fn send(site: &Site, session: &str, path: &str, body: &str) -> StatusCode {
    let headers = [FORM, SAME, ("cookie", session)];
    ask(site, "POST", path, &headers, body).await.status()
}

async fn settings(site: &Site) -> Settings {
    let repo = "acme/relay".parse().unwrap();
    let read = move |reader: &store::Reader<'_>| reader.project_by_repo(&repo);
    site.store.read(read).await.unwrap().unwrap().settings
}

async fn session(site: &Site, login: &str, role: Role) -> String {
    site.account(login, role, WORD, false).await;
    cookie(&log_in(site, login, WORD).await)
}

const PAGE: &str = "/projects/acme/relay/settings";

#[tokio::test]
async fn the_form_of_settings_protects_for_administrators_alone() {
    let site = Site::open(BASE).await;
    site.project("acme/relay").await;
    let admin = session(&site, "ada", Role::Admin).await;
    let member = session(&site, "mira", Role::Member).await;
    let form = "default_branch=main&network=site&protected_branches=main%0D%0A%2Frel-.*%2F&protected_tags=&jobs_may_push=1";
    assert_eq!(send(&site, &member, PAGE, form).await, StatusCode::SEE_OTHER);
    assert_eq!(settings(&site).await.protected.branches, [""; 0], "a member's wish is passed over");
    assert_eq!(send(&site, &admin, PAGE, form).await, StatusCode::SEE_OTHER);
    let kept = settings(&site).await;
    assert_eq!(kept.protected.branches, ["main", "/rel-.*/"]);
    assert!(kept.jobs_may_push);
    let page = text(ask(&site, "GET", PAGE, &[("cookie", admin.as_str())], "").await).await;
    assert!(page.contains("main\n/rel-.*/"), "{page}");

    let without = "default_branch=main&force_push=1";
    assert_eq!(send(&site, &member, PAGE, without).await, StatusCode::SEE_OTHER);
    let then = settings(&site).await;
    assert_eq!((&then.protected, then.jobs_may_push), (&kept.protected, true));
    let wrong = "default_branch=main&network=site&protected_branches=%2F(%2F&protected_tags=";
    assert_eq!(send(&site, &admin, PAGE, wrong).await, StatusCode::BAD_REQUEST);
    let none = "default_branch=main&network=site&protected_branches=&protected_tags=";
    assert_eq!(send(&site, &admin, PAGE, none).await, StatusCode::SEE_OTHER);
    let then = settings(&site).await;
    assert!(then.protected.is_empty() && !then.jobs_may_push);
}

#[tokio::test]
async fn restrictions_stand_on_the_page_and_are_set_by_administrators() {
    let site = Site::open(BASE).await;
    let project = site.project("acme/relay").await;
    let admin = session(&site, "ada", Role::Admin).await;
    let member = session(&site, "mira", Role::Member).await;
    let make = |txn: &mut store::Txn<'_>| {
        let org = txn.org_ensure("acme", Timestamp(1))?.id;
        txn.context_create(org, "deploy", Timestamp(1))
    };
    let context = site.store.write(make).await.unwrap().id;
    let path = format!("/contexts/{context}/restrictions");
    let expression = "kind=expression&value=pipeline.number+%3E+7";
    assert_eq!(send(&site, &member, &path, expression).await, StatusCode::FORBIDDEN);
    assert_eq!(send(&site, &admin, &path, expression).await, StatusCode::SEE_OTHER);
    let lets_in = format!("kind=project&value={project}");
    assert_eq!(send(&site, &admin, &path, &lets_in).await, StatusCode::SEE_OTHER);
    for wrong in ["kind=expression&value=pipeline.numbr", "kind=group&value=x"] {
        assert_eq!(send(&site, &admin, &path, wrong).await, StatusCode::BAD_REQUEST, "{wrong}");
    }
    let address = format!("/contexts/{context}");
    let page = text(ask(&site, "GET", &address, &[("cookie", member.as_str())], "").await).await;
    assert!(page.contains("pipeline.number &gt; 7") && page.contains("acme/relay"), "{page}");
    assert!(!page.contains("Add project restriction"), "a member is offered no forms");
    let gone = format!("restriction={project}");
    assert_eq!(send(&site, &admin, &format!("{path}/remove"), &gone).await, StatusCode::SEE_OTHER);
    let left = site.store.read(move |reader| reader.context_restriction_list(context));
    assert!(left.await.unwrap().is_empty());
}
