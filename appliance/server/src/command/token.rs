//! `appliance token`: tokens of accounts.

use super::{Code, Usage, field, items, slug};
use crate::{cli::TokenCommand, client::Client, output};
use serde_json::{Value, json};

fn path(login: &str) -> String {
    format!("/api/appliance/v1/user/{login}/token")
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
            let answer = Client::new(&remote)?.delete(&format!("{}/{id}", path(&login))).await?;
            output::line(&field(&answer, "message"));
        }
    }
    Ok(0)
}

fn row(token: &Value) -> Vec<String> {
    let state = match (&token["revoked_at"], &token["expires_at"]) {
        (Value::Null, Value::Null) => "good".to_owned(),
        (Value::Null, _) => format!("until {}", field(token, "expires_at")),
        _ => "revoked".to_owned(),
    };
    let text = |key| field(token, key);
    vec![text("id"), text("label"), text("role"), text("last_used_at"), state]
}
