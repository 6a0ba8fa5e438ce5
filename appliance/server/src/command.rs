//! One file for each noun of the command line.
//!
//! Invariants: results go to standard output, everything else to standard error; `--json` prints
//! the API's own objects.

pub(crate) mod artifact;
pub(crate) mod bucket;
pub(crate) mod config;
pub(crate) mod doctor;
mod follow;
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
pub(crate) mod watch;
pub(crate) mod workflow;

use crate::{
    client::{Client, Failure},
    output,
};
use anyhow::Context;
use base::{protocol::Variable, secret::Secret, time::Timestamp, trigger::ParameterValue};
use http_body_util::BodyExt;
use indexmap::IndexMap;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;
use std::time::Duration;
use tokio::time::timeout;

/// What a command ended with; the process's exit code.
pub(crate) type Code = u8;

/// A user's mistake, exit code 2.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Usage(pub(crate) String);

/// What was named is not there, exit code 3.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Missing(pub(crate) String);

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
    let named = ["gh/", "github/"].iter().find_map(|forge| project.strip_prefix(forge));
    let name = named.filter(|name| name.contains('/')).unwrap_or(project);
    name.parse::<base::ids::RepoName>()
        .map(|name| name.slug())
        .map_err(|error| Usage(error.to_string()))
}

/// A name as part of an address.
fn encoded(text: &str) -> String {
    const NAME: &AsciiSet =
        &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~').remove(b':');
    utf8_percent_encode(text, NAME).to_string()
}

/// What came of a deed: the API's own answer, or its message.
fn tell(answer: &Value, as_json: bool) {
    if as_json { output::json(answer) } else { output::line(&field(answer, "message")) }
}

/// Whether a token or key still opens anything.
fn state_of(credential: &Value) -> String {
    match (&credential["revoked_at"], &credential["expires_at"]) {
        (Value::Null, _) if credential["locked_out"] == true => "account locked out".to_owned(),
        (Value::Null, Value::Null) => "good".to_owned(),
        (end, same) if end == same => format!("ended {}", field(credential, "expires_at")),
        (Value::Null, end) if ended(end) => format!("ended {}", field(credential, "expires_at")),
        (Value::Null, _) => format!("until {}", field(credential, "expires_at")),
        _ => "revoked".to_owned(),
    }
}

fn ended(end: &Value) -> bool {
    let end = end.as_str().and_then(|text| text.parse::<Timestamp>().ok());
    end.is_some_and(|end| end <= crate::serve::now())
}

/// A download of which nothing comes for so long does not come.
const STALLED: Duration = Duration::from_secs(300);

/// Writes a body as it comes; nothing else runs in this process that could wait for it.
async fn pour(
    body: &mut hyper::body::Incoming,
    to: &mut impl std::io::Write,
) -> anyhow::Result<()> {
    while let Some(frame) =
        timeout(STALLED, body.frame()).await.context("the download stands still")?
    {
        if let Ok(data) = frame.context("the download broke off")?.into_data() {
            to.write_all(&data)?;
        }
    }
    Ok(to.flush()?)
}

/// Splits `NAME=VALUE`.
fn pair(text: &str) -> Result<(&str, &str), Usage> {
    text.split_once('=').ok_or_else(|| Usage(format!("`{text}` is not NAME=VALUE")))
}

/// `true`, `false` and whole numbers keep their type, unless quotes make them a text.
fn parameter(text: &str) -> ParameterValue {
    match (text.parse::<bool>(), text.parse::<i64>()) {
        (Ok(value), _) => ParameterValue::Boolean(value),
        (_, Ok(value)) => ParameterValue::Integer(value),
        _ => ParameterValue::String(serde_json::from_str(text).unwrap_or_else(|_| text.to_owned())),
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

/// The longest value of a variable, as the original service has it.
const VALUE_MAX: u64 = 32 << 10;

/// A value from standard input, so that it is in no process list; one trailing line end is dropped.
/// What a failing program before the pipe did not print must not replace a good value.
fn secret_from_stdin() -> anyhow::Result<Secret> {
    use std::io::{IsTerminal, Read};
    if std::io::stdin().is_terminal() {
        output::note("Type the value (it is shown), then Ctrl-D:");
    }
    let mut text = String::new();
    std::io::stdin().take(VALUE_MAX + 2).read_to_string(&mut text)?;
    let text = text.strip_suffix('\n').unwrap_or(&text);
    match text.len() as u64 {
        0 => Err(Usage("standard input holds no value: nothing was changed".into()).into()),
        size if size > VALUE_MAX => {
            Err(Usage(format!("the value is longer than {VALUE_MAX} bytes: nothing was changed"))
                .into())
        }
        _ => Ok(Secret::new(text)),
    }
}
