//! `appliance workflow`: jobs, approve, cancel, rerun.

use super::{Code, Usage, field, items};
use crate::{cli::WorkflowCommand, client::Client, output};
use serde_json::{Value, json};

pub(crate) async fn run(command: WorkflowCommand) -> anyhow::Result<Code> {
    match command {
        WorkflowCommand::Jobs { workflow, remote } => {
            let jobs =
                items(&Client::new(&remote)?, &format!("/api/v2/workflow/{workflow}/job")).await?;
            list(jobs, remote.json);
        }
        WorkflowCommand::Approve { workflow, job, remote } => {
            let client = Client::new(&remote)?;
            let jobs = items(&client, &format!("/api/v2/workflow/{workflow}/job")).await?;
            let request = request_on_hold(&jobs, job.as_deref())?;
            let path = format!("/api/v2/workflow/{workflow}/approve/{request}");
            tell(&client.post(&path, &json!({})).await?);
        }
        WorkflowCommand::Cancel { workflow, remote } => {
            let path = format!("/api/v2/workflow/{workflow}/cancel");
            tell(&Client::new(&remote)?.post(&path, &json!({})).await?);
        }
        WorkflowCommand::Rerun { workflow, from_failed, remote } => {
            let path = format!("/api/v2/workflow/{workflow}/rerun");
            let answer =
                Client::new(&remote)?.post(&path, &json!({ "from_failed": from_failed })).await?;
            output::line(&format!("workflow {}", field(&answer, "workflow_id")));
        }
    }
    Ok(0)
}

fn tell(answer: &Value) {
    output::line(&field(answer, "message"));
}

fn list(jobs: Vec<Value>, as_json: bool) {
    if as_json {
        return output::json(&jobs.into());
    }
    let row = |job: &Value| {
        ["job_number", "name", "type", "status", "started_at"].map(|key| field(job, key)).to_vec()
    };
    let rows: Vec<_> = jobs.iter().map(row).collect();
    output::table(&["number", "name", "type", "status", "started"], &rows);
}

/// The approval that is meant; without a name there must be exactly one on hold.
fn request_on_hold(jobs: &[Value], name: Option<&str>) -> Result<String, Usage> {
    let waiting: Vec<&Value> = jobs
        .iter()
        .filter(|job| job["status"] == "on_hold" && name.is_none_or(|name| job["name"] == name))
        .collect();
    match waiting.as_slice() {
        [job] => Ok(field(job, "approval_request_id")),
        [] => Err(Usage("no such job is on hold".into())),
        several => {
            let names: Vec<String> = several.iter().map(|job| field(job, "name")).collect();
            Err(Usage(format!("several jobs are on hold, name one: {}", names.join(", "))))
        }
    }
}
