//! What a webhook is told of the end of a workflow or job.
//!
//! Source: CircleCI's payloads of `workflow-completed` and `job-completed` for GitHub.
//! Rules: jobs that did nothing are not told of: approvals, those that a rerun took over, and those that
//! never ran, as the original has no word for them.

use crate::pages::links;
use base::{
    event::{Event, Recorded},
    ids::{JobId, WorkflowId},
    state::{JobState, WorkflowState},
    trigger::{TriggerKind, Vcs},
};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use store::{
    Error, Reader,
    projects::{Project, Webhook, WebhookEvent},
    runs::{Job, JobType, Pipeline, Workflow},
};
use uuid::Builder;

/// Where a workflow belongs.
struct Place {
    project: Project,
    pipeline: Pipeline,
    workflow: Workflow,
}

/// The kind of an event, and its payload but for the webhook; `None` when there is nothing to tell.
pub(super) fn payload(
    reader: &Reader<'_>,
    event: &Recorded,
    base_url: &str,
) -> Result<Option<(WebhookEvent, Value)>, Error> {
    match &event.event {
        Event::WorkflowChanged { workflow, state } => {
            let Some(status) = workflow_status(*state) else { return Ok(None) };
            let Some(place) = place(reader, *workflow)? else { return Ok(None) };
            let mut body = body(WebhookEvent::WorkflowCompleted, event, &place, base_url);
            body["workflow"]["status"] = status.into();
            Ok(Some((WebhookEvent::WorkflowCompleted, body)))
        }
        Event::JobChanged { job, workflow, state } => {
            let Some(shape) = job_shape(reader, *job, *state)? else { return Ok(None) };
            let Some(place) = place(reader, *workflow)? else { return Ok(None) };
            let mut body = body(WebhookEvent::JobCompleted, event, &place, base_url);
            body["job"] = shape;
            Ok(Some((WebhookEvent::JobCompleted, body)))
        }
        _ => Ok(None),
    }
}

/// The payload as this webhook is told it.
pub(super) fn to(hook: &Webhook, mut body: Value) -> Value {
    body["webhook"] = json!({ "id": hook.id, "name": hook.name });
    body
}

fn place(reader: &Reader<'_>, workflow: WorkflowId) -> Result<Option<Place>, Error> {
    let Some(workflow) = reader.workflow_get(workflow)? else { return Ok(None) };
    let Some(pipeline) = reader.pipeline_get(workflow.pipeline)? else { return Ok(None) };
    let project = reader.project_get(pipeline.project)?;
    Ok(project.map(|project| Place { project, pipeline, workflow }))
}

const fn workflow_status(state: WorkflowState) -> Option<&'static str> {
    match state {
        WorkflowState::Success => Some("success"),
        WorkflowState::Failed => Some("failed"),
        WorkflowState::Error => Some("error"),
        WorkflowState::Canceled => Some("canceled"),
        WorkflowState::Unauthorized => Some("unauthorized"),
        _ => None,
    }
}

fn job_shape(reader: &Reader<'_>, id: JobId, state: JobState) -> Result<Option<Value>, Error> {
    let Some(status) = job_status(state) else { return Ok(None) };
    let job = reader.job_get(id)?;
    let job = job.filter(|job| job.kind == JobType::Build && job.origin.is_none());
    Ok(job.map(|job| shape(&job, status)))
}

/// The original's webhooks have four words for the end of a job.
const fn job_status(state: JobState) -> Option<&'static str> {
    match state {
        JobState::Success => Some("success"),
        JobState::Canceled => Some("canceled"),
        JobState::Unauthorized => Some("unauthorized"),
        JobState::NotRun => None,
        state if state.is_terminal() => Some("failed"),
        _ => None,
    }
}

fn shape(job: &Job, status: &str) -> Value {
    json!({
        "id": job.id,
        "name": job.name,
        "number": job.number,
        "status": status,
        "started_at": job.started_at,
        "stopped_at": job.stopped_at,
    })
}

fn body(kind: WebhookEvent, event: &Recorded, place: &Place, base_url: &str) -> Value {
    let Place { project, pipeline, workflow } = place;
    let url = format!("{base_url}{}", links::pipeline(&project.repo, pipeline.number));
    json!({
        "id": id(kind, event, workflow.id),
        "type": kind,
        "happened_at": event.at,
        "project": {
            "id": project.id,
            "name": project.repo.name(),
            "slug": project.repo.slug(),
        },
        "organization": { "id": project.org, "name": project.repo.org() },
        "workflow": {
            "id": workflow.id,
            "name": workflow.name,
            "created_at": workflow.created_at,
            "stopped_at": workflow.stopped_at,
            "url": format!("{url}#w-{}", workflow.id),
        },
        "pipeline": {
            "id": pipeline.id,
            "number": pipeline.number,
            "created_at": pipeline.created_at,
            "trigger": { "type": trigger(pipeline.kind) },
            "vcs": vcs(&pipeline.vcs),
        },
    })
}

const fn trigger(kind: TriggerKind) -> &'static str {
    match kind {
        TriggerKind::Webhook => "webhook",
        TriggerKind::Api | TriggerKind::Explicit => "api",
        TriggerKind::ScheduledPipeline => "schedule",
    }
}

fn vcs(vcs: &Vcs) -> Value {
    let mut told = Map::new();
    told.insert("provider_name".into(), "github".into());
    told.insert("origin_repository_url".into(), vcs.repository_url.as_str().into());
    told.insert("target_repository_url".into(), vcs.repository_url.as_str().into());
    told.insert("revision".into(), vcs.revision.as_str().into());
    let author = json!({ "name": vcs.author });
    let commit = json!({ "subject": vcs.subject, "body": vcs.body, "author": author });
    told.insert("commit".into(), commit);
    for (key, value) in [("branch", &vcs.branch), ("tag", &vcs.tag)] {
        if let Some(value) = value {
            told.insert(key.into(), value.as_str().into());
        }
    }
    Value::Object(told)
}

/// The same for an event however often it is told, and for no other of any site.
fn id(kind: WebhookEvent, event: &Recorded, workflow: WorkflowId) -> uuid::Uuid {
    let said = format!("{} {workflow} {}", kind.as_str(), event.cursor.0);
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&Sha256::digest(said)[..16]);
    Builder::from_custom_bytes(bytes).into_uuid()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_end_of_a_job_has_a_word_but_that_of_one_that_never_ran() {
        for (state, expected) in [
            (JobState::Success, Some("success")),
            (JobState::TimedOut, Some("failed")),
            (JobState::InfrastructureFail, Some("failed")),
            (JobState::NotRun, None),
            (JobState::Running, None),
        ] {
            assert_eq!(job_status(state), expected, "{state:?}");
        }
    }
}
