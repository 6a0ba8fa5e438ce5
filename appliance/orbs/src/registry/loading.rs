//! What one configuration needs: from the folder, and from addresses that may be asked.
//!
//! The way: the compiler names what it lacks, this loads it, and it compiles again; names that hold
//! expressions are known only then. What could not be had is told the compiler as a remark, which
//! it tells with the place.

use super::{Registry, read_if_there, turn, write};
use crate::{
    address::{self, Prefix},
    error::Error,
    fetch::Fetch,
    intake::Name,
    record::Record,
};
use base::time::Timestamp;
use pipeline::{Orbs, orb_references};
use std::{
    collections::BTreeSet,
    fs, io,
    path::Path,
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};
use url::Url;

/// Sources loaded for one configuration; the compiler's own bound on orbs is lower.
const LOADED_MAX: usize = 1000;

/// Addresses of one configuration, as on the original service.
const ADDRESSES_MAX: usize = 50;

/// Told of an address whose answer came too late.
const OVERTAKEN: &str =
    "holds something else, but the orb was imported by hand while it was asked, and stays";

/// Times that a configuration is compiled: each may show orbs inside orbs, which nest five deep.
const ROUNDS_MAX: usize = 6;

impl Registry {
    /// Compiles with the orbs that the text names. `absent` tells what a result still lacked; what
    /// of it can be had is loaded, and it is compiled again.
    ///
    /// # Errors
    /// When the folder cannot be read or written.
    pub fn compile_with<T>(
        &self,
        text: &str,
        compile: impl Fn(&Orbs) -> T,
        absent: impl Fn(&T) -> Vec<String>,
    ) -> Result<T, Error> {
        let (mut orbs, mut seen) = (Orbs::default(), BTreeSet::new());
        self.load(orb_references(text), &mut seen, &mut orbs)?;
        let mut done = compile(&orbs);
        for _ in 1..ROUNDS_MAX {
            let mut more = absent(&done);
            more.retain(|name| !seen.contains(name));
            if more.is_empty() {
                break;
            }
            self.load(more, &mut seen, &mut orbs)?;
            done = compile(&orbs);
        }
        Ok(done)
    }

    /// The orbs that a configuration, or an orb, names, and those that they name in turn. What is
    /// not kept is left out: the compiler tells it with its place.
    ///
    /// # Errors
    /// When the folder cannot be read or written.
    pub fn load_for(&self, text: &str) -> Result<Orbs, Error> {
        let mut orbs = Orbs::default();
        self.load(orb_references(text), &mut BTreeSet::new(), &mut orbs)?;
        Ok(orbs)
    }

    fn load(
        &self,
        mut open: Vec<String>,
        seen: &mut BTreeSet<String>,
        orbs: &mut Orbs,
    ) -> Result<(), Error> {
        if self.folder.is_none() {
            return Ok(());
        }
        while let Some(reference) = open.pop() {
            if seen.len() >= LOADED_MAX || !seen.insert(reference.clone()) {
                continue;
            }
            let addresses = seen.iter().filter(|name| address::is_address(name)).count();
            if address::is_address(&reference) && addresses > ADDRESSES_MAX {
                orbs.remark(reference, format!("is one of more than {ADDRESSES_MAX}"));
                continue;
            }
            for text in self.load_one(&reference, orbs)? {
                open.extend(orb_references(&text));
            }
        }
        Ok(())
    }

    /// Loads what fits one reference; every version, when its version is an expression.
    pub(super) fn load_one(
        &self,
        reference: &str,
        orbs: &mut Orbs,
    ) -> Result<Vec<Arc<str>>, Error> {
        if address::is_address(reference) {
            return self.load_address(reference, orbs);
        }
        let Some((name, wanted)) = reference.split_once('@') else { return Ok(vec![]) };
        let versions = self.versions(name)?;
        let mut known = Orbs::default();
        for version in &versions {
            // Told in the message when nothing fits; the source is read only when it does.
            known.add(&format!("{name}@{version}"), "").ok();
        }
        let fitting: Vec<String> = if wanted.contains("<<") {
            versions.iter().map(|version| format!("{name}@{version}")).collect()
        } else {
            known.find(reference).into_iter().map(|found| found.resolved).collect()
        };
        let mut texts = vec![];
        for exact in &fitting {
            let Ok(parsed) = exact.parse() else { continue };
            let path = self.path(&Name::Registry(parsed))?;
            let Some(text) = read_if_there(&path)? else { continue };
            let text: Arc<str> = text.into();
            orbs.add(exact, text.clone()).ok();
            texts.push(text);
        }
        if !versions.is_empty() {
            orbs.know(name, versions);
        }
        Ok(texts)
    }

    fn load_address(&self, address: &str, orbs: &mut Orbs) -> Result<Vec<Arc<str>>, Error> {
        let Some(url) = address::parse(address) else {
            // With an expression in it, it is asked for again once that is filled in.
            return Ok(vec![]);
        };
        let allowed = |list: &[Prefix]| list.iter().any(|prefix| prefix.allows(&url));
        if !self.prefixes.as_deref().is_none_or(allowed) {
            orbs.remark(address, "is not below a prefix of the setting `orb_addresses`");
            return Ok(vec![]);
        }
        let Ok(path) = self.path(&Name::Address(address.to_owned())) else { return Ok(vec![]) };
        let text = match (&self.fetch, self.prefixes.as_deref()) {
            (Some(fetch), Some(prefixes)) => {
                let (text, failure) = refreshed(&path, fetch, &url, prefixes)?;
                failure.into_iter().for_each(|why| orbs.remark(address, why));
                text
            }
            _ => read_if_there(&path)?,
        };
        let Some(text) = text.map(Arc::<str>::from) else { return Ok(vec![]) };
        orbs.add_address(address, text.clone());
        Ok(vec![text])
    }
}

/// The orb behind an address, if it can be had, and what is to be told of it.
type Found = (Option<String>, Option<String>);

/// What stands behind an address: the copy while it is fresh or was brought by hand, else what is
/// fetched now, else the copy all the same, and why it was not fetched.
fn refreshed(path: &Path, fetch: &Fetch, url: &Url, prefixes: &[Prefix]) -> Result<Found, Error> {
    if let Some(text) = usable(path)? {
        return Ok((Some(text), None));
    }
    let mut turn = fetch.turn();
    // Somebody may have fetched it while this waited.
    if let Some(text) = usable(path)? {
        return Ok((Some(text), None));
    }
    match turn.get(url, prefixes) {
        Ok(text) => keep(path, text),
        Err(why) => {
            tracing::warn!(address = url.as_str(), %why, "an orb could not be fetched");
            Ok((read_if_there(path)?, Some(why)))
        }
    }
}

/// The copy, when nobody need be asked.
fn usable(path: &Path) -> Result<Option<String>, Error> {
    let Some(text) = read_if_there(path)? else { return Ok(None) };
    let record = read_if_there(&record_path(path))?;
    let fresh =
        |record: String| record.parse::<Record>().is_ok_and(|record| record.is_fresh(&text, now()));
    Ok(record.is_none_or(fresh).then_some(text))
}

/// Keeps what was fetched, unless somebody has brought another by hand meanwhile: that one counts.
///
/// The record first: a cut between the two leaves a copy that is asked for again, never one that
/// passes for brought by hand.
fn keep(path: &Path, text: String) -> Result<Found, Error> {
    let _turn = turn(path)?;
    let record = record_path(path);
    if let (Some(brought), None) = (read_if_there(path)?, read_if_there(&record)?) {
        let is_same = brought == text;
        return Ok((Some(brought), (!is_same).then(|| OVERTAKEN.to_owned())));
    }
    let line = Record::new(&text, now()).to_string();
    write(&record, &line, true).map_err(Error::io("write", &record))?;
    write(path, &text, true).map_err(Error::io("write", path))?;
    Ok((Some(text), None))
}

/// What is kept there is brought by hand from now on.
pub(super) fn forget(path: &Path) -> Result<(), Error> {
    let record = record_path(path);
    match fs::remove_file(&record) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(Error::io("remove", &record)(error))
        }
        _ => Ok(()),
    }
}

fn record_path(path: &Path) -> std::path::PathBuf {
    path.with_extension("fetched")
}

fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}
