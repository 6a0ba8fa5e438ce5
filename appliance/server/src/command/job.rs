//! `appliance job`: show, log, cancel.

use super::{Code, field, slug, tell};
use crate::{cli::JobCommand, client::Client, output};
use http_body_util::BodyExt;
use serde_json::{Value, json};

pub(crate) async fn run(command: JobCommand) -> anyhow::Result<Code> {
    match command {
        JobCommand::Show { project, number, remote } => {
            let path = format!("/api/v2/project/{}/job/{number}", slug(&project)?);
            let job: Value = Client::new(&remote)?.get(&path).await?;
            if remote.json {
                output::json(&job);
            } else {
                let keys = [
                    "name",
                    "status",
                    "created_at",
                    "started_at",
                    "stopped_at",
                    "duration",
                    "web_url",
                ];
                let mut rows: Vec<_> =
                    keys.iter().map(|key| vec![(*key).to_owned(), field(&job, key)]).collect();
                rows.extend(messages(&job).map(|message| vec!["message".to_owned(), message]));
                output::table(&["field", "value"], &rows);
            }
        }
        JobCommand::Log { project, number, follow, remote } => {
            let path = format!("/api/v2/project/{}/job/{number}", slug(&project)?);
            log(&Client::new(&remote)?, &path, follow).await?;
        }
        JobCommand::Cancel { project, number, remote } => {
            let path = format!("/api/v2/project/{}/job/{number}/cancel", slug(&project)?);
            tell(&Client::new(&remote)?.post(&path, &json!({})).await?, remote.json);
        }
    }
    Ok(0)
}

/// Why it ended or may not run.
fn messages(job: &Value) -> impl Iterator<Item = String> {
    job["messages"].as_array().into_iter().flatten().map(|told| field(told, "message"))
}

/// Prints a log, or why there is none, and who canceled the job; one that is followed must end with its job, not with the
/// service.
async fn log(client: &Client, job: &str, follow: bool) -> anyhow::Result<()> {
    let mut body = client.stream(&format!("{job}/log?follow={follow}")).await?;
    let mut is_empty = true;
    while let Some(frame) = body.frame().await {
        if let Ok(data) = frame.map_err(|error| client.unreachable(&error))?.into_data() {
            is_empty &= data.is_empty();
            output::raw(&data);
        }
    }
    let now: Value = client.get(job).await?;
    let tells = is_empty || now["status"] == "canceled";
    messages(&now).filter(|_| tells).for_each(|message| output::error(&message));
    if is_empty && messages(&now).next().is_none() {
        let held = now["held"].as_str().map_or_else(String::new, |why| format!(" ({why})"));
        output::error(&format!("nothing is printed: the job is {}{held}", field(&now, "status")));
    }
    if follow && matches!(now["status"].as_str(), Some("running" | "queued" | "on_hold")) {
        let why = "the log broke off while the job goes on: follow it again";
        return Err(client.wrong(why).into());
    }
    Ok(())
}
