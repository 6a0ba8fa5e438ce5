//! How the room of bytes is opened: in the data directory, or over another object store.
//!
//! Invariant: the file of options holds secrets, so that one which others can read is refused.

use crate::{
    config::Config,
    data_dir::{DataDir, PLACE_FILE},
    site_names::{names, s3_domains},
};
use anyhow::{Context, bail};
use objects::{Peer, Place};
use std::{fs, io::ErrorKind, path::Path};

/// The room's settings; it knows the names under which its images may be asked for.
pub(crate) fn config(config: &Config, data: &DataDir) -> anyhow::Result<objects::Config> {
    let names = names(config);
    let addresses = names.addresses.iter().map(ToString::to_string);
    let url = config.base_url.as_deref().and_then(|url| url.split_once("://"));
    let public = url.map(|(_, rest)| rest.split([':', '/']).next().unwrap_or_default().to_owned());
    let domains = s3_domains(&names.dns);
    let own_names = names.dns.iter().cloned().chain(addresses).chain(public).collect();
    Ok(objects::Config {
        own_names,
        domains,
        session_stands: web::job_key_stands,
        peer: peer(config)?,
        keep_free: config.objects.keep_free.0,
        webhook_allow: config.objects.webhook_allow.clone(),
        outward_roots: config.objects.outward_roots.clone(),
        ..objects::Config::over(place(config, data)?)
    })
}

/// Keeps where the bytes are, once and for all.
pub(crate) fn settle(config: &Config, data: &DataDir) -> anyhow::Result<()> {
    if !is_settled(config, data)? {
        ingress::secure_file::write(&data.join(PLACE_FILE), wanted(config).as_bytes())?;
    }
    Ok(())
}

fn wanted(config: &Config) -> &str {
    config.objects.remote.as_deref().unwrap_or("the data directory")
}

/// Refuses another place than the one that holds the bytes: they would all seem lost.
pub(crate) fn is_settled(config: &Config, data: &DataDir) -> anyhow::Result<bool> {
    let wanted = wanted(config);
    let file = data.join(PLACE_FILE);
    match fs::read_to_string(&file) {
        Ok(kept) if kept.trim() == wanted => Ok(true),
        Ok(kept) if kept.trim().is_empty() => bail!(
            "{file}, which tells where bytes are kept, is empty: put it back from a copy; or, if all that was stored is in {wanted}, run `printf '%s' '{wanted}' > {file}` (otherwise set `objects_place` to where it is first)",
            file = file.display()
        ),
        Ok(kept) => bail!(
            "`objects_place` names {wanted}, but what was stored until now is in {kept}: set it back; or copy the bytes there first, then remove {file}",
            kept = kept.trim(),
            file = file.display()
        ),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error).with_context(|| format!("cannot read {}", file.display())),
    }
}

fn place(config: &Config, data: &DataDir) -> anyhow::Result<Place> {
    let settings = &config.objects;
    let Some(address) = &settings.remote else { return Ok(Place::Folder(data.join("objects"))) };
    let options = options(settings.options.as_deref(), "objects_options")?;
    Place::remote(address, &options, &settings.outward_roots)
        .with_context(|| format!("`objects_place` is `{address}`, which cannot be used"))
}

/// The other S3 that is asked for damaged bytes, if one is set.
pub(crate) fn peer(config: &Config) -> anyhow::Result<Option<Peer>> {
    let settings = &config.objects;
    let Some(address) = &settings.peer else { return Ok(None) };
    let options = options(settings.peer_options.as_deref(), "objects_peer_options")?;
    let peer = Peer::new(address, &options, &settings.outward_roots);
    peer.map(Some).with_context(|| {
        format!("`objects_peer` is `{address}`, which cannot be used with `objects_peer_options`")
    })
}

fn options(path: Option<&Path>, setting: &str) -> anyhow::Result<Vec<(String, String)>> {
    let Some(path) = path else { return Ok(Vec::new()) };
    let bytes = ingress::secure_file::read(path)?;
    let text = String::from_utf8(bytes).with_context(|| format!("{}", path.display()))?;
    parse(&text).with_context(|| format!("{}, named by `{setting}`", path.display()))
}

/// Lines `NAME=VALUE`; empty ones and those that begin with `#` say nothing.
fn parse(text: &str) -> anyhow::Result<Vec<(String, String)>> {
    let mut options = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let Some((name, value)) = line.split_once('=') else {
            bail!("line {} is not NAME=VALUE", number + 1);
        };
        options.push((name.trim().to_owned(), value.trim().to_owned()));
    }
    Ok(options)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_lines_and_a_wrong_one_is_named_without_its_value() {
        let found = parse("# far\naws_region = x\n\naws_endpoint=http://h/?a=b\n").unwrap();
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(found, [pair("aws_region", "x"), pair("aws_endpoint", "http://h/?a=b")]);
        assert_eq!(parse("a=b\nsecret").unwrap_err().to_string(), "line 2 is not NAME=VALUE");
    }
}
