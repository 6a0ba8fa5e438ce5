//! A job that left more than one page holds.

use crate::{
    clients::run,
    doors::{BASE, WORD, ask, cookie, log_in, text},
    site::{
        Site,
        past::{self, Run},
        work,
    },
};
use base::ids::TaskId;
use serde_json::Value;
use store::{
    access::Role,
    runs::{RESULTS_PAGE, family},
};

const COUNT: usize = RESULTS_PAGE + 500;

/// Leaves them behind a task.
async fn fill(site: &Site, task: TaskId) {
    let write = move |txn: &mut store::Txn<'_>| {
        for index in 0..COUNT {
            txn.artifact_save(task, &format!("many/{index:05}"), "none", 1)?;
        }
        for part in 100..100 + COUNT as u64 / 100 {
            let test = |index: u64| base::protocol::TestResult {
                classname: "many".into(),
                name: format!("{}", part * 100 + index),
                file: None,
                result: "success".into(),
                message: String::new(),
                run_time_ms: 1,
                source: "x.xml".into(),
            };
            txn.tests_save(task, part, &(0..100).map(test).collect::<Vec<_>>())?;
        }
        Ok::<_, store::Error>(())
    };
    site.store.write(write).await.unwrap();
}

#[tokio::test]
async fn what_a_page_does_not_hold_is_on_the_next_and_the_dashboard_says_so() {
    let site = Site::open(BASE).await;
    let (task, _) = work::populate(&site).await;
    fill(&site, task).await;
    let user = site.account("mira", Role::Admin, WORD, false).await;
    let token = site.token(user, Role::Admin).await;
    let get = async |path: &str| {
        let answer = ask(&site, "GET", path, &[("circle-token", &token)], "").await;
        assert_eq!(answer.status(), 200, "{path}");
        text(answer).await
    };
    let read = move |reader: &store::Reader<'_>| reader.job_get(family::job_of(task));
    let job = site.store.read(read).await.unwrap().unwrap();
    let number = job.number.unwrap();
    let project = format!("project/gh/acme/relay-firmware/{number}");
    for what in ["artifacts", "tests"] {
        let (mut items, mut pages, mut next) = (Vec::new(), 0, String::new());
        loop {
            let page = get(&format!("/api/v2/{project}/{what}?page-token={next}")).await;
            let page: Value = serde_json::from_str(&page).unwrap();
            items.extend(page["items"].as_array().unwrap().clone());
            pages += 1;
            match page["next_page_token"].as_str() {
                Some(token) => token.clone_into(&mut next),
                None => break,
            }
        }
        assert_eq!(pages, 2, "{what}");
        assert!(items.len() >= COUNT, "{what}: {}", items.len());
        let all: Value =
            serde_json::from_str(&get(&format!("/api/v1.1/{project}/{what}")).await).unwrap();
        let all = all["tests"].as_array().or_else(|| all.as_array()).unwrap();
        assert_eq!(all.len(), items.len(), "version 1.1: {what}");
    }
    let bad = format!("/api/v2/{project}/artifacts?page-token=x");
    let bad = ask(&site, "GET", &bad, &[("circle-token", &token)], "").await;
    assert_eq!(bad.status(), 400);
    let session = cookie(&log_in(&site, "mira", WORD).await);
    let page =
        async |path: &str| text(ask(&site, "GET", path, &[("cookie", &session)], "").await).await;
    for what in ["artifacts", "tests"] {
        let shown = page(&format!("/gh/acme/relay-firmware/{number}/{what}")).await;
        assert!(shown.contains("The first 10"), "{what}");
    }
    // The last of all is found by its path, although it is not on the first page.
    let last = format!("many/{:05}", COUNT - 1);
    site.artifact(task, &last, b"x".to_vec()).await;
    let shown = page(&format!("/artifacts/{task}/{last}?view")).await;
    assert!(shown.contains(&last), "{shown}");
}

#[tokio::test]
async fn a_workflow_of_very_many_jobs_is_shown_in_parts() {
    let site = Site::open(BASE).await;
    let project = site.project("acme/relay").await;
    let user = site.account("mira", Role::Member, WORD, false).await;
    let token = site.token(user, Role::Member).await;
    let mut jobs: Vec<_> = (0..1200).map(|_| past::good("part", &[], 1, 1)).collect();
    jobs[1100] = past::ended(past::good("broken", &[], 1, 1), base::state::JobState::Failed);
    let first = site.past(Run { project, jobs, ..run(1) }).await[0];
    let workflow = family::workflow_of(first);
    let page = async |query: &str| {
        let path = format!("/pipelines/gh/acme/relay/1{query}");
        let answer = ask(&site, "GET", &path, &[("circle-token", &token)], "").await;
        assert_eq!(answer.status(), 200, "{path}");
        text(answer).await
    };
    let listed = |page: &str| page.matches("<li class=\"job\"").count();
    let begun = page("").await;
    assert_eq!(listed(&begun), 500);
    let list = begun.split("<ol class=\"jobs\">").nth(1).unwrap();
    assert!(list[..2000].contains("broken"), "what failed comes first");
    assert!(begun.contains("1 to 500 of 1200 jobs") && !begun.contains("Earlier jobs"));
    let last = page(&format!("?workflow={workflow}&from=1000")).await;
    assert_eq!(listed(&last), 200);
    assert!(last.contains("Earlier jobs") && !last.contains("More jobs"));
    assert_eq!(listed(&page(&format!("?workflow={workflow}&from=99999999999")).await), 0);
}
