//! `appliance job`: show, log, cancel.

use super::{Code, field, follow, slug, tell};
use crate::{cli::JobCommand, client::Client, output};
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
                rows.extend(
                    follow::messages(&job).map(|message| vec!["message".to_owned(), message]),
                );
                output::table(&["field", "value"], &rows);
            }
        }
        JobCommand::Log { project, number, follow, remote } => {
            let path = format!("/api/v2/project/{}/job/{number}", slug(&project)?);
            return follow::log(&Client::new(&remote)?, &path, follow).await;
        }
        JobCommand::Cancel { project, number, remote } => {
            let path = format!("/api/v2/project/{}/job/{number}/cancel", slug(&project)?);
            tell(&Client::new(&remote)?.post(&path, &json!({})).await?, remote.json);
        }
    }
    Ok(0)
}
