//! Builds of a project as version 1.1 lists, cancels and repeats them.
//!
//! Source: API 1.1 `GET /project/{vcs}/{org}/{repo}` (with `tree/{branch}`, `limit`, `offset`, `filter`),
//! `POST …/{number}/cancel` and `…/retry`. A build is a job; to retry one makes a workflow of it alone.
//! Limits: [`LIMIT_MAX`] of one answer, among the newest [`store::runs::RECENT_MAX`] jobs.

use super::{
    super::{
        Slug,
        jobs::{Numbered, find},
        project,
    },
    build, placed,
};
use crate::{
    State,
    access::{Member, Routes, User, Viewer},
    deeds,
    error::Failure,
};
use axum::{
    Json,
    extract::{Path, Query},
};
use base::{ids::JobId, state::JobState};
use engine::RerunWanted;
use serde::Deserialize;
use serde_json::Value;
use store::{
    Reader,
    projects::Project,
    runs::{Around, Job, RecentWanted},
};

/// Builds of one answer, as on the original.
const LIMIT_MAX: usize = 100;

/// The same when nobody says.
const LIMIT: usize = 30;

pub(super) fn routes() -> Routes {
    Routes::new()
        .get("/api/v1.1/project/{vcs}/{org}/{repo}", recent)
        .get("/api/v1.1/project/{vcs}/{org}/{repo}/tree/{branch}", recent_of_branch)
        .post("/api/v1.1/project/{vcs}/{org}/{repo}/{number}/cancel", cancel)
        .post("/api/v1.1/project/{vcs}/{org}/{repo}/{number}/retry", retry)
}

/// Which builds.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Asked {
    limit: Option<usize>,
    offset: Option<usize>,
    filter: Option<String>,
}

impl Asked {
    fn states(&self) -> Result<fn(JobState) -> bool, Failure> {
        Ok(match self.filter.as_deref().unwrap_or_default() {
            "" => |_| true,
            "completed" => JobState::is_terminal,
            "successful" => |state| state == JobState::Success,
            "failed" => |state| {
                use JobState::{Failed, InfrastructureFail, TimedOut};
                matches!(state, Failed | TimedOut | InfrastructureFail)
            },
            "running" => |state| state == JobState::Running,
            _ => {
                return Err(Failure::Invalid(
                    "filter: `completed`, `successful`, `failed` or `running`".into(),
                ));
            }
        })
    }
}

async fn recent(
    Viewer(user): Viewer,
    state: State,
    Path(slug): Path<Slug>,
    Query(asked): Query<Asked>,
) -> Result<Json<Vec<Value>>, Failure> {
    list(&state, &user, slug, None, &asked).await
}

async fn recent_of_branch(
    Viewer(user): Viewer,
    state: State,
    Path((vcs, org, repo, branch)): Path<(String, String, String, String)>,
    Query(asked): Query<Asked>,
) -> Result<Json<Vec<Value>>, Failure> {
    list(&state, &user, (vcs, org, repo), Some(branch), &asked).await
}

async fn list(
    state: &State,
    user: &User,
    slug: Slug,
    branch: Option<String>,
    asked: &Asked,
) -> Result<Json<Vec<Value>>, Failure> {
    let project = project(state, user, slug).await?;
    let wanted = RecentWanted {
        project: project.id,
        branch,
        states: asked.states()?,
        skip: asked.offset.unwrap_or(0),
        limit: asked.limit.unwrap_or(LIMIT).clamp(1, LIMIT_MAX),
    };
    let found = state.store.read(move |reader| reader.job_list_recent(&wanted)).await?;
    let shape = |(job, workflow, pipeline): &Around| {
        placed(build(job, workflow, pipeline), job, &project, &state.config.base_url)
    };
    Ok(Json(found.iter().map(shape).collect()))
}

async fn cancel(
    Member(user): Member,
    state: State,
    Path(path): Path<Numbered>,
) -> Result<Json<Value>, Failure> {
    let (job, project) = find(&state, &user, path).await?;
    deeds::cancel_job(&state, &user, &job).await?;
    told(&state, &project, job.id).await
}

async fn retry(
    Member(user): Member,
    state: State,
    Path(path): Path<Numbered>,
) -> Result<Json<Value>, Failure> {
    let (job, project) = find(&state, &user, path).await?;
    let wanted = RerunWanted::Jobs(vec![job.id]);
    let made = deeds::rerun(&state, &user, job.workflow(), wanted).await?;
    let jobs = state.store.read(move |reader| reader.job_list(made)).await?;
    let is_new = |one: &&Job| one.name == job.name && one.origin.is_none();
    let new = jobs.iter().find(is_new).ok_or_else(|| Failure::missing("Job"))?;
    told(&state, &project, new.id).await
}

/// A build as it stands now.
async fn told(state: &State, project: &Project, id: JobId) -> Result<Json<Value>, Failure> {
    let read = move |reader: &Reader<'_>| reader.job_around(id);
    let found = state.store.read(read).await?;
    let (job, workflow, pipeline) = found.ok_or_else(|| Failure::missing("Job"))?;
    Ok(Json(placed(build(&job, &workflow, &pipeline), &job, project, &state.config.base_url)))
}
