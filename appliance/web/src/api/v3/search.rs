//! Runs by project, commit, status and time, newest first.
//!
//! Limits: [`SCAN_MAX`] rows are looked at for one page; what is further back comes with the next
//! one, whose cursor is the last row looked at.

use super::{
    query::{self, Query},
    runs,
};
use crate::{
    State,
    access::{Routes, User, Viewer},
    api::{PAGE, body::Sent},
    error::Failure,
    overall,
};
use axum::Json;
use base::{
    ids::{PipelineId, PipelineNumber, ProjectId},
    state::WorkflowState,
    time::Timestamp,
};
use serde::Deserialize;
use serde_json::Value;
use std::time::Duration;
use store::{
    Reader,
    runs::{Pipeline, PipelineFilter},
};

/// "Until now" is told by the client's clock, which may be behind.
const SLACK: Duration = Duration::from_secs(60);

/// Rows looked at for one page.
const SCAN_MAX: usize = 500;

pub(super) fn routes() -> Routes {
    Routes::new().post("/api/v3/runs/search", search)
}

/// A run, and what its workflows come to.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) pipeline: Pipeline,
    pub(super) state: WorkflowState,
}

/// Which runs.
#[derive(Debug, Default)]
pub(super) struct Wish {
    /// Of these projects; empty: of all.
    pub(super) projects: Vec<ProjectId>,
    pub(super) branch: Option<String>,
    pub(super) actor: Option<String>,
    pub(super) from: Option<Timestamp>,
    pub(super) to: Option<Timestamp>,
    /// Older than this one.
    pub(super) before: Option<PipelineId>,
    pub(super) limit: Option<usize>,
}

/// The body of a search.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Body {
    scope: Scope,
    filter: String,
    page: Page,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Scope {
    project_ids: Vec<ProjectId>,
    from: Option<Timestamp>,
    to: Option<Timestamp>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Page {
    /// Empty for the first.
    cursor: String,
    limit: Option<usize>,
}

async fn search(
    Viewer(user): Viewer,
    state: State,
    Sent(body): Sent<Body>,
) -> Result<Json<Value>, Failure> {
    let query = query::parse(&body.filter).map_err(Failure::Invalid)?;
    body.scope.project_ids.iter().try_for_each(|project| user.reach(*project))?;
    let before = match body.page.cursor.as_str() {
        "" => None,
        text => Some(crate::api::id(text, "Page")?),
    };
    let wish = Wish {
        projects: body.scope.project_ids,
        branch: query.branch.clone(),
        actor: None,
        from: body.scope.from,
        to: body.scope.to,
        before,
        limit: body.page.limit,
    };
    let (found, next) = read(&state, user, wish, move |found| takes(&query, found)).await?;
    runs::answer(&state, &found, next).await
}

fn takes(query: &Query, found: &Found) -> bool {
    let vcs = &found.pipeline.vcs;
    let is = |wanted: &Option<String>, found: Option<&str>| {
        wanted.as_deref().is_none_or(|wanted| found == Some(wanted))
    };
    is(&query.branch, vcs.branch.as_deref())
        && is(&query.tag, vcs.tag.as_deref())
        && is(&query.revision, Some(&vcs.revision))
        && query.status.is_none_or(|status| status == found.state)
}

/// One page, and where the next begins.
pub(super) async fn read(
    state: &State,
    user: User,
    wish: Wish,
    takes: impl Fn(&Found) -> bool + Send + 'static,
) -> Result<(Vec<Found>, Option<PipelineId>), Failure> {
    let read = move |reader: &Reader<'_>| scan(reader, &user, &wish, takes);
    Ok(state.store.read(read).await?)
}

fn scan(
    reader: &Reader<'_>,
    user: &User,
    wish: &Wish,
    takes: impl Fn(&Found) -> bool,
) -> Result<(Vec<Found>, Option<PipelineId>), store::Error> {
    let limit = wish.limit.unwrap_or(PAGE as usize).clamp(1, PAGE as usize);
    let (mut found, mut last, mut seen) = (Vec::new(), wish.before, 0);
    loop {
        let rows = rows(reader, wish, last)?;
        for row in &rows {
            (last, seen) = (Some(row.id), seen + 1);
            if wish.from.is_some_and(|from| row.created_at < from) {
                return Ok((found, None));
            }
            let of_scope = wish.projects.is_empty() || wish.projects.contains(&row.project);
            let late = wish.to.is_some_and(|to| row.created_at > to.plus(SLACK));
            let is_gone = reader.project_get(row.project)?.is_none();
            if !of_scope || late || is_gone || user.reach(row.project).is_err() {
                continue;
            }
            found.extend(Some(whole(reader, row.clone())?).filter(&takes));
            if found.len() == limit {
                return Ok((found, last));
            }
        }
        if rows.len() < PAGE as usize {
            return Ok((found, None));
        }
        if seen >= SCAN_MAX {
            return Ok((found, last));
        }
    }
}

/// The next rows: of one project by its index, else of all.
fn rows(
    reader: &Reader<'_>,
    wish: &Wish,
    last: Option<PipelineId>,
) -> Result<Vec<Pipeline>, store::Error> {
    let filter =
        PipelineFilter { branch: wish.branch.as_deref(), actor: wish.actor.as_deref(), org: None };
    let [project] = wish.projects[..] else {
        return reader.pipeline_list_all(filter, last, PAGE);
    };
    let before: Option<PipelineNumber> = match last {
        Some(id) => match reader.pipeline_get(id)? {
            Some(row) => Some(row.number),
            // It was removed meanwhile, and with it what is older.
            None => return Ok(Vec::new()),
        },
        None => None,
    };
    reader.pipeline_list(project, filter, before, PAGE)
}

/// With the state of its workflows.
pub(super) fn whole(reader: &Reader<'_>, pipeline: Pipeline) -> Result<Found, store::Error> {
    let workflows = reader.workflow_list(pipeline.id)?;
    let state = overall::state(pipeline.state, overall::newest_states(&workflows));
    Ok(Found { pipeline, state })
}
