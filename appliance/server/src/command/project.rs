//! `appliance project` and `appliance context`: environment variables, whose values come from
//! standard input and are never shown.

use super::{Code, Missing, encoded, field, items, secret_from_stdin, slug};
use crate::{
    cli::{ContextCommand, ProjectCommand},
    client::Client,
    output,
};
use serde_json::{Value, json};

pub(crate) async fn project(command: ProjectCommand) -> anyhow::Result<Code> {
    match command {
        ProjectCommand::SetEnv { project, name, remote } => {
            let path = format!("/api/v2/project/{}/envvar", slug(&project)?);
            let value = secret_from_stdin()?;
            // The value goes to the server's sealed store.
            let body = json!({ "name": name, "value": value.expose() });
            let answer = Client::new(&remote)?.post(&path, &body).await?;
            if remote.json {
                output::json(&answer)
            } else {
                output::note(&format!("{name} is set."))
            }
        }
        ProjectCommand::Env { project, remote } => {
            let path = format!("/api/v2/project/{}/envvar", slug(&project)?);
            let all = items(&Client::new(&remote)?, &path).await?;
            show(all, remote.json, &["name", "value"]);
        }
    }
    Ok(0)
}

pub(crate) async fn context(command: ContextCommand) -> anyhow::Result<Code> {
    match command {
        ContextCommand::Create { org, name, remote } => {
            let body = json!({ "name": name, "owner": { "slug": format!("gh/{org}"), "type": "organization" } });
            let made = Client::new(&remote)?.post("/api/v2/context", &body).await?;
            if remote.json { output::json(&made) } else { output::line(&field(&made, "id")) }
        }
        ContextCommand::List { org, remote } => {
            let all = contexts(&Client::new(&remote)?, &org).await?;
            show(all, remote.json, &["name", "id", "created_at"]);
        }
        ContextCommand::SetEnv { org, context, name, remote } => {
            let client = Client::new(&remote)?;
            let all = contexts(&client, &org).await?;
            let found = all.iter().find(|row| row["name"] == *context);
            let id = found.map(|row| field(row, "id")).ok_or_else(|| {
                Missing(format!("{org} has no context `{context}`: make it with `appliance context create {org} {context}`"))
            })?;
            let value = secret_from_stdin()?;
            // The value goes to the server's sealed store.
            let body = json!({ "value": value.expose() });
            let path = format!("/api/v2/context/{id}/environment-variable/{}", encoded(&name));
            let answer = client.put(&path, &body).await?;
            if remote.json {
                output::json(&answer)
            } else {
                output::note(&format!("{name} is set."))
            }
        }
    }
    Ok(0)
}

async fn contexts(client: &Client, org: &str) -> anyhow::Result<Vec<Value>> {
    Ok(items(client, &format!("/api/v2/context?owner-slug=gh/{}", encoded(org))).await?)
}

fn show(all: Vec<Value>, as_json: bool, columns: &[&str]) {
    if as_json {
        return output::json(&all.into());
    }
    let rows: Vec<Vec<String>> =
        all.iter().map(|row| columns.iter().map(|key| field(row, key)).collect()).collect();
    output::table(columns, &rows);
}
