//! `appliance job`: show, log, cancel.

use super::{Code, field, slug};
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
                let rows: Vec<_> =
                    keys.iter().map(|key| vec![(*key).to_owned(), field(&job, key)]).collect();
                output::table(&["field", "value"], &rows);
            }
        }
        JobCommand::Log { project, number, follow, remote } => {
            let path =
                format!("/api/v2/project/{}/job/{number}/log?follow={follow}", slug(&project)?);
            let mut body = Client::new(&remote)?.stream(&path).await?;
            while let Some(frame) = body.frame().await {
                if let Ok(data) = frame?.into_data() {
                    output::raw(&data)?;
                }
            }
        }
        JobCommand::Cancel { project, number, remote } => {
            let path = format!("/api/v2/project/{}/job/{number}/cancel", slug(&project)?);
            let answer = Client::new(&remote)?.post(&path, &json!({})).await?;
            output::line(&field(&answer, "message"));
        }
    }
    Ok(0)
}
