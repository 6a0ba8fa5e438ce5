//! Pipelines: list, look, trigger.

use super::{PAGE, Slug, body::Sent, id, people::People, project, shapes};
use crate::{
    State,
    access::{Member, Routes, User, Viewer},
    error::Failure,
    trigger::{Place, Wish, resolve},
};
use axum::{
    Json,
    extract::{Path, Query},
};
use base::{
    ids::{PipelineId, PipelineNumber},
    trigger::{ParameterValue, TriggerKind},
};
use http::StatusCode;
use indexmap::IndexMap;
use serde::Deserialize;
use serde_json::{Value, json};
use store::{
    Reader,
    projects::Project,
    runs::{Pipeline, PipelineFilter},
};

pub(super) fn routes() -> Routes {
    Routes::new()
        .get("/api/v2/pipeline", list_all)
        .get("/api/v2/pipeline/{id}", get)
        .get("/api/v2/pipeline/{id}/config", config)
        .get("/api/v2/pipeline/{id}/values", values)
        .get("/api/v2/pipeline/{id}/workflow", workflows)
        .get("/api/v2/project/{vcs}/{org}/{repo}/pipeline", list)
        .post("/api/v2/project/{vcs}/{org}/{repo}/pipeline", trigger)
        .get("/api/v2/project/{vcs}/{org}/{repo}/pipeline/mine", mine)
        .get("/api/v2/project/{vcs}/{org}/{repo}/pipeline/{number}", by_number)
}

/// What a listing is asked for.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
pub(super) struct Wanted {
    branch: Option<String>,
    page_token: Option<String>,
    #[serde(deserialize_with = "flag")]
    mine: bool,
    /// `gh/ORG` or `github/ORG`: pipelines of this organisation alone.
    org_slug: Option<String>,
}

/// `true` in any capitals: a client in Python sends its own `True`.
fn flag<'de, D: serde::Deserializer<'de>>(from: D) -> Result<bool, D::Error> {
    let text = String::deserialize(from)?;
    match text.to_ascii_lowercase().as_str() {
        "true" => Ok(true),
        "false" | "" => Ok(false),
        _ => Err(serde::de::Error::custom(format!("`{text}` is neither `true` nor `false`"))),
    }
}

impl Wanted {
    /// Where the page begins; clients send an empty token for the first.
    fn before<T: std::str::FromStr>(&self) -> Result<Option<T>, Failure> {
        let token = self.page_token.as_deref().filter(|token| !token.is_empty());
        token.map(|token| token.parse().map_err(|_| bad_token())).transpose()
    }

    fn org(&self) -> Option<&str> {
        let slug = self.org_slug.as_deref().filter(|slug| !slug.is_empty())?;
        slug.trim_end_matches('/').rsplit('/').next()
    }
}

/// A pipeline and the project it belongs to.
pub(super) fn with_project(
    reader: &Reader<'_>,
    id: PipelineId,
) -> Result<Option<(Pipeline, Project)>, store::Error> {
    let Some(pipeline) = reader.pipeline_get(id)? else { return Ok(None) };
    let project = reader.project_get(pipeline.project)?;
    Ok(project.map(|project| (pipeline, project)))
}

pub(super) async fn find(
    state: &State,
    user: &User,
    text: &str,
) -> Result<(Pipeline, Project), Failure> {
    let id: PipelineId = id(text, "Pipeline")?;
    let found = state.store.look(|reader| with_project(reader, id))?;
    let found = found.ok_or_else(|| Failure::missing("Pipeline"))?;
    user.reach(found.1.id)?;
    Ok(found)
}

async fn get(
    Viewer(user): Viewer,
    state: State,
    Path(id): Path<String>,
) -> Result<Json<Value>, Failure> {
    let (pipeline, project) = find(&state, &user, &id).await?;
    Ok(Json(shapes::pipeline(&pipeline, &project.repo.slug())))
}

async fn by_number(
    Viewer(user): Viewer,
    state: State,
    Path((vcs, org, repo, number)): Path<(String, String, String, u64)>,
) -> Result<Json<Value>, Failure> {
    let project = project(&state, &user, (vcs, org, repo)).await?;
    let id = project.id;
    let found = state
        .store
        .read(move |reader| reader.pipeline_by_number(id, PipelineNumber(number)))
        .await?;
    let pipeline = found.ok_or_else(|| Failure::missing("Pipeline"))?;
    Ok(Json(shapes::pipeline(&pipeline, &project.repo.slug())))
}

async fn list(
    Viewer(user): Viewer,
    state: State,
    Path(slug): Path<Slug>,
    Query(wanted): Query<Wanted>,
) -> Result<Json<Value>, Failure> {
    page_of(&state, &user, slug, wanted, false).await
}

async fn mine(
    Viewer(user): Viewer,
    state: State,
    Path(slug): Path<Slug>,
    Query(wanted): Query<Wanted>,
) -> Result<Json<Value>, Failure> {
    page_of(&state, &user, slug, wanted, true).await
}

async fn page_of(
    state: &State,
    user: &User,
    slug: Slug,
    wanted: Wanted,
    mine: bool,
) -> Result<Json<Value>, Failure> {
    let project = project(state, user, slug).await?;
    let login = mine.then(|| user.login.clone());
    let (id, slug) = (project.id, project.repo.slug());
    let before = wanted.before()?.map(PipelineNumber);
    let rows = state
        .store
        .read(move |reader| {
            let filter = PipelineFilter {
                branch: wanted.branch.as_deref(),
                actor: login.as_deref(),
                org: None,
            };
            reader.pipeline_list(id, filter, before, PAGE)
        })
        .await?;
    let next = full(&rows).map(|last| last.number.to_string());
    Ok(Json(shapes::page(rows.iter().map(|row| shapes::pipeline(row, &slug)).collect(), next)))
}

async fn list_all(
    Viewer(user): Viewer,
    state: State,
    Query(wanted): Query<Wanted>,
) -> Result<Json<Value>, Failure> {
    let before = wanted.before()?;
    let login = wanted.mine.then(|| user.login.clone());
    let (rows, slugs) = state
        .store
        .read(move |reader| {
            let org = wanted.org().map(|name| reader.org_by_name(name)).transpose()?;
            let org = match org {
                // Nothing belongs to an organisation that is not there.
                Some(None) => return Ok((Vec::new(), Vec::new())),
                found => found.flatten().map(|org| org.id),
            };
            let filter =
                PipelineFilter { branch: wanted.branch.as_deref(), actor: login.as_deref(), org };
            let rows = reader.pipeline_list_all(filter, before, PAGE)?;
            let slug = |row: &Pipeline| {
                reader.project_get(row.project).map(|found| found.map(|p| p.repo.slug()))
            };
            let slugs: Vec<_> = rows.iter().map(slug).collect::<Result<_, store::Error>>()?;
            Ok::<_, store::Error>((rows, slugs))
        })
        .await?;
    let next = full(&rows).map(|last| last.id.to_string());
    // A page may be shorter than another: what is left out was read all the same. So are pipelines
    // of a project that was deleted.
    let named = rows.iter().zip(slugs).filter_map(|(row, slug)| Some((row, slug?)));
    let items = named
        .filter(|(row, _)| user.reach(row.project).is_ok())
        .map(|(row, slug)| shapes::pipeline(row, &slug));
    Ok(Json(shapes::page(items.collect(), next)))
}

/// The last row of a page that may have a successor.
fn full(rows: &[Pipeline]) -> Option<&Pipeline> {
    rows.last().filter(|_| rows.len() == PAGE as usize)
}

pub(super) fn bad_token() -> Failure {
    Failure::Invalid(
        "the page-token is not one of ours: take next_page_token of the page before".into(),
    )
}

async fn config(
    Viewer(user): Viewer,
    state: State,
    Path(text): Path<String>,
) -> Result<Json<Value>, Failure> {
    let id = find(&state, &user, &text).await?.0.id;
    let found = state.store.read(move |reader| reader.pipeline_config(id)).await?;
    let texts = found.ok_or_else(|| Failure::missing("Pipeline"))?;
    Ok(Json(json!({
        "source": texts.source.unwrap_or_default(),
        "compiled": texts.compiled.unwrap_or_default(),
        "setup-config": texts.setup.unwrap_or_default(),
        "compiled-setup-config": texts.compiled_setup.unwrap_or_default(),
    })))
}

async fn values(
    Viewer(user): Viewer,
    state: State,
    Path(text): Path<String>,
) -> Result<Json<Value>, Failure> {
    let (pipeline, project) = find(&state, &user, &text).await?;
    Ok(Json(shapes::values(&pipeline, &project.repo)))
}

async fn workflows(
    Viewer(user): Viewer,
    state: State,
    Path(text): Path<String>,
) -> Result<Json<Value>, Failure> {
    let (pipeline, project) = find(&state, &user, &text).await?;
    let (id, slug) = (pipeline.id, project.repo.slug());
    let rows = state.store.read(move |reader| reader.workflow_list(id)).await?;
    let people = People::find(&state, rows.iter().flat_map(shapes::who)).await?;
    let workflows = rows.iter().map(|row| shapes::workflow(row, &pipeline, &slug, &people));
    Ok(Json(shapes::page(workflows.collect(), None)))
}

/// Body of a trigger.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Request {
    pub(super) branch: Option<String>,
    pub(super) tag: Option<String>,
    pub(super) parameters: IndexMap<String, ParameterValue>,
}

async fn trigger(
    Member(user): Member,
    state: State,
    Path(slug): Path<Slug>,
    Sent(request): Sent<Request>,
) -> Result<(StatusCode, Json<Value>), Failure> {
    let project = project(&state, &user, slug).await?;
    start(&state, user, project, request).await
}

/// Triggers a pipeline of a project that the caller's token reaches.
pub(super) async fn start(
    state: &State,
    user: User,
    project: Project,
    request: Request,
) -> Result<(StatusCode, Json<Value>), Failure> {
    // Scripts fill in both, and leave one empty.
    let named = |text: Option<String>| text.filter(|text| !text.is_empty());
    let place = match (named(request.branch), named(request.tag)) {
        (Some(_), Some(_)) => {
            return Err(Failure::Invalid("name a branch or a tag, not both".into()));
        }
        (Some(branch), None) => Place::Branch(branch),
        (None, Some(tag)) => Place::Tag(tag),
        (None, None) => Place::DefaultBranch,
    };
    let wish = Wish {
        project: project.id,
        repo: project.repo,
        place,
        kind: TriggerKind::Api,
        actor: user.login,
        parameters: request.parameters,
        push: None,
        due: None,
    };
    let trigger = resolve(state, wish).await?;
    let created_at = trigger.received_at;
    let made = state.engine.trigger(trigger).await?;
    let body = json!({ "id": made.pipeline, "state": made.state, "number": made.number, "created_at": created_at });
    Ok((StatusCode::CREATED, Json(body)))
}
