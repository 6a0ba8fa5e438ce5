//! Outbound webhooks of a project.
//!
//! Source: API v2 `/webhook`. The secret is told masked; an address may hold one as well, so that only
//! members read webhooks. What leaves the site is for administrators to say, within what the operator
//! allows.
//! Limits: those of [`store::projects`], and [`NAME_MAX`], [`SECRET_MAX`].

use super::{body::Sent, id, message, project_by_id, shapes};
use crate::{
    State,
    access::{Admin, Member, Routes, User},
    error::Failure,
};
use axum::{
    Json,
    extract::{Path, Query},
};
use base::{
    ids::{ProjectId, WebhookId},
    secret::Secret,
};
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};
use store::{
    Reader,
    projects::{NewWebhook, Project, Webhook, WebhookEvent},
};

/// Characters of a name.
const NAME_MAX: usize = 256;

/// Bytes of a secret; HMAC-SHA256 makes no use of more than 64.
const SECRET_MAX: usize = 1024;

/// Why none can be made.
pub(crate) const NOBODY: &str = "the operator allows no address: webhooks are told once `webhook_allow` in appliance.toml has a prefix of theirs";

pub(super) fn routes() -> Routes {
    Routes::new()
        .get("/api/v2/webhook", list)
        .post("/api/v2/webhook", make)
        .get("/api/v2/webhook/{id}", get)
        .put("/api/v2/webhook/{id}", change)
        .delete("/api/v2/webhook/{id}", remove)
}

/// Whose webhooks.
#[derive(Debug, Deserialize)]
struct Scope {
    id: String,
    #[serde(rename = "type")]
    kind: String,
}

/// The same in an address.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Asked {
    scope_id: String,
    scope_type: String,
}

/// A new webhook, or what to change of one.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub(super) struct Wanted {
    name: Option<String>,
    url: Option<String>,
    events: Option<Vec<WebhookEvent>>,
    signing_secret: Option<Secret>,
    verify_tls: Option<bool>,
    scope: Option<Scope>,
}

fn shape(webhook: &Webhook) -> Value {
    json!({
        "id": webhook.id,
        "name": webhook.name,
        "url": webhook.url,
        "events": webhook.events,
        "verify-tls": true,
        "signing-secret": webhook.masked,
        "scope": { "id": webhook.project, "type": "project" },
        "created-at": webhook.created_at,
        "updated-at": webhook.updated_at,
    })
}

/// What can be kept, if it can: a name, an address that the operator allows, something to tell.
fn judged(state: &State, wanted: NewWebhook) -> Result<NewWebhook, Failure> {
    let invalid = |why: String| Err(Failure::Invalid(why));
    if wanted.name.trim().is_empty() || wanted.name.chars().count() > NAME_MAX {
        return invalid(format!("name: 1 to {NAME_MAX} characters are required"));
    }
    if wanted.events.is_empty() {
        return invalid("events: `workflow-completed`, `job-completed` or both".into());
    }
    if wanted.secret.as_ref().is_some_and(|secret| secret.expose().len() > SECRET_MAX) {
        return invalid(format!("signing-secret: at most {SECRET_MAX} bytes"));
    }
    if state.objects.tells_nobody() {
        return invalid(NOBODY.into());
    }
    if !state.objects.may_tell(&wanted.url) {
        return invalid(
            "url: not below a prefix that the operator allows; set `webhook_allow` in appliance.toml"
                .into(),
        );
    }
    Ok(wanted)
}

fn checks_tls(wanted: &Wanted) -> Result<(), Failure> {
    match wanted.verify_tls {
        Some(false) => Err(Failure::Invalid(
            "verify-tls: certificates are always checked; the operator names the receiver's authority in `outward_roots`".into(),
        )),
        _ => Ok(()),
    }
}

fn scope(kind: &str, text: &str) -> Result<ProjectId, Failure> {
    match kind {
        "project" => id(text, "Project"),
        _ => Err(Failure::Invalid("scope type: `project` is the only one".into())),
    }
}

/// A webhook and its project, if the caller's token reaches it.
async fn find(state: &State, user: &User, text: &str) -> Result<(Webhook, Project), Failure> {
    let id: WebhookId = id(text, "Webhook")?;
    let found = state.store.look(|reader| {
        let Some(webhook) = reader.webhook_get(id)? else { return Ok(None) };
        let project = reader.project_get(webhook.project)?;
        Ok::<_, store::Error>(project.map(|project| (webhook, project)))
    })?;
    let found = found.ok_or_else(|| Failure::missing("Webhook"))?;
    user.reach(found.1.id)?;
    Ok(found)
}

async fn list(
    Member(user): Member,
    state: State,
    Query(asked): Query<Asked>,
) -> Result<Json<Value>, Failure> {
    let id = scope(&asked.scope_type, &asked.scope_id)?;
    let project = project_by_id(&state, &user, id).await?;
    let read = move |reader: &Reader<'_>| reader.webhook_list(project.id);
    let all = state.store.read(read).await?;
    Ok(Json(shapes::page(all.iter().map(shape).collect(), None)))
}

async fn get(
    Member(user): Member,
    state: State,
    Path(id): Path<String>,
) -> Result<Json<Value>, Failure> {
    Ok(Json(shape(&find(&state, &user, &id).await?.0)))
}

async fn make(
    Admin(user): Admin,
    state: State,
    Sent(wanted): Sent<Wanted>,
) -> Result<(StatusCode, Json<Value>), Failure> {
    checks_tls(&wanted)?;
    let of = wanted.scope.as_ref();
    let of = of.ok_or_else(|| Failure::Invalid("scope: `id` and `type` are required".into()))?;
    let project = project_by_id(&state, &user, scope(&of.kind, &of.id)?).await?;
    let new = NewWebhook {
        name: wanted.name.unwrap_or_default(),
        url: wanted.url.unwrap_or_default(),
        events: wanted.events.unwrap_or_default(),
        secret: wanted.signing_secret,
    };
    let made = create(&state, &user, &project, new).await?;
    Ok((StatusCode::CREATED, Json(shape(&made))))
}

/// Makes a webhook, with a line in the audit log.
pub(crate) async fn create(
    state: &State,
    user: &User,
    project: &Project,
    new: NewWebhook,
) -> Result<Webhook, Failure> {
    let new = judged(state, new)?;
    let deed = user.deed("webhook.create", format!("project {} {}", project.repo, new.name));
    let (id, now) = (project.id, state.now());
    let write = move |txn: &mut store::Txn<'_>| {
        let made = txn.webhook_create(id, &new, now)?;
        txn.audit_append(now, &deed)?;
        txn.webhook_get(made)
    };
    let made = state.store.write::<_, store::Error, _>(write).await?;
    made.ok_or_else(|| Failure::missing("Webhook"))
}

async fn change(
    Admin(user): Admin,
    state: State,
    Path(id): Path<String>,
    Sent(wanted): Sent<Wanted>,
) -> Result<Json<Value>, Failure> {
    checks_tls(&wanted)?;
    let (old, project) = find(&state, &user, &id).await?;
    let to = judged(
        &state,
        NewWebhook {
            name: wanted.name.unwrap_or(old.name),
            url: wanted.url.unwrap_or(old.url),
            events: wanted.events.unwrap_or(old.events),
            secret: wanted.signing_secret,
        },
    )?;
    let deed = user.deed("webhook.change", format!("project {} {}", project.repo, to.name));
    let (id, now) = (old.id, state.now());
    let write = move |txn: &mut store::Txn<'_>| {
        txn.webhook_change(id, &to, now)?;
        txn.audit_append(now, &deed)?;
        txn.webhook_get(id)
    };
    let changed = state.store.write::<_, store::Error, _>(write).await?;
    let changed = changed.ok_or_else(|| Failure::missing("Webhook"))?;
    Ok(Json(shape(&changed)))
}

async fn remove(
    Admin(user): Admin,
    state: State,
    Path(id): Path<String>,
) -> Result<(StatusCode, Json<Value>), Failure> {
    let (webhook, project) = find(&state, &user, &id).await?;
    delete(&state, &user, &project, &webhook).await?;
    Ok(message(StatusCode::OK, "Webhook deleted."))
}

/// Removes a webhook, with a line in the audit log.
pub(crate) async fn delete(
    state: &State,
    user: &User,
    project: &Project,
    webhook: &Webhook,
) -> Result<(), Failure> {
    let deed = user.deed("webhook.remove", format!("project {} {}", project.repo, webhook.name));
    let (id, now) = (webhook.id, state.now());
    let write = move |txn: &mut store::Txn<'_>| {
        if txn.webhook_remove(id)? {
            txn.audit_append(now, &deed)?;
        }
        Ok::<_, store::Error>(())
    };
    Ok(state.store.write(write).await?)
}
