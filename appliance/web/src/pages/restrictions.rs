//! The part of a context's panel that tells who may use it, and its two deeds.

use super::{
    links,
    visit::{Done, Visit},
};
use crate::{
    State,
    access::{Admin, Routes},
    error::Failure,
    restrictions::{self, Restriction},
};
use axum::{Form, extract::Path, response::Redirect};
use base::ids::ContextId;
use maud::{Markup, html};
use serde::Deserialize;
use store::projects::{Context, Project};

pub(super) fn routes() -> Routes {
    Routes::new()
        .post("/contexts/{id}/restrictions", add)
        .post("/contexts/{id}/restrictions/remove", remove)
}

/// What restricts a context, and for administrators the forms for one more of each kind.
pub(super) fn list(
    context: &Context,
    all: &[Restriction],
    projects: &[Project],
    is_admin: bool,
    visit: &Visit,
) -> Markup {
    let action = format!("/contexts/{}/restrictions", context.id);
    let is_expression = visit.typed(&action, "kind") == Some("expression");
    let expression = visit.typed(&action, "value").filter(|_| is_expression).unwrap_or_default();
    html! {
        section.panel {
            h2 { "Restrictions" }
            p.faint { "Projects are alternatives; every expression must hold. A job that is not let in ends as unauthorized." }
            @if all.is_empty() { p { "None: every project of the organisation may use it." } } @else {
                div.scroll { table.wide {
                    thead { tr { th { "Kind" } th { "Open to" } th { span.sr { "Remove" } } } }
                    tbody { @for restriction in all { (row(&action, restriction, is_admin)) } }
                } }
            }
            @if is_admin {
                form.inline method="post" action=(action) {
                    input type="hidden" name="kind" value="project";
                    label { "Project" select name="value" required {
                        @for project in projects { option value=(project.id) { (project.repo) } }
                    } }
                    button type="submit" { "Add project restriction" }
                }
                form.stack method="post" action=(action) {
                    input type="hidden" name="kind" value="expression";
                    label { "Expression" textarea name="value" rows="2" required maxlength="4096" spellcheck="false" placeholder="pipeline.git.branch == \"main\" and not job.ssh.enabled" { (expression) } }
                    button type="submit" { "Add expression restriction" }
                }
            }
        }
    }
}

fn row(action: &str, restriction: &Restriction, is_admin: bool) -> Markup {
    let (kind, id, text) = match restriction {
        Restriction::Project(project) => ("project", project.id.0, project.repo.to_string()),
        Restriction::Deleted(id) => ("project", id.0, format!("a deleted project ({id})")),
        Restriction::Expression(expression) => {
            ("expression", expression.id.0, expression.text.clone())
        }
    };
    html! {
        tr {
            td data-th="Kind" { (kind) }
            td data-th="Open to" { code { (text) } }
            td.right { @if is_admin {
                form method="post" action=(format!("{action}/remove")) {
                    input type="hidden" name="restriction" value=(id);
                    button.danger type="submit" aria-label=(format!("Remove {text}")) { "Remove" }
                }
            } }
        }
    }
}

async fn find(state: &State, id: ContextId) -> Result<Context, Failure> {
    let found = state.store.read(move |reader| reader.context_get(id)).await?;
    found.ok_or_else(|| Failure::missing("Context"))
}

/// A restriction as the forms send it.
#[derive(Debug, Deserialize)]
struct New {
    kind: String,
    value: String,
}

async fn add(
    Admin(user): Admin,
    state: State,
    Path(id): Path<ContextId>,
    Form(new): Form<New>,
) -> Result<Redirect, Failure> {
    let context = find(&state, id).await?;
    restrictions::add(&state, &user, &context, &new.kind, &new.value).await?;
    Ok(Done::RESTRICTED.at(&links::context(id)))
}

/// One that is there.
#[derive(Debug, Deserialize)]
struct Named {
    restriction: String,
}

async fn remove(
    Admin(user): Admin,
    state: State,
    Path(id): Path<ContextId>,
    Form(Named { restriction }): Form<Named>,
) -> Result<Redirect, Failure> {
    let context = find(&state, id).await?;
    restrictions::remove(&state, &user, &context, &restriction).await?;
    Ok(Done::UNRESTRICTED.at(&links::context(id)))
}
