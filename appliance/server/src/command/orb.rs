//! `appliance orb`: bring orbs in and out, list, print, check.
//!
//! The way: a running appliance is asked through its socket or its address, so that its files stay
//! its own; without one, the data directory is used itself. A developer without an appliance has a
//! store in the home folder, which `config` and `run` use, too.

use super::{Code, Usage, items};
use crate::{
    cli::{OrbCommand, OrbPlace, Remote},
    client::{Client, Failure},
    orb_addresses, output,
};
use anyhow::Context;
use orbs::{Added, Candidate, Registry};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use pipeline::Diagnostic;
use serde_json::{Value, json};
use std::{
    fs,
    io::{Read, Write},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
};

/// The data directory of a machine that is an appliance.
const SYSTEM: &str = "/var/lib/appliance";
const PATH: &str = "/api/appliance/v1/orb";

pub(crate) async fn run(command: OrbCommand) -> anyhow::Result<Code> {
    match command {
        OrbCommand::Import { path, name, place } => import(&path, name.as_deref(), &place).await,
        OrbCommand::Export { path, references, place } => export(&path, references, &place).await,
        OrbCommand::List { place } => list(&place).await,
        OrbCommand::Source { reference, place } => source(&reference, &place).await,
        OrbCommand::Pack { folder } => {
            output::raw(read_source(&folder)?.text.as_bytes());
            Ok(0)
        }
        OrbCommand::Validate { path, place } => validate(&path, &place),
    }
}

/// The data directory in use: as given, else the machine's, else one's own.
fn data_dir(given: Option<&Path>) -> PathBuf {
    let home = || {
        let data = std::env::var_os("XDG_DATA_HOME").map(PathBuf::from);
        let share = || Some(PathBuf::from(std::env::var_os("HOME")?).join(".local/share"));
        Some(data.or_else(share)?.join("appliance"))
    };
    let whole = |path: &Path| std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    given.map(whole).unwrap_or_else(|| {
        let is_ours = fs::read_dir(SYSTEM).is_ok();
        if is_ours { SYSTEM.into() } else { home().unwrap_or_else(|| SYSTEM.into()) }
    })
}

/// The store of commands without an appliance.
pub(crate) fn folder(data: Option<&Path>) -> PathBuf {
    data_dir(data).join("orbs")
}

/// The orbs that commands without an appliance may use; addresses as this machine's settings allow.
pub(crate) fn local(data: Option<&Path>) -> anyhow::Result<Registry> {
    let store = Registry::at(folder(data));
    Ok(orb_addresses::as_set(store, &super::config::of_this_machine()?)?)
}

/// The appliance to ask, when there is one.
fn server(place: &OrbPlace) -> Result<Option<Client>, Failure> {
    let data_dir = data_dir(place.data_dir.as_deref());
    if place.host.is_none() && UnixStream::connect(data_dir.join("control.sock")).is_err() {
        return Ok(None);
    }
    let remote =
        Remote { host: place.host.clone(), ca: place.ca.clone(), data_dir, json: place.json };
    Client::new(&remote).map(Some)
}

async fn import(path: &Path, name: Option<&str>, place: &OrbPlace) -> anyhow::Result<Code> {
    let candidates = orbs::read(path, name).map_err(|error| Usage(error.to_string()))?;
    let server = server(place)?;
    let mut done = vec![];
    for candidate in &candidates {
        let result = match &server {
            Some(client) => add_remote(client, candidate).await?,
            None => match add_local(&local(place.data_dir.as_deref())?, candidate)? {
                Some(added) => added,
                None => return Ok(8),
            },
        };
        done.push(json!({ "reference": candidate.name.to_string(), "result": result }));
    }
    if place.json {
        output::json(&done.into());
        return Ok(0);
    }
    let store = store_of(server.as_ref(), place);
    for one in &done {
        let told = match one["result"].as_str() {
            Some("same") => "was already in",
            Some("replaced") => "replaced in",
            _ => "imported into",
        };
        let reference = one["reference"].as_str().unwrap_or_default();
        output::line(&format!("{reference} {told} {store}"));
    }
    Ok(0)
}

/// Which store that is, for people.
fn store_of(server: Option<&Client>, place: &OrbPlace) -> String {
    match server {
        Some(client) => format!("the orb store of {}", client.address()),
        None => folder(place.data_dir.as_deref()).display().to_string(),
    }
}

async fn add_remote(client: &Client, candidate: &Candidate) -> Result<&'static str, Failure> {
    let body = json!({ "reference": candidate.name.to_string(), "source": candidate.text });
    let answer = client.post(PATH, &body).await?;
    let warnings: Vec<Diagnostic> =
        serde_json::from_value(answer["diagnostics"].clone()).unwrap_or_default();
    output::diagnostics(&warnings);
    Ok(match answer["result"].as_str() {
        Some("same") => "same",
        Some("replaced") => "replaced",
        _ => "new",
    })
}

fn add_local(registry: &Registry, candidate: &Candidate) -> anyhow::Result<Option<&'static str>> {
    let found = orbs::check_candidate(registry, candidate)?;
    output::diagnostics(&found);
    if found.iter().any(Diagnostic::is_error) {
        return Ok(None);
    }
    Ok(Some(match registry.add(&candidate.name, &candidate.text)? {
        Added::New => "new",
        Added::Same => "same",
        Added::Replaced => "replaced",
    }))
}

/// Every orb with its versions, from wherever the store is.
async fn listed(place: &OrbPlace) -> anyhow::Result<Vec<Value>> {
    if let Some(client) = server(place)? {
        return Ok(items(&client, PATH).await?);
    }
    let shown = |orb: orbs::Listed| {
        let versions: Vec<String> = orb.versions.iter().map(ToString::to_string).collect();
        json!({ "name": orb.name, "versions": versions })
    };
    Ok(local(place.data_dir.as_deref())?.list()?.into_iter().map(shown).collect())
}

fn versions(orb: &Value) -> Vec<&str> {
    orb["versions"].as_array().into_iter().flatten().filter_map(Value::as_str).collect()
}

async fn list(place: &OrbPlace) -> anyhow::Result<Code> {
    let found = listed(place).await?;
    if place.json {
        output::json(&found.into());
        return Ok(0);
    }
    let row = |orb: &Value| {
        vec![orb["name"].as_str().unwrap_or_default().to_owned(), versions(orb).join(" ")]
    };
    output::table(&["orb", "versions"], &found.iter().map(row).collect::<Vec<_>>());
    Ok(0)
}

/// The reference in full, and the source.
async fn found(reference: &str, place: &OrbPlace) -> anyhow::Result<(String, String)> {
    if let Some(client) = server(place)? {
        let escaped = utf8_percent_encode(reference, NON_ALPHANUMERIC);
        let answer: Value = client.get(&format!("{PATH}/source?reference={escaped}")).await?;
        let text = |key: &str| answer[key].as_str().unwrap_or_default().to_owned();
        return Ok((text("reference"), text("source")));
    }
    let found = local(place.data_dir.as_deref())?
        .source(reference)
        .map_err(|error| Usage(error.to_string()))?;
    Ok((found.resolved, found.text.to_string()))
}

async fn source(reference: &str, place: &OrbPlace) -> anyhow::Result<Code> {
    let (reference, text) = found(reference, place).await?;
    if place.json {
        output::json(&json!({ "reference": reference, "source": text }));
    } else {
        output::raw(text.as_bytes());
    }
    Ok(0)
}

async fn export(path: &Path, wanted: Vec<String>, place: &OrbPlace) -> anyhow::Result<Code> {
    let all = |orbs: Vec<Value>| -> Vec<String> {
        let names = orbs.iter().flat_map(|orb| {
            let name = orb["name"].as_str().unwrap_or_default();
            versions(orb).into_iter().map(move |version| format!("{name}@{version}"))
        });
        names.collect()
    };
    let wanted = if wanted.is_empty() { all(listed(place).await?) } else { wanted };
    let mut orbs = vec![];
    for reference in &wanted {
        orbs.push(found(reference, place).await?);
    }
    let mut bytes = vec![];
    let count = orbs::write_bundle(&orbs, &mut bytes)?;
    if path == Path::new("-") {
        output::raw(&bytes);
        return Ok(0);
    }
    let mut file =
        fs::File::create(path).with_context(|| format!("cannot create {}", path.display()))?;
    file.write_all(&bytes)?;
    file.sync_all()?;
    output::note(&format!("{count} orbs written to {}", path.display()));
    Ok(0)
}

/// An orb: a packed file, or a source folder that is packed on the way.
fn read_source(path: &Path) -> anyhow::Result<Candidate> {
    // The name is only asked for when something is kept under it.
    const NAME: &str = "unnamed/orb@dev:unnamed";
    if path == Path::new("-") {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text).context("cannot read standard input")?;
        return Ok(Candidate { name: NAME.parse()?, text, origin: path.into(), source: None });
    }
    let mut found = orbs::read(path, Some(NAME)).map_err(|error| Usage(error.to_string()))?;
    Ok(found.remove(0))
}

fn validate(path: &Path, place: &OrbPlace) -> anyhow::Result<Code> {
    let orb = read_source(path)?;
    let found = orb.validate(&local(place.data_dir.as_deref())?.load_for(&orb.text)?);
    let valid = !found.iter().any(Diagnostic::is_error);
    if place.json {
        output::json(&json!({ "valid": valid, "diagnostics": found }));
    } else {
        output::diagnostics(&found);
        if valid {
            output::line(&format!("Orb at {} is valid.", path.display()));
        }
    }
    Ok(if valid { 0 } else { 8 })
}
