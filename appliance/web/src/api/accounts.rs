//! Accounts and tokens: what the original keeps in its own pages, for the command line.
//!
//! Invariants: those of [`crate::accounts`]; a secret is in the answer of its making alone.

use super::{body::Sent, message, shapes};
use crate::{
    State,
    access::{Admin, Member, Role as CallerRole, Routes},
    accounts::{self, Asked, Word, tokens},
    error::Failure,
};
use axum::{Json, extract::Path};
use base::{
    ids::{ProjectId, TokenId, UserId},
    secret::Secret,
};
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};
use store::access::User;

pub(super) fn routes() -> Routes {
    Routes::new()
        .get("/api/appliance/v1/user", users)
        .post("/api/appliance/v1/user", create_user)
        .patch("/api/appliance/v1/user/{login}", change_user)
        .post("/api/appliance/v1/user/{login}/password", reset_password)
        .get("/api/appliance/v1/user/{login}/token", list_tokens)
        .post("/api/appliance/v1/user/{login}/token", create_token)
        .delete("/api/appliance/v1/user/{login}/token/{id}", revoke_token)
}

async fn users(_: Admin, state: State) -> Result<Json<Value>, Failure> {
    let all = state.store.read(|reader| reader.user_list()).await?;
    let items = all.iter().map(|user| {
        json!({
            "id": user.id,
            "login": user.login,
            "name": user.name,
            "role": user.role.as_str(),
            "disabled": user.disabled,
            "created_at": user.created_at,
        })
    });
    Ok(Json(shapes::page(items.collect(), None)))
}

/// Body of a new account; without a password of either kind it can only hold tokens.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AskedUser {
    login: String,
    #[serde(default)]
    name: String,
    role: String,
    password: Option<Secret>,
    /// Make a one-time password and tell it.
    #[serde(default)]
    one_time: bool,
}

async fn create_user(
    Admin(by): Admin,
    state: State,
    Sent(asked): Sent<AskedUser>,
) -> Result<(StatusCode, Json<Value>), Failure> {
    let word = match (asked.password, asked.one_time) {
        (Some(word), _) => Word::Given(word),
        (None, true) => Word::OneTime,
        (None, false) => Word::None,
    };
    let role = accounts::role(&asked.role)?;
    let asked = Asked { login: asked.login, name: asked.name, role, word };
    let made = accounts::create(&state, &by, asked).await?;
    let mut answer = json!({ "id": made.id, "login": made.login });
    if let Some(word) = &made.one_time {
        // Shown in this answer and never again.
        answer["password"] = word.expose().into();
    }
    Ok((StatusCode::CREATED, Json(answer)))
}

async fn account(state: &State, login: &str) -> Result<User, Failure> {
    let login = login.to_owned();
    let found = state.store.read(move |reader| reader.user_by_login(&login)).await?;
    found.ok_or_else(|| Failure::missing("User"))
}

/// Body of a change; what is absent stays.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Change {
    role: Option<String>,
    disabled: Option<bool>,
}

async fn change_user(
    Admin(by): Admin,
    state: State,
    Path(login): Path<String>,
    Sent(change): Sent<Change>,
) -> Result<(StatusCode, Json<Value>), Failure> {
    let of = account(&state, &login).await?;
    if let Some(role) = change.role {
        accounts::set_role(&state, &by, &of, accounts::role(&role)?).await?;
    }
    if let Some(disabled) = change.disabled {
        accounts::set_disabled(&state, &by, &of, disabled).await?;
    }
    Ok(message(StatusCode::OK, "Account changed."))
}

async fn reset_password(
    Admin(by): Admin,
    state: State,
    Path(login): Path<String>,
) -> Result<Json<Value>, Failure> {
    let of = account(&state, &login).await?;
    let word = accounts::reset_password(&state, &by, &of).await?;
    // Shown in this answer and never again.
    Ok(Json(json!({ "login": of.login, "password": word.expose() })))
}

/// Oneself, or anybody for an administrator.
async fn allowed(state: &State, by: &crate::access::User, login: &str) -> Result<User, Failure> {
    if by.login != login && by.role < CallerRole::Admin {
        return Err(Failure::Forbidden(
            "only an administrator may do this for another account".into(),
        ));
    }
    account(state, login).await
}

async fn list_tokens(
    Member(by): Member,
    state: State,
    Path(login): Path<String>,
) -> Result<Json<Value>, Failure> {
    let of: UserId = allowed(&state, &by, &login).await?.id;
    let all = state.store.read(move |reader| reader.token_list(of)).await?;
    let items = all.iter().map(|token| {
        json!({
            "id": token.id,
            "label": token.label,
            "role": token.scope.role.as_str(),
            "projects": token.scope.projects,
            "created_at": token.created_at,
            "expires_at": token.expires_at,
            "last_used_at": token.last_used_at,
            "revoked_at": token.revoked_at,
        })
    });
    Ok(Json(shapes::page(items.collect(), None)))
}

/// Body of a new token.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AskedToken {
    label: String,
    role: Option<String>,
    /// Project slugs such as `gh/acme/relay`; absent: all projects.
    projects: Option<Vec<String>>,
    /// Days until it ends; absent: until it is revoked.
    days: Option<u32>,
}

async fn create_token(
    Member(by): Member,
    state: State,
    Path(login): Path<String>,
    Sent(asked): Sent<AskedToken>,
) -> Result<(StatusCode, Json<Value>), Failure> {
    let of = allowed(&state, &by, &login).await?;
    let asked = tokens::Asked {
        label: asked.label,
        role: asked.role.as_deref().map(accounts::role).transpose()?,
        projects: match asked.projects {
            Some(slugs) => Some(projects_of(&state, &by, &slugs).await?),
            None => None,
        },
        days: asked.days,
        once: false,
    };
    let (id, text) = tokens::create(&state, &by, &of, asked).await?;
    // Shown in this answer and never again.
    let mut made = json!({ "id": id, "token": text.expose() });
    if of.one_time {
        made["message"] = resting(&of.login, &state.config.base_url).into();
    }
    Ok((StatusCode::CREATED, Json(made)))
}

/// A token opens no more than its account, and that opens nothing before its password is its own.
fn resting(login: &str, url: &str) -> String {
    format!(
        "The token opens nothing yet: {login} still has a one-time password. Log in at {url} as {login} and choose another; or make an account for programs (`appliance user create NAME --machine`), which has none, and a token of that."
    )
}

async fn projects_of(
    state: &State,
    by: &crate::access::User,
    slugs: &[String],
) -> Result<Vec<ProjectId>, Failure> {
    let mut ids = Vec::new();
    for slug in slugs {
        let name = slug.strip_prefix("gh/").unwrap_or(slug);
        let (org, repo) = name.split_once('/').ok_or_else(|| {
            Failure::Invalid(format!("`{slug}` is no project: expected gh/ORG/NAME"))
        })?;
        ids.push(super::project(state, by, ("gh".into(), org.into(), repo.into())).await?.id);
    }
    Ok(ids)
}

async fn revoke_token(
    Member(by): Member,
    state: State,
    Path((login, id)): Path<(String, String)>,
) -> Result<(StatusCode, Json<Value>), Failure> {
    let of = allowed(&state, &by, &login).await?;
    let id: TokenId = super::id(&id, "Token")?;
    tokens::revoke(&state, &by, &of, id).await?;
    Ok(message(StatusCode::OK, "Token revoked."))
}
