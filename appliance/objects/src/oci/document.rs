//! The JSON documents of images, as far as they are needed.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// An index or a manifest: which one is told by what it lists.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Document {
    pub(super) schema_version: u32,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) media_type: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) manifests: Vec<Descriptor>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) config: Option<Descriptor>,
    pub(super) layers: Vec<Descriptor>,
}

/// Names bytes by their digest.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Descriptor {
    pub(super) media_type: String,
    pub(super) digest: String,
    pub(super) size: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) platform: Option<Platform>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) annotations: BTreeMap<String, String>,
}

/// For which machines.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Platform {
    pub(super) os: String,
    pub(super) architecture: String,
}

/// One entry of `manifest.json` of `docker save`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Saved {
    pub(super) config: String,
    #[serde(default)]
    pub(super) repo_tags: Option<Vec<String>>,
    pub(super) layers: Vec<String>,
}

impl Platform {
    /// That of this machine.
    pub(super) fn here() -> Self {
        let architecture = match std::env::consts::ARCH {
            "x86_64" => "amd64",
            "aarch64" => "arm64",
            other => other,
        };
        Self { os: "linux".into(), architecture: architecture.into() }
    }
}

impl std::fmt::Display for Platform {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)
    }
}

impl Descriptor {
    /// The name that the maker of the file gave to it.
    pub(super) fn name(&self) -> Option<&str> {
        let full = self.annotations.get("io.containerd.image.name");
        // A bare tag, as some tools write it, names no image.
        let other = self.annotations.get("org.opencontainers.image.ref.name");
        full.or(other.filter(|name| name.contains(['/', ':']))).map(String::as_str)
    }
}

/// The entry for this machine: one made for it, or the only one that does not say.
pub(super) fn fitting<'a>(
    entries: impl IntoIterator<Item = &'a Descriptor>,
    here: &Platform,
) -> Option<&'a Descriptor> {
    let (mut exact, mut open) = (Vec::new(), Vec::new());
    for entry in entries {
        match &entry.platform {
            Some(platform) if platform == here => exact.push(entry),
            Some(_) => {}
            None => open.push(entry),
        }
    }
    match (exact.as_slice(), open.as_slice()) {
        ([first, ..], _) => Some(first),
        ([], [only]) => Some(only),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(digest: &str, platform: Option<(&str, &str)>) -> Descriptor {
        let platform = platform
            .map(|(os, architecture)| Platform { os: os.into(), architecture: architecture.into() });
        Descriptor { digest: digest.into(), platform, ..Descriptor::default() }
    }

    fn check(entries: &[Descriptor], expected: Option<&str>) {
        let here = Platform { os: "linux".into(), architecture: "amd64".into() };
        assert_eq!(fitting(entries, &here).map(|entry| entry.digest.as_str()), expected);
    }

    #[test]
    fn the_variant_of_this_machine_is_taken() {
        let arm = entry("arm", Some(("linux", "arm64")));
        let amd = entry("amd", Some(("linux", "amd64")));
        let proof = entry("proof", Some(("unknown", "unknown")));
        check(&[proof.clone(), arm.clone(), amd.clone()], Some("amd"));
        check(&[arm.clone(), proof], None);
        check(&[entry("only", None)], Some("only"));
        check(&[entry("one", None), entry("two", None)], None);
        check(&[entry("open", None), amd], Some("amd"));
    }
}
