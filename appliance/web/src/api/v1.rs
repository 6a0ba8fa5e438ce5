//! The part of API 1.1 that tools still call: who one is, projects, steps, artifacts, tests.
//!
//! Source: API 1.1 `GET /project/{vcs}/{org}/{repo}/{number}`: `steps[].actions[]`, one action for
//! each node that ran the step; `output_url` answers `[{type, time, message}]`. Lists are arrays
//! without pages. Every project of the site is followed: `follow` says so and changes nothing.

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
use base::{ids::JobId, state::StepState};
use serde_json::{Value, json};
use store::{
    Reader,
    projects::Project,
    runs::{Step, Task},
};

pub(super) fn routes() -> Routes {
    Routes::new()
        .get("/api/v1.1/me", me)
        .get("/api/v1.1/projects", projects)
        .post("/api/v1.1/project/{vcs}/{org}/{repo}/follow", follow)
        .get("/api/v1.1/project/{vcs}/{org}/{repo}/{number}", get)
        .get("/api/v1.1/project/{vcs}/{org}/{repo}/{number}/artifacts", artifacts)
        .get("/api/v1.1/project/{vcs}/{org}/{repo}/{number}/tests", tests)
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
    let source = job.source();
    let tasks = state.store.read(move |reader| tasks_with_steps(reader, source)).await?;
    Ok(Json(json!({
        "build_num": job.number,
        "build_url": format!("{}/jobs/{}", state.config.base_url, job.id),
        "reponame": project.repo.name(),
        "username": project.repo.org(),
        "status": job.state,
        "lifecycle": if job.state.is_terminal() { "finished" } else { "running" },
        "start_time": job.started_at,
        "stop_time": job.stopped_at,
        "parallel": job.parallelism,
        "steps": steps(&tasks, &state.config.base_url),
    })))
}

/// The newest attempt of each node of a job.
pub(super) fn tasks_with_steps(
    reader: &Reader<'_>,
    job: JobId,
) -> Result<Vec<(Task, Vec<Step>)>, store::Error> {
    let with = |task: Task| reader.step_list(task.id).map(|steps| (task, steps));
    reader.task_list_newest(job)?.into_iter().map(with).collect()
}

/// Actions of the same step number stand together.
fn steps(tasks: &[(Task, Vec<Step>)], base_url: &str) -> Vec<Value> {
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
                at(number).map(|(task, step)| action(task, step, base_url)).collect();
            Some(json!({ "name": name, "actions": actions }))
        })
        .collect()
}

fn action(task: &Task, step: &Step, base_url: &str) -> Value {
    let millis = step
        .stopped_at
        .map(|end| u64::try_from(end.since(step.started_at).as_millis()).unwrap_or(0));
    json!({
        "index": task.node,
        "step": step.step,
        "name": step.name,
        "status": step.state,
        "type": "build",
        "exit_code": step.exit_code,
        "start_time": step.started_at,
        "end_time": step.stopped_at,
        "run_time_millis": millis,
        "has_output": step.output_bytes > 0,
        "output_url": format!("{base_url}/api/v1.1/output/{}/{}", task.id, step.step),
        "parallel": true,
        "background": step.background,
        "failed": step.state == StepState::Failed,
        "timedout": step.state == StepState::TimedOut,
        "canceled": step.state == StepState::Canceled,
        "infrastructure_fail": false,
    })
}
