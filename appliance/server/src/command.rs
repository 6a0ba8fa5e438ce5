//! One file for each noun of the command line.
//!
//! Invariants: results go to standard output, everything else to standard error; `--json` prints
//! the API's own objects.

pub(crate) mod artifact;
pub(crate) mod bucket;
pub(crate) mod config;
pub(crate) mod doctor;
pub(crate) mod hardware;
pub(crate) mod hooks;
pub(crate) mod job;
pub(crate) mod key;
pub(crate) mod orb;
pub(crate) mod pipeline;
pub(crate) mod project;
pub(crate) mod registry;
pub(crate) mod retention;
pub(crate) mod token;
pub(crate) mod user;
pub(crate) mod workflow;

use crate::client::{Client, Failure};
use base::{protocol::Variable, secret::Secret, trigger::ParameterValue};
use indexmap::IndexMap;
use serde_json::Value;

/// What a command ended with; the process's exit code.
pub(crate) type Code = u8;

/// A user's mistake, exit code 2.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Usage(pub(crate) String);

/// All items of a paged list.
async fn items(client: &Client, path: &str) -> Result<Vec<Value>, Failure> {
    let mut all = Vec::new();
    let mut next = path.to_owned();
    loop {
        let mut page: Value = client.get(&next).await?;
        if let Value::Array(items) = page["items"].take() {
            all.extend(items);
        }
        let Some(token) = page["next_page_token"].as_str() else { return Ok(all) };
        let joint = if path.contains('?') { '&' } else { '?' };
        next = format!("{path}{joint}page-token={token}");
    }
}

/// `gh/<org>/<name>` of `ORG/NAME`.
fn slug(project: &str) -> Result<String, Usage> {
    let name = project.strip_prefix("gh/").unwrap_or(project);
    name.parse::<base::ids::RepoName>()
        .map(|name| name.slug())
        .map_err(|error| Usage(error.to_string()))
}

/// Splits `NAME=VALUE`.
fn pair(text: &str) -> Result<(&str, &str), Usage> {
    text.split_once('=').ok_or_else(|| Usage(format!("`{text}` is not NAME=VALUE")))
}

/// `true`, `false` and whole numbers keep their type.
fn parameter(text: &str) -> ParameterValue {
    match (text.parse::<bool>(), text.parse::<i64>()) {
        (Ok(value), _) => ParameterValue::Boolean(value),
        (_, Ok(value)) => ParameterValue::Integer(value),
        _ => ParameterValue::String(text.to_owned()),
    }
}

/// Pipeline parameters, each `NAME=VALUE`.
pub(crate) fn parameters(texts: &[String]) -> Result<IndexMap<String, ParameterValue>, Usage> {
    texts
        .iter()
        .map(|text| pair(text).map(|(name, value)| (name.to_owned(), parameter(value))))
        .collect()
}

/// Secret variables, each `NAME=VALUE`.
pub(crate) fn variables(texts: &[String]) -> Result<Vec<Variable>, Usage> {
    let variable =
        |(name, value): (&str, &str)| Variable { name: name.into(), value: Secret::new(value) };
    texts.iter().map(|text| pair(text).map(variable)).collect()
}

/// A field of an API object as text; a dash for what is not there.
fn field(object: &Value, key: &str) -> String {
    match &object[key] {
        Value::Null => "–".into(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// A value from standard input, so that it is in no process list; one trailing line end is dropped.
fn secret_from_stdin() -> anyhow::Result<Secret> {
    use std::io::{IsTerminal, Read};
    if std::io::stdin().is_terminal() {
        tracing::info!("type the value, then Ctrl-D");
    }
    let mut text = String::new();
    std::io::stdin().take(64 << 10).read_to_string(&mut text)?;
    Ok(Secret::new(text.strip_suffix('\n').unwrap_or(&text)))
}
