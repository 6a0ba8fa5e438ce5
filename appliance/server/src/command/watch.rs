//! Following a pipeline to its end, and what its end means for the exit code.
//!
//! On failure: a service that restarts meanwhile is waited for a minute, because its jobs go on.

use super::{Code, field, items};
use crate::{
    client::{Client, Failure},
    output,
};
use http::StatusCode;
use serde_json::Value;
use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};
use tokio::time::MissedTickBehavior;

/// A watched pipeline is asked this often; the answer is a few rows.
const POLL: Duration = Duration::from_millis(300);
/// A job that was queued for so many looks is told to wait, and why.
const PATIENCE: u32 = 10;
/// A service is back from a restart within this, also after a loss of power.
pub(super) const RESTART: Duration = Duration::from_secs(60);

/// What was told of a job last, and how often it was found so since.
#[derive(Default)]
struct Told {
    status: String,
    looks: u32,
}

/// Where the changes are told: standard output, or beside it when that is for data.
pub(crate) type Tell = fn(&str);

/// Tells each change of a job's state until all workflows ended.
pub(crate) async fn watch(client: &Client, pipeline: &str, tell: Tell) -> anyhow::Result<Code> {
    let mut told = BTreeMap::new();
    let mut ticks = tokio::time::interval(POLL);
    // Over a slow link one look takes longer than this.
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut seen: Option<Instant> = None;
    loop {
        ticks.tick().await;
        match look(client, pipeline, &mut told, tell).await {
            Ok(Some(code)) => return Ok(code),
            Ok(None) => seen = Some(Instant::now()),
            Err(error) if is_restart(&error, seen) => ticks.reset_after(Duration::from_secs(1)),
            Err(error) => return Err(error),
        }
    }
}

fn is_restart(error: &anyhow::Error, seen: Option<Instant>) -> bool {
    error.downcast_ref().is_some_and(is_gone) && seen.is_some_and(|seen| seen.elapsed() < RESTART)
}

/// As of a service that is being started again.
pub(super) fn is_gone(error: &Failure) -> bool {
    match error {
        Failure::Unreachable { .. } => true,
        // One that stops answers so what it takes no more.
        Failure::Answered { status, .. } => *status == StatusCode::SERVICE_UNAVAILABLE,
        _ => false,
    }
}

async fn look(
    client: &Client,
    pipeline: &str,
    told: &mut BTreeMap<String, Told>,
    tell: Tell,
) -> anyhow::Result<Option<Code>> {
    let row: Value = client.get(&format!("/api/v2/pipeline/{pipeline}")).await?;
    if row["state"] == "errored" {
        tell_errors(&row, tell);
        return Ok(Some(8));
    }
    let workflows = items(client, &format!("/api/v2/pipeline/{pipeline}/workflow")).await?;
    for workflow in &workflows {
        tell_changes(client, workflow, told, tell).await?;
    }
    Ok(verdict(&workflows))
}

/// What is wrong with the configuration of a pipeline.
pub(crate) fn tell_errors(pipeline: &Value, tell: Tell) {
    for error in pipeline["errors"].as_array().into_iter().flatten() {
        tell(&field(error, "message"));
    }
}

async fn tell_changes(
    client: &Client,
    workflow: &Value,
    told: &mut BTreeMap<String, Told>,
    tell: Tell,
) -> anyhow::Result<()> {
    let id = field(workflow, "id");
    for job in items(client, &format!("/api/v2/workflow/{id}/job")).await? {
        let status = field(&job, "status");
        let name = format!("{}/{}", field(workflow, "name"), field(&job, "name"));
        let last = told.entry(field(&job, "id")).or_default();
        if last.status != status {
            tell(&format!("{name}: {status}"));
            if status == "on_hold" {
                let job = field(&job, "name");
                output::note(&format!("Approve it with: appliance workflow approve {id} '{job}'"));
            }
            *last = Told { status, looks: 0 };
            continue;
        }
        last.looks += 1;
        if status == "queued" && last.looks == PATIENCE {
            tell_why(client, &job, &name, tell).await?;
        }
    }
    Ok(())
}

/// Why a job waits: a slot, a limit of its project, or what the machine's sensors tell.
async fn tell_why(client: &Client, job: &Value, name: &str, tell: Tell) -> anyhow::Result<()> {
    let (slug, number) = (field(job, "project_slug"), field(job, "job_number"));
    let shown: Value = client.get(&format!("/api/v2/project/{slug}/job/{number}")).await?;
    if let Some(why) = shown["held"].as_str() {
        tell(&format!("{name}: waits ({why})"));
    }
    Ok(())
}

/// Name and status of the newest run of each workflow.
pub(crate) fn newest(workflows: &[Value]) -> BTreeMap<String, String> {
    let one = |workflow: &Value| (field(workflow, "name"), field(workflow, "status"));
    workflows.iter().map(one).collect()
}

/// The exit code once nothing runs any more; the newest run of each workflow counts.
fn verdict(workflows: &[Value]) -> Option<Code> {
    let newest = newest(workflows);
    if newest.values().any(|status| matches!(status.as_str(), "running" | "failing" | "on_hold")) {
        return None;
    }
    let is_bad = |status: &String| !matches!(status.as_str(), "success" | "not_run" | "canceled");
    let code = if newest.values().any(is_bad) {
        1
    } else if newest.values().any(|status| status == "canceled") {
        5
    } else {
        0
    };
    Some(code)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn check(states: &[(&str, &str)], expected: Option<Code>) {
        let rows: Vec<Value> =
            states.iter().map(|(name, status)| json!({ "name": name, "status": status })).collect();
        assert_eq!(verdict(&rows), expected, "{states:?}");
    }

    #[test]
    fn the_newest_run_of_each_workflow_decides_the_exit_code() {
        check(&[("a", "success")], Some(0));
        check(&[("a", "running")], None);
        check(&[("a", "failed"), ("b", "running")], None);
        check(&[("a", "failed"), ("a", "success")], Some(0));
        check(&[("a", "canceled"), ("b", "success")], Some(5));
        check(&[("a", "canceled"), ("b", "failed")], Some(1));
        check(&[("a", "failed")], Some(1));
        check(&[], Some(0));
    }
}
