//! The last section of a project's settings: deleting it.

use super::{
    super::{links, visit::Visit},
    load,
};
use crate::{State, access::Admin, error::Failure, removal};
use axum::{Form, extract::Path, response::Redirect};
use base::ids::RepoName;
use maud::{Markup, html};
use serde::Deserialize;

/// What goes, and the form; for administrators alone.
pub(super) fn section(repo: &RepoName, visit: &Visit) -> Markup {
    let action = links::settings(repo).replace("/settings", "/delete");
    html! {
        form.panel.stack #delete method="post" action=(action) {
            h2 { "Delete project" }
            p { "Its Git repository, all pipelines with their logs, artifacts, workspaces and test results, its caches, variables, schedules and settings are removed for ever, and tokens that are bound to it alone are revoked. Images of the registry, buckets, contexts and the audit log stay." }
            p.faint { "Workflows that have not ended must be canceled before. The name is free at once: a push to it makes a new project, which begins with pipeline 1." }
            label { span { "Type " b { (repo) } " to delete it" } input name="name" value=[visit.typed(&action, "name")] required autocomplete="off" spellcheck="false" autocapitalize="none"; }
            button.danger type="submit" { "Delete project" }
        }
    }
}

/// What was typed.
#[derive(Debug, Deserialize)]
pub(super) struct Typed {
    name: String,
}

pub(super) async fn delete(
    Admin(user): Admin,
    state: State,
    Path((org, repo)): Path<(String, String)>,
    Form(Typed { name }): Form<Typed>,
) -> Result<Redirect, Failure> {
    let project = load(&state, &user, &org, &repo).await?.project;
    let repo = project.repo.to_string();
    if name.trim() != repo {
        return Err(Failure::Invalid(format!(
            "nothing was deleted: the name that was typed is not `{repo}`"
        )));
    }
    removal::delete(&state, &user, &project).await?;
    Ok(Redirect::to(&links::deleted(&project.repo)))
}
