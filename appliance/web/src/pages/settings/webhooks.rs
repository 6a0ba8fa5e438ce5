//! The section of a project's settings with its webhooks: what each was told last, and how it answered.

use super::{
    super::{
        links, moment,
        visit::{Done, Visit},
    },
    load,
};
use crate::{
    State,
    access::Admin,
    api::webhooks::{NOBODY, create, delete},
    error::Failure,
};
use axum::{Form, extract::Path, response::Redirect};
use base::{
    ids::{ProjectId, RepoName, WebhookId},
    secret::Secret,
    time::Timestamp,
};
use maud::{Markup, html};
use serde::Deserialize;
use store::{
    Reader,
    projects::{Delivery, NewWebhook, WEBHOOKS_MAX, Webhook, WebhookEvent},
};

/// Deliveries shown of one webhook.
const SHOWN: u32 = 10;

/// A webhook and how telling goes.
pub(super) struct Told {
    webhook: Webhook,
    waiting: u32,
    last: Vec<Delivery>,
}

/// The webhooks of a project.
pub(super) fn read(reader: &Reader<'_>, project: ProjectId) -> Result<Vec<Told>, store::Error> {
    let told = |webhook: Webhook| {
        let (waiting, last) =
            (reader.delivery_waiting(webhook.id)?, reader.delivery_list(webhook.id, SHOWN)?);
        Ok(Told { webhook, waiting, last })
    };
    reader.webhook_list(project)?.into_iter().map(told).collect()
}

/// What the section shows.
pub(super) struct Section<'a> {
    pub(super) repo: &'a RepoName,
    pub(super) told: &'a [Told],
    pub(super) may: bool,
    /// No address is allowed.
    pub(super) nobody: bool,
    pub(super) now: Timestamp,
}

/// All of it; for members alone, as addresses may hold secrets.
pub(super) fn section(of: &Section<'_>, visit: &Visit) -> Markup {
    let action = links::settings(of.repo).replace("/settings", "/webhooks");
    html! {
        section.panel #webhooks {
            h2 { "Webhooks" }
            p.faint { "Told when a workflow or a job ends, with CircleCI's payload, signed in the header " code { "circleci-signature" } ". Addresses lie below what the operator allows (" code { "webhook_allow" } ")." }
            @if of.nobody { p.hint { "Nothing is told here: " (NOBODY) "." } }
            @if of.told.is_empty() { p { "None yet." } }
            @for told in of.told { (one(told, &action, of)) }
            @if of.may && !of.nobody && of.told.len() < WEBHOOKS_MAX { (form(&action, visit)) }
            @if !of.may { p.faint { "Administrators add and remove webhooks." } }
        }
    }
}

fn one(told: &Told, action: &str, of: &Section<'_>) -> Markup {
    let Told { webhook, waiting, last } = told;
    let events: Vec<&str> = webhook.events.iter().map(|event| event.as_str()).collect();
    html! {
        h3 { (webhook.name) }
        p { code { (webhook.url) } " " span.faint { (events.join(", ")) @if *waiting > 0 { " · " (waiting) " waiting" } } }
        @if last.is_empty() { p.faint { "Nothing was told yet." } } @else { (deliveries(last, of.now)) }
        @if of.may {
            form method="post" action=(format!("{action}/remove")) {
                input type="hidden" name="id" value=(webhook.id);
                button.danger type="submit" aria-label=(format!("Remove {}", webhook.name)) { "Remove" }
            }
        }
    }
}

fn deliveries(last: &[Delivery], now: Timestamp) -> Markup {
    html! {
        div.scroll { table.wide {
            thead { tr { th { "Event" } th { "Happened" } th { "Attempts" } th { "Answer" } } }
            tbody { @for delivery in last {
                tr {
                    td { code { (delivery.event) } }
                    td data-th="Happened" { (moment::ago(delivery.made, now)) }
                    td data-th="Attempts" { (delivery.attempts) }
                    td data-th="Answer" { (delivery.answer.as_deref().unwrap_or("not sent yet")) @if delivery.due.is_some() && delivery.attempts > 0 { span.faint { " · is sent again" } } }
                }
            } }
        } }
    }
}

fn form(action: &str, visit: &Visit) -> Markup {
    html! {
        form.stack method="post" action=(action) autocomplete="off" {
            label { "Name" input name="name" value=[visit.typed(action, "name")] required maxlength="256"; }
            label { "Receiver URL" input name="url" type="url" value=[visit.typed(action, "url")] required spellcheck="false" placeholder="https://hooks.example/ci"; }
            label { "Secret (empty: not signed)" input name="signing_secret" type="password" autocomplete="new-password"; }
            @for event in WebhookEvent::ALL {
                label.check { input type="checkbox" name=(field(event)) value="1" checked[visit.checked(action, field(event), true)]; code { (event.as_str()) } }
            }
            button type="submit" { "Add webhook" }
        }
    }
}

const fn field(event: WebhookEvent) -> &'static str {
    match event {
        WebhookEvent::WorkflowCompleted => "workflow_completed",
        WebhookEvent::JobCompleted => "job_completed",
    }
}

/// What was typed.
#[derive(Debug, Deserialize)]
pub(super) struct Given {
    name: String,
    url: String,
    signing_secret: Secret,
    workflow_completed: Option<String>,
    job_completed: Option<String>,
}

pub(super) async fn add(
    Admin(user): Admin,
    state: State,
    Path((org, repo)): Path<(String, String)>,
    Form(given): Form<Given>,
) -> Result<Redirect, Failure> {
    let project = load(&state, &user, &org, &repo).await?.project;
    let is_asked = |event: &WebhookEvent| match event {
        WebhookEvent::WorkflowCompleted => given.workflow_completed.is_some(),
        WebhookEvent::JobCompleted => given.job_completed.is_some(),
    };
    let events = WebhookEvent::ALL.into_iter().filter(is_asked).collect();
    let secret = Some(given.signing_secret);
    let new = NewWebhook { name: given.name, url: given.url, events, secret };
    create(&state, &user, &project, new).await?;
    Ok(Done::WEBHOOK.at(&address(&project.repo)))
}

#[derive(Debug, Deserialize)]
pub(super) struct Which {
    id: String,
}

pub(super) async fn remove(
    Admin(user): Admin,
    state: State,
    Path((org, repo)): Path<(String, String)>,
    Form(Which { id }): Form<Which>,
) -> Result<Redirect, Failure> {
    let project = load(&state, &user, &org, &repo).await?.project;
    let missing = || Failure::missing("Webhook");
    let id: WebhookId = id.parse().map_err(|_| missing())?;
    let found = state.store.look(|reader| reader.webhook_get(id))?;
    let found = found.filter(|webhook| webhook.project == project.id).ok_or_else(missing)?;
    delete(&state, &user, &project, &found).await?;
    Ok(Done::WEBHOOK_REMOVED.at(&address(&project.repo)))
}

fn address(repo: &RepoName) -> String {
    format!("{}#webhooks", links::settings(repo))
}
