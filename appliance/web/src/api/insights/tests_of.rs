//! How the tests of a workflow go.
//!
//! Source: API v2 `workflows/{name}/test-metrics`. Durations in seconds; the rate of a run is of the tests
//! that were not skipped.
//! Limits: the results of the newest [`JOBS_MAX`] jobs that ran, one page of each; [`SHOWN`] tests of a list.

use super::{
    super::project,
    Asked, JOB_RUNS_MAX, Named, job_ran,
    metrics::{nearest_rank, ratio},
};
use crate::{State, access::Viewer, error::Failure};
use axum::{
    Json,
    extract::{Path, Query},
};
use base::protocol::TestResult;
use indexmap::IndexMap;
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashMap};
use store::{
    Reader,
    runs::{Ran, RunsWanted},
};

/// Jobs whose results are read.
const JOBS_MAX: usize = 200;

/// Tests of each list, as on the original.
const SHOWN: usize = 10;

/// The results of one run.
struct Tested {
    ran: Ran,
    /// By the name of their job.
    results: Vec<(String, TestResult)>,
}

/// What is known of one test.
#[derive(Default)]
struct Test {
    durations: Vec<u64>,
    failed: u64,
    /// Whether it succeeded and failed, by commit.
    commits: HashMap<Vec<u8>, (bool, bool)>,
    last: Option<TestResult>,
    job: String,
}

pub(super) async fn list(
    Viewer(user): Viewer,
    state: State,
    Path((vcs, org, repo, name)): Path<Named>,
    Query(asked): Query<Asked>,
) -> Result<Json<Value>, Failure> {
    let project = project(&state, &user, (vcs, org, repo)).await?;
    let wanted = asked.wanted(&project, Some(name), asked.window(state.now())?);
    let tested = state.store.read(move |reader| tested(reader, &wanted)).await?;
    Ok(Json(told(&tested)))
}

/// Runs with results, the newest first.
fn tested(reader: &Reader<'_>, wanted: &RunsWanted) -> Result<Vec<Tested>, store::Error> {
    let (mut found, mut left) = (Vec::new(), JOBS_MAX);
    for ran in reader.run_list(wanted, JOB_RUNS_MAX)? {
        let mut results = Vec::new();
        for job in reader.job_list(ran.workflow.id)?.into_iter().filter(job_ran).take(left) {
            left -= 1;
            let of_job = reader.test_page(&job, None)?.0.into_iter();
            results.extend(of_job.map(|result| (job.name.clone(), result)));
        }
        if !results.is_empty() {
            found.push(Tested { ran, results });
        }
        if left == 0 {
            break;
        }
    }
    Ok(found)
}

fn told(tested: &[Tested]) -> Value {
    let runs: Vec<Value> = tested.iter().map(counts).collect();
    let total: usize = tested.iter().map(|one| one.results.len()).sum();
    let tests = by_test(tested);
    let failing = tests.values().filter(|test| test.failed > 0).collect();
    let (failed, failed_extra) = first(failing, |test| test.failed);
    let (slow, slow_extra) = first(tests.values().collect(), Test::p95);
    json!({
        "average_test_count": total / tested.len().max(1),
        "most_failed_tests": failed,
        "most_failed_tests_extra": failed_extra,
        "slowest_tests": slow,
        "slowest_tests_extra": slow_extra,
        "total_test_runs": tested.len(),
        "test_runs": runs,
    })
}

/// One run by what its tests came to.
fn counts(of: &Tested) -> Value {
    let mut counts: BTreeMap<&str, u64> =
        ["error", "failure", "skipped", "success"].map(|kind| (kind, 0)).into();
    for (_, result) in &of.results {
        if let Some(count) = counts.get_mut(result.result.as_str()) {
            *count += 1;
        }
    }
    let judged = counts["success"] + counts["failure"] + counts["error"];
    let rate = ratio(counts["success"], judged);
    let mut counts = json!(counts);
    counts["total"] = of.results.len().into();
    json!({
        "pipeline_number": of.ran.number,
        "workflow_id": of.ran.workflow.id,
        "success_rate": rate,
        "test_counts": counts,
    })
}

/// Each test, by its job, class and name.
fn by_test(tested: &[Tested]) -> IndexMap<(&str, &str, &str), Test> {
    let mut tests: IndexMap<_, Test> = IndexMap::new();
    for Tested { ran, results } in tested {
        for (job, result) in results {
            let key = (job.as_str(), result.classname.as_str(), result.name.as_str());
            let test = tests.entry(key).or_default();
            test.job.clone_from(job);
            test.note(&ran.commit, result);
        }
    }
    tests
}

impl Test {
    fn note(&mut self, commit: &[u8], result: &TestResult) {
        let (good, bad) = match result.result.as_str() {
            "success" => (true, false),
            "failure" | "error" => (false, true),
            _ => return,
        };
        self.durations.push(result.run_time_ms);
        self.failed += u64::from(bad);
        let of_commit = self.commits.entry(commit.to_vec()).or_default();
        *of_commit = (of_commit.0 || good, of_commit.1 || bad);
        self.last.get_or_insert_with(|| result.clone());
    }

    /// In milliseconds.
    fn p95(&self) -> u64 {
        let mut sorted = self.durations.clone();
        sorted.sort_unstable();
        nearest_rank(&sorted, 95)
    }

    fn shape(&self) -> Option<Value> {
        let last = self.last.as_ref()?;
        Some(json!({
            "test_name": last.name,
            "classname": last.classname,
            "file": last.file.as_deref().unwrap_or_default(),
            "source": last.source,
            "job_name": self.job,
            "p95_duration": ratio(self.p95(), 1000),
            "total_runs": self.durations.len(),
            "failed_runs": self.failed,
            "flaky": self.commits.values().any(|seen| *seen == (true, true)),
        }))
    }
}

/// The tests that have the most of something, and how many are left out that have as much as the last.
fn first(mut tests: Vec<&Test>, of: fn(&Test) -> u64) -> (Vec<Value>, usize) {
    tests.retain(|test| test.last.is_some());
    tests.sort_by_key(|test| std::cmp::Reverse(of(test)));
    let least = tests.get(SHOWN - 1).map(|test| of(test));
    let left_out = tests.iter().skip(SHOWN).filter(|test| Some(of(test)) == least).count();
    (tests.into_iter().take(SHOWN).filter_map(Test::shape).collect(), left_out)
}
