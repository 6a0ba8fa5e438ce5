//! From slugs and names to identifiers: organisations, projects, people.
//!
//! An unknown one is an empty list, as on the original.

use super::{entity, list};
use crate::{
    State,
    access::{Routes, Viewer},
    error::Failure,
};
use axum::{
    Json,
    extract::{Path, Query},
};
use base::ids::{OrgId, ProjectId, UserId};
use serde::Deserialize;
use serde_json::{Value, json};
use store::projects::{Org, Project};

pub(super) fn routes() -> Routes {
    Routes::new()
        .get("/api/v3/orgs", orgs)
        .get("/api/v3/projects", projects)
        .get("/api/v3/projects/{id}", project)
        .get("/api/v3/users", users)
}

/// What is looked for; an empty text is not asked for.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Wanted {
    #[serde(rename = "filter[slug]")]
    slug: String,
    #[serde(rename = "filter[org_id]")]
    org: String,
    #[serde(rename = "filter[name]")]
    name: String,
    #[serde(rename = "filter[user_id]")]
    user: String,
}

impl Wanted {
    /// `acme` of `gh/acme`, `acme/relay` of `gh/acme/relay`, or identifiers in their place: the
    /// forge does not matter.
    fn path(&self) -> &str {
        self.slug.split_once('/').map_or(&self.slug, |(_, path)| path)
    }

    fn takes_org(&self, org: &Org) -> bool {
        let path = self.path();
        path.is_empty() || path == org.name || path == org.id.to_string()
    }

    fn takes(&self, project: &Project, org: Option<OrgId>) -> bool {
        let (path, ids) = (self.path(), format!("{}/{}", project.org, project.id));
        (path.is_empty() || path == project.repo.to_string() || path == ids)
            && (self.name.is_empty() || self.name == project.repo.name())
            && org.is_none_or(|org| org == project.org)
    }
}

async fn orgs(
    _: Viewer,
    state: State,
    Query(wanted): Query<Wanted>,
) -> Result<Json<Value>, Failure> {
    let all = state.store.read(|reader| reader.org_list()).await?;
    let found = all.iter().filter(|org| wanted.takes_org(org));
    Ok(list(found.map(|org| {
        let slug = format!("gh/{}", org.name);
        json!({ "id": org.id, "attributes": { "name": org.name, "slug": slug } })
    })))
}

fn shape(project: &Project) -> Value {
    json!({
        "id": project.id,
        "attributes": { "name": project.repo.name(), "slug": project.repo.slug() },
        "references": { "org": { "id": project.org } },
    })
}

async fn projects(
    Viewer(user): Viewer,
    state: State,
    Query(wanted): Query<Wanted>,
) -> Result<Json<Value>, Failure> {
    let org = match wanted.org.as_str() {
        "" => None,
        id => Some(crate::api::id(id, "Organization")?),
    };
    let mut all = state.store.read(|reader| reader.project_list()).await?;
    all.retain(|project| wanted.takes(project, org));
    let is_named = !(wanted.slug.is_empty() && wanted.name.is_empty());
    if is_named {
        // Who names one learns why it is closed to them.
        all.iter().try_for_each(|project| user.reach(project.id))?;
    }
    all.retain(|project| user.reach(project.id).is_ok());
    Ok(list(all.iter().map(shape)))
}

async fn project(
    Viewer(user): Viewer,
    state: State,
    Path(text): Path<String>,
) -> Result<Json<Value>, Failure> {
    let id: ProjectId = crate::api::id(&text, "Project")?;
    Ok(entity(shape(&crate::api::project_by_id(&state, &user, id).await?)))
}

async fn users(
    Viewer(user): Viewer,
    state: State,
    Query(wanted): Query<Wanted>,
) -> Result<Json<Value>, Failure> {
    let shape = |id: UserId, name: &str, login: &str| json!({ "id": id, "attributes": { "name": name, "login": login } });
    if matches!(wanted.user.as_str(), "" | "me") {
        return Ok(list([shape(user.id, &user.login, &user.login)]));
    }
    let id: UserId = crate::api::id(&wanted.user, "User")?;
    let found = state.store.read(move |reader| reader.user_get(id)).await?;
    Ok(list(found.iter().map(|user| shape(user.id, &user.name, &user.login))))
}
