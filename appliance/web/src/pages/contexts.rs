//! Contexts: an organisation's sets of variables that workflows ask for by name.

use super::{
    frame::{self, Frame, Here, Theme},
    restrictions as panel,
    variables::{self, Assignment, Named},
};
use crate::{
    State,
    access::{Member, Role, Routes, User, Viewer},
    error::Failure,
    guarded,
    restrictions::{self, Restriction},
};
use axum::{Form, extract::Path, response::Redirect};
use base::ids::ContextId;
use maud::{Markup, html};
use serde::Deserialize;
use store::{
    Reader,
    projects::{Context, Org, Project, VariableInfo},
};

pub(super) fn routes() -> Routes {
    Routes::new()
        .get("/contexts", show)
        .post("/contexts", create)
        .post("/contexts/{id}/remove", remove)
        .post("/contexts/{id}/variables", variable_set)
        .post("/contexts/{id}/variables/remove", variable_remove)
}

/// A context and what may be shown of it.
struct Held {
    context: Context,
    variables: Vec<VariableInfo>,
    restrictions: Vec<Restriction>,
    /// Why only administrators change it, if so.
    closed: Option<String>,
}

/// An organisation with its contexts and projects.
struct Listed {
    org: Org,
    contexts: Vec<Held>,
    projects: Vec<Project>,
}

fn list(reader: &Reader<'_>) -> Result<Vec<Listed>, store::Error> {
    let mut found = Vec::new();
    let all = reader.project_list()?;
    for org in reader.org_list()? {
        let projects: Vec<Project> =
            all.iter().filter(|project| project.org == org.id).cloned().collect();
        let mut contexts = Vec::new();
        for context in reader.context_list(org.id)? {
            let variables = reader.context_variable_list(context.id)?;
            let restrictions = restrictions::list(reader, context.id)?;
            let closed =
                guarded::context_closed(&context.name, !restrictions.is_empty(), &projects);
            contexts.push(Held { context, variables, restrictions, closed });
        }
        found.push(Listed { org, contexts, projects });
    }
    Ok(found)
}

async fn show(Viewer(user): Viewer, state: State, theme: Theme) -> Result<Markup, Failure> {
    user.unbound()?;
    let orgs = state.store.read(list).await?;
    let (may, is_admin) = (user.may(Role::Member), user.may(Role::Admin));
    let frame = Frame {
        user: &user,
        theme,
        config: &state.config,
        here: Here::Contexts,
        title: "Contexts".to_owned(),
        look: None,
        live: None,
    };
    let count: usize = orgs.iter().map(|listed| listed.contexts.len()).sum();
    let body = html! {
        div.head { h1 { "Contexts" } }
        @if count == 0 {
            section.empty {
                h2 { "No context yet" }
                p { "A context is a set of secrets that jobs of a whole organisation may ask for:" }
                pre.command { code { "workflows:\n  deploy:\n    jobs:\n      - release:\n          context: production" } }
            }
        }
        @for Listed { org, contexts, projects } in &orgs { @for Held { context, variables, restrictions, closed } in contexts {
            @let closed = closed.as_deref().filter(|_| !is_admin);
            details.panel open[count < 4] id=(format!("c-{}", context.id)) {
                summary { h2 { span.faint { (org.name) " / " } (context.name) } span.count { (variables.len()) } }
                (variables::list(&format!("/contexts/{}/variables", context.id), variables, may, closed, state.now()))
                (panel::list(context, restrictions, projects, is_admin))
                @if may && closed.is_none() { form.corner method="post" action=(format!("/contexts/{}/remove", context.id)) {
                    label.check { input type="checkbox" required; "All jobs that ask for it will be refused" }
                    button.danger type="submit" { "Remove context" }
                } }
            }
        } }
        @if may {
            form.panel.inline method="post" action="/contexts" {
                h2 { "New context" }
                label { "Organisation" input name="org" list="orgs" required spellcheck="false" autocapitalize="none"; }
                datalist #orgs { @for Listed { org, .. } in &orgs { option value=(org.name) {} } }
                label { "Name" input name="name" required maxlength="100" spellcheck="false"; }
                button.primary type="submit" { "Create" }
            }
        }
    };
    Ok(frame::page(&frame, &body))
}

#[derive(Debug, Deserialize)]
struct New {
    org: String,
    name: String,
}

async fn create(
    Member(user): Member,
    state: State,
    Form(new): Form<New>,
) -> Result<Redirect, Failure> {
    user.unbound()?;
    let name = new.name.trim().to_owned();
    let org = new.org.trim().to_owned();
    if name.is_empty() || name.len() > 100 || name.chars().any(char::is_control) {
        return Err(Failure::Invalid("a context's name has 1 to 100 characters".into()));
    }
    let deed = user.deed("context.create", format!("context {org}/{name}"));
    let now = state.now();
    state
        .store
        .write(move |txn| {
            let Some(known) = txn.org_by_name(&org)? else { return Ok(Err(unknown(&org))) };
            txn.audit_append(now, &deed)?;
            txn.context_create(known.id, &name, now).map(Ok)
        })
        .await??;
    Ok(Redirect::to("/contexts"))
}

/// A typing error makes no organisation.
fn unknown(org: &str) -> Failure {
    let org: String = org.chars().take(100).collect();
    Failure::Invalid(format!(
        "there is no organisation `{org}`: one begins with the first push to a repository of it"
    ))
}

/// The name, for the audit log, of a context that the caller may change.
async fn find(state: &State, user: &User, id: ContextId) -> Result<String, Failure> {
    user.unbound()?;
    let found = state.store.read(move |reader| reader.context_get(id)).await?;
    let context = found.ok_or_else(|| Failure::missing("Context"))?;
    guarded::context(state, user, &context).await?;
    Ok(context.name)
}

async fn remove(
    Member(user): Member,
    state: State,
    Path(id): Path<ContextId>,
) -> Result<Redirect, Failure> {
    let name = find(&state, &user, id).await?;
    let (deed, now) = (user.deed("context.remove", format!("context {name}")), state.now());
    state
        .store
        .write(move |txn| {
            txn.audit_append(now, &deed)?;
            txn.context_remove(id)
        })
        .await?;
    Ok(Redirect::to("/contexts"))
}

async fn variable_set(
    Member(user): Member,
    state: State,
    Path(id): Path<ContextId>,
    Form(given): Form<Assignment>,
) -> Result<Redirect, Failure> {
    let (name, value) = given.judged()?;
    let context = find(&state, &user, id).await?;
    let (deed, now) = (user.deed("variable.set", format!("context {context} {name}")), state.now());
    state
        .store
        .write(move |txn| {
            txn.audit_append(now, &deed)?;
            txn.context_variable_set(id, &name, &value, now)
        })
        .await?;
    Ok(Redirect::to(&format!("/contexts#c-{id}")))
}

async fn variable_remove(
    Member(user): Member,
    state: State,
    Path(id): Path<ContextId>,
    Form(Named { name }): Form<Named>,
) -> Result<Redirect, Failure> {
    let context = find(&state, &user, id).await?;
    let (deed, now) =
        (user.deed("variable.remove", format!("context {context} {name}")), state.now());
    state
        .store
        .write(move |txn| {
            txn.audit_append(now, &deed)?;
            txn.context_variable_remove(id, &name)
        })
        .await?;
    Ok(Redirect::to(&format!("/contexts#c-{id}")))
}
