//! The JSON objects of API v2, made from rows.
//!
//! Source: CircleCI API v2 (names, nesting, enums and nulls as its clients read them).
//! Units: times are ISO 8601 in UTC with milliseconds, durations milliseconds.
//! Invariants: pure; what is absent is `null` where the original sends `null` and left out where
//! it leaves out.

use super::people::People;
use base::{
    ids::{JobId, RepoName},
    plan::Executor,
    plan::JobSpec,
    protocol::TestResult,
    state::JobState,
    time::Timestamp,
};
use serde_json::{Map, Value, json};
use store::runs::{Artifact, Job, JobType, Pipeline, Task, Workflow};

/// `{"items": […], "next_page_token": …}`.
#[expect(
    clippy::needless_pass_by_value,
    reason = "`json!` serializes by reference; every caller hands over what it just made"
)]
pub(super) fn page(items: Vec<Value>, next: Option<String>) -> Value {
    json!({ "items": items, "next_page_token": next })
}

/// The PIPELINE object. `trigger_parameters` is what other services tell of a trigger; like the
/// original for GitHub, a pipeline has none here: its own parameters are among its [`values`].
pub(super) fn pipeline(row: &Pipeline, slug: &str) -> Value {
    json!({
        "id": row.id,
        "errors": row.errors,
        "project_slug": slug,
        "updated_at": row.updated_at,
        "number": row.number,
        "state": row.state,
        "created_at": row.created_at,
        "trigger": {
            "type": row.kind,
            "received_at": row.received_at,
            // A text, because some clients take nothing else.
            "actor": { "login": row.actor, "avatar_url": "" },
        },
        "vcs": vcs(row),
    })
}

/// Values of a pipeline by their names in the configuration, with the parameters that it was given.
pub(super) fn values(row: &Pipeline, repo: &RepoName) -> Value {
    let values = engine::values_of(row, repo);
    let own = values.iter().map(|(name, value)| (format!("pipeline.{name}"), json!(value)));
    let given = row.parameters.iter();
    let given = given.map(|(name, value)| (format!("pipeline.parameters.{name}"), json!(value)));
    Value::Object(own.chain(given).collect())
}

/// Exactly one of `branch` and `tag` is there.
fn vcs(row: &Pipeline) -> Value {
    let mut object = Map::new();
    object.insert("provider_name".into(), "GitHub".into());
    for key in ["origin_repository_url", "target_repository_url"] {
        object.insert(key.into(), row.vcs.repository_url.as_str().into());
    }
    object.insert("revision".into(), row.vcs.revision.as_str().into());
    if let Some(branch) = &row.vcs.branch {
        object.insert("branch".into(), branch.as_str().into());
    }
    if let Some(tag) = &row.vcs.tag {
        object.insert("tag".into(), tag.as_str().into());
    }
    object.insert("commit".into(), json!({ "subject": row.vcs.subject, "body": row.vcs.body }));
    Value::Object(object)
}

/// Logins that a workflow names.
pub(super) fn who(row: &Workflow) -> impl Iterator<Item = &str> {
    std::iter::once(row.started_by.as_str()).chain(row.canceled_by.as_deref())
}

/// The WORKFLOW object.
pub(super) fn workflow(row: &Workflow, of: &Pipeline, slug: &str, people: &People) -> Value {
    let mut object = json!({
        "pipeline_id": row.pipeline,
        "id": row.id,
        "name": row.name,
        "project_slug": slug,
        "status": row.state,
        "started_by": people.id(&row.started_by),
        "pipeline_number": of.number,
        "created_at": row.created_at,
        "stopped_at": row.stopped_at,
    });
    if let Some(login) = &row.canceled_by {
        object["canceled_by"] = json!(people.id(login));
    }
    if row.reruns > 0 {
        object["tag"] = "rerun".into();
    }
    if row.max_auto_reruns > 0 {
        object["auto_rerun_number"] = row.auto_rerun.into();
        object["max_auto_reruns"] = row.max_auto_reruns.into();
    }
    object
}

/// One job of a workflow.
pub(super) fn workflow_job(row: &Job, slug: &str, people: &People) -> Value {
    let dependencies: Vec<JobId> = row.requires.iter().map(|requires| requires.on).collect();
    let requires: Map<String, Value> = row
        .requires
        .iter()
        .map(|requires| (requires.on.to_string(), json!(requires.any_of)))
        .collect();
    let mut object = json!({
        "dependencies": dependencies,
        "requires": requires,
        "id": row.id,
        "name": row.name,
        "project_slug": slug,
        "status": row.state,
        "type": row.kind,
        "started_at": row.started_at,
        "stopped_at": row.stopped_at,
    });
    if let Some(number) = row.number {
        object["job_number"] = json!(number);
    }
    if row.kind == JobType::Approval {
        object["approval_request_id"] = json!(row.id);
        if let (JobState::Success, Some(login)) = (row.state, &row.decided_by) {
            object["approved_by"] = json!(people.id(login));
        }
    }
    if let Some(login) = canceled_by(row) {
        object["canceled_by"] = json!(people.id(login));
    }
    object
}

/// Who canceled the job, or what did.
pub(crate) fn canceled_by(row: &Job) -> Option<&str> {
    row.decided_by.as_deref().filter(|_| row.state == JobState::Canceled)
}

/// What the job object tells besides its own row.
pub(super) struct Around<'a> {
    pub(super) slug: &'a str,
    pub(super) org: &'a str,
    pub(super) project: &'a str,
    pub(super) base_url: &'a str,
    pub(super) workflow: &'a Workflow,
    pub(super) tasks: &'a [Task],
    pub(super) spec: Option<&'a JobSpec>,
    pub(super) now: Timestamp,
}

/// The JOB object of `/project/{slug}/job/{number}`.
pub(super) fn job(row: &Job, around: &Around<'_>) -> Value {
    let runs: Vec<Value> = around
        .tasks
        .iter()
        .map(|task| json!({ "index": task.node, "status": task.outcome.map_or("running", |o| o.as_str()) }))
        .collect();
    let message =
        |kind: &str, text: &String| json!({ "type": kind, "message": text, "reason": "" });
    let canceled = canceled_by(row).map(|by| format!("canceled by {by}"));
    let errors = row.message.iter().chain(&canceled).map(|text| message("error", text));
    // Why an attempt was lost, while the job itself goes on.
    let attempts = around.tasks.iter().filter_map(|task| task.message.as_ref());
    let attempts = attempts.filter(|text| row.message.as_ref() != Some(text));
    let messages: Vec<Value> =
        errors.chain(attempts.map(|text| message("warning", text))).collect();
    let contexts: Vec<Value> = row.contexts.iter().map(|name| json!({ "name": name })).collect();
    json!({
        "web_url": format!("{}/jobs/{}", around.base_url, row.id),
        "id": row.id,
        "name": row.name,
        "number": row.number,
        "status": row.state,
        "parallelism": row.parallelism,
        "parallel_runs": runs,
        "created_at": row.created_at,
        "queued_at": row.queued_at.unwrap_or(row.created_at),
        "started_at": row.started_at,
        "stopped_at": row.stopped_at,
        "duration": duration(row, around.now),
        "executor": executor(around.spec),
        "messages": messages,
        "contexts": contexts,
        "latest_workflow": { "id": around.workflow.id, "name": around.workflow.name },
        "pipeline": { "id": around.workflow.pipeline },
        "project": {
            "id": row.project,
            "slug": around.slug,
            "name": around.project,
            "external_url": format!("{}/git/{}/{}.git", around.base_url, around.org, around.project),
        },
        "organization": { "name": around.org },
    })
}

fn duration(row: &Job, now: Timestamp) -> Option<u64> {
    let from = row.started_at?;
    u64::try_from(row.stopped_at.unwrap_or(now).since(from).as_millis()).ok()
}

fn executor(spec: Option<&JobSpec>) -> Value {
    let kind = match spec.map(|spec| &spec.executor) {
        Some(Executor::Docker { .. }) => "docker",
        Some(Executor::Machine { .. }) => "machine",
        Some(Executor::Unsupported { .. }) | None => "unknown",
    };
    let class = spec.and_then(|spec| spec.resource_class.as_deref()).unwrap_or("medium");
    json!({ "type": kind, "resource_class": class })
}

/// One artifact; `url` downloads it. The size is ours alone.
pub(super) fn artifact(row: &Artifact, base_url: &str) -> Value {
    json!({
        "path": row.path,
        "node_index": row.node,
        "size": row.size,
        "url": format!("{base_url}{}", crate::pages::links::artifact(row)),
    })
}

/// One test case.
pub(super) fn test(row: &TestResult) -> Value {
    #[expect(clippy::cast_precision_loss, reason = "API v2 tells seconds as a decimal number")]
    let seconds = row.run_time_ms as f64 / 1000.0;
    json!({
        "message": row.message,
        "source": row.source,
        "run_time": seconds,
        // A text, because some clients take nothing else.
        "file": row.file.as_deref().unwrap_or_default(),
        "result": row.result,
        "name": row.name,
        "classname": row.classname,
    })
}
