//! The few fields of OCI documents that matter here.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Media type of an OCI manifest.
pub(crate) const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// Media type of an OCI image configuration.
pub(crate) const CONFIG: &str = "application/vnd.oci.image.config.v1+json";

/// What a digest stands for.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Descriptor {
    #[serde(default)]
    pub(crate) media_type: String,
    pub(crate) digest: String,
    pub(crate) size: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) platform: Option<Platform>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) annotations: BTreeMap<String, String>,
}

/// What an image runs on.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Platform {
    pub(crate) architecture: String,
    pub(crate) os: String,
}

/// An image manifest.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Manifest {
    pub(crate) schema_version: u32,
    #[serde(default)]
    pub(crate) media_type: String,
    pub(crate) config: Descriptor,
    pub(crate) layers: Vec<Descriptor>,
}

/// An image index.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Index {
    pub(crate) manifests: Vec<Descriptor>,
}

/// One image of `manifest.json` in a `docker save` archive.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Saved {
    pub(crate) config: String,
    #[serde(default)]
    pub(crate) repo_tags: Option<Vec<String>>,
    pub(crate) layers: Vec<String>,
}

/// The architecture of this machine in OCI's words.
pub(crate) fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

/// The manifest of an index that this machine runs; attestations are passed over.
pub(crate) fn choose(index: &Index) -> Option<&Descriptor> {
    let fits = |one: &&Descriptor| {
        one.platform
            .as_ref()
            .is_some_and(|on| on.os == "linux" && on.architecture == architecture())
    };
    let usable = |one: &&Descriptor| one.platform.as_ref().is_none_or(|on| on.os != "unknown");
    index.manifests.iter().find(fits).or_else(|| match index.manifests.as_slice() {
        [only] if usable(&only) && only.platform.is_none() => Some(only),
        _ => None,
    })
}
