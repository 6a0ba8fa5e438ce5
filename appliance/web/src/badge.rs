//! Status badges: pictures that tell in one word how a branch stands, for pages of other sites.
//!
//! Source: the addresses that users of the original have in their documents:
//! `/gh/ORG/REPO.svg?style=shield`, `/gh/ORG/REPO/tree/BRANCH.svg`, and both below `/status-badge/img`.
//! Without `.svg` they are the links beside these pictures, and lead to the project's page.
//! Rights: the token in the address is one that opens this one badge, made for it; without it, those
//! who may see the project. For everybody else the badge of a project is that of none, "no status".
//! Limits: the newest [`LOOKED_AT`] pipelines of a branch.

mod drawing;

use crate::{
    State,
    access::{Anyone, Caller, Routes, token},
    error::Failure,
    overall,
    pages::links,
};
use axum::{
    extract::{Path, Query},
    response::{IntoResponse, Redirect, Response},
};
use base::{ids::RepoName, secret::Secret, state::WorkflowState};
use drawing::Style;
use http::{HeaderName, HeaderValue, header};
use serde::Deserialize;
use store::{
    Reader,
    projects::Project,
    runs::{Pipeline, PipelineFilter},
};

/// Pipelines that may be passed over because they are not over, or ran nothing.
const LOOKED_AT: u32 = 20;

/// A picture is shown by other sites, whatever the rest may be.
const SHOWN: (HeaderName, HeaderValue) = (
    HeaderName::from_static("cross-origin-resource-policy"),
    HeaderValue::from_static("cross-origin"),
);

/// The copies that other sites keep ask again each time.
const FRESH: (HeaderName, HeaderValue) =
    (header::CACHE_CONTROL, HeaderValue::from_static("no-cache, no-store, must-revalidate"));

const SVG: (HeaderName, HeaderValue) =
    (header::CONTENT_TYPE, HeaderValue::from_static("image/svg+xml; charset=utf-8"));

pub(crate) fn routes() -> Routes {
    Routes::new()
        .get("/gh/{org}/{repo}", of_default)
        .get("/gh/{org}/{repo}/tree/{*branch}", of_branch)
        .get("/github/{org}/{repo}", of_default)
        .get("/github/{org}/{repo}/tree/{*branch}", of_branch)
        .get("/status-badge/img/{vcs}/{org}/{repo}", of_default_by_vcs)
        .get("/status-badge/img/{vcs}/{org}/{repo}/tree/{*branch}", of_branch_by_vcs)
}

/// What stands behind the address.
#[derive(Debug, Deserialize)]
struct Asked {
    style: Option<String>,
    #[serde(rename = "circle-token")]
    token: Option<Secret>,
}

/// How a branch stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Status {
    Passing,
    Failing,
    Canceled,
    None,
}

async fn of_default(
    Anyone(caller): Anyone,
    state: State,
    Path((org, repo)): Path<(String, String)>,
    Query(asked): Query<Asked>,
) -> Result<Response, Failure> {
    let Some(name) = repo.strip_suffix(".svg") else { return page(&org, &repo, None) };
    badge(&state, &caller, (&org, name, None), &asked).await
}

async fn of_branch(
    Anyone(caller): Anyone,
    state: State,
    Path((org, repo, branch)): Path<(String, String, String)>,
    Query(asked): Query<Asked>,
) -> Result<Response, Failure> {
    let Some(name) = branch.strip_suffix(".svg") else { return page(&org, &repo, Some(&branch)) };
    badge(&state, &caller, (&org, &repo, Some(name)), &asked).await
}

async fn of_default_by_vcs(
    caller: Anyone,
    state: State,
    Path((_, org, repo)): Path<(String, String, String)>,
    asked: Query<Asked>,
) -> Result<Response, Failure> {
    of_default(caller, state, Path((org, repo)), asked).await
}

async fn of_branch_by_vcs(
    caller: Anyone,
    state: State,
    Path((_, org, repo, branch)): Path<(String, String, String, String)>,
    asked: Query<Asked>,
) -> Result<Response, Failure> {
    of_branch(caller, state, Path((org, repo, branch)), asked).await
}

/// Whether there is such a project is for its page to say.
fn page(org: &str, repo: &str, branch: Option<&str>) -> Result<Response, Failure> {
    let name: RepoName =
        format!("{org}/{repo}").parse().map_err(|_| Failure::missing("Project"))?;
    let to = branch.map_or_else(|| links::project(&name), |branch| links::branch(&name, branch));
    Ok(Redirect::to(&to).into_response())
}

async fn badge(
    state: &State,
    caller: &Caller,
    (org, repo, branch): (&str, &str, Option<&str>),
    asked: &Asked,
) -> Result<Response, Failure> {
    let status = match found(state, caller, &format!("{org}/{repo}"), asked)? {
        Some(project) => status(state, project, branch.map(str::to_owned)).await?,
        None => Status::None,
    };
    let style = Style::named(asked.style.as_deref());
    Ok(([SHOWN, FRESH, SVG], drawing::draw(style, status)).into_response())
}

/// The project, when this caller or this token may see how it stands.
fn found(
    state: &State,
    caller: &Caller,
    name: &str,
    asked: &Asked,
) -> Result<Option<Project>, Failure> {
    let Ok(name) = name.parse::<RepoName>() else { return Ok(None) };
    let found = state.store.look(|reader| {
        let Some(project) = reader.project_by_repo(&name)? else { return Ok(None) };
        let token = reader.badge_token(project.id)?;
        Ok::<_, store::Error>(Some((project, token)))
    })?;
    let seen = |(project, token): &(Project, Option<Secret>)| {
        sees(caller, project) || opens(asked.token.as_ref(), token.as_ref())
    };
    Ok(found.filter(seen).map(|(project, _)| project))
}

fn sees(caller: &Caller, project: &Project) -> bool {
    let Caller::User(user) = caller else { return false };
    !user.password_is_one_time && user.reach(project.id).is_ok()
}

/// Compared by their hashes, so that the time that it takes tells nothing.
fn opens(shown: Option<&Secret>, made: Option<&Secret>) -> bool {
    let hash = |secret: &Secret| token::hash(secret.expose());
    made.is_some() && shown.map(hash) == made.map(hash)
}

async fn status(
    state: &State,
    project: Project,
    branch: Option<String>,
) -> Result<Status, Failure> {
    let branch = branch.unwrap_or(project.settings.default_branch);
    let read = move |reader: &Reader<'_>| {
        let filter = PipelineFilter { branch: Some(&branch), ..PipelineFilter::default() };
        for pipeline in reader.pipeline_list(project.id, filter, None, LOOKED_AT)? {
            if let Some(status) = judged(reader, &pipeline)? {
                return Ok::<_, store::Error>(status);
            }
        }
        Ok(Status::None)
    };
    Ok(state.store.read(read).await?)
}

/// How a pipeline ended; `None` while it has not, and when it ran nothing.
fn judged(reader: &Reader<'_>, pipeline: &Pipeline) -> Result<Option<Status>, store::Error> {
    let workflows = reader.workflow_list(pipeline.id)?;
    let states = overall::newest_states(&workflows);
    Ok(match overall::state(pipeline.state, states) {
        WorkflowState::Success => Some(Status::Passing),
        WorkflowState::Failed
        | WorkflowState::Failing
        | WorkflowState::Error
        | WorkflowState::Unauthorized => Some(Status::Failing),
        WorkflowState::Canceled => Some(Status::Canceled),
        WorkflowState::Running | WorkflowState::OnHold | WorkflowState::NotRun => None,
    })
}
