//! Badges: what they say of a branch, and to whom.

use crate::{
    clients::run,
    doors::{BASE, FORM, SAME, WORD, ask, text},
    site::{
        Site,
        past::{self, Run},
    },
};
use base::{
    ids::ProjectId,
    state::{JobState, WorkflowState},
};
use store::access::Role;

/// A run that ended so, on this branch.
async fn past(site: &Site, project: ProjectId, number: u64, branch: &str, state: WorkflowState) {
    let job = match state {
        WorkflowState::Success => JobState::Success,
        WorkflowState::Running => JobState::Running,
        _ => JobState::Failed,
    };
    let jobs = vec![past::ended(past::good("build", &[], 1, 2), job)];
    site.past(Run { project, branch, state, jobs, ..run(number) }).await;
}

/// The word of a badge.
async fn word(site: &Site, path: &str, headers: &[(&str, &str)]) -> String {
    let answer = ask(site, "GET", path, headers, "").await;
    assert_eq!(answer.status(), 200, "{path}");
    let headers = answer.headers();
    assert_eq!(headers["content-type"], "image/svg+xml; charset=utf-8", "{path}");
    assert!(headers["cache-control"].to_str().unwrap().contains("no-cache"), "{path}");
    assert_eq!(headers["cross-origin-resource-policy"], "cross-origin", "{path}");
    let picture = text(answer).await;
    let told = picture.split_once("<title>build: ").unwrap().1;
    told.split_once("</title>").unwrap().0.to_owned()
}

#[tokio::test]
async fn a_badge_tells_how_the_last_pipeline_of_a_branch_ended() {
    let site = Site::open(BASE).await;
    let project = site.project("acme/relay").await;
    let user = site.account("mira", Role::Viewer, WORD, false).await;
    let token = site.token(user, Role::Viewer).await;
    let seen = async |path: &str| word(&site, path, &[("circle-token", &token)]).await;
    assert_eq!(seen("/gh/acme/relay.svg").await, "no status");
    past(&site, project, 1, "main", WorkflowState::Success).await;
    past(&site, project, 2, "fix/dst.clock", WorkflowState::Failed).await;
    // What goes on says nothing yet.
    past(&site, project, 3, "main", WorkflowState::Running).await;
    for path in [
        "/gh/acme/relay.svg",
        "/github/acme/relay.svg?style=shield",
        "/gh/acme/relay/tree/main.svg?style=svg",
        "/status-badge/img/gh/acme/relay/tree/main.svg",
        "/status-badge/img/gh/acme/relay.svg",
    ] {
        assert_eq!(seen(path).await, "passing", "{path}");
    }
    assert_eq!(seen("/gh/acme/relay/tree/fix/dst.clock.svg").await, "failing");
    assert_eq!(seen("/gh/acme/relay/tree/fix%2Fdst.clock.svg").await, "failing");
    assert_eq!(seen("/gh/acme/relay/tree/none.svg").await, "no status");
    for (path, to) in [
        ("/gh/acme/relay", "/?project=acme%2Frelay"),
        ("/gh/acme/relay/tree/a/b", "/?project=acme%2Frelay&branch=a%2Fb"),
    ] {
        assert_eq!(ask(&site, "GET", path, &[], "").await.headers()["location"], to);
    }
}

#[tokio::test]
async fn a_badge_says_nothing_to_those_who_may_not_see_the_project() {
    let site = Site::open(BASE).await;
    let (project, other) = (site.project("acme/relay").await, site.project("acme/other").await);
    past(&site, project, 1, "main", WorkflowState::Success).await;
    past(&site, other, 2, "main", WorkflowState::Success).await;
    let member = site.account("mira", Role::Member, WORD, false).await;
    let bound = site.bound_token(member, Role::Viewer, other).await;
    let member = site.token(member, Role::Member).await;
    let viewer = site.account("vera", Role::Viewer, WORD, false).await;
    let viewer = site.token(viewer, Role::Viewer).await;
    let badge = "/gh/acme/relay.svg?style=shield";
    let settings = "/projects/acme/relay/settings";
    let page = async |token: &str| {
        text(ask(&site, "GET", settings, &[("circle-token", token)], "").await).await
    };
    let deed = async |token: &str, deed: &str| {
        let headers = [("circle-token", token), FORM, SAME];
        let path = "/projects/acme/relay/badge";
        ask(&site, "POST", path, &headers, &format!("deed={deed}")).await.status().as_u16()
    };
    assert_eq!(word(&site, badge, &[]).await, "no status");
    assert_eq!(word(&site, "/gh/acme/none.svg", &[]).await, "no status");
    assert_eq!(word(&site, badge, &[("circle-token", &bound)]).await, "no status");
    assert_eq!(word(&site, &format!("{badge}&circle-token={member}"), &[]).await, "no status");
    assert_eq!(word(&site, &format!("{badge}&circle-token="), &[]).await, "no status");
    assert!(page(&member).await.contains("no status"));
    assert_eq!(deed(&viewer, "make").await, 403);
    assert_eq!(deed(&member, "make").await, 303);
    let shown = page(&member).await;
    let secret = shown.split_once("circle-token=").unwrap().1.split_once(')').unwrap().0;
    assert!(!page(&viewer).await.contains(secret), "a viewer sees the address without it");
    let opened = format!("{badge}&circle-token={secret}");
    assert_eq!(word(&site, &opened, &[]).await, "passing");
    let elsewhere = format!("/gh/acme/other.svg?circle-token={secret}");
    assert_eq!(word(&site, &elsewhere, &[]).await, "no status", "it opens one badge alone");
    assert_eq!(
        ask(&site, "GET", "/api/v2/me", &[("circle-token", secret)], "").await.status(),
        401
    );
    assert_eq!(deed(&member, "make").await, 303);
    assert_eq!(word(&site, &opened, &[]).await, "no status", "it was replaced");
    assert_eq!((deed(&member, "remove").await, deed(&member, "remove").await), (303, 303));
    let noted = site.store.read(|reader| reader.audit_list(None, 50)).await.unwrap();
    let noted: Vec<String> = noted.into_iter().map(|entry| entry.deed.action).collect();
    assert_eq!(noted, ["badge.token.remove", "badge.token", "badge.token"]);
}
