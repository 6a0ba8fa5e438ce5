//! Logging in and out, and light or dark.

use super::{assets, frame, frame::Theme};
use crate::{
    State,
    access::{Account, Anyone, Caller, Peer, Routes, session},
    error::Failure,
};
use axum::{
    Form,
    extract::{Extension, Query, rejection::FormRejection},
    response::{IntoResponse, Redirect, Response},
};
use base::secret::Secret;
use http::{HeaderMap, StatusCode, header};
use maud::{Markup, html};
use serde::Deserialize;

pub(super) fn routes() -> Routes {
    Routes::new()
        .get("/login", show)
        .post("/login", log_in)
        .post("/logout", log_out)
        .post("/theme", choose_theme)
}

#[derive(Debug, Default, Deserialize)]
struct Next {
    #[serde(default)]
    next: String,
}

#[derive(Debug, Deserialize)]
struct Given {
    login: String,
    password: Secret,
    #[serde(default)]
    next: String,
}

async fn show(
    Anyone(caller): Anyone,
    state: State,
    theme: Theme,
    Query(next): Query<Next>,
) -> Response {
    if matches!(caller, Caller::User(_)) {
        return Redirect::to(local(&next.next)).into_response();
    }
    page(&state, theme, &next.next, "", None).into_response()
}

async fn log_in(
    _: Anyone,
    state: State,
    theme: Theme,
    headers: HeaderMap,
    peer: Option<Extension<Peer>>,
    form: Result<Form<Given>, FormRejection>,
) -> Result<Response, Failure> {
    let Form(given) = form?;
    let address = match peer {
        Some(Extension(Peer::Network(address))) => address.to_string(),
        _ => "unknown".to_owned(),
    };
    let attempt = session::LogIn {
        login: given.login.trim().to_owned(),
        password: given.password,
        agent: agent(&headers),
        address,
    };
    let login = attempt.login.clone();
    match session::log_in(attempt, &state).await {
        Ok(secret) => Ok(enter(&secret, local(&given.next), &state)),
        Err(failure @ (Failure::Unproven | Failure::TooOften { .. })) => {
            let message = match &failure {
                Failure::Unproven => "That login and password do not fit.".to_owned(),
                other => other.to_string(),
            };
            let again = page(&state, theme, &given.next, &login, Some(&message));
            Ok((status_of(&failure), again).into_response())
        }
        Err(other) => Err(other),
    }
}

/// Shown again with the form, so not as an authentication challenge.
fn status_of(failure: &Failure) -> StatusCode {
    match failure {
        Failure::TooOften { .. } => StatusCode::TOO_MANY_REQUESTS,
        _ => StatusCode::UNPROCESSABLE_ENTITY,
    }
}

/// Gives the session to the browser and sends it on.
pub(super) fn enter(secret: &Secret, to: &str, state: &State) -> Response {
    let cookie =
        crate::access::give_session(secret.expose(), state.transport(), state.config.session_life);
    ([(header::SET_COOKIE, cookie)], Redirect::to(to)).into_response()
}

/// The browser's own name for itself.
pub(super) fn agent(headers: &HeaderMap) -> String {
    let agent = headers.get(header::USER_AGENT).and_then(|value| value.to_str().ok());
    agent.unwrap_or("unknown").to_owned()
}

/// Only an address on this site is followed after log-in.
fn local(next: &str) -> &str {
    let inside = next.starts_with('/')
        && !next.starts_with("//")
        // Browsers read `\\` as `/`, and drop tabs and line ends before they read at all.
        && !next.contains(|c: char| c == '\\' || c.is_control())
        && !next.starts_with("/login");
    if inside { next } else { "/" }
}

async fn log_out(Account(user): Account, state: State) -> Result<Response, Failure> {
    session::log_out(&user, &state).await?;
    let cookie = crate::access::take_session(state.transport());
    Ok(([(header::SET_COOKIE, cookie)], Redirect::to("/login")).into_response())
}

#[derive(Debug, Deserialize)]
struct Chosen {
    theme: String,
}

async fn choose_theme(
    _: Anyone,
    state: State,
    headers: HeaderMap,
    Form(chosen): Form<Chosen>,
) -> Response {
    let theme = Theme::named(&chosen.theme);
    let cookie = crate::access::cookie_theme(theme.name(), state.transport());
    let back = headers
        .get(header::REFERER)
        .and_then(|value| value.to_str().ok())
        .and_then(|address| address.strip_prefix(state.config.base_url.as_str()))
        .unwrap_or("/");
    ([(header::SET_COOKIE, cookie)], Redirect::to(local(back))).into_response()
}

fn page(state: &State, theme: Theme, next: &str, login: &str, wrong: Option<&str>) -> Markup {
    let body = html! {
        section.lone.login {
            svg.logo aria-hidden="true" { use href=(assets::icon("logo")) {} }
            h1 { "Log in" }
            p.faint { (state.config.base_url.split("://").last().unwrap_or_default()) }
            @if let Some(wrong) = wrong { p.alert.bad role="alert" { (wrong) } }
            form.stack method="post" action="/login" {
                input type="hidden" name="next" value=(local(next));
                label { "Login"
                    input name="login" value=(login) autocomplete="username" autocapitalize="none"
                        spellcheck="false" required autofocus[login.is_empty()];
                }
                label { "Password"
                    input type="password" name="password" autocomplete="current-password" required
                        autofocus[!login.is_empty()];
                }
                button.primary type="submit" { "Log in" }
            }
            p.hint { "First start? The one-time password of " code { "admin" } " was printed when the service began." }
        }
    };
    frame::bare("Log in", theme, &state.config.version, &body)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(next: &str, expected: &str) {
        assert_eq!(local(next), expected, "{next}");
    }

    #[test]
    fn log_in_never_leads_away_from_this_site() {
        check("/pipelines/gh/a/b/1?tab=x", "/pipelines/gh/a/b/1?tab=x");
        check("https://evil", "/");
        check("//evil", "/");
        check("/\\evil", "/");
        check("/\t/evil", "/");
        check("javascript:alert(1)", "/");
        check("/login?next=/login", "/");
        check("", "/");
    }
}
