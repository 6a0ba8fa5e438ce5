//! `appliance token`: tokens of accounts.

use super::{Code, Usage, encoded, field, items, slug, state_of, tell};
use crate::{cli::TokenCommand, client::Client, output};
use serde_json::{Value, json};

fn path(login: &str) -> String {
    format!("/api/appliance/v1/user/{}/token", encoded(login))
}

pub(crate) async fn run(command: TokenCommand) -> anyhow::Result<Code> {
    match command {
        TokenCommand::Create { login, label, role, projects, days, remote } => {
            let slugs = projects.iter().map(|project| slug(project));
            let slugs = slugs.collect::<Result<Vec<String>, Usage>>()?;
            let body = json!({
                "label": label,
                "role": role.map(|role| role.as_str()),
                "projects": (!slugs.is_empty()).then_some(slugs),
                "days": days,
            });
            let made = Client::new(&remote)?.post(&path(&login), &body).await?;
            if remote.json {
                output::json(&made);
            } else {
                output::line(&field(&made, "token"));
                output::note("It is not shown again.");
                if let Some(message) = made["message"].as_str() {
                    output::note(message);
                }
            }
        }
        TokenCommand::List { login, remote } => {
            let all = items(&Client::new(&remote)?, &path(&login)).await?;
            if remote.json {
                output::json(&all.into());
            } else {
                let rows: Vec<_> = all.iter().map(row).collect();
                output::table(&["id", "label", "may", "used", "state"], &rows);
            }
        }
        TokenCommand::Revoke { login, id, remote } => {
            let path = format!("{}/{}", path(&login), encoded(&id));
            tell(&Client::new(&remote)?.delete(&path).await?, remote.json);
        }
    }
    Ok(0)
}

fn row(token: &Value) -> Vec<String> {
    let text = |key| field(token, key);
    vec![text("id"), text("label"), text("role"), text("last_used_at"), state_of(token)]
}
