//! Live pages: how long they go on, and how many.

use crate::{
    doors::{BASE, SAME, WORD, ask, cookie, log_in, text},
    site::{
        Site,
        past::{Run, Spec, good},
    },
};
use base::state::{JobState, StepState, WorkflowState};
use http::StatusCode;
use std::time::Duration;
use store::access::Role;
use tokio::time::Instant;

/// A job that runs and prints.
async fn running(site: &Site) -> String {
    let project = site.project("acme/relay").await;
    let run = Run {
        project,
        number: 1,
        first_job: 1,
        ago: 60,
        branch: "main",
        subject: "x",
        actor: "mira",
        workflow: "build",
        state: WorkflowState::Running,
        jobs: vec![Spec { state: JobState::Running, ..good("compile", &[], 1, 0) }],
        errors: vec![],
        config: "",
    };
    let job = site.past(run).await[0];
    let task = site.steps(job, &[("make", 0, StepState::Running, "one\n")]).await;
    format!("/tasks/{task}/steps/0/stream")
}

#[tokio::test]
async fn a_live_page_ends_soon_after_its_session() {
    let site = Site::open(BASE).await;
    site.account("mira", Role::Viewer, WORD, false).await;
    let log = running(&site).await;
    for path in ["/events", "/hardware/stream", &log] {
        let session = cookie(&log_in(&site, "mira", WORD).await);
        let session = ("cookie", session.as_str());
        let stream = ask(&site, "GET", path, &[session], "").await;
        assert_eq!(stream.status(), StatusCode::OK, "{path}");
        ask(&site, "POST", "/logout", &[session, SAME], "").await;
        tokio::time::pause();
        let begun = Instant::now();
        text(stream).await;
        assert!(begun.elapsed() < Duration::from_secs(20), "{path}: {:?}", begun.elapsed());
        tokio::time::resume();
    }
}

#[tokio::test]
async fn one_account_with_many_tabs_leaves_live_pages_to_others() {
    let site = Site::open(BASE).await;
    let mut held = Vec::new();
    for (login, opened) in [("mira", 64), ("ben", 1)] {
        let user = site.account(login, Role::Viewer, WORD, false).await;
        let token = site.token(user, Role::Viewer).await;
        let headers = [("circle-token", token.as_str())];
        for _ in 0..opened {
            let stream = ask(&site, "GET", "/events", &headers, "").await;
            assert_eq!(stream.status(), StatusCode::OK, "{login}");
            held.push(stream);
        }
        let more = ask(&site, "GET", "/events", &headers, "").await.status();
        assert_eq!(more == StatusCode::SERVICE_UNAVAILABLE, login == "mira", "{login}: {more}");
    }
}
