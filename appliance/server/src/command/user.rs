//! `appliance user`: accounts.

use super::{Code, encoded, field, items, tell};
use crate::{
    cli::{Remote, UserCommand},
    client::Client,
    output,
};
use serde_json::{Value, json};

const PATH: &str = "/api/appliance/v1/user";

pub(crate) async fn run(command: UserCommand) -> anyhow::Result<Code> {
    match command {
        UserCommand::List { remote } => {
            let all = items(&Client::new(&remote)?, PATH).await?;
            if remote.json {
                output::json(&all.into());
            } else {
                let rows: Vec<_> = all.iter().map(row).collect();
                output::table(&["login", "name", "role", "state", "created"], &rows);
            }
        }
        UserCommand::Create { login, name, role, machine, remote } => {
            let body = json!({
                "login": login, "name": name, "role": role.as_str(), "one_time": !machine,
            });
            let made = Client::new(&remote)?.post(PATH, &body).await?;
            show_password(&made, remote.json);
        }
        UserCommand::Role { login, role, remote } => {
            change(&remote, &login, &json!({ "role": role.as_str() })).await?;
        }
        UserCommand::Disable { login, remote } => {
            change(&remote, &login, &json!({ "disabled": true })).await?;
        }
        UserCommand::Enable { login, remote } => {
            change(&remote, &login, &json!({ "disabled": false })).await?;
        }
        UserCommand::ResetPassword { login, remote } => {
            let path = format!("{PATH}/{}/password", encoded(&login));
            let made = Client::new(&remote)?.post(&path, &json!({})).await?;
            show_password(&made, remote.json);
        }
    }
    Ok(0)
}

async fn change(remote: &Remote, login: &str, body: &Value) -> anyhow::Result<()> {
    let path = format!("{PATH}/{}", encoded(login));
    tell(&Client::new(remote)?.patch(&path, body).await?, remote.json);
    Ok(())
}

/// The one place where a person learns it.
fn show_password(made: &Value, as_json: bool) {
    if as_json {
        return output::json(made);
    }
    output::line(&format!("login              {}", field(made, "login")));
    if let Some(word) = made["password"].as_str() {
        output::line(&format!("one-time password  {word}"));
        output::note("Pass it on now: it is not shown again.");
    }
}

fn row(user: &Value) -> Vec<String> {
    let state = if user["disabled"] == true { "disabled" } else { "good" };
    vec![
        field(user, "login"),
        field(user, "name"),
        field(user, "role"),
        state.to_owned(),
        field(user, "created_at"),
    ]
}
