//! Orb sources that a compilation may refer to, already loaded: nothing is fetched here.
//!
//! References: `ns/name@1.2.3`, `@1.2`, `@1`, `@volatile` (the newest release), `@dev:label`, or
//! an `https://` address. A partial version means the newest that fits.

use std::{collections::BTreeMap, fmt, str::FromStr, sync::Arc};

/// A version of an orb.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum OrbVersion {
    /// `dev:label`
    Dev(String),
    /// `1.2.3`
    Release(u64, u64, u64),
}

/// A text that is not a reference to one version of an orb.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` does not name one version of an orb: expected NAMESPACE/ORB@1.2.3 or NAMESPACE/ORB@dev:LABEL"
)]
pub struct OrbReferenceError(String);

/// One version of one orb: `ns/name@1.2.3` or `ns/name@dev:label`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OrbReference {
    /// `ns/name`
    pub name: String,
    /// Whole, never partial.
    pub version: OrbVersion,
}

/// Orb sources by name and version, and by address.
#[derive(Debug, Clone, Default)]
pub struct Orbs {
    registry: BTreeMap<String, BTreeMap<OrbVersion, Arc<str>>>,
    /// Versions that exist without being loaded, for messages.
    known: BTreeMap<String, Vec<OrbVersion>>,
    addresses: BTreeMap<String, Arc<str>>,
    /// What is to be told of references.
    remarks: BTreeMap<String, String>,
}

/// An orb found: what the reference resolved to, and its source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundOrb {
    /// `ns/name@1.2.3`, or the address.
    pub resolved: String,
    /// Its packed YAML.
    pub text: Arc<str>,
}

impl fmt::Display for OrbVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dev(label) => write!(f, "dev:{label}"),
            Self::Release(major, minor, patch) => write!(f, "{major}.{minor}.{patch}"),
        }
    }
}

impl fmt::Display for OrbReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.name, self.version)
    }
}

impl FromStr for OrbReference {
    type Err = OrbReferenceError;

    fn from_str(text: &str) -> Result<Self, OrbReferenceError> {
        let error = || OrbReferenceError(text.chars().take(120).collect());
        let (name, version) = split_reference(text).ok_or_else(error)?;
        let version = OrbVersion::parse(version).ok_or_else(error)?;
        Ok(Self { name: name.into(), version })
    }
}

impl OrbVersion {
    /// Reads `1.2.3` or `dev:label`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if let Some(label) = text.strip_prefix("dev:") {
            return is_dev_label(label).then(|| Self::Dev(label.into()));
        }
        match numbers(text)?.as_slice() {
            [major, minor, patch] => Some(Self::Release(*major, *minor, *patch)),
            _ => None,
        }
    }
}

fn is_dev_label(label: &str) -> bool {
    !label.is_empty()
        && label.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || ".-_".contains(c))
}

fn numbers(text: &str) -> Option<Vec<u64>> {
    let list: Option<Vec<u64>> = text
        .split('.')
        .map(|part| part.bytes().all(|b| b.is_ascii_digit()).then(|| part.parse().ok()).flatten())
        .collect();
    list.filter(|list| (1..=3).contains(&list.len()))
}

fn is_part(part: &str) -> bool {
    part.len() >= 2
        && part.starts_with(|c: char| c.is_ascii_lowercase())
        && part.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_".contains(c))
}

/// Whether a reference is an address.
pub(crate) fn is_address(reference: &str) -> bool {
    reference.starts_with("https://") || reference.starts_with("http://")
}

/// Splits `ns/name@version` and checks its form (a version may be partial).
pub(crate) fn split_reference(reference: &str) -> Option<(&str, &str)> {
    let (name, version) = reference.split_once('@')?;
    let (namespace, orb) = name.split_once('/')?;
    let version_fits = version == "volatile"
        || version.strip_prefix("dev:").is_some_and(is_dev_label)
        || numbers(version).is_some();
    (is_part(namespace) && is_part(orb) && version_fits).then_some((name, version))
}

impl Orbs {
    /// Adds the source of one version, `ns/name@1.2.3` or `ns/name@dev:label`.
    ///
    /// # Errors
    /// The reference is partial or not a reference.
    pub fn add(
        &mut self,
        reference: &str,
        text: impl Into<Arc<str>>,
    ) -> Result<(), OrbReferenceError> {
        let OrbReference { name, version } = reference.parse()?;
        self.registry.entry(name).or_default().insert(version, text.into());
        Ok(())
    }

    /// Adds the source behind an address.
    pub fn add_address(&mut self, address: impl Into<String>, text: impl Into<Arc<str>>) {
        self.addresses.insert(address.into(), text.into());
    }

    /// Something to tell where a reference stands, in words that complete "it …": why an address
    /// could not be fetched. With a source it is a warning, without one it is part of the error.
    pub fn remark(&mut self, reference: impl Into<String>, words: impl Into<String>) {
        self.remarks.insert(reference.into(), words.into());
    }

    pub(crate) fn remarked(&self, reference: &str) -> Option<&str> {
        self.remarks.get(reference).map(String::as_str)
    }

    /// Tells which versions of an orb exist, loaded or not, oldest first: a reference that nothing
    /// fits is then answered with them.
    pub fn know(&mut self, name: impl Into<String>, versions: Vec<OrbVersion>) {
        self.known.insert(name.into(), versions);
    }

    /// Names (`ns/name`) of all registry orbs held or known.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.registry.keys().chain(self.known.keys()).map(String::as_str)
    }

    /// Versions of one orb that are known, or else held, oldest first.
    #[must_use]
    pub fn versions(&self, name: &str) -> Vec<&OrbVersion> {
        match self.known.get(name) {
            Some(list) => list.iter().collect(),
            None => self.registry.get(name).into_iter().flat_map(BTreeMap::keys).collect(),
        }
    }

    /// The newest version that fits a reference, or what stands behind an address.
    #[must_use]
    pub fn find(&self, reference: &str) -> Option<FoundOrb> {
        if let Some(text) = self.addresses.get(reference) {
            return Some(FoundOrb { resolved: reference.into(), text: text.clone() });
        }
        let (name, wanted) = split_reference(reference)?;
        let fits = |version: &OrbVersion| match version {
            OrbVersion::Dev(label) => wanted.strip_prefix("dev:") == Some(label),
            OrbVersion::Release(major, minor, patch) => {
                wanted == "volatile"
                    || numbers(wanted).is_some_and(|n| [*major, *minor, *patch].starts_with(&n))
            }
        };
        let (version, text) =
            self.registry.get(name)?.iter().rev().find(|(version, _)| fits(version))?;
        Some(FoundOrb { resolved: format!("{name}@{version}"), text: text.clone() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(reference: &str, expected: Option<&str>) {
        let mut orbs = Orbs::default();
        for version in ["1.0.0", "1.2.0", "1.10.1", "2.0.0", "dev:next"] {
            orbs.add(&format!("acme/tools@{version}"), version).unwrap();
        }
        let found = orbs.find(reference);
        assert_eq!(found.as_ref().map(|found| &*found.text), expected, "{reference}");
    }

    #[test]
    fn a_partial_version_is_the_newest_that_fits() {
        check("acme/tools@1", Some("1.10.1"));
        check("acme/tools@1.2", Some("1.2.0"));
        check("acme/tools@1.0.0", Some("1.0.0"));
        check("acme/tools@volatile", Some("2.0.0"));
        check("acme/tools@dev:next", Some("dev:next"));
        check("acme/tools@3", None);
        check("acme/tools", None);
        check("Acme/tools@1", None);
    }
}
