//! One's own account: password and tokens.

use super::{
    frame::{self, Frame, Here, Theme},
    login, moment,
    visit::{Done, Visit},
};
use crate::{
    State,
    access::{Account, Role, Routes, User, Viewer, session},
    accounts::{
        self,
        tokens::{self, Asked, is_live},
    },
    error::Failure,
};
use axum::{
    Form,
    extract::Path,
    response::{IntoResponse, Redirect, Response},
};
use base::{ids::TokenId, secret::Secret, time::Timestamp};
use http::{HeaderMap, StatusCode};
use maud::{Markup, html};
use serde::Deserialize;
use store::access::{Token, User as Row};

pub(super) fn routes() -> Routes {
    Routes::new()
        .get("/account", show)
        .post("/account/password", password)
        .post("/account/tokens", create)
        .post("/account/tokens/{id}/revoke", revoke)
}

/// What to tell above the forms.
#[derive(Debug)]
enum Notice {
    Of(Visit),
    Wrong(String),
    Made(Secret),
}

async fn show(
    Account(user): Account,
    state: State,
    theme: Theme,
    visit: Visit,
) -> Result<Markup, Failure> {
    page(&state, &user, theme, &Notice::Of(visit)).await
}

async fn page(
    state: &State,
    user: &User,
    theme: Theme,
    notice: &Notice,
) -> Result<Markup, Failure> {
    let id = user.id;
    let all = state.store.read(move |reader| reader.token_list(id)).await?;
    let frame = Frame {
        user,
        theme,
        config: &state.config,
        here: Here::Account,
        title: "Account".to_owned(),
        look: None,
        live: None,
    };
    let visit = if let Notice::Of(visit) = notice { visit } else { &Visit::default() };
    let body = html! {
        div.head {
            h1 { "Account" } span.pill { (user.role) }
            form.actions.phone method="post" action="/logout" { button type="submit" { "Log out" } }
        }
        @match notice {
            Notice::Of(visit) => (visit.told()),
            Notice::Wrong(message) => p.alert.bad role="alert" { (message) },
            Notice::Made(secret) => (made(secret)),
        }
        @if user.password_is_one_time {
            p.alert.hold role="alert" { "Welcome, " b { (user.login) } ". Your password is for one time: choose your own to go on." }
        }
        (password_form(user))
        @if !user.password_is_one_time {
            (token_list(&all, state.now()))
            (token_form(user, visit))
            section.panel data-keys hidden {
                h2 { "Keyboard shortcuts" }
                label.check { input type="checkbox"; span { "In this browser single keys act on pages: j and k, f, e, / and ?" } }
            }
            @if user.may(Role::Admin) { nav.more aria-label="Site" {
                @for (address, name) in frame::of_administrators() { a.button href=(address) { (name) } }
            } }
        }
    };
    Ok(frame::page(&frame, &body))
}

fn password_form(user: &User) -> Markup {
    html! {
        form.panel.stack method="post" action="/account/password" {
            h2 { "Password of " (user.login) }
            input.sr type="text" name="username" value=(user.login) autocomplete="username" tabindex="-1" aria-hidden="true" readonly;
            label { "Old password" input type="password" name="old" autocomplete="current-password" required; }
            label { "New password" input type="password" name="new" autocomplete="new-password" minlength="10" maxlength="256" required; }
            label { "New password again" input type="password" name="again" autocomplete="new-password" required; }
            p.hint { "At least 10 characters. All other sessions end." }
            button.primary type="submit" { "Change password" }
        }
    }
}

/// Shown once; nobody can show it again.
fn made(secret: &Secret) -> Markup {
    html! {
        section.alert.good role="status" {
            p { b { "Your new token." } " Copy it now: it is not shown again." }
            pre.command { code { (secret.expose()) } }
        }
    }
}

fn token_list(tokens: &[Token], now: Timestamp) -> Markup {
    let live: Vec<&Token> = tokens.iter().filter(|token| is_live(token, now)).collect();
    html! {
        section.panel {
            h2 { "Personal API tokens" }
            @if live.is_empty() { p { "None. A token lets programs act for you: the API, Git, the command line." } } @else {
                div.scroll { table.wide {
                    thead { tr { th { "Label" } th { "Scope" } th { "Created" } th { "Last used" } th { "Expires" } th { span.sr { "Revoke" } } } }
                    tbody { @for token in live { (token_row(token, now)) } }
                } }
            }
        }
    }
}

fn token_row(token: &Token, now: Timestamp) -> Markup {
    let projects = token.scope.projects.as_ref().map(Vec::len);
    let may = match projects {
        None => token.scope.role.to_string(),
        Some(1) => format!("{} of one project", token.scope.role),
        Some(several) => format!("{} of {several} projects", token.scope.role),
    };
    html! {
        tr {
            td { (token.label) }
            td data-th="Scope" { span.pill { (may) } @if token.scope.projects.is_some() { span.pill { "some projects" } } }
            td data-th="Created" { (moment::ago(token.created_at, now)) }
            td data-th="Last used" { @match token.last_used_at { Some(at) => (moment::ago(at, now)), None => span.faint { "never" } } }
            td data-th="Expires" { @match token.expires_at { Some(at) => (moment::full(at)), None => span.faint { "never" } } }
            td.right { form method="post" action=(format!("/account/tokens/{}/revoke", token.id)) {
                button.danger type="submit" aria-label=(format!("Revoke {}", token.label)) { "Revoke" }
            } }
        }
    }
}

const TOKENS: &str = "/account/tokens";

/// Days that a token may live, as a form sends them.
const LIVES: [(&str, &str); 4] =
    [("30", "in 30 days"), ("90", "in 90 days"), ("365", "in a year"), ("", "never")];

fn token_form(user: &User, visit: &Visit) -> Markup {
    let role = user.role.min(Role::Member).to_string();
    let (role, days) = (visit.value(TOKENS, "scope", &role), visit.value(TOKENS, "days", "90"));
    html! {
        form.panel.inline method="post" action=(TOKENS) {
            h2 { "New personal API token" }
            label { "Label" input name="label" value=[visit.typed(TOKENS, "label")] required maxlength="100" placeholder="what it is for"; }
            label { "Scope" select name="scope" {
                @for one in [Role::Admin, Role::Member, Role::Viewer] {
                    @if user.may(one) { option value=(one) selected[one.to_string() == role] { (one) } }
                }
            } }
            label { "Expires" select name="days" {
                @for (value, words) in LIVES { option value=(value) selected[value == days] { (words) } }
            } }
            button.primary type="submit" { "Create token" }
        }
    }
}

#[derive(Debug, Deserialize)]
struct Passwords {
    old: Secret,
    new: Secret,
    again: Secret,
}

async fn password(
    Account(user): Account,
    state: State,
    theme: Theme,
    headers: HeaderMap,
    Form(given): Form<Passwords>,
) -> Result<Response, Failure> {
    let changed = if given.new == given.again {
        session::change_password(&user, given.old, given.new, login::agent(&headers), &state).await
    } else {
        Err(Failure::Invalid("the two new passwords are not the same".into()))
    };
    match changed {
        // Who has just begun goes on to what they came for.
        Ok(secret) if user.password_is_one_time => Ok(login::enter(&secret, "/", &state)),
        Ok(secret) => Ok(login::enter(&secret, &Done::PASSWORD.address("/account"), &state)),
        Err(failure @ (Failure::Invalid(_) | Failure::TooOften { .. })) => {
            let page = page(&state, &user, theme, &Notice::Wrong(failure.to_string())).await?;
            Ok((StatusCode::UNPROCESSABLE_ENTITY, page).into_response())
        }
        Err(other) => Err(other),
    }
}

#[derive(Debug, Deserialize)]
struct NewGiven {
    label: String,
    scope: String,
    #[serde(default)]
    days: String,
}

async fn create(
    Viewer(user): Viewer,
    state: State,
    theme: Theme,
    Form(given): Form<NewGiven>,
) -> Result<Markup, Failure> {
    let role = Some(accounts::role(&given.scope)?);
    let days = match given.days.as_str() {
        "" => None,
        text => Some(
            text.parse::<u32>()
                .map_err(|_| Failure::Invalid("that is no number of days".into()))?,
        ),
    };
    // A page that is loaded again sends its form again.
    let asked = Asked { label: given.label, role, projects: None, days, once: true };
    let of = own(&state, &user).await?;
    let (_, secret) = tokens::create(&state, &user, &of, asked).await?;
    page(&state, &user, theme, &Notice::Made(secret)).await
}

async fn own(state: &State, user: &User) -> Result<Row, Failure> {
    let id = user.id;
    let found = state.store.read(move |reader| reader.user_get(id)).await?;
    found.ok_or_else(|| Failure::missing("Account"))
}

async fn revoke(
    Viewer(user): Viewer,
    state: State,
    Path(id): Path<TokenId>,
) -> Result<Redirect, Failure> {
    tokens::revoke(&state, &user, &own(&state, &user).await?, id).await?;
    Ok(Done::TOKEN_REVOKED.at("/account"))
}
