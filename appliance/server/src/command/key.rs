//! `appliance key`: access keys of the S3 service and the registry.

use super::{Code, field, items, state_of, tell};
use crate::{cli::KeyCommand, client::Client, output};
use serde_json::{Value, json};

const PATH: &str = "/api/appliance/v1/key";

pub(crate) async fn run(command: KeyCommand) -> anyhow::Result<Code> {
    match command {
        KeyCommand::Create { owner, only, read_only, site, days, remote } => {
            let body = json!({
                "owner": owner, "only": only, "read_only": read_only, "site": site, "days": days,
            });
            let made = Client::new(&remote)?.post(PATH, &body).await?;
            if remote.json {
                output::json(&made);
            } else {
                output::line(&format!("access key  {}", field(&made, "id")));
                output::line(&format!("secret key  {}", field(&made, "secret")));
                output::note("The secret is not shown again.");
            }
        }
        KeyCommand::List { remote } => {
            let all = items(&Client::new(&remote)?, PATH).await?;
            if remote.json {
                output::json(&all.into());
            } else {
                let rows: Vec<_> = all.iter().map(row).collect();
                output::table(&["key", "owner", "scope", "state"], &rows);
            }
        }
        KeyCommand::Revoke { id, remote } => {
            let path = format!("{PATH}/revoke");
            tell(&Client::new(&remote)?.post(&path, &json!({ "id": id })).await?, remote.json);
        }
    }
    Ok(0)
}

fn row(key: &Value) -> Vec<String> {
    let rules = key["scope"]["rules"]
        .as_array()
        .map(|rules| rules.iter().map(rule).collect::<Vec<_>>().join(", "));
    let scope = rules.unwrap_or_else(|| field(key, "scope"));
    vec![field(key, "id"), field(key, "owner"), scope, state_of(key)]
}

/// `backups/db/ read-only` and the like: a key that may not write says so.
fn rule(rule: &Value) -> String {
    let verbs = rule["verbs"].as_array().map_or(&[][..], Vec::as_slice);
    let writes = verbs.iter().any(|verb| matches!(verb.as_str(), Some("write" | "delete")));
    let place = format!("{}/{}", field(rule, "bucket"), field(rule, "prefix"));
    if writes { place } else { place + " read-only" }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(scope: &Value, expected: &str) {
        let key = json!({ "id": "K", "owner": "ann", "scope": scope });
        assert_eq!(row(&key)[2], expected, "{scope}");
    }

    #[test]
    fn a_key_that_only_reads_is_told_as_such() {
        check(&json!("owner"), "owner");
        let rule = |bucket: &str, verbs: &[&str]| json!({ "bucket": bucket, "prefix": "", "verbs": verbs });
        let (reads, all) =
            (rule("a", &["read", "list"]), rule("b", &["read", "write", "delete", "list"]));
        check(&json!({ "rules": [reads] }), "a/ read-only");
        check(&json!({ "rules": [all, reads] }), "b/, a/ read-only");
    }
}
