//! Tests that failed and succeeded at one commit.
//!
//! Source: API v2 `flaky-tests`: of all branches, within the last two weeks.
//! Why it is cheap: only a commit that ran the same workflow more than once can show one, and the results
//! of its jobs alone are read.
//! Names of members: the reference has them with hyphens, and the original's own clients (its MCP server)
//! read them with underscores; both are told.
//! Limits: the newest [`super::RUNS_MAX`] runs; the results of [`JOBS_MAX`] jobs, one page of each.

use super::{super::project, RUNS_MAX, window};
use crate::{State, access::Viewer, api::Slug, error::Failure};
use axum::{Json, extract::Path};
use base::protocol::TestResult;
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashMap};
use store::{
    Reader,
    runs::{Job, JobType, Ran, RunsWanted},
};

/// Jobs whose results are read.
const JOBS_MAX: usize = 200;

/// What makes two results those of one test: job, class, name.
type Test = (String, String, String);

/// The results of a test at one commit.
#[derive(Debug, Default)]
struct Seen {
    good: u64,
    /// The failures: where, and how long each took.
    bad: Vec<Failed>,
}

#[derive(Debug, Clone)]
struct Failed {
    ran: Ran,
    job: Job,
    result: TestResult,
}

pub(super) async fn list(
    Viewer(user): Viewer,
    state: State,
    Path(slug): Path<Slug>,
) -> Result<Json<Value>, Failure> {
    let project = project(&state, &user, slug).await?;
    let wanted = RunsWanted {
        project: project.id,
        branch: None,
        workflow: None,
        within: window::fortnight(state.now()),
        before: None,
    };
    let read = move |reader: &Reader<'_>| {
        let ran = reader.run_list(&wanted, RUNS_MAX)?;
        let mut found: BTreeMap<Test, Vec<Failed>> = BTreeMap::new();
        for (test, failed) in flaky(reader, again(ran))? {
            found.entry(test).or_default().extend(failed);
        }
        Ok::<_, store::Error>(found)
    };
    let found = state.store.read(read).await?;
    let tests: Vec<Value> = found.values().filter_map(|failed| shape(failed)).collect();
    Ok(Json(both_ways(json!({ "total-flaky-tests": tests.len(), "flaky-tests": tests }))))
}

/// The members of an object by both of their names.
fn both_ways(mut object: Value) -> Value {
    if let Some(members) = object.as_object_mut() {
        let others = members.iter().map(|(name, value)| (name.replace('-', "_"), value.clone()));
        members.extend(others.collect::<Vec<_>>());
    }
    object
}

/// Runs of one workflow at one commit, where there is more than one; the newest first.
fn again(ran: Vec<Ran>) -> Vec<Vec<Ran>> {
    let mut order = Vec::new();
    let mut found: HashMap<(Vec<u8>, String), Vec<Ran>> = HashMap::new();
    for ran in ran {
        let key = (ran.commit.clone(), ran.workflow.name.clone());
        let runs = found.entry(key.clone()).or_default();
        if runs.is_empty() {
            order.push(key);
        }
        runs.push(ran);
    }
    let groups = order.into_iter().filter_map(|key| found.remove(&key));
    groups.filter(|runs| runs.len() > 1).collect()
}

/// The failures of each test that also succeeded at its commit.
fn flaky(
    reader: &Reader<'_>,
    groups: Vec<Vec<Ran>>,
) -> Result<Vec<(Test, Vec<Failed>)>, store::Error> {
    let (mut found, mut left) = (Vec::new(), JOBS_MAX);
    for runs in groups {
        let mut seen: BTreeMap<Test, Seen> = BTreeMap::new();
        for ran in runs {
            for job in reader.job_list(ran.workflow.id)? {
                if job.kind != JobType::Build || job.origin.is_some() || left == 0 {
                    continue;
                }
                left -= 1;
                note(&mut seen, reader.test_page(&job, None)?.0, &ran, &job);
            }
        }
        let both = seen.into_iter().filter(|(_, seen)| seen.good > 0 && !seen.bad.is_empty());
        found.extend(both.map(|(test, seen)| (test, seen.bad)));
    }
    Ok(found)
}

fn note(seen: &mut BTreeMap<Test, Seen>, results: Vec<TestResult>, ran: &Ran, job: &Job) {
    for result in results {
        let test = (job.name.clone(), result.classname.clone(), result.name.clone());
        let seen = seen.entry(test).or_default();
        match result.result.as_str() {
            "success" => seen.good += 1,
            "failure" | "error" => {
                seen.bad.push(Failed { ran: ran.clone(), job: job.clone(), result });
            }
            _ => {}
        }
    }
}

/// A test, by its newest failure.
fn shape(failed: &[Failed]) -> Option<Value> {
    let newest = failed.iter().max_by_key(|one| one.ran.workflow.created_at)?;
    let wasted: u64 = failed.iter().map(|one| one.result.run_time_ms).sum();
    let (workflow, result) = (&newest.ran.workflow, &newest.result);
    Some(both_ways(json!({
        "test-name": result.name,
        "classname": result.classname,
        "file": result.file.as_deref().unwrap_or_default(),
        "source": result.source,
        "times-flaked": failed.len(),
        "time-wasted": wasted / 1000,
        "job-name": newest.job.name,
        "job-number": newest.job.number,
        "pipeline-number": newest.ran.number,
        "workflow-id": workflow.id,
        "workflow-name": workflow.name,
        "workflow-created-at": workflow.created_at,
    })))
}
