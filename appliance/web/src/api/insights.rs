//! Insights: how workflows, jobs and tests of a project go over a time.
//!
//! Source: API v2 "Insights". Without `branch` the default branch is meant, with `all-branches` all;
//! without a time the last ninety days. All is computed when it is asked, so that nothing is late.
//! Limits: the newest [`RUNS_MAX`] runs, and for those of their jobs the newest [`JOB_RUNS_MAX`].

mod flaky;
mod metrics;
mod pages;
mod tests_of;
mod window;

use super::{PAGE, Slug, pipelines::bad_token, project, shapes};
use crate::{
    State,
    access::{Routes, Viewer},
    error::Failure,
};
use axum::{
    Json,
    extract::{Path, Query},
};
use base::{
    ids::PipelineNumber,
    state::{JobState, WorkflowState},
    time::Timestamp,
};
use indexmap::IndexMap;
use metrics::{End, Metrics, Run, seconds, trends};
use serde::Deserialize;
use serde_json::{Value, json};
use std::ops::Range;
use store::{
    Reader,
    projects::Project,
    runs::{Job, JobType, Ran, RunsWanted, Workflow},
};

/// Runs that one answer is computed from.
const RUNS_MAX: usize = 10_000;

/// The same where each is looked at job by job.
const JOB_RUNS_MAX: usize = 2_000;

/// Branches told of a project.
const BRANCHES_MAX: u32 = 1_000;

pub(super) fn routes() -> Routes {
    Routes::new()
        .get("/api/v2/insights/{vcs}/{org}/{repo}/branches", branches)
        .get("/api/v2/insights/{vcs}/{org}/{repo}/flaky-tests", flaky::list)
        .get("/api/v2/insights/{vcs}/{org}/{repo}/workflows", workflows)
        .get("/api/v2/insights/{vcs}/{org}/{repo}/workflows/{name}", runs)
        .get("/api/v2/insights/{vcs}/{org}/{repo}/workflows/{name}/jobs", jobs)
        .get("/api/v2/insights/{vcs}/{org}/{repo}/workflows/{name}/summary", summary)
        .get("/api/v2/insights/{vcs}/{org}/{repo}/workflows/{name}/test-metrics", tests_of::list)
        .get("/api/v2/insights/pages/{vcs}/{org}/{repo}/summary", pages::of_project)
        .get("/api/v2/insights/{vcs}/{org}/summary", pages::of_org)
}

/// What is asked of which runs.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
struct Asked {
    branch: Option<String>,
    all_branches: Option<String>,
    reporting_window: Option<String>,
    start_date: Option<String>,
    end_date: Option<String>,
    page_token: Option<String>,
}

impl Asked {
    fn branch(&self, project: &Project) -> Option<String> {
        let is_all =
            self.all_branches.as_deref().is_some_and(|all| all.eq_ignore_ascii_case("true"));
        let named = self.branch.clone().filter(|branch| !branch.is_empty());
        (!is_all).then(|| named.unwrap_or_else(|| project.settings.default_branch.clone()))
    }

    fn wanted(
        &self,
        project: &Project,
        workflow: Option<String>,
        within: Range<Timestamp>,
    ) -> RunsWanted {
        let (project, branch) = (project.id, self.branch(project));
        RunsWanted { project, branch, workflow, within, before: None }
    }

    /// Where the page that is asked for begins.
    fn before(&self) -> Result<Option<PipelineNumber>, Failure> {
        let token = self.page_token.as_deref().filter(|token| !token.is_empty());
        token.map(|token| token.parse().map(PipelineNumber).map_err(|_| bad_token())).transpose()
    }

    fn window(&self, now: Timestamp) -> Result<Range<Timestamp>, Failure> {
        window::last(self.reporting_window.as_deref(), now).map_err(Failure::Invalid)
    }

    fn dates(&self, now: Timestamp) -> Result<Range<Timestamp>, Failure> {
        window::dates(self.start_date.as_deref(), self.end_date.as_deref(), now)
            .map_err(Failure::Invalid)
    }
}

/// A slug and the name of a workflow.
type Named = (String, String, String, String);

const fn end_of(state: WorkflowState) -> End {
    match state {
        WorkflowState::Success => End::Good,
        WorkflowState::Failed | WorkflowState::Error | WorkflowState::Unauthorized => End::Bad,
        _ => End::Other,
    }
}

const fn end_of_job(state: JobState) -> End {
    match state {
        JobState::Success => End::Good,
        JobState::Canceled | JobState::NotRun => End::Other,
        state if state.is_terminal() => End::Bad,
        _ => End::Other,
    }
}

const fn run(workflow: &Workflow) -> Run {
    Run { end: end_of(workflow.state), began: workflow.created_at, stopped: workflow.stopped_at }
}

/// Runs by name, each name where it is met first.
fn by_name<T>(of: impl IntoIterator<Item = (String, T)>) -> IndexMap<String, Vec<T>> {
    let mut found: IndexMap<String, Vec<T>> = IndexMap::new();
    for (name, one) in of {
        found.entry(name).or_default().push(one);
    }
    found
}

async fn branches(
    Viewer(user): Viewer,
    state: State,
    Path(slug): Path<Slug>,
) -> Result<Json<Value>, Failure> {
    let Project { id, org, .. } = project(&state, &user, slug).await?;
    let found = state.store.read(move |reader| reader.branch_list(id, BRANCHES_MAX)).await?;
    Ok(Json(json!({ "org_id": org, "project_id": id, "branches": found })))
}

async fn workflows(
    Viewer(user): Viewer,
    state: State,
    Path(slug): Path<Slug>,
    Query(asked): Query<Asked>,
) -> Result<Json<Value>, Failure> {
    let project = project(&state, &user, slug).await?;
    let wanted = asked.wanted(&project, None, asked.window(state.now())?);
    let ran = state.store.read(move |reader| reader.run_list(&wanted, RUNS_MAX)).await?;
    let named = by_name(ran.into_iter().map(|ran| (ran.workflow.name.clone(), run(&ran.workflow))));
    let items = named.into_iter().map(|(name, runs)| {
        let metrics = Metrics::of(runs);
        let (first, last) = metrics.window();
        json!({
            "name": name,
            "project_id": project.id,
            "metrics": metrics.of_workflow(),
            "window_start": first,
            "window_end": last,
        })
    });
    Ok(Json(shapes::page(items.collect(), None)))
}

async fn runs(
    Viewer(user): Viewer,
    state: State,
    Path((vcs, org, repo, name)): Path<Named>,
    Query(asked): Query<Asked>,
) -> Result<Json<Value>, Failure> {
    let project = project(&state, &user, (vcs, org, repo)).await?;
    let wanted = asked.wanted(&project, Some(name), asked.dates(state.now())?);
    let wanted = RunsWanted { before: asked.before()?, ..wanted };
    let read = move |reader: &Reader<'_>| reader.run_list(&wanted, PAGE as usize);
    let ran = state.store.read(read).await?;
    let next =
        ran.last().filter(|_| ran.len() >= PAGE as usize).map(|ran| ran.number.0.to_string());
    Ok(Json(shapes::page(ran.iter().filter_map(shape).collect(), next)))
}

/// One run that is over.
fn shape(ran: &Ran) -> Option<Value> {
    let workflow = &ran.workflow;
    let stopped = workflow.stopped_at?;
    Some(json!({
        "id": workflow.id,
        "branch": ran.branch.as_deref().unwrap_or_default(),
        "duration": seconds(workflow.created_at, stopped),
        "created_at": workflow.created_at,
        "stopped_at": stopped,
        "credits_used": 0,
        "status": workflow.state,
        "is_approval": false,
    }))
}

async fn jobs(
    Viewer(user): Viewer,
    state: State,
    Path((vcs, org, repo, name)): Path<Named>,
    Query(asked): Query<Asked>,
) -> Result<Json<Value>, Failure> {
    let project = project(&state, &user, (vcs, org, repo)).await?;
    let wanted = asked.wanted(&project, Some(name), asked.window(state.now())?);
    let read = move |reader: &Reader<'_>| {
        let mut found = Vec::new();
        for ran in reader.run_list(&wanted, JOB_RUNS_MAX)? {
            found.extend(reader.job_list(ran.workflow.id)?.into_iter().filter_map(job_run));
        }
        Ok::<_, store::Error>(by_name(found))
    };
    let named = state.store.read(read).await?;
    let items = named.into_iter().map(|(name, runs)| {
        let metrics = Metrics::of(runs);
        let (first, last) = metrics.window();
        let mut told = metrics.of_job();
        told["median_credits_used"] = 0.into();
        json!({ "name": name, "metrics": told, "window_start": first, "window_end": last })
    });
    Ok(Json(shapes::page(items.collect(), None)))
}

/// It is a job that ran; one that a rerun took over counts where it ran.
fn job_ran(job: &Job) -> bool {
    job.kind == JobType::Build && job.origin.is_none() && job.started_at.is_some()
}

fn job_run(job: Job) -> Option<(String, Run)> {
    let began = job.started_at.filter(|_| job_ran(&job))?;
    Some((job.name, Run { end: end_of_job(job.state), began, stopped: job.stopped_at }))
}

async fn summary(
    Viewer(user): Viewer,
    state: State,
    Path((vcs, org, repo, name)): Path<Named>,
    Query(asked): Query<Asked>,
) -> Result<Json<Value>, Failure> {
    let project = project(&state, &user, (vcs, org, repo)).await?;
    let within = asked.window(state.now())?;
    let before = window::before(&within);
    let both = Range { start: before.start, end: within.end };
    let wanted = asked.wanted(&project, None, both);
    let ran = state.store.read(move |reader| reader.run_list(&wanted, RUNS_MAX)).await?;
    let of = |within: &Range<Timestamp>| {
        let own = ran.iter().map(|ran| &ran.workflow).filter(|workflow| workflow.name == name);
        Metrics::of(own.filter(|workflow| within.contains(&workflow.created_at)).map(run))
    };
    let (now, before) = (of(&within), of(&before));
    let names = by_name(ran.iter().map(|ran| (ran.workflow.name.clone(), ())));
    Ok(Json(json!({
        "metrics": now.of_summary(),
        "trends": trends(&now, &before),
        "workflow_names": names.keys().collect::<Vec<_>>(),
    })))
}
