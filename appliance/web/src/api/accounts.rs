//! Accounts and tokens: what the original keeps in its own pages, for the command line.
//!
//! Invariants: a token is made for oneself, or by an administrator for a machine account; its text
//! is in the answer of its making and nowhere else.

use super::{message, projects::audit, shapes};
use crate::{
    State,
    access::{Admin, Member, Role as CallerRole, Routes, password, token},
    error::Failure,
};
use axum::{Json, extract::Path};
use base::{
    ids::{TokenId, UserId},
    secret::Secret,
};
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};
use store::access::{NewToken, NewUser, Role, Scope, TokenKind, User};

pub(super) fn routes() -> Routes {
    Routes::new()
        .get("/api/appliance/v1/user", users)
        .post("/api/appliance/v1/user", create_user)
        .get("/api/appliance/v1/user/{login}/token", tokens)
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

/// Body of a new account; without a password it can only hold tokens.
#[derive(Deserialize)]
pub(super) struct AskedUser {
    login: String,
    #[serde(default)]
    name: String,
    role: String,
    password: Option<Secret>,
}

async fn create_user(
    Admin(by): Admin,
    state: State,
    Json(asked): Json<AskedUser>,
) -> Result<(StatusCode, Json<Value>), Failure> {
    let role: Role = asked.role.parse().map_err(|_| {
        Failure::Invalid(format!("`{}` is no role: admin, member or viewer", asked.role))
    })?;
    let phc = match asked.password {
        Some(new) => {
            password::judge(&asked.login, &Secret::new(""), &new)
                .map_err(|weak| Failure::Invalid(weak.to_string()))?;
            Some(state.passwords().hash(new).await)
        }
        None => None,
    };
    let one_time = phc.is_some();
    let new = NewUser { login: asked.login, name: asked.name, role, password: phc, one_time };
    let (now, deed) = (state.now(), audit(&by, "user.create", &new.login));
    let made = state
        .store
        .write(move |txn| {
            txn.audit_append(now, &deed)?;
            txn.user_create(&new, now)
        })
        .await?;
    Ok((StatusCode::CREATED, Json(json!({ "id": made.id, "login": made.login }))))
}

async fn account(state: &State, login: &str) -> Result<User, Failure> {
    let login = login.to_owned();
    let found = state.store.read(move |reader| reader.user_by_login(&login)).await?;
    found.ok_or_else(|| Failure::missing("User"))
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

async fn tokens(
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
pub(super) struct AskedToken {
    label: String,
    role: Option<String>,
}

async fn create_token(
    Member(by): Member,
    state: State,
    Path(login): Path<String>,
    Json(asked): Json<AskedToken>,
) -> Result<(StatusCode, Json<Value>), Failure> {
    let of = allowed(&state, &by, &login).await?;
    let role = asked.role.map_or(Ok(of.role), |role| {
        role.parse().map_err(|_| Failure::Invalid(format!("`{role}` is no role")))
    })?;
    let (text, hash) = token::new_token().map_err(Failure::inside)?;
    let scope = Scope { kind: TokenKind::Api, role: role.min(of.role), projects: None };
    let new = NewToken { hash, user: of.id, label: asked.label, scope, expires_at: None };
    let (now, deed) = (state.now(), audit(&by, "token.create", &format!("{login} {}", new.label)));
    let id = state
        .store
        .write(move |txn| {
            txn.audit_append(now, &deed)?;
            txn.token_create(&new, now)
        })
        .await?;
    // Shown in this answer and never again.
    Ok((StatusCode::CREATED, Json(json!({ "id": id, "token": text.expose() }))))
}

async fn revoke_token(
    Member(by): Member,
    state: State,
    Path((login, id)): Path<(String, String)>,
) -> Result<(StatusCode, Json<Value>), Failure> {
    let of = allowed(&state, &by, &login).await?.id;
    let id: TokenId = super::id(&id, "Token")?;
    let (now, deed) = (state.now(), audit(&by, "token.revoke", &format!("{login} {id}")));
    state
        .store
        .write(move |txn| {
            txn.audit_append(now, &deed)?;
            txn.token_revoke(of, id, now)
        })
        .await?;
    Ok(message(StatusCode::OK, "Token revoked."))
}
