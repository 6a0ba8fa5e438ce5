//! One job: its steps with their output, its artifacts, its test results.

use super::{
    artifacts,
    frame::{self, Frame, Here, Live, Theme},
    links,
    log::{self, Window},
    look::Looks,
    moment, pipeline, results, steps,
};
use crate::{
    State,
    access::{Role, Routes, User, Viewer},
    api::canceled_by,
    error::Failure,
};
use axum::{
    extract::{Path, Query},
    response::Redirect,
};
use base::{
    ids::{Cursor, JobId, JobNumber, RepoName},
    plan::{Executor, JobSpec},
    protocol::TestResult,
    state::{JobState, StepState},
    time::Timestamp,
    units::Bytes,
};
use maud::{Markup, html};
use serde::Deserialize;
use store::{
    Reader,
    runs::{Artifact, Job, Pipeline, RESULTS_PAGE, Step, Task, TestTally, Workflow},
};

pub(super) fn routes() -> Routes {
    Routes::new()
        .get("/gh/{org}/{repo}/{number}", step_tab)
        .get("/gh/{org}/{repo}/{number}/artifacts", artifact_tab)
        .get("/gh/{org}/{repo}/{number}/tests", test_tab)
        .get("/jobs/{id}", by_id)
}

/// The job and all that surrounds it.
#[derive(Debug)]
struct View {
    repo: RepoName,
    pipeline: Pipeline,
    workflow: Workflow,
    /// It does not run again.
    is_over: bool,
    job: Job,
    spec: Option<JobSpec>,
    tasks: Vec<Task>,
    /// The first of them.
    artifacts: Vec<Artifact>,
    artifact_count: u64,
    /// The first of them.
    tests: Vec<TestResult>,
    tally: TestTally,
    cursor: Cursor,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Wanted {
    /// Which of the job's copies; without one [`steps::first_shown`].
    node: Option<u32>,
    /// A step to be shown open.
    step: Option<u32>,
    /// First line of it, from 1.
    line: Option<u64>,
}

/// Which tab is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tab {
    Steps,
    Artifacts,
    Tests,
}

type Place = Path<(String, String, u64)>;

async fn step_tab(
    Viewer(user): Viewer,
    state: State,
    theme: Theme,
    Path(place): Place,
    Query(wanted): Query<Wanted>,
) -> Result<Markup, Failure> {
    let view = load(&state, &user, place).await?;
    let why = match view.job.state {
        JobState::Queued => state.engine.explain(view.job.id).await?.map(|held| held.to_string()),
        _ => None,
    };
    let node = wanted.node.unwrap_or_else(|| steps::first_shown(view.job.state, &view.tasks));
    let task = view.tasks.iter().find(|task| task.node == node);
    let opened = match task {
        Some(task) => open_steps(&state, task, &wanted).await?,
        None => Vec::new(),
    };
    let place = links::job(&view.repo, view.job.number.unwrap_or(JobNumber(0)));
    let content = html! {
        @if view.tasks.len() > 1 { (steps::nodes(&view.tasks, node)) }
        @if let Some(task) = task { (steps::list(&place, view.job.state, task, &opened, state.now())) }
        @else { (steps::waiting(view.job.state, why.as_deref())) }
    };
    Ok(show(&view, &user, theme, &state, Tab::Steps, &content))
}

async fn artifact_tab(
    Viewer(user): Viewer,
    state: State,
    theme: Theme,
    Path(place): Place,
) -> Result<Markup, Failure> {
    let view = load(&state, &user, place).await?;
    let content = artifacts::list(&view.artifacts, view.artifact_count);
    Ok(show(&view, &user, theme, &state, Tab::Artifacts, &content))
}

async fn test_tab(
    Viewer(user): Viewer,
    state: State,
    theme: Theme,
    Path(place): Place,
) -> Result<Markup, Failure> {
    let view = load(&state, &user, place).await?;
    let content = results::list(&view.tests, view.tally);
    Ok(show(&view, &user, theme, &state, Tab::Tests, &content))
}

async fn by_id(
    Viewer(user): Viewer,
    state: State,
    Path(id): Path<JobId>,
) -> Result<Redirect, Failure> {
    let find = move |reader: &Reader<'_>| {
        let job = reader.job_get(id)?.ok_or_else(|| Failure::missing("Job"))?;
        user.reach(job.project)?;
        let project =
            reader.project_get(job.project)?.ok_or_else(|| Failure::missing("Project"))?;
        match job.number {
            Some(number) => Ok(links::job(&project.repo, number)),
            None => pipeline::workflow_address(reader, job.workflow()),
        }
    };
    let to: String = state.store.read(find).await?;
    Ok(Redirect::to(&to))
}

async fn load(state: &State, user: &User, place: (String, String, u64)) -> Result<View, Failure> {
    let (org, repo, number) = place;
    let name: RepoName =
        format!("{org}/{repo}").parse().map_err(|_| Failure::missing("Project"))?;
    let view = state.store.read(move |reader| read(reader, &name, JobNumber(number))).await?;
    user.reach(view.job.project)?;
    Ok(view)
}

fn read(reader: &Reader<'_>, name: &RepoName, number: JobNumber) -> Result<View, Failure> {
    let project = reader.project_by_repo(name)?.ok_or_else(|| Failure::missing("Project"))?;
    let job = reader.job_by_number(project.id, number)?.ok_or_else(|| Failure::missing("Job"))?;
    let workflow =
        reader.workflow_get(job.workflow())?.ok_or_else(|| Failure::missing("Workflow"))?;
    let pipeline =
        reader.pipeline_get(workflow.pipeline)?.ok_or_else(|| Failure::missing("Pipeline"))?;
    let artifacts = reader.artifact_page(&job, None)?;
    let artifact_count = match artifacts.len() {
        RESULTS_PAGE => reader.artifact_count(&job)?,
        count => count as u64,
    };
    let (tests, more) = reader.test_page(&job, None)?;
    let tally = match more {
        Some(_) => reader.test_tally(&job)?,
        None => results::tally(&tests),
    };
    Ok(View {
        repo: project.repo,
        spec: reader.job_spec(job.source())?,
        tasks: reader.task_list_newest(job.source())?,
        artifacts,
        artifact_count,
        tests,
        tally,
        cursor: reader.event_last()?,
        is_over: engine::continued_setup(reader, workflow.pipeline)?.contains(&workflow.id),
        pipeline,
        workflow,
        job,
    })
}

/// The steps of a task, with the output of those that are shown open.
async fn open_steps(
    state: &State,
    task: &Task,
    wanted: &Wanted,
) -> Result<Vec<(Step, Option<Window>)>, Failure> {
    let id = task.id;
    let steps = state.store.read(move |reader| reader.step_list(id)).await?;
    let mut opened = Vec::with_capacity(steps.len());
    for step in steps {
        let window = if is_open(&step, wanted) {
            let line = wanted.line.filter(|_| wanted.step == Some(step.step));
            Some(log::window(state, &step, line).await?)
        } else {
            None
        };
        opened.push((step, window));
    }
    Ok(opened)
}

fn is_open(step: &Step, wanted: &Wanted) -> bool {
    let by_itself =
        matches!(step.state, StepState::Running | StepState::Failed | StepState::TimedOut);
    wanted.step == Some(step.step) || by_itself
}

fn show(
    view: &View,
    user: &User,
    theme: Theme,
    state: &State,
    tab: Tab,
    content: &Markup,
) -> Markup {
    let frame = Frame {
        user,
        theme,
        config: &state.config,
        here: Here::Pipelines,
        title: format!("{} · {}", view.job.name, view.repo),
        look: Some(view.job.state.look()),
        live: Some(Live { cursor: view.cursor, project: Some(view.job.project) }),
    };
    let body = html! {
        (top(view, user, state.now()))
        (tabs(view, tab))
        (content)
    };
    frame::page(&frame, &body)
}

fn top(view: &View, user: &User, now: Timestamp) -> Markup {
    let job = &view.job;
    let here = html! {
        a href=(format!("{}#w-{}", links::pipeline(&view.repo, view.pipeline.number), view.workflow.id)) { (view.workflow.name) }
        span aria-hidden="true" { "/" }
        span aria-current="page" { (job.name) }
    };
    html! {
        (pipeline::trail(&view.repo, view.pipeline.number, Some(&here)))
        div.head {
            h1 { (job.name) }
            (job.state.look().badge(job.state.word()))
            div.actions {
                @if user.may(Role::Member) { (actions(view)) }
            }
        }
        p.meta {
            (super::pipelines::reference(&view.pipeline))
            span.subject { (super::pipelines::subject(&view.pipeline)) }
        }
        dl.facts { (facts(view, now)) }
        @if let Some(message) = trouble(view) { p.alert.(job.state.look().class()) role="alert" { (message) } }
    }
}

fn actions(view: &View) -> Markup {
    html! {
        @if !view.job.state.is_terminal() {
            (pipeline::button(&format!("/jobs/{}/cancel", view.job.id), "Cancel job", "danger", ""))
        } @else if view.workflow.state.is_terminal() && !view.is_over {
            (pipeline::button(&format!("/workflows/{}/rerun", view.workflow.id), "Rerun workflow from start", "", ""))
        }
    }
}

/// What the job says about its end, or a task that says more.
fn trouble(view: &View) -> Option<&str> {
    let told = view.tasks.iter().find_map(|task| task.message.as_deref());
    view.job.message.as_deref().or(told)
}

fn facts(view: &View, now: Timestamp) -> Markup {
    let job = &view.job;
    let peak = view.tasks.iter().filter_map(|task| task.peak_memory).max();
    let waited = job.queued_at.map(|at| (at, job.started_at.or(job.stopped_at)));
    html! {
        @if let Some(number) = job.number { div { dt { "Job" } dd { "#" (number) } } }
        @if let Some(by) = canceled_by(job) { div { dt { "Canceled by" } dd { (by) } } }
        div { dt { "Duration" } dd { (moment::took(job.started_at, job.stopped_at, now)) } }
        @if let Some((from, to)) = waited { div { dt { "Queued" } dd { (moment::took(Some(from), to, now)) } } }
        @if let Some(spec) = &view.spec {
            div { dt { "Executor" } dd { (executor(&spec.executor)) } }
            @if let Some(class) = &spec.resource_class { div { dt { "Resource class" } dd { (class) } } }
        }
        @if let Some(peak) = peak { div { dt { "Peak memory" } dd { (Bytes(peak)) } } }
        @if job.parallelism > 1 { div { dt { "Parallelism" } dd { (job.parallelism) } } }
        @if view.tasks.iter().any(|task| task.attempt.0 > 1) {
            div { dt { "Attempt" } dd { (view.tasks.iter().map(|task| task.attempt.0).max().unwrap_or(1)) } }
        }
    }
}

fn executor(executor: &Executor) -> String {
    match executor {
        Executor::Docker { images } => {
            images.first().map_or("docker".to_owned(), |image| format!("docker {}", image.image))
        }
        Executor::Machine { image } => {
            image.as_ref().map_or("machine".to_owned(), |image| format!("machine {image}"))
        }
        Executor::Unsupported { .. } => "not supported here".to_owned(),
    }
}

fn tabs(view: &View, shown: Tab) -> Markup {
    let number = view.job.number.unwrap_or(JobNumber(0));
    let base = links::job(&view.repo, number);
    let TestTally { count, failed } = view.tally;
    let entries = [
        (Tab::Steps, base.clone(), "Steps", None),
        (Tab::Tests, format!("{base}/tests"), "Tests", Some((count, failed))),
        (Tab::Artifacts, format!("{base}/artifacts"), "Artifacts", Some((view.artifact_count, 0))),
    ];
    html! {
        nav.tabs aria-label="Parts of the job" {
            @for (tab, address, name, count) in entries {
                a href=(address) aria-current=[(tab == shown).then_some("page")] {
                    (name)
                    @if let Some((count, failed)) = count {
                        @if failed > 0 { span.count.bad { (failed) " failed" } }
                        @else { span.count { (count) } }
                    }
                }
            }
        }
    }
}
