//! `appliance workflow`: jobs, approve, cancel, rerun.

use super::{Code, Missing, Usage, encoded, field, items, tell};
use crate::{cli::WorkflowCommand, client::Client, output};
use serde_json::{Value, json};

pub(crate) async fn run(command: WorkflowCommand) -> anyhow::Result<Code> {
    match command {
        WorkflowCommand::Jobs { workflow, remote } => {
            let jobs = items(&Client::new(&remote)?, &path(&workflow, "job")).await?;
            if remote.json { output::json(&jobs.into()) } else { list(&jobs.into()) }
        }
        WorkflowCommand::Approve { workflow, job, remote } => {
            let client = Client::new(&remote)?;
            let jobs = items(&client, &path(&workflow, "job")).await?;
            let request = request_on_hold(&jobs, job.as_deref())?;
            let path = path(&workflow, &format!("approve/{request}"));
            tell(&client.post(&path, &json!({})).await?, remote.json);
        }
        WorkflowCommand::Cancel { workflow, remote } => {
            let path = path(&workflow, "cancel");
            tell(&Client::new(&remote)?.post(&path, &json!({})).await?, remote.json);
        }
        WorkflowCommand::Rerun { workflow, from_failed, remote } => {
            let path = path(&workflow, "rerun");
            let answer =
                Client::new(&remote)?.post(&path, &json!({ "from_failed": from_failed })).await?;
            if remote.json {
                output::json(&answer);
            } else {
                output::line(&format!("workflow {}", field(&answer, "workflow_id")));
            }
        }
    }
    Ok(0)
}

fn path(workflow: &str, rest: &str) -> String {
    format!("/api/v2/workflow/{}/{rest}", encoded(workflow))
}

/// A table of jobs.
pub(super) fn list(jobs: &Value) {
    let row = |job: &Value| {
        ["job_number", "name", "type", "status", "started_at"].map(|key| field(job, key)).to_vec()
    };
    let rows: Vec<_> = jobs.as_array().into_iter().flatten().map(row).collect();
    output::table(&["number", "name", "type", "status", "started"], &rows);
}

/// The approval that is meant; without a name there must be exactly one on hold.
fn request_on_hold(jobs: &[Value], name: Option<&str>) -> anyhow::Result<String> {
    let waiting: Vec<&Value> = jobs
        .iter()
        .filter(|job| job["status"] == "on_hold" && name.is_none_or(|name| job["name"] == name))
        .collect();
    match waiting.as_slice() {
        [job] => Ok(field(job, "approval_request_id")),
        [] => Err(Missing(match name {
            Some(name) => format!("no job `{name}` of this workflow waits for approval"),
            None => "no job of this workflow waits for approval".into(),
        })
        .into()),
        several => {
            let names: Vec<String> = several.iter().map(|job| field(job, "name")).collect();
            Err(Usage(format!("several jobs are on hold, name one: {}", names.join(", "))).into())
        }
    }
}
