//! Projects and their environment variables, whose values never leave.

use super::{Slug, body::Sent, message, project, shapes};
use crate::{
    State,
    access::{Admin, Member, Routes, User, Viewer},
    deeds,
    error::Failure,
    guarded, removal,
};
use axum::{Json, extract::Path};
use base::{protocol::NetworkPolicy, secret::Secret, trust::ProtectedRefs};
use http::StatusCode;
use pipeline::check_protected;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use store::{
    access::NewAudit,
    projects::{Project, Settings, VariableInfo},
};

pub(super) fn routes() -> Routes {
    Routes::new()
        .get("/api/v2/project/{vcs}/{org}/{repo}", show)
        .delete("/api/v2/project/{vcs}/{org}/{repo}", delete)
        .get("/api/appliance/v1/project/{vcs}/{org}/{repo}/network", network)
        .put("/api/appliance/v1/project/{vcs}/{org}/{repo}/network", network_set)
        .get("/api/appliance/v1/project/{vcs}/{org}/{repo}/protected", protected)
        .put("/api/appliance/v1/project/{vcs}/{org}/{repo}/protected", protected_set)
        .get("/api/appliance/v1/project/{vcs}/{org}/{repo}/jobs-may-push", jobs_may_push)
        .put("/api/appliance/v1/project/{vcs}/{org}/{repo}/jobs-may-push", jobs_may_push_set)
        .get("/api/v2/project/{vcs}/{org}/{repo}/envvar", list)
        .post("/api/v2/project/{vcs}/{org}/{repo}/envvar", set)
        .get("/api/v2/project/{vcs}/{org}/{repo}/envvar/{name}", get)
        .delete("/api/v2/project/{vcs}/{org}/{repo}/envvar/{name}", remove)
        // API 1.1 has the same shapes, but lists without pages.
        .get("/api/v1.1/project/{vcs}/{org}/{repo}/envvar", list_all)
        .post("/api/v1.1/project/{vcs}/{org}/{repo}/envvar", set)
        .get("/api/v1.1/project/{vcs}/{org}/{repo}/envvar/{name}", get)
        .delete("/api/v1.1/project/{vcs}/{org}/{repo}/envvar/{name}", remove)
}

async fn show(
    Viewer(user): Viewer,
    state: State,
    Path(slug): Path<Slug>,
) -> Result<Json<Value>, Failure> {
    let project = project(&state, &user, slug).await?;
    let url = format!("{}/git/{}.git", state.config.base_url, project.repo);
    Ok(Json(json!({
        "slug": project.repo.slug(),
        "name": project.repo.name(),
        "id": project.id,
        "organization_name": project.repo.org(),
        "organization_slug": format!("gh/{}", project.repo.org()),
        "organization_id": project.org,
        "vcs_info": {
            "vcs_url": url,
            "provider": "GitHub",
            "default_branch": project.settings.default_branch,
        },
    })))
}

/// Deletes the project with everything that it has; refused while workflows go on.
async fn delete(
    Admin(user): Admin,
    state: State,
    Path(slug): Path<Slug>,
) -> Result<(StatusCode, Json<Value>), Failure> {
    let project = project(&state, &user, slug).await?;
    removal::delete(&state, &user, &project).await?;
    Ok(message(StatusCode::OK, "Project deleted."))
}

/// Changes settings of a project, with a line in the audit log.
async fn change(
    state: &State,
    user: &User,
    project: &Project,
    how: impl FnOnce(&mut Settings) + Send + 'static,
) -> Result<(), Failure> {
    let deed = deeds::project_settings(user, &project.repo);
    let (id, now) = (project.id, state.now());
    let write = move |txn: &mut store::Txn<'_>| {
        txn.audit_append(now, &deed)?;
        txn.project_settings_change(id, how)
    };
    state.store.write(write).await?;
    state.engine.project_changed(id).await;
    Ok(())
}

/// What the project's jobs reach.
async fn network(
    Viewer(user): Viewer,
    state: State,
    Path(slug): Path<Slug>,
) -> Result<Json<NetworkPolicy>, Failure> {
    Ok(Json(project(&state, &user, slug).await?.settings.network))
}

async fn network_set(
    Admin(user): Admin,
    state: State,
    Path(slug): Path<Slug>,
    Sent(wanted): Sent<NetworkPolicy>,
) -> Result<Json<NetworkPolicy>, Failure> {
    let project = project(&state, &user, slug).await?;
    if let NetworkPolicy::Full { allow } = &wanted {
        crate::pages::networks_check(allow)?;
    }
    let network = wanted.clone();
    change(&state, &user, &project, move |settings| settings.network = network).await?;
    Ok(Json(wanted))
}

/// The branches and tags that only administrators push to.
async fn protected(
    Viewer(user): Viewer,
    state: State,
    Path(slug): Path<Slug>,
) -> Result<Json<ProtectedRefs>, Failure> {
    Ok(Json(project(&state, &user, slug).await?.settings.protected))
}

async fn protected_set(
    Admin(user): Admin,
    state: State,
    Path(slug): Path<Slug>,
    Sent(wanted): Sent<ProtectedRefs>,
) -> Result<Json<ProtectedRefs>, Failure> {
    let project = project(&state, &user, slug).await?;
    check_protected(&wanted).map_err(|error| Failure::Invalid(error.to_string()))?;
    let protected = wanted.clone();
    change(&state, &user, &project, move |settings| settings.protected = protected).await?;
    Ok(Json(wanted))
}

/// Whether jobs push to the project's own repository.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct JobsMayPush {
    jobs_may_push: bool,
}

async fn jobs_may_push(
    Viewer(user): Viewer,
    state: State,
    Path(slug): Path<Slug>,
) -> Result<Json<JobsMayPush>, Failure> {
    let jobs_may_push = project(&state, &user, slug).await?.settings.jobs_may_push;
    Ok(Json(JobsMayPush { jobs_may_push }))
}

async fn jobs_may_push_set(
    Admin(user): Admin,
    state: State,
    Path(slug): Path<Slug>,
    Sent(wanted): Sent<JobsMayPush>,
) -> Result<Json<JobsMayPush>, Failure> {
    let project = project(&state, &user, slug).await?;
    let may = wanted.jobs_may_push;
    change(&state, &user, &project, move |settings| settings.jobs_may_push = may).await?;
    Ok(Json(wanted))
}

fn shape(variable: &VariableInfo) -> Value {
    let at = variable.created_at;
    // Some clients read the one spelling, some the other.
    json!({ "name": variable.name, "value": variable.masked, "created-at": at, "created_at": at })
}

async fn list(member: Member, state: State, slug: Path<Slug>) -> Result<Json<Value>, Failure> {
    let Json(all) = list_all(member, state, slug).await?;
    Ok(Json(shapes::page(all, None)))
}

async fn list_all(
    Member(user): Member,
    state: State,
    Path(slug): Path<Slug>,
) -> Result<Json<Vec<Value>>, Failure> {
    let id = project(&state, &user, slug).await?.id;
    let all = state.store.read(move |reader| reader.project_variable_list(id)).await?;
    Ok(Json(all.iter().map(shape).collect()))
}

/// Body of a new variable.
#[derive(Deserialize)]
pub(super) struct NewVariable {
    name: String,
    value: Secret,
}

async fn set(
    Member(user): Member,
    state: State,
    Path(slug): Path<Slug>,
    Sent(new): Sent<NewVariable>,
) -> Result<(StatusCode, Json<Value>), Failure> {
    let project = project(&state, &user, slug).await?;
    guarded::project(&user, &project)?;
    check_name(&new.name)?;
    check_value(&new.name, &new.value)?;
    let (id, now, deed) =
        (project.id, state.now(), deeds::project_variable(&user, "set", &project.repo, &new.name));
    let name = new.name.clone();
    let listed = state
        .store
        .write(move |txn| {
            txn.project_variable_set(id, &new.name, &new.value, now)?;
            txn.audit_append(now, &deed)?;
            txn.project_variable_list(id)
        })
        .await?;
    let made = listed.iter().find(|variable| variable.name == name).map(shape);
    Ok((StatusCode::CREATED, Json(made.unwrap_or_default())))
}

async fn get(
    Member(user): Member,
    state: State,
    Path((vcs, org, repo, name)): Path<(String, String, String, String)>,
) -> Result<Json<Value>, Failure> {
    let id = project(&state, &user, (vcs, org, repo)).await?.id;
    let all = state.store.read(move |reader| reader.project_variable_list(id)).await?;
    let found = all.iter().find(|variable| variable.name == name);
    found.map(shape).map(Json).ok_or_else(|| Failure::missing("Environment variable"))
}

async fn remove(
    Member(user): Member,
    state: State,
    Path((vcs, org, repo, name)): Path<(String, String, String, String)>,
) -> Result<(StatusCode, Json<Value>), Failure> {
    let project = project(&state, &user, (vcs, org, repo)).await?;
    guarded::project(&user, &project)?;
    let (id, now, deed) =
        (project.id, state.now(), deeds::project_variable(&user, "remove", &project.repo, &name));
    let removed = state
        .store
        .write(move |txn| {
            let removed = txn.project_variable_remove(id, &name)?;
            if removed {
                txn.audit_append(now, &deed)?;
            }
            Ok::<_, store::Error>(removed)
        })
        .await?;
    if removed {
        Ok(message(StatusCode::OK, "Environment variable deleted."))
    } else {
        Err(Failure::missing("Environment variable"))
    }
}

/// A variable's name must be one that a shell can hold (POSIX, XBD 8.1).
pub(super) fn check_name(name: &str) -> Result<(), Failure> {
    let start = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    let rest = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if start && rest && name.len() <= 300 {
        return Ok(());
    }
    Err(Failure::Invalid(format!(
        "`{name}` is not a variable name: expected letters, digits and `_`, not starting with a digit"
    )))
}

/// A value is handed to programs as their environment, which ends at a NUL.
pub(crate) fn check_value(name: &str, value: &Secret) -> Result<(), Failure> {
    if value.expose().contains('\0') {
        return Err(Failure::Invalid(format!(
            "the value of `{name}` holds a NUL byte, which no variable can: encode it, for example with base64"
        )));
    }
    Ok(())
}

/// The record of a change made through the API.
pub(super) fn audit(user: &User, action: &str, subject: &str) -> NewAudit {
    NewAudit {
        actor: user.login.clone(),
        address: Some(user.address.clone()),
        action: action.to_owned(),
        subject: subject.to_owned(),
        detail: None,
    }
}
