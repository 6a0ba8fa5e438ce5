//! What is closed to members because protected jobs run with it.

use crate::{
    doors::{BASE, FORM, WORD, ask, text},
    site::Site,
};
use base::time::Timestamp;
use store::{access::Role, projects::Settings};

const JSON: (&str, &str) = ("content-type", "application/json");

/// Tokens of an administrator and of a member.
async fn tokens(site: &Site) -> [String; 2] {
    let admin = site.account("ada", Role::Admin, WORD, false).await;
    let member = site.account("mira", Role::Member, WORD, false).await;
    [site.token(admin, Role::Admin).await, site.token(member, Role::Member).await]
}

/// Asks, and expects this status and these words.
async fn check(site: &Site, token: &str, (method, path): (&str, &str), body: &str, status: u16) {
    let kind = if path.starts_with("/api/") { JSON } else { FORM };
    let answer = ask(site, method, path, &[("circle-token", token), kind], body).await;
    let found = answer.status().as_u16();
    let told = text(answer).await;
    assert_eq!(found, status, "{method} {path} {body}: {told}");
    assert_eq!(told.contains("only an administrator"), status == 403, "{method} {path}: {told}");
}

async fn settings(site: &Site, change: impl FnOnce(&mut Settings) + Send + 'static) -> Settings {
    let repo = "acme/relay".parse().unwrap();
    let write = move |txn: &mut store::Txn<'_>| {
        let project = txn.project_by_repo(&repo)?.unwrap();
        txn.project_settings_change(project.id, change)?;
        Ok::<_, store::Error>(txn.project_by_repo(&repo)?.unwrap().settings)
    };
    site.store.write(write).await.unwrap()
}

const VARIABLE: (&str, &str) = ("POST", "/api/v2/project/gh/acme/relay/envvar");
const NEW: &str = r#"{"name":"GIT_CONFIG_COUNT","value":"1"}"#;

#[tokio::test]
async fn variables_of_a_project_that_protects_are_for_administrators() {
    let site = Site::open(BASE).await;
    site.project("acme/relay").await;
    let [admin, member] = tokens(&site).await;
    check(&site, &member, VARIABLE, NEW, 201).await;
    settings(&site, |settings| settings.protected.branches = vec!["main".into()]).await;
    let pages = "/projects/acme/relay/variables";
    for (place, body) in [
        (VARIABLE, NEW),
        (("POST", "/api/v1.1/project/gh/acme/relay/envvar"), NEW),
        (("DELETE", "/api/v2/project/gh/acme/relay/envvar/GIT_CONFIG_COUNT"), ""),
        (("POST", pages), "name=A&value=b"),
        (("POST", &format!("{pages}/remove")), "name=GIT_CONFIG_COUNT"),
    ] {
        check(&site, &member, place, body, 403).await;
    }
    check(&site, &admin, VARIABLE, NEW, 201).await;
    let headers = [("circle-token", member.as_str())];
    let page = text(ask(&site, "GET", "/projects/acme/relay/settings", &headers, "").await).await;
    assert!(
        page.contains("its variables reach their jobs")
            && !page.contains("Add environment variable")
    );
}

#[tokio::test]
async fn contexts_that_are_restricted_or_open_to_protected_jobs_are_for_administrators() {
    let site = Site::open(BASE).await;
    site.project("acme/relay").await;
    let [admin, member] = tokens(&site).await;
    let make = |txn: &mut store::Txn<'_>| {
        let org = txn.org_ensure("acme", Timestamp(1))?.id;
        let plain = txn.context_create(org, "plain", Timestamp(1))?.id;
        let sealed = txn.context_create(org, "sealed", Timestamp(1))?.id;
        txn.context_expression_add(sealed, "pipeline.git.branch == \"main\"", Timestamp(1))?;
        Ok::<_, store::Error>([plain, sealed])
    };
    let [plain, sealed] = site.store.write(make).await.unwrap();
    let value = r#"{"value":"b"}"#;
    let set = |id| format!("/api/v2/context/{id}/environment-variable/A");
    check(&site, &member, ("PUT", &set(plain)), value, 200).await;
    let closed = async |id| {
        let pages = format!("/contexts/{id}");
        for (place, body) in [
            (("PUT", set(id).as_str()), value),
            (("DELETE", &set(id)), ""),
            (("DELETE", &format!("/api/v2/context/{id}")), ""),
            (("POST", &format!("{pages}/variables")), "name=A&value=b"),
            (("POST", &format!("{pages}/variables/remove")), "name=A"),
            (("POST", &format!("{pages}/remove")), ""),
        ] {
            check(&site, &member, place, body, 403).await;
        }
    };
    closed(sealed).await;
    settings(&site, |settings| settings.protected.tags = vec!["/v.*/".into()]).await;
    closed(plain).await;
    check(&site, &admin, ("PUT", &set(sealed)), value, 200).await;
    check(&site, &admin, ("DELETE", &format!("/api/v2/context/{sealed}")), "", 200).await;
}

#[tokio::test]
async fn the_default_branch_and_the_rewriting_of_branches_are_set_by_administrators() {
    let site = Site::open(BASE).await;
    site.project("acme/relay").await;
    let [_, member] = tokens(&site).await;
    settings(&site, |settings| settings.force_push = false).await;
    let form = "default_branch=other&force_push=1&jobs_max=3";
    check(&site, &member, ("POST", "/projects/acme/relay/settings"), form, 303).await;
    let kept = settings(&site, |_| {}).await;
    assert_eq!((kept.default_branch.as_str(), kept.force_push), ("main", false));
    assert_eq!(kept.jobs_max, Some(3), "what is a member's to set is set");
}

#[tokio::test]
async fn a_typing_error_makes_no_organisation() {
    let site = Site::open(BASE).await;
    site.project("acme/relay").await;
    let [admin, _] = tokens(&site).await;
    check(&site, &admin, ("POST", "/contexts"), "org=acmee&name=x", 400).await;
    check(&site, &admin, ("POST", "/contexts"), "org=acme&name=x", 303).await;
    let orgs = site.store.read(|reader| reader.org_list()).await.unwrap();
    assert_eq!(orgs.len(), 1);
}
