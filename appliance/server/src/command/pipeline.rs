//! `appliance pipeline`: trigger, list, watch.

use super::{Code, Usage, field, items, parameters, slug};
use crate::{cli::PipelineCommand, client::Client, output};
use serde_json::{Value, json};
use std::{collections::BTreeMap, time::Duration};

/// A watched pipeline is asked this often; the answer is a few rows.
const POLL: Duration = Duration::from_millis(300);
/// A job that was queued for so many looks is told to wait, and why.
const PATIENCE: u32 = 10;

/// What was told of a job last, and how often it was found so since.
#[derive(Default)]
struct Told {
    status: String,
    looks: u32,
}

pub(crate) async fn run(command: PipelineCommand) -> anyhow::Result<Code> {
    match command {
        PipelineCommand::Trigger {
            project,
            branch,
            tag,
            parameters: given,
            watch: follow,
            remote,
        } => {
            let client = Client::new(&remote)?;
            let body = trigger_body(branch, tag, &given)?;
            let made = client
                .post(&format!("/api/v2/project/{}/pipeline", slug(&project)?), &body)
                .await?;
            if remote.json {
                output::json(&made);
            } else {
                output::line(&format!(
                    "pipeline {} ({}) is {}",
                    made["number"],
                    field(&made, "id"),
                    field(&made, "state")
                ));
            }
            if follow { watch(&client, &field(&made, "id")).await } else { Ok(0) }
        }
        PipelineCommand::List { project, branch, remote } => {
            let client = Client::new(&remote)?;
            let filter = branch.map(|branch| format!("?branch={branch}")).unwrap_or_default();
            let path = format!("/api/v2/project/{}/pipeline{filter}", slug(&project)?);
            let page: Value = client.get(&path).await?;
            list(&page["items"], remote.json);
            Ok(0)
        }
        PipelineCommand::Watch { pipeline, remote } => {
            watch(&Client::new(&remote)?, &pipeline).await
        }
    }
}

fn trigger_body(
    branch: Option<String>,
    tag: Option<String>,
    given: &[String],
) -> Result<Value, Usage> {
    let mut body = json!({ "parameters": parameters(given)? });
    if let Some(branch) = branch {
        body["branch"] = branch.into();
    }
    if let Some(tag) = tag {
        body["tag"] = tag.into();
    }
    Ok(body)
}

fn list(pipelines: &Value, as_json: bool) {
    if as_json {
        return output::json(pipelines);
    }
    let rows = pipelines.as_array().into_iter().flatten().map(|pipeline| {
        let vcs = &pipeline["vcs"];
        let place = if vcs["tag"].is_null() { field(vcs, "branch") } else { field(vcs, "tag") };
        let subject = field(&vcs["commit"], "subject");
        vec![
            field(pipeline, "number"),
            field(pipeline, "state"),
            place,
            field(pipeline, "created_at"),
            field(pipeline, "id"),
            subject,
        ]
    });
    output::table(
        &["number", "state", "branch", "created", "id", "commit"],
        &rows.collect::<Vec<_>>(),
    );
}

/// Tells each change of a job's state until all workflows ended.
pub(crate) async fn watch(client: &Client, pipeline: &str) -> anyhow::Result<Code> {
    let mut told = BTreeMap::new();
    let mut ticks = tokio::time::interval(POLL);
    loop {
        ticks.tick().await;
        let row: Value = client.get(&format!("/api/v2/pipeline/{pipeline}")).await?;
        if row["state"] == "errored" {
            for error in row["errors"].as_array().into_iter().flatten() {
                output::line(&field(error, "message"));
            }
            return Ok(8);
        }
        let workflows = items(client, &format!("/api/v2/pipeline/{pipeline}/workflow")).await?;
        for workflow in &workflows {
            tell_changes(client, workflow, &mut told).await?;
        }
        if let Some(code) = verdict(&workflows) {
            return Ok(code);
        }
    }
}

async fn tell_changes(
    client: &Client,
    workflow: &Value,
    told: &mut BTreeMap<String, Told>,
) -> anyhow::Result<()> {
    for job in items(client, &format!("/api/v2/workflow/{}/job", field(workflow, "id"))).await? {
        let status = field(&job, "status");
        let name = format!("{}/{}", field(workflow, "name"), field(&job, "name"));
        let last = told.entry(field(&job, "id")).or_default();
        if last.status != status {
            output::line(&format!("{name}: {status}"));
            *last = Told { status, looks: 0 };
            continue;
        }
        last.looks += 1;
        if status == "queued" && last.looks == PATIENCE {
            tell_why(client, &job, &name).await?;
        }
    }
    Ok(())
}

/// Why a job waits: a slot, a limit of its project, or what the machine's sensors tell.
async fn tell_why(client: &Client, job: &Value, name: &str) -> anyhow::Result<()> {
    let (slug, number) = (field(job, "project_slug"), field(job, "job_number"));
    let shown: Value = client.get(&format!("/api/v2/project/{slug}/job/{number}")).await?;
    if let Some(why) = shown["held"].as_str() {
        output::line(&format!("{name}: waits ({why})"));
    }
    Ok(())
}

/// The exit code once nothing runs any more; the newest run of each workflow counts.
fn verdict(workflows: &[Value]) -> Option<Code> {
    let newest: BTreeMap<String, String> = workflows
        .iter()
        .map(|workflow| (field(workflow, "name"), field(workflow, "status")))
        .collect();
    if newest.values().any(|status| matches!(status.as_str(), "running" | "failing" | "on_hold")) {
        return None;
    }
    let code = newest.values().map(|status| match status.as_str() {
        "success" | "not_run" => 0,
        "canceled" => 5,
        _ => 1,
    });
    Some(code.max().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

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
        check(&[("a", "failed")], Some(1));
        check(&[], Some(0));
    }
}
