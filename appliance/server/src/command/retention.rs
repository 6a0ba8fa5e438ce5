//! `appliance retention`: what would be removed by now, and the deed.

use super::{Code, field, items, tell};
use crate::{cli::RetentionCommand, client::Client, output};
use base::units::Bytes;
use serde_json::{Value, json};

const PATH: &str = "/api/appliance/v1/retention";

pub(crate) async fn run(command: RetentionCommand) -> anyhow::Result<Code> {
    match command {
        RetentionCommand::Plan { remote } => {
            let all = items(&Client::new(&remote)?, PATH).await?;
            if remote.json {
                output::json(&all.into());
            } else {
                output::table(&["class", "goes", "size"], &all.iter().map(row).collect::<Vec<_>>());
            }
        }
        RetentionCommand::Run { remote } => {
            let answer = Client::new(&remote)?.post(&format!("{PATH}/run"), &json!({})).await?;
            tell(&answer, remote.json);
        }
    }
    Ok(0)
}

fn row(one: &Value) -> Vec<String> {
    let size = one["bytes"].as_u64().map_or_else(String::new, |bytes| Bytes(bytes).to_string());
    vec![field(one, "class"), one["count"].to_string(), size]
}
