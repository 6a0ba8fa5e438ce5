//! `appliance project` and `appliance context`: environment variables, whose values come from
//! standard input and are never shown; deleting a project, which is typed twice on a terminal.

use super::{Code, Missing, Usage, encoded, field, items, secret_from_stdin, slug};
use crate::{
    cli::{ContextCommand, ProjectCommand},
    client::Client,
    output,
};
use serde_json::{Value, json};
use std::io::IsTerminal;

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
        ProjectCommand::UnsetEnv { project, name, remote } => {
            let path = format!("/api/v2/project/{}/envvar/{}", slug(&project)?, encoded(&name));
            removed(&Client::new(&remote)?.delete(&path).await?, &name, remote.json);
        }
        ProjectCommand::Delete { project, yes, remote } => {
            let path = format!("/api/v2/project/{}", slug(&project)?);
            if !yes {
                confirm(&project)?;
            }
            let answer = Client::new(&remote)?.delete(&path).await?;
            if remote.json {
                output::json(&answer)
            } else {
                output::note(&format!("{project} is deleted."))
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

/// Has the name typed once more, by a person.
fn confirm(project: &str) -> Result<(), Usage> {
    if !std::io::stdin().is_terminal() {
        return Err(Usage(format!(
            "nothing was deleted: nobody is asked where standard input is no terminal; give --yes to delete {project}"
        )));
    }
    output::note(&format!(
        "This deletes {project} for ever: its Git repository, pipelines, logs, artifacts, caches, variables and schedules.\nType its name to go on:"
    ));
    let mut typed = String::new();
    let read = std::io::stdin().read_line(&mut typed);
    match read {
        Ok(_) if typed.trim() == project => Ok(()),
        _ => Err(Usage(format!("nothing was deleted: what was typed is not {project}"))),
    }
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
            let variables = variables_of(&client, &org, &context).await?;
            let value = secret_from_stdin()?;
            // The value goes to the server's sealed store.
            let body = json!({ "value": value.expose() });
            let answer = client.put(&format!("{variables}/{}", encoded(&name)), &body).await?;
            if remote.json {
                output::json(&answer)
            } else {
                output::note(&format!("{name} is set."))
            }
        }
        ContextCommand::UnsetEnv { org, context, name, remote } => {
            let client = Client::new(&remote)?;
            let variables = variables_of(&client, &org, &context).await?;
            let answer = client.delete(&format!("{variables}/{}", encoded(&name))).await?;
            removed(&answer, &name, remote.json);
        }
        ContextCommand::Env { org, context, remote } => {
            let client = Client::new(&remote)?;
            let variables = variables_of(&client, &org, &context).await?;
            let all = items(&client, &variables).await?;
            show(all, remote.json, &["variable", "created_at", "updated_at"]);
        }
    }
    Ok(0)
}

fn removed(answer: &Value, name: &str, as_json: bool) {
    if as_json { output::json(answer) } else { output::note(&format!("{name} is removed.")) }
}

/// Where the variables of a context are.
async fn variables_of(client: &Client, org: &str, context: &str) -> anyhow::Result<String> {
    let all = contexts(client, org).await?;
    let found = all.iter().find(|row| row["name"] == *context);
    let id = found.map(|row| field(row, "id")).ok_or_else(|| {
        Missing(format!("{org} has no context `{context}`: make it with `appliance context create {org} {context}`"))
    })?;
    Ok(format!("/api/v2/context/{id}/environment-variable"))
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
