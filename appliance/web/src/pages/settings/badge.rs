//! The section of a project's settings that offers its status badge.

use super::{
    super::{links, visit::Done},
    load,
};
use crate::{
    State,
    access::{Member, token},
    error::Failure,
};
use axum::{Form, extract::Path, response::Redirect};
use base::{ids::RepoName, secret::Secret};
use maud::{Markup, html};
use serde::Deserialize;

/// What the section shows.
pub(super) struct Badge<'a> {
    pub(super) repo: &'a RepoName,
    pub(super) base_url: &'a str,
    /// Shown to members alone.
    pub(super) token: Option<&'a Secret>,
    pub(super) may: bool,
}

/// The picture, its Markdown, and what opens it to others.
pub(super) fn section(badge: &Badge<'_>) -> Markup {
    let action = links::settings(badge.repo).replace("/settings", "/badge");
    html! {
        section.panel #badge {
            h2 { "Status badge" }
            p { img src=(format!("{}?style=shield", links::badge(badge.repo))) alt="Status of the default branch" height="20"; }
            p.faint { "For the default branch; of another one it is at " code { (links::branch_badge(badge.repo, "BRANCH")) } ". With " code { "style=svg" } " it has one field." }
            pre.command { code { (markdown(badge)) } }
            @if badge.token.is_none() { p.faint { "Without a token it says \u{201c}no status\u{201d} to all who are not logged in." } }
            @if badge.may { (deeds(&action, badge.token.is_some())) }
        }
    }
}

fn deeds(action: &str, is_made: bool) -> Markup {
    html! {
        div.inline {
            form method="post" action=(action) {
                input type="hidden" name="deed" value="make";
                button type="submit" { @if is_made { "Replace the token" } @else { "Make a token for the badge" } }
            }
            @if is_made {
                form method="post" action=(action) {
                    input type="hidden" name="deed" value="remove";
                    button.danger type="submit" { "Remove the token" }
                }
            }
        }
    }
}

fn markdown(badge: &Badge<'_>) -> String {
    let Badge { repo, base_url, .. } = badge;
    let token =
        badge.token.map_or(String::new(), |token| format!("&circle-token={}", token.expose()));
    let picture = format!("{base_url}{}?style=shield{token}", links::badge(repo));
    format!("[![{repo}]({picture})]({base_url}/gh/{repo})")
}

/// What is to be done.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Deed {
    Make,
    Remove,
}

#[derive(Debug, Deserialize)]
pub(super) struct Given {
    deed: Deed,
}

pub(super) async fn change(
    Member(user): Member,
    state: State,
    Path((org, repo)): Path<(String, String)>,
    Form(Given { deed }): Form<Given>,
) -> Result<Redirect, Failure> {
    let project = load(&state, &user, &org, &repo).await?.project;
    let now = state.now();
    let (made, action) = match deed {
        // One that no other door knows.
        Deed::Make => (Some(token::new_session().map_err(Failure::inside)?.0), "badge.token"),
        Deed::Remove => (None, "badge.token.remove"),
    };
    let noted = user.deed(action, format!("project {}", project.repo));
    let write = move |txn: &mut store::Txn<'_>| {
        match &made {
            Some(token) => txn.badge_token_set(project.id, token)?,
            None if !txn.badge_token_remove(project.id)? => return Ok(()),
            None => {}
        }
        txn.audit_append(now, &noted)
    };
    state.store.write::<_, store::Error, _>(write).await?;
    let done = if matches!(deed, Deed::Make) { Done::BADGE } else { Done::BADGE_REMOVED };
    Ok(done.at(&format!("{}#badge", links::settings(&project.repo))))
}
