//! Accounts of others, for administrators.

use super::{
    frame::{self, Frame, Here, Theme},
    moment,
};
use crate::{
    State,
    access::{Admin, Role, Routes, User, token},
    error::Failure,
};
use axum::{Form, extract::Path, response::Redirect};
use base::{ids::UserId, secret::Secret, time::Timestamp};
use maud::{Markup, html};
use serde::Deserialize;
use store::access::{NewAudit, NewUser, User as Row};

/// Letters of a one-time password: about 95 bits.
const ONE_TIME_LENGTH: usize = 16;

pub(super) fn routes() -> Routes {
    Routes::new()
        .get("/users", show)
        .post("/users", create)
        .post("/users/{id}/role", set_role)
        .post("/users/{id}/disabled", set_disabled)
        .post("/users/{id}/password", reset_password)
}

async fn show(Admin(user): Admin, state: State, theme: Theme) -> Result<Markup, Failure> {
    page(&state, &user, theme, None).await
}

/// `made` is a login with its one-time password, shown once.
async fn page(
    state: &State,
    user: &User,
    theme: Theme,
    made: Option<(&str, &Secret)>,
) -> Result<Markup, Failure> {
    let rows = state.store.read(|reader| reader.user_list()).await?;
    let frame = Frame {
        user,
        theme,
        config: &state.config,
        here: Here::Users,
        title: "Users".to_owned(),
        look: None,
        live: None,
    };
    let body = html! {
        div.head { h1 { "Users" } }
        @if let Some((login, secret)) = made {
            section.alert.good role="status" {
                p { "One-time password of " b { (login) } ". Pass it on now: it is not shown again." }
                pre.command { code { (secret.expose()) } }
            }
        }
        div.scroll { table.users {
            thead { tr { th { "Login" } th { "Name" } th { "Role" } th { "Since" } th { span.sr { "Deeds" } } } }
            tbody { @for row in &rows { (user_row(row, user.id, state.now())) } }
        } }
        form.panel.inline method="post" action="/users" {
            h2 { "New user" }
            label { "Login" input name="login" required pattern="[A-Za-z0-9][A-Za-z0-9._\\-]{0,63}" spellcheck="false" autocapitalize="none" autocomplete="off"; }
            label { "Name" input name="name" maxlength="100" autocomplete="off"; }
            label { "Role" select name="role" { (roles(Role::Member)) } }
            button.primary type="submit" { "Create" }
        }
    };
    Ok(frame::page(&frame, &body))
}

fn roles(chosen: Role) -> Markup {
    html! {
        @for role in [Role::Viewer, Role::Member, Role::Admin] {
            option value=(role) selected[role == chosen] { (role) }
        }
    }
}

fn user_row(row: &Row, me: UserId, now: Timestamp) -> Markup {
    html! {
        tr.off[row.disabled] {
            td { b { (row.login) } @if row.id == me { span.pill { "you" } } @if row.disabled { span.pill { "disabled" } } @if row.one_time { span.pill { "one-time password" } } }
            td { (row.name) }
            td { form.tight method="post" action=(format!("/users/{}/role", row.id)) {
                select name="role" aria-label=(format!("Role of {}", row.login)) { (roles(row.role)) }
                button type="submit" { "Set" }
            } }
            td { (moment::ago(row.created_at, now)) }
            td.right { div.actions {
                form method="post" action=(format!("/users/{}/password", row.id)) { button type="submit" { "New password" } }
                form method="post" action=(format!("/users/{}/disabled", row.id)) {
                    input type="hidden" name="disabled" value=(!row.disabled);
                    button.danger[!row.disabled] type="submit" { @if row.disabled { "Enable" } @else { "Disable" } }
                }
            } }
        }
    }
}

#[derive(Debug, Deserialize)]
struct New {
    login: String,
    #[serde(default)]
    name: String,
    role: String,
}

fn one_time() -> Result<Secret, Failure> {
    let (text, _) = token::new_session().map_err(Failure::inside)?;
    Ok(Secret::new(text.expose().chars().take(ONE_TIME_LENGTH).collect::<String>()))
}

fn role(text: &str) -> Result<Role, Failure> {
    text.parse().map_err(|_| Failure::Invalid("that is not a role".into()))
}

async fn create(
    Admin(user): Admin,
    state: State,
    theme: Theme,
    Form(given): Form<New>,
) -> Result<Markup, Failure> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    let login = given.login.trim().to_owned();
    if login.is_empty()
        || login.len() > 64
        || !login.chars().all(plain)
        || login.starts_with(['.', '-'])
    {
        return Err(Failure::Invalid("a login has letters, digits, `.`, `_` and `-`".into()));
    }
    let secret = one_time()?;
    let phc = state.passwords().hash(secret.clone()).await;
    let new = NewUser {
        login: login.clone(),
        name: given.name.trim().chars().take(100).collect(),
        role: role(&given.role)?,
        password: Some(phc),
        one_time: true,
    };
    let (deed, now) = (user.deed("account.create", format!("account {login}")), state.now());
    state
        .store
        .write(move |txn| {
            txn.audit_append(now, &deed)?;
            txn.user_create(&new, now)
        })
        .await?;
    page(&state, &user, theme, Some((&login, &secret))).await
}

/// The account's login and a deed about it.
async fn find(
    state: &State,
    user: &User,
    id: UserId,
    action: &str,
) -> Result<(String, NewAudit), Failure> {
    let found = state.store.read(move |reader| reader.user_get(id)).await?;
    let login = found.ok_or_else(|| Failure::missing("Account"))?.login;
    let deed = user.deed(action, format!("account {login}"));
    Ok((login, deed))
}

#[derive(Debug, Deserialize)]
struct RoleGiven {
    role: String,
}

async fn set_role(
    Admin(user): Admin,
    state: State,
    Path(id): Path<UserId>,
    Form(given): Form<RoleGiven>,
) -> Result<Redirect, Failure> {
    let role = role(&given.role)?;
    let (_, mut deed) = find(&state, &user, id, "account.role").await?;
    deed.detail = Some(role.to_string());
    let now = state.now();
    state
        .store
        .write(move |txn| {
            txn.audit_append(now, &deed)?;
            txn.user_role_set(id, role)
        })
        .await?;
    Ok(Redirect::to("/users"))
}

#[derive(Debug, Deserialize)]
struct DisabledGiven {
    disabled: bool,
}

async fn set_disabled(
    Admin(user): Admin,
    state: State,
    Path(id): Path<UserId>,
    Form(DisabledGiven { disabled }): Form<DisabledGiven>,
) -> Result<Redirect, Failure> {
    let action = if disabled { "account.disable" } else { "account.enable" };
    let (_, deed) = find(&state, &user, id, action).await?;
    let now = state.now();
    state
        .store
        .write(move |txn| {
            txn.audit_append(now, &deed)?;
            txn.user_disabled_set(id, disabled)
        })
        .await?;
    Ok(Redirect::to("/users"))
}

async fn reset_password(
    Admin(user): Admin,
    state: State,
    theme: Theme,
    Path(id): Path<UserId>,
) -> Result<Markup, Failure> {
    let (login, deed) = find(&state, &user, id, "account.password_reset").await?;
    let secret = one_time()?;
    let phc = state.passwords().hash(secret.clone()).await;
    let now = state.now();
    state
        .store
        .write(move |txn| {
            txn.audit_append(now, &deed)?;
            txn.user_password_set(id, &phc, true)
        })
        .await?;
    page(&state, &user, theme, Some((&login, &secret))).await
}
