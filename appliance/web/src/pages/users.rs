//! Accounts of others, for administrators.

use super::{
    frame::{self, Frame, Here, Theme},
    moment,
    visit::{Done, Visit},
};
use crate::{
    State,
    access::{Admin, Role, Routes, User},
    accounts::{self, Asked, Word},
    error::Failure,
};
use axum::{Form, extract::Path, response::Redirect};
use base::{ids::UserId, secret::Secret, time::Timestamp};
use maud::{Markup, html};
use serde::Deserialize;
use store::access::User as Row;

pub(super) fn routes() -> Routes {
    Routes::new()
        .get("/users", show)
        .post("/users", create)
        .post("/users/{id}/role", set_role)
        .post("/users/{id}/disabled", set_disabled)
        .post("/users/{id}/password", reset_password)
}

async fn show(
    Admin(user): Admin,
    state: State,
    theme: Theme,
    visit: Visit,
) -> Result<Markup, Failure> {
    page(&state, &user, theme, &visit, None).await
}

/// Where the form for a new one is sent.
const NEW: &str = "/users";

/// `made` is a login with its one-time password, shown once.
async fn page(
    state: &State,
    user: &User,
    theme: Theme,
    visit: &Visit,
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
        (visit.told())
        @if let Some((login, secret)) = made {
            section.alert.good role="status" {
                p { "One-time password of " b { (login) } ". Pass it on now: it is not shown again." }
                pre.command { code { (secret.expose()) } }
            }
        }
        div.scroll { table.wide {
            thead { tr { th { "Login" } th { "Name" } th { "Role" } th { "Created" } th { span.sr { "Actions" } } } }
            tbody { @for row in &rows { (user_row(row, user.id, state.now())) } }
        } }
        form.panel.inline method="post" action=(NEW) {
            h2 { "New user" }
            label { "Login" input name="login" value=[visit.typed(NEW, "login")] required pattern="[A-Za-z0-9][A-Za-z0-9._\\-]{0,63}" spellcheck="false" autocapitalize="none" autocomplete="off"; }
            label { "Name" input name="name" value=[visit.typed(NEW, "name")] maxlength="100" autocomplete="off"; }
            label { "Role" select name="role" { (roles(visit.value(NEW, "role", Role::Member.as_str()))) } }
            button.primary type="submit" { "Create" }
        }
    };
    Ok(frame::page(&frame, &body))
}

fn roles(chosen: &str) -> Markup {
    html! {
        @for role in [Role::Viewer, Role::Member, Role::Admin] {
            option value=(role) selected[role.as_str() == chosen] { (role) }
        }
    }
}

fn user_row(row: &Row, me: UserId, now: Timestamp) -> Markup {
    html! {
        tr.off[row.disabled] {
            td { b { (row.login) } @if row.id == me { span.pill { "you" } } @if row.disabled { span.pill { "disabled" } } @if row.one_time { span.pill { "one-time password" } } }
            td data-th=[(!row.name.is_empty()).then_some("Name")] { (row.name) }
            td data-th="Role" { form.tight method="post" action=(format!("/users/{}/role", row.id)) {
                select name="role" aria-label=(format!("Role of {}", row.login)) { (roles(row.role.as_str())) }
                button type="submit" aria-label=(format!("Set the role of {}", row.login)) { "Set" }
            } }
            td data-th="Created" { (moment::ago(row.created_at, now)) }
            td.right { div.actions {
                form method="post" action=(format!("/users/{}/password", row.id)) { button type="submit" aria-label=(format!("New password for {}", row.login)) { "New password" } }
                form method="post" action=(format!("/users/{}/disabled", row.id)) {
                    input type="hidden" name="disabled" value=(!row.disabled);
                    @let deed = if row.disabled { "Enable" } else { "Disable" };
                    button.danger[!row.disabled] type="submit" aria-label=(format!("{deed} {}", row.login)) { (deed) }
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

async fn create(
    Admin(user): Admin,
    state: State,
    theme: Theme,
    Form(given): Form<New>,
) -> Result<Markup, Failure> {
    let role = accounts::role(&given.role)?;
    let asked = Asked { login: given.login, name: given.name, role, word: Word::OneTime };
    let made = accounts::create(&state, &user, asked).await?;
    let shown = made.one_time.as_ref().map(|secret| (made.login.as_str(), secret));
    page(&state, &user, theme, &Visit::default(), shown).await
}

async fn find(state: &State, id: UserId) -> Result<Row, Failure> {
    let found = state.store.read(move |reader| reader.user_get(id)).await?;
    found.ok_or_else(|| Failure::missing("Account"))
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
    let role = accounts::role(&given.role)?;
    accounts::set_role(&state, &user, &find(&state, id).await?, role).await?;
    Ok(Done::ROLE.at("/users"))
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
    accounts::set_disabled(&state, &user, &find(&state, id).await?, disabled).await?;
    Ok(if disabled { Done::DISABLED } else { Done::ENABLED }.at("/users"))
}

async fn reset_password(
    Admin(user): Admin,
    state: State,
    theme: Theme,
    Path(id): Path<UserId>,
) -> Result<Markup, Failure> {
    let of = find(&state, id).await?;
    let secret = accounts::reset_password(&state, &user, &of).await?;
    page(&state, &user, theme, &Visit::default(), Some((&of.login, &secret))).await
}
