//! `appliance pipeline`: trigger, list, show, watch.

use super::{
    Code, Usage, encoded, field, items, parameters, slug,
    watch::{Tell, newest, tell_errors, watch},
};
use crate::{
    cli::{PipelineCommand, PipelinePlace},
    client::Client,
    output,
};
use futures_util::future::try_join_all;
use serde_json::{Value, json};

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
            trigger(&client, &slug(&project)?, &body, follow, remote.json).await
        }
        PipelineCommand::List { project, branch, remote } => {
            let client = Client::new(&remote)?;
            let filter =
                branch.map(|branch| format!("?branch={}", encoded(&branch))).unwrap_or_default();
            let path = format!("/api/v2/project/{}/pipeline{filter}", slug(&project)?);
            let page: Value = client.get(&path).await?;
            list(&client, &page["items"], remote.json).await?;
            Ok(0)
        }
        PipelineCommand::Show { pipeline, remote } => {
            let client = Client::new(&remote)?;
            let id = id_of(&client, &pipeline).await?;
            show(&client, &id, remote.json).await?;
            Ok(0)
        }
        PipelineCommand::Watch { pipeline, remote } => {
            let client = Client::new(&remote)?;
            let id = id_of(&client, &pipeline).await?;
            let code = watch(&client, &id, changes(remote.json)).await?;
            if remote.json {
                show(&client, &id, true).await?;
            }
            Ok(code)
        }
    }
}

async fn trigger(
    client: &Client,
    slug: &str,
    body: &Value,
    follow: bool,
    as_json: bool,
) -> anyhow::Result<Code> {
    let made = client.post(&format!("/api/v2/project/{slug}/pipeline"), body).await?;
    let (id, state) = (field(&made, "id"), field(&made, "state"));
    if as_json {
        output::json(&made);
    } else {
        output::line(&format!("pipeline {} ({id}) is {state}", made["number"]));
    }
    match (follow, state.as_str()) {
        (true, _) => watch(client, &id, changes(as_json)).await,
        (false, "errored") => {
            if !as_json {
                tell_errors(&client.get(&format!("/api/v2/pipeline/{id}")).await?, output::line);
            }
            Ok(8)
        }
        _ => Ok(0),
    }
}

/// Standard output has one thing alone when that is data.
fn changes(as_json: bool) -> Tell {
    if as_json { output::error } else { output::line }
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

/// The id of a pipeline that was named by its id, or by project and number.
async fn id_of(client: &Client, place: &PipelinePlace) -> anyhow::Result<String> {
    let Some(number) = place.number else {
        if place.pipeline.contains('/') {
            return Err(Usage(format!(
                "{} has many pipelines: give the number of one, as `appliance pipeline list` shows it",
                place.pipeline
            ))
            .into());
        }
        return Ok(encoded(&place.pipeline));
    };
    let path = format!("/api/v2/project/{}/pipeline/{number}", slug(&place.pipeline)?);
    let found: Value = client.get(&path).await?;
    Ok(field(&found, "id"))
}

async fn workflows(client: &Client, pipeline: &str) -> anyhow::Result<Vec<Value>> {
    Ok(items(client, &format!("/api/v2/pipeline/{pipeline}/workflow")).await?)
}

async fn list(client: &Client, pipelines: &Value, as_json: bool) -> anyhow::Result<()> {
    if as_json {
        output::json(pipelines);
        return Ok(());
    }
    let rows = pipelines.as_array().into_iter().flatten().map(async |pipeline| {
        let vcs = &pipeline["vcs"];
        let place = if vcs["tag"].is_null() { field(vcs, "branch") } else { field(vcs, "tag") };
        let subject = field(&vcs["commit"], "subject");
        anyhow::Ok(vec![
            field(pipeline, "number"),
            outcome(client, pipeline).await?,
            place,
            field(pipeline, "created_at"),
            field(pipeline, "id"),
            subject,
        ])
    });
    let rows = try_join_all(rows).await?;
    output::table(&["number", "state", "branch", "created", "id", "commit"], &rows);
    Ok(())
}

/// The pipeline's own state while it has no workflows; then the word of each workflow that has
/// another than those before it.
async fn outcome(client: &Client, pipeline: &Value) -> anyhow::Result<String> {
    let found = workflows(client, &field(pipeline, "id")).await?;
    let mut words: Vec<String> = vec![];
    for word in newest(&found).into_values() {
        if !words.contains(&word) {
            words.push(word);
        }
    }
    Ok(if words.is_empty() { field(pipeline, "state") } else { words.join(", ") })
}

async fn show(client: &Client, id: &str, as_json: bool) -> anyhow::Result<()> {
    let mut pipeline: Value = client.get(&format!("/api/v2/pipeline/{id}")).await?;
    let mut found = workflows(client, id).await?;
    for workflow in &mut found {
        let path = format!("/api/v2/workflow/{}/job", field(workflow, "id"));
        workflow["jobs"] = items(client, &path).await?.into();
    }
    if as_json {
        pipeline["workflows"] = found.into();
        output::json(&pipeline);
        return Ok(());
    }
    output::line(&format!(
        "pipeline {} of {}: {}, {}",
        pipeline["number"],
        field(&pipeline, "project_slug"),
        field(&pipeline["vcs"], "revision"),
        field(&pipeline["vcs"]["commit"], "subject"),
    ));
    tell_errors(&pipeline, output::line);
    for workflow in &found {
        let text = |key| field(workflow, key);
        output::line(&format!("\nworkflow {} ({}): {}", text("name"), text("id"), text("status")));
        super::workflow::list(&workflow["jobs"]);
    }
    Ok(())
}
