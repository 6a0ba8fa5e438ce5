//! Insights: what runs come to, of which branches and times, and tests that are flaky.

use crate::{
    clients::run,
    doors::{BASE, WORD, ask, text},
    site::{
        Site, now,
        past::{self, Run},
    },
};
use base::{
    ids::{JobNumber, ProjectId, TaskId},
    state::{JobState, StepState, WorkflowState},
};
use serde_json::{Value, json};
use store::{access::Role, runs::family};
use uuid::Uuid;

const DAY: u64 = 24 * 3600;

/// A run of two jobs, so many seconds ago, of which the second took so long.
async fn past(site: &Site, project: ProjectId, of: (u64, u64, u64), branch: &str, state: JobState) {
    let (number, ago, took) = of;
    let test = past::ended(past::good("test", &[0], 2, took), state);
    let state = match state {
        JobState::Success => WorkflowState::Success,
        _ => WorkflowState::Failed,
    };
    let jobs = vec![past::good("build", &[], 1, 1), test];
    let first_job = number * 2;
    site.past(Run { project, first_job, ago, branch, state, jobs, ..run(number) }).await;
}

async fn get(site: &Site, token: &str, path: &str) -> (u16, Value) {
    let answer = ask(site, "GET", path, &[("circle-token", token)], "").await;
    let status = answer.status().as_u16();
    (status, serde_json::from_str(&text(answer).await).unwrap())
}

#[tokio::test]
async fn runs_of_a_workflow_are_measured_by_branch_and_time() {
    let site = Site::open(BASE).await;
    let project = site.project("acme/relay").await;
    let user = site.account("mira", Role::Viewer, WORD, false).await;
    let token = site.token(user, Role::Viewer).await;
    let other = site.project("acme/other").await;
    let bound = site.bound_token(user, Role::Viewer, other).await;
    past(&site, project, (1, 100 * DAY, 10), "main", JobState::Success).await;
    past(&site, project, (2, 10 * DAY, 10), "main", JobState::Success).await;
    past(&site, project, (3, 3 * DAY, 20), "main", JobState::Failed).await;
    past(&site, project, (4, 2 * DAY, 30), "main", JobState::Success).await;
    past(&site, project, (5, DAY, 40), "fix/x", JobState::Failed).await;
    let place = "/api/v2/insights/gh/acme/relay";
    let json = async |path: &str| {
        let (status, told) = get(&site, &token, &format!("{place}{path}")).await;
        assert_eq!(status, 200, "{path}: {told}");
        told
    };
    let counts = |told: &Value| {
        let metrics = &told["items"][0]["metrics"];
        let count = |name: &str| metrics[name].as_u64().unwrap();
        (count("total_runs"), count("successful_runs"), count("failed_runs"))
    };
    for (query, expected) in [
        ("", (3, 2, 1)),
        ("?branch=", (3, 2, 1)),
        ("?all-branches=true", (4, 2, 2)),
        ("?branch=fix/x", (1, 0, 1)),
        ("?reporting-window=last-7-days", (2, 1, 1)),
    ] {
        let told = json(&format!("/workflows{query}")).await;
        assert_eq!(counts(&told), expected, "{query}: {told}");
        assert_eq!(
            (&told["items"][0]["name"], &told["next_page_token"]),
            (&"main".into(), &Value::Null)
        );
    }
    let metrics = &json("/workflows").await["items"][0]["metrics"];
    assert_eq!(
        (&metrics["duration_metrics"]["max"], &metrics["total_recoveries"]),
        (&32.into(), &1.into())
    );
    assert_eq!(metrics["mttr"], DAY + 10, "from the end of a failure to that of the next success");
    let runs = json("/workflows/main?all-branches=true").await;
    assert_eq!(runs["items"].as_array().unwrap().len(), 4, "{runs}");
    assert_eq!(
        (&runs["items"][0]["branch"], &runs["items"][0]["duration"]),
        (&"fix/x".into(), &42.into())
    );
    let all = json("/workflows/main?start-date=1970-01-02T00:00:00Z").await;
    assert_eq!(all["items"].as_array().unwrap().len(), 4, "also what is older than ninety days");
    let jobs = json("/workflows/main/jobs").await;
    assert_eq!(
        (&jobs["items"][0]["name"], &jobs["items"][1]["name"]),
        (&"build".into(), &"test".into())
    );
    assert_eq!(jobs["items"][1]["metrics"]["failed_runs"], 1, "{jobs}");
    let summary = json("/workflows/main/summary?reporting-window=last-7-days").await;
    assert_eq!(summary["metrics"]["completed_runs"], 2, "{summary}");
    assert_eq!(
        (&summary["trends"]["total_runs"], &summary["workflow_names"]),
        (&json!(2.0), &json!(["main"]))
    );
    assert_eq!(json("/branches").await["branches"], json!(["fix/x", "main"]));
    let page =
        get(&site, &token, "/api/v2/insights/pages/gh%2Facme%2Frelay/summary?branches=main").await;
    let page = page.1;
    assert_eq!(page["project_data"]["metrics"]["total_runs"], 4, "{page}");
    assert_eq!(page["project_data"]["metrics"]["total_duration_secs"], 12 + 22 + 32 + 42);
    assert_eq!(page["project_data"]["trends"]["total_runs"], 4.0, "one run was before");
    let (workflow, branch) =
        (&page["project_workflow_data"][0], &page["project_workflow_branch_data"]);
    assert_eq!(
        (&workflow["workflow_name"], &workflow["metrics"]["p95_duration_secs"]),
        (&json!("main"), &json!(42.0))
    );
    assert_eq!(
        (
            branch.as_array().unwrap().len(),
            &branch[0]["branch"],
            &branch[0]["metrics"]["total_runs"]
        ),
        (1, &json!("main"), &json!(3)),
        "{page}"
    );
    assert_eq!(
        (&page["all_branches"], &page["all_workflows"]),
        (&json!(["fix/x", "main"]), &json!(["main"]))
    );
    let org = "/api/v2/insights/gh/acme/summary";
    let told = get(&site, &token, org).await.1;
    assert_eq!(told["all_projects"], json!(["other", "relay"]), "{told}");
    assert_eq!(told["org_data"], page["project_data"]);
    let named = get(&site, &token, &format!("{org}?project-names=relay")).await.1;
    assert_eq!(named["org_project_data"].as_array().unwrap().len(), 1, "{named}");
    assert_eq!(named["org_project_data"][0]["project_name"], "relay");
    assert_eq!(get(&site, &bound, org).await.0, 403);
    assert_eq!(get(&site, &token, "/api/v2/insights/gh/none/summary").await.0, 404);
    let none = json!({
        "flaky-tests": [], "total-flaky-tests": 0, "flaky_tests": [], "total_flaky_tests": 0
    });
    assert_eq!(json("/flaky-tests").await, none);
    let escaped = "/api/v2/insights/gh%2Facme%2Frelay/workflows";
    assert_eq!(get(&site, &token, escaped).await.0, 200);
    assert_eq!(get(&site, &bound, escaped).await.0, 403);
    for bad in ["?reporting-window=last-year", "/main?start-date=x", "/main?page-token=x"] {
        assert_eq!(get(&site, &token, &format!("{place}/workflows{bad}")).await.0, 400, "{bad}");
    }
}

#[tokio::test]
async fn pages_of_runs_hold_every_run_once() {
    let site = Site::open(BASE).await;
    let project = site.project("acme/relay").await;
    let user = site.account("mira", Role::Viewer, WORD, false).await;
    let token = site.token(user, Role::Viewer).await;
    for number in 1..=45 {
        past(&site, project, (number, 1000 - number, 1), "main", JobState::Success).await;
    }
    let (mut seen, mut page) = (Vec::new(), String::new());
    loop {
        let path = format!("/api/v2/insights/gh/acme/relay/workflows/main?page-token={page}");
        let told = get(&site, &token, &path).await.1;
        seen.extend(told["items"].as_array().unwrap().iter().map(|one| one["id"].to_string()));
        let Some(next) = told["next_page_token"].as_str() else { break };
        next.clone_into(&mut page);
    }
    assert_eq!(seen.len(), 45);
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), 45);
}

#[tokio::test]
async fn a_test_that_failed_and_succeeded_at_one_commit_is_flaky() {
    let site = Site::open(BASE).await;
    let project = site.project("acme/relay").await;
    let user = site.account("mira", Role::Viewer, WORD, false).await;
    let token = site.token(user, Role::Viewer).await;
    let jobs = vec![past::ended(past::good("test", &[], 1, 2), JobState::Failed)];
    let failed = Run { project, state: WorkflowState::Failed, jobs, ..run(1) };
    let first = site.past(failed).await[0];
    let task = site.steps(first, &[("run", 1, StepState::Failed, "x\n")]).await;
    let results =
        [("short", "frame", "failure", 2500, "no"), ("long", "frame", "failure", 1, "no")];
    site.results(task, &results).await;
    let rerun = rerun(&site, first).await;
    site.results(
        rerun,
        &[("short", "frame", "success", 4, ""), ("long", "frame", "failure", 1, "no")],
    )
    .await;
    let path = "/api/v2/insights/gh/acme/relay/flaky-tests";
    let (_, told) = get(&site, &token, path).await;
    let flaky = &told["flaky-tests"][0];
    assert_eq!(
        (&told["total-flaky-tests"], &flaky["test-name"]),
        (&1.into(), &"short".into()),
        "{told}"
    );
    assert_eq!((&flaky["times-flaked"], &flaky["time-wasted"]), (&1.into(), &2.into()), "{told}");
    let other = &told["flaky_tests"][0];
    assert_eq!((&other["test_name"], &other["job_number"]), (&flaky["test-name"], &1.into()));
    assert_eq!((&flaky["job-number"], &flaky["pipeline-number"]), (&1.into(), &1.into()), "{told}");
    let path = "/api/v2/insights/gh/acme/relay/workflows/main/test-metrics";
    let (status, told) = get(&site, &token, path).await;
    assert_eq!(
        (status, &told["average_test_count"], &told["total_test_runs"]),
        (200, &2.into(), &2.into()),
        "{told}"
    );
    let names = |list: &str| {
        let tests = told[list].as_array().unwrap().iter();
        tests.map(|test| test["test_name"].as_str().unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(names("most_failed_tests"), ["long", "short"]);
    assert_eq!(names("slowest_tests"), ["short", "long"]);
    let short = &told["slowest_tests"][0];
    assert_eq!(
        (&short["p95_duration"], &short["flaky"], &short["failed_runs"], &short["total_runs"]),
        (&json!(2.5), &json!(true), &json!(1), &json!(2))
    );
    assert_eq!(told["test_runs"][0]["success_rate"], 0.5, "{told}");
    let counts = json!({ "error": 0, "failure": 1, "skipped": 0, "success": 1, "total": 2 });
    assert_eq!(told["test_runs"][0]["test_counts"], counts);
}

/// The same workflow once more, ended well; the task of its job.
async fn rerun(site: &Site, of: base::ids::JobId) -> TaskId {
    let again = family::workflow(Uuid::from_u128(7 << 64));
    let write = move |txn: &mut store::Txn<'_>| {
        let mut job = txn.job_get(of)?.unwrap();
        let mut workflow = txn.workflow_get(job.workflow())?.unwrap();
        (workflow.id, workflow.state, workflow.reruns) = (again, WorkflowState::Success, 1);
        (job.id, job.number) = (family::job(again, 1), Some(JobNumber(2)));
        job.state = JobState::Success;
        txn.workflow_insert(&workflow)?;
        txn.pipeline_workflow_add(workflow.pipeline, again, now())?;
        txn.job_insert(&job, None)?;
        Ok::<_, store::Error>(job.id)
    };
    let job = site.store.write(write).await.unwrap();
    site.steps(job, &[("run", 1, StepState::Success, "x\n")]).await
}
