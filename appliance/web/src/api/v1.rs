//! The part of API 1.1 that tools still call: who one is, projects, steps, artifacts, tests.
//!
//! Source: API 1.1 `GET /project/{vcs}/{org}/{repo}/{number}`: `steps[].actions[]`, one action for
//! each node that ran the step; `output_url` answers `[{type, time, message}]` ([`output`]). Lists are
//! arrays without pages. Every project of the site is followed: `follow` says so and changes nothing.

mod builds;
mod output;

use super::{
    Slug,
    jobs::{Numbered, find},
    left, project, shapes,
};
use crate::{
    State,
    access::{Routes, Viewer},
    error::Failure,
};
use axum::{Json, extract::Path};
use base::{
    ids::{JobId, TaskId},
    state::{JobState, StepState},
    time::Timestamp,
};
use serde_json::{Value, json};
use store::{
    Reader,
    projects::Project,
    runs::{Job, Pipeline, Step, Task, Workflow},
};

pub(super) fn routes() -> Routes {
    Routes::new()
        .get("/api/v1.1/me", me)
        .get("/api/v1.1/projects", projects)
        .post("/api/v1.1/project/{vcs}/{org}/{repo}/follow", follow)
        .get("/api/v1.1/project/{vcs}/{org}/{repo}/{number}", get)
        .get("/api/v1.1/project/{vcs}/{org}/{repo}/{number}/artifacts", artifacts)
        .get("/api/v1.1/project/{vcs}/{org}/{repo}/{number}/tests", tests)
        .merge(builds::routes())
        .merge(output::routes())
}

async fn me(Viewer(user): Viewer) -> Json<Value> {
    Json(json!({ "id": user.id, "login": user.login, "name": user.login }))
}

async fn projects(Viewer(user): Viewer, state: State) -> Result<Json<Value>, Failure> {
    let all = state.store.read(|reader| reader.project_list()).await?;
    let seen = all.iter().filter(|project| user.reach(project.id).is_ok());
    let shape = |project: &Project| {
        json!({
            "username": project.repo.org(),
            "reponame": project.repo.name(),
            "vcs_type": "github",
            "vcs_url": format!("{}/git/{}.git", state.config.base_url, project.repo),
            "default_branch": project.settings.default_branch,
            "following": true,
        })
    };
    Ok(Json(seen.map(shape).collect()))
}

async fn follow(
    Viewer(user): Viewer,
    state: State,
    Path(slug): Path<Slug>,
) -> Result<Json<Value>, Failure> {
    project(&state, &user, slug).await?;
    Ok(Json(json!({ "following": true, "first_build": null })))
}

async fn artifacts(
    Viewer(user): Viewer,
    state: State,
    Path(path): Path<Numbered>,
) -> Result<Json<Value>, Failure> {
    let (job, _) = find(&state, &user, path).await?;
    let all = state.store.read(move |reader| left::artifacts(reader, &job)).await?;
    let shape = |row| {
        let mut shape = shapes::artifact(row, &state.config.base_url);
        shape["pretty_path"] = shape["path"].clone();
        shape
    };
    Ok(Json(all.iter().map(shape).collect()))
}

async fn tests(
    Viewer(user): Viewer,
    state: State,
    Path(path): Path<Numbered>,
) -> Result<Json<Value>, Failure> {
    let (job, _) = find(&state, &user, path).await?;
    let all = state.store.read(move |reader| left::tests(reader, &job)).await?;
    Ok(Json(json!({ "tests": all.iter().map(shapes::test).collect::<Vec<_>>() })))
}

async fn get(
    Viewer(user): Viewer,
    state: State,
    Path(path): Path<Numbered>,
) -> Result<Json<Value>, Failure> {
    let (job, project) = find(&state, &user, path).await?;
    let (source, workflow) = (job.source(), job.workflow());
    let read = move |reader: &Reader<'_>| {
        let workflow = reader.workflow_get(workflow)?;
        let of = workflow.as_ref().map(|workflow| reader.pipeline_get(workflow.pipeline));
        let around = workflow.zip(of.transpose()?.flatten());
        Ok::<_, store::Error>((around, tasks_with_steps(reader, source)?))
    };
    let (around, tasks) = state.store.read(read).await?;
    let (workflow, pipeline) = around.ok_or_else(|| Failure::missing("Workflow"))?;
    let shape = build(&job, &workflow, &pipeline);
    let mut shape = placed(shape, &job, &project, &state.config.base_url);
    let address = |task: TaskId, step: u32| {
        let pass = output::pass(&state, &user, task);
        format!("{}/api/v1.1/output/{task}/{step}{pass}", state.config.base_url)
    };
    shape["steps"] = steps(&tasks, &address).into();
    Ok(Json(shape))
}

/// A job, as version 1.1 knows builds: with its commit, and with its workflow under `workflows`.
fn build(job: &Job, workflow: &Workflow, pipeline: &Pipeline) -> Value {
    let vcs = &pipeline.vcs;
    let ended = job.stopped_at.zip(job.started_at);
    json!({
        "build_num": job.number,
        "status": job.state,
        "outcome": job.state.is_terminal().then_some(job.state),
        "lifecycle": lifecycle(job.state),
        "queued_at": job.queued_at,
        "start_time": job.started_at,
        "stop_time": job.stopped_at,
        "build_time_millis": ended.map(|(end, start)| millis(start, end)),
        "parallel": job.parallelism,
        "vcs_type": "github",
        "vcs_url": vcs.repository_url,
        "vcs_revision": vcs.revision,
        "vcs_tag": vcs.tag,
        "branch": vcs.branch,
        "subject": vcs.subject,
        "body": vcs.body,
        "user": { "login": pipeline.actor },
        "workflows": {
            "job_name": job.name,
            "job_id": job.id,
            "workflow_id": workflow.id,
            "workflow_name": workflow.name,
            "workspace_id": workflow.workspace,
        },
    })
}

const fn lifecycle(state: JobState) -> &'static str {
    match state {
        JobState::Running => "running",
        state if state.is_terminal() => "finished",
        _ => "queued",
    }
}

/// A build with its project and its page.
fn placed(mut shape: Value, job: &Job, project: &Project, base_url: &str) -> Value {
    shape["reponame"] = project.repo.name().into();
    shape["username"] = project.repo.org().into();
    shape["build_url"] = format!("{base_url}/jobs/{}", job.id).into();
    shape
}

fn millis(start: Timestamp, end: Timestamp) -> u64 {
    u64::try_from(end.since(start).as_millis()).unwrap_or(0)
}

/// The newest attempt of each node of a job.
pub(super) fn tasks_with_steps(
    reader: &Reader<'_>,
    job: JobId,
) -> Result<Vec<(Task, Vec<Step>)>, store::Error> {
    let with = |task: Task| reader.step_list(task.id).map(|steps| (task, steps));
    reader.task_list_newest(job)?.into_iter().map(with).collect()
}

/// Where the output of a step is.
type Address<'a> = &'a dyn Fn(TaskId, u32) -> String;

/// Actions of the same step number stand together.
fn steps(tasks: &[(Task, Vec<Step>)], address: Address<'_>) -> Vec<Value> {
    let last = tasks.iter().flat_map(|(_, steps)| steps).map(|step| step.step).max();
    let Some(last) = last else { return Vec::new() };
    let at = |number: u32| {
        tasks.iter().flat_map(move |(task, steps)| {
            steps.iter().filter(move |step| step.step == number).map(move |step| (task, step))
        })
    };
    (0..=last)
        .filter_map(|number| {
            let name = at(number).next()?.1.name.clone();
            let actions: Vec<Value> =
                at(number).map(|(task, step)| action(task, step, address)).collect();
            Some(json!({ "name": name, "actions": actions }))
        })
        .collect()
}

fn action(task: &Task, step: &Step, address: Address<'_>) -> Value {
    json!({
        "index": task.node,
        "step": step.step,
        "name": step.name,
        "status": step.state,
        "type": "build",
        "exit_code": step.exit_code,
        "start_time": step.started_at,
        "end_time": step.stopped_at,
        "run_time_millis": step.stopped_at.map(|end| millis(step.started_at, end)),
        "has_output": step.output_bytes > 0,
        "output_url": address(task.id, step.step),
        "parallel": true,
        "background": step.background,
        "failed": step.state == StepState::Failed,
        "timedout": step.state == StepState::TimedOut,
        "canceled": step.state == StepState::Canceled,
        "infrastructure_fail": false,
    })
}
