//! Pipeline definitions: each project has one, its `.circleci/config.yml` at the commit that is
//! built. Its identifier is the project's.

use super::list;
use crate::{
    State,
    access::{Routes, Viewer},
    api::definitions,
    error::Failure,
};
use axum::{Json, extract::Query};
use serde::Deserialize;
use serde_json::{Value, json};

pub(super) fn routes() -> Routes {
    Routes::new()
        .get("/api/v3/pipelines", of_project)
        .post("/api/v3/pipelines", definitions::one_alone)
}

#[derive(Debug, Deserialize)]
pub(super) struct Wanted {
    #[serde(rename = "filter[project_id]")]
    project: String,
}

async fn of_project(
    Viewer(user): Viewer,
    state: State,
    Query(wanted): Query<Wanted>,
) -> Result<Json<Value>, Failure> {
    let id = crate::api::id(&wanted.project, "Project")?;
    let project = crate::api::project_by_id(&state, &user, id).await?;
    let vcs = json!({
        "provider": definitions::PROVIDER,
        "repo_id": project.id,
        "repo_full_name": project.repo.to_string(),
    });
    Ok(list([json!({
        "id": project.id,
        "attributes": {
            "name": definitions::NAME,
            "description": definitions::DESCRIPTION,
            "created_at": project.created_at,
            "config": { "type": "vcs", "file_path": definitions::PATH, "vcs": vcs },
            "checkout": { "type": "vcs", "vcs": vcs },
        },
        "references": { "project": { "id": project.id } },
    })]))
}
