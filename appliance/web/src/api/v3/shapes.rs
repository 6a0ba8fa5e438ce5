//! The JSON objects of version 3, made from rows.
//!
//! Invariants: pure; times as everywhere; a number that stands in an address is one here.

use super::phase::{of_job, of_step, of_workflow};
use crate::api::people::People;
use base::{
    plan::{Action, JobSpec},
    state::WorkflowState,
    trigger::TriggerKind,
};
use serde_json::{Value, json};
use store::runs::{Artifact, Job, Pipeline, Step, Task, Workflow};

/// A pipeline with what its workflows come to.
pub(super) fn run(row: &Pipeline, whole: WorkflowState, people: &People) -> Value {
    let attributes = json!({
        "number": row.number,
        "created_at": row.created_at,
        "errors": row.errors,
    });
    let vcs = json!({
        "branch": row.vcs.branch,
        "tag": row.vcs.tag,
        "revision": row.vcs.revision,
        "origin_repository_url": row.vcs.repository_url,
        "commit": { "subject": row.vcs.subject, "author": { "name": row.vcs.author } },
    });
    let kind = event(row.kind);
    json!({
        "id": row.id,
        "attributes": of_workflow(whole).with(attributes),
        "references": {
            "event": { "attributes": { "type": kind, "action": "", "vcs": vcs } },
            "trigger": { "attributes": { "event_source": { "type": kind } } },
            "project": { "id": row.project },
            "user": { "id": people.id(&row.actor) },
        },
    })
}

const fn event(kind: TriggerKind) -> &'static str {
    match kind {
        TriggerKind::Webhook => "push",
        TriggerKind::Api | TriggerKind::Explicit => "api",
        TriggerKind::ScheduledPipeline => "schedule",
    }
}

pub(super) fn workflow(row: &Workflow, people: &People) -> Value {
    let attributes = json!({
        "name": row.name,
        "created_at": row.created_at,
        "ended_at": row.stopped_at,
    });
    json!({
        "id": row.id,
        "attributes": of_workflow(row.state).with(attributes),
        "references": {
            "run": { "id": row.pipeline },
            "project": { "id": row.project },
            "user": { "id": people.id(&row.started_by) },
        },
    })
}

/// One job of a workflow.
pub(super) fn job(row: &Job, of: &Workflow, people: &People) -> Value {
    let attributes = json!({
        "name": row.name,
        "type": row.kind,
        "number": row.number,
        "started_at": row.started_at,
        "ended_at": row.stopped_at,
    });
    json!({
        "id": row.id,
        "attributes": of_job(row.state).with(attributes),
        "references": {
            "project": { "id": row.project },
            "pipeline": { "id": of.pipeline },
            "workflow": { "id": of.id },
            "user": { "id": people.id(&of.started_by) },
        },
    })
}

/// The steps of each node, in the order of the nodes.
pub(super) fn executions(tasks: &[(Task, Vec<Step>)], spec: Option<&JobSpec>) -> Value {
    let nodes = tasks.iter().map(|(_, steps)| {
        let steps: Vec<Value> = steps.iter().map(|row| step(row, spec)).collect();
        json!({ "steps": steps })
    });
    nodes.collect()
}

fn step(row: &Step, spec: Option<&JobSpec>) -> Value {
    let command = spec.and_then(|spec| command(spec, &row.name));
    let shape = json!({
        "name": row.name,
        "type": if command.is_some() { "run" } else { "builtin" },
        "num": row.step,
        "exit_code": row.exit_code,
        "started_at": row.started_at,
        "ended_at": row.stopped_at,
        "command": command,
    });
    of_step(row.state).with(shape)
}

/// What a step of this name runs; nothing where several of one name differ.
fn command<'a>(spec: &'a JobSpec, name: &str) -> Option<&'a str> {
    let mut found =
        spec.steps.iter().filter(|step| step.name == name).map(|step| match &step.action {
            Action::Run(run) => Some(run.command.as_str()),
            _ => None,
        });
    let first = found.next()??;
    found.all(|other| other == Some(first)).then_some(first)
}

pub(super) fn artifact(row: &Artifact, base_url: &str) -> Value {
    let told = crate::api::shapes::artifact(row, base_url);
    json!({
        "id": format!("{}/{}", row.task, row.path),
        "attributes": { "path": told["path"], "url": told["url"], "execution": told["node_index"] },
    })
}
