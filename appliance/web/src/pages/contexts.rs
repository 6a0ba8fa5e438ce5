//! Contexts: an organisation's sets of variables that workflows ask for by name. A list in pages, and
//! a page for each.

use super::{
    frame::{self, Frame, Here, Theme},
    links, moment, restrictions as panel,
    variables::{self, Assignment, Named},
    visit::{Done, Visit},
};
use crate::{
    State,
    access::{Member, Role, Routes, User, Viewer},
    deeds,
    error::Failure,
    guarded,
    restrictions::{self, Restriction},
};
use axum::{
    Form,
    extract::{Path, Query},
    response::Redirect,
};
use base::{ids::ContextId, time::Timestamp};
use maud::{Markup, html};
use serde::Deserialize;
use store::{
    Reader,
    projects::{Context, ContextLine, Org, Project, VariableInfo},
};

/// Contexts on one page of the list.
const CONTEXTS: u32 = 50;

/// Variables on one page of a context.
const VARIABLES: u32 = 100;

/// Where the form for a new one is sent.
const NEW: &str = "/contexts";

pub(super) fn routes() -> Routes {
    Routes::new()
        .get("/contexts", list)
        .post("/contexts", create)
        .get("/contexts/{id}", show)
        .post("/contexts/{id}/remove", remove)
        .post("/contexts/{id}/variables", variable_set)
        .post("/contexts/{id}/variables/remove", variable_remove)
}

/// Which part of the list.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct Part {
    /// A part of the names.
    name: String,
    /// The last one of the page before, as `ORG/NAME`.
    after: String,
}

/// A page of the list.
struct Listed {
    lines: Vec<ContextLine>,
    /// Where the next page begins.
    next: Option<String>,
    orgs: Vec<Org>,
}

fn read_list(reader: &Reader<'_>, part: &Part) -> Result<Listed, store::Error> {
    let after = part.after.split_once('/').unwrap_or_default();
    let mut lines = reader.context_page(after, part.name.trim(), CONTEXTS + 1)?;
    let more = lines.len() > CONTEXTS as usize;
    lines.truncate(CONTEXTS as usize);
    let next = lines.last().filter(|_| more);
    let next = next.map(|line| format!("{}/{}", line.org, line.context.name));
    Ok(Listed { next, lines, orgs: reader.org_list()? })
}

fn framed(user: &User, theme: Theme, state: &State, title: String, body: &Markup) -> Markup {
    let config = &state.config;
    let frame = Frame { user, theme, config, here: Here::Contexts, title, look: None, live: None };
    frame::page(&frame, body)
}

async fn list(
    Viewer(user): Viewer,
    state: State,
    theme: Theme,
    visit: Visit,
    Query(part): Query<Part>,
) -> Result<Markup, Failure> {
    user.unbound()?;
    let asked = part.clone();
    let listed = state.store.read(move |reader| read_list(reader, &asked)).await?;
    let body = html! {
        div.head { h1 { "Contexts" } }
        (visit.told())
        (lines(&listed, &part, state.now()))
        @if user.may(Role::Member) { (new_form(&listed.orgs, &visit)) }
    };
    Ok(framed(&user, theme, &state, "Contexts".into(), &body))
}

fn lines(listed: &Listed, part: &Part, now: Timestamp) -> Markup {
    let all = part.name.trim().is_empty() && part.after.is_empty();
    html! {
        @if listed.lines.is_empty() && all { (nothing()) } @else {
            form.filters method="get" action=(NEW) role="search" {
                label { span.sr { "Name" } input name="name" value=(part.name) placeholder="Any name" spellcheck="false" autocapitalize="none" data-search; }
                button type="submit" { "Filter" }
            }
            @if listed.lines.is_empty() { p { "No context fits. " a href=(NEW) { "Show all" } } } @else {
                div.scroll { table.wide {
                    thead { tr { th { "Name" } th { "Environment variables" } th { "Restrictions" } th { "Created" } } }
                    tbody { @for line in &listed.lines { tr {
                        td { a href=(links::context(line.context.id)) { span.faint { (line.org) " / " } (line.context.name) } }
                        td data-th="Environment variables" { (line.variables) }
                        td data-th="Restrictions" { @if line.restricted { span.pill { "restricted" } } @else { span.faint { "all projects" } } }
                        td data-th="Created" { (moment::ago(line.context.created_at, now)) }
                    } } }
                } }
            }
        }
        @if let Some(next) = &listed.next {
            nav.paging aria-label="Pages" { a.button rel="next" href=(next_address(part, next)) { "More contexts" } }
        }
    }
}

fn next_address(part: &Part, next: &str) -> String {
    let pairs = [("name", part.name.trim()), ("after", next)];
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    query.extend_pairs(pairs.into_iter().filter(|(_, value)| !value.is_empty()));
    format!("{NEW}?{}", query.finish())
}

fn nothing() -> Markup {
    html! {
        section.empty {
            h2 { "No context yet" }
            p { "A context is a set of secrets that jobs of a whole organisation may ask for:" }
            pre.command { code { "workflows:\n  deploy:\n    jobs:\n      - release:\n          context: production" } }
        }
    }
}

fn new_form(orgs: &[Org], visit: &Visit) -> Markup {
    html! {
        form.panel.inline method="post" action=(NEW) {
            h2 { "Create context" }
            label { "Organisation" input name="org" value=[visit.typed(NEW, "org")] list="orgs" required spellcheck="false" autocapitalize="none"; }
            datalist #orgs { @for org in orgs { option value=(org.name) {} } }
            label { "Name" input name="name" value=[visit.typed(NEW, "name")] required maxlength="100" spellcheck="false"; }
            button.primary type="submit" { "Create context" }
        }
    }
}

/// A context and what may be shown of it.
struct Held {
    context: Context,
    org: String,
    variables: Vec<VariableInfo>,
    count: u64,
    restrictions: Vec<Restriction>,
    projects: Vec<Project>,
    /// Why only administrators change it, if so.
    closed: Option<String>,
}

fn read(reader: &Reader<'_>, id: ContextId, after: &str) -> Result<Held, Failure> {
    let context = reader.context_get(id)?.ok_or_else(|| Failure::missing("Context"))?;
    let mut projects = reader.project_list()?;
    projects.retain(|project| project.org == context.org);
    let org = reader.org_list()?.into_iter().find(|org| org.id == context.org);
    let restrictions = restrictions::list(reader, id)?;
    Ok(Held {
        org: org.map_or(String::new(), |org| org.name),
        variables: reader.context_variable_page(id, after, VARIABLES + 1)?,
        count: reader.context_variable_count(id)?,
        closed: guarded::context_closed(&context.name, !restrictions.is_empty(), &projects),
        restrictions,
        projects,
        context,
    })
}

/// Which part of the variables.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct After {
    after: String,
}

async fn show(
    Viewer(user): Viewer,
    state: State,
    theme: Theme,
    visit: Visit,
    Path(id): Path<ContextId>,
    Query(After { after }): Query<After>,
) -> Result<Markup, Failure> {
    user.unbound()?;
    let held = state.store.read(move |reader| read(reader, id, &after)).await?;
    let title = format!("{} · {}", held.context.name, held.org);
    let body = body(&held, &user, &visit, state.now());
    Ok(framed(&user, theme, &state, title, &body))
}

fn body(held: &Held, user: &User, visit: &Visit, now: Timestamp) -> Markup {
    let (may, is_admin) = (user.may(Role::Member), user.may(Role::Admin));
    let closed = held.closed.as_deref().filter(|_| !is_admin);
    let address = links::context(held.context.id);
    let shown = held.variables.len().min(VARIABLES as usize);
    let next = held.variables.get(shown).and_then(|_| held.variables[..shown].last());
    html! {
        nav.trail aria-label="Breadcrumb" { a href=(NEW) { "Contexts" } span aria-hidden="true" { "/" } span { (held.org) } }
        div.head { h1 { (held.context.name) } span.count { (held.count) " variables" } }
        (visit.told())
        (variables::list(&variables::Held {
            action: &format!("{address}/variables"),
            variables: &held.variables[..shown],
            may,
            closed,
            now,
        }, visit))
        @if let Some(last) = next {
            nav.paging aria-label="Pages" { a.button rel="next" href=(format!("{address}?after={}", last.name)) { "More variables" } }
        }
        (panel::list(&held.context, &held.restrictions, &held.projects, is_admin, visit))
        @if may && closed.is_none() { form.corner method="post" action=(format!("{address}/remove")) {
            label.check { input type="checkbox" required; "All jobs that ask for it will be refused" }
            button.danger type="submit" { "Delete context" }
        } }
    }
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
    let deed = deeds::context(&user, "create", &format!("{org}/{name}"));
    let now = state.now();
    let made = state
        .store
        .write(move |txn| {
            let Some(known) = txn.org_by_name(&org)? else { return Ok(Err(unknown(&org))) };
            txn.audit_append(now, &deed)?;
            txn.context_create(known.id, &name, now).map(Ok)
        })
        .await??;
    Ok(Done::CONTEXT_MADE.at(&links::context(made.id)))
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
    let (deed, now) = (deeds::context(&user, "remove", &name), state.now());
    state
        .store
        .write(move |txn| {
            txn.audit_append(now, &deed)?;
            txn.context_remove(id)
        })
        .await?;
    Ok(Done::CONTEXT_REMOVED.at("/contexts"))
}

async fn variable_set(
    Member(user): Member,
    state: State,
    Path(id): Path<ContextId>,
    Form(given): Form<Assignment>,
) -> Result<Redirect, Failure> {
    let (name, value) = given.judged()?;
    let context = find(&state, &user, id).await?;
    let (deed, now) = (deeds::context_variable(&user, "set", &context, &name), state.now());
    state
        .store
        .write(move |txn| {
            txn.audit_append(now, &deed)?;
            txn.context_variable_set(id, &name, &value, now)
        })
        .await?;
    Ok(Done::VARIABLE_SET.at(&links::context(id)))
}

async fn variable_remove(
    Member(user): Member,
    state: State,
    Path(id): Path<ContextId>,
    Form(Named { name }): Form<Named>,
) -> Result<Redirect, Failure> {
    let context = find(&state, &user, id).await?;
    let (deed, now) = (deeds::context_variable(&user, "remove", &context, &name), state.now());
    state
        .store
        .write(move |txn| {
            if txn.context_variable_remove(id, &name)? {
                txn.audit_append(now, &deed)?;
            }
            Ok::<_, store::Error>(())
        })
        .await?;
    Ok(Done::VARIABLE_REMOVED.at(&links::context(id)))
}
