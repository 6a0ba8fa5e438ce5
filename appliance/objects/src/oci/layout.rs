//! What an OCI layout holds: its images with their names, and what is said about them. Pure.
//!
//! Source: OCI image layout 1.1. What says something about an image names it as its `subject`; older
//! tools give it the tag `sha256-<hex>.sig` instead, and `cosign save` an annotation.
//! Invariants: only an image gets the name that was given, and only if there is one image.

use super::{
    ImageError, Reference, blob_key,
    import::Stored,
    manifest::{Descriptor, Index, Manifest, choose},
    reference::hex_of,
};
use serde::Deserialize;
use std::collections::{BTreeSet, HashMap};

/// Below it stand the files of a layout, named by their digests.
const BLOBS: &str = "blobs/sha256/";

/// Annotations that may hold an image's full name.
const NAMES: [&str; 2] = ["io.containerd.image.name", "org.opencontainers.image.ref.name"];

/// `cosign save` writes what an entry is.
const COSIGN: &str = "dev.cosignproject.cosign/";

/// What an archive holds.
#[derive(Debug, Default)]
pub(super) struct Files {
    pub(super) files: HashMap<String, Stored>,
    pub(super) links: HashMap<String, String>,
}

impl Files {
    pub(super) fn get(&self, path: &str) -> Option<&Stored> {
        let mut path = path;
        // A link to a link to a link is not made by any tool.
        for _ in 0..3 {
            match self.links.get(path) {
                Some(target) => path = target,
                None => break,
            }
        }
        self.files.get(path)
    }

    pub(super) fn text(&self, path: &str) -> Option<&[u8]> {
        self.get(path)?.text.as_deref()
    }

    /// A file that is named by its digest and has another.
    pub(super) fn damaged(&self) -> Option<&str> {
        let has_another = |(path, stored): &(&String, &Stored)| {
            let named = path.strip_prefix(BLOBS);
            named.is_some_and(|hex| stored.digest.strip_prefix("sha256:") != Some(hex))
        };
        self.files.iter().find(has_another).map(|(path, _)| path.as_str())
    }

    fn by_digest(&self, digest: &str) -> Result<&Stored, String> {
        let found = blob_key(digest).and_then(|key| self.get(&key));
        let fits = found.filter(|stored| stored.digest == digest);
        fits.ok_or_else(|| format!("it names {digest} and does not hold it"))
    }

    fn document(&self, digest: &str) -> Result<&[u8], String> {
        let text = self.by_digest(digest)?.text.as_deref();
        text.ok_or_else(|| "a manifest is larger than 4 MiB".into())
    }
}

/// What is to be imported of a layout.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Layout {
    /// Names, and the manifests or indexes that they lead to.
    pub(super) images: Vec<(Reference, String)>,
    /// Manifests that say something about another one, with that one.
    pub(super) about: Vec<(String, String)>,
    /// The same as older tools do it: a tag in the repository of the image of these digits, and the manifest.
    pub(super) companions: Vec<Companion>,
}

impl Layout {
    /// Every name that is to lead somewhere: those of the images, and beside them the tags by which older
    /// tools find what is said about each.
    pub(super) fn named(&self) -> Result<Vec<(Reference, String)>, String> {
        let mut named = self.images.clone();
        for (reference, digest) in &self.images {
            for one in self.companions.iter().filter(|one| hex_of(digest) == Some(one.of.as_str()))
            {
                let beside: Result<Reference, ImageError> =
                    format!("{}:{}", reference.name(), one.tag).parse();
                named.push((beside.map_err(|error| error.to_string())?, one.digest.clone()));
            }
        }
        Ok(named)
    }
}

/// See [`Layout::companions`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Companion {
    pub(super) of: String,
    pub(super) tag: String,
    pub(super) digest: String,
}

/// The fields by which an image is told from what is said about one.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Artifact {
    artifact_type: Option<String>,
    subject: Option<Subject>,
}

#[derive(Debug, Deserialize)]
struct Subject {
    digest: String,
}

/// The digits and the ending of the tag by which older tools name what is said about an image.
pub(super) fn companion_tag(tag: &str) -> Option<(&str, &str)> {
    let (hex, ending) = tag.strip_prefix("sha256-")?.split_once('.')?;
    let is_hex = hex.len() == 64 && hex.bytes().all(|byte| byte.is_ascii_hexdigit());
    (is_hex && ENDINGS.contains(&ending)).then_some((hex, ending))
}

/// Signatures, attestations and lists of contents.
pub(super) const ENDINGS: [&str; 3] = ["sig", "att", "sbom"];

/// The given name, or those of the archive.
pub(super) fn names(given: Option<&Reference>, own: &[String]) -> Result<Vec<Reference>, String> {
    if let Some(name) = given {
        return Ok(vec![name.clone()]);
    }
    if own.is_empty() {
        return Err("the image has no name in it: give one with --tag".into());
    }
    own.iter().map(|text| text.parse().map_err(|error: ImageError| error.to_string())).collect()
}

/// One name names one image.
pub(super) fn only<'a>(
    given: Option<&Reference>,
    digests: impl Iterator<Item = &'a str>,
) -> Result<(), String> {
    let all: BTreeSet<&str> = digests.collect();
    if given.is_none() || all.len() < 2 {
        return Ok(());
    }
    let all: Vec<&str> = all.into_iter().collect();
    Err(format!(
        "it holds {} images, and --tag names one: leave it out if they have names, or make an archive of one of {}",
        all.len(),
        all.join(", ")
    ))
}

/// Reads `index.json` and what it leads to.
pub(super) fn read(files: &Files, name: Option<&Reference>) -> Result<Layout, String> {
    let text = files.text("index.json");
    let text = text.ok_or("it holds neither manifest.json nor index.json, so it is no image")?;
    let index: Index =
        serde_json::from_slice(text).map_err(|error| format!("index.json: {error}"))?;
    let mut layout = Layout { about: about(files), ..Layout::default() };
    let mut images: Vec<&Descriptor> = Vec::new();
    for entry in &index.manifests {
        match told(files, entry)? {
            Told::Image => images.push(entry),
            Told::About => {}
            Told::Companion { of, tag } => {
                let digest = entry.digest.clone();
                layout.companions.push(Companion { of, tag, digest });
            }
        }
    }
    only(name, images.iter().map(|entry| entry.digest.as_str()))?;
    adopt(&mut layout.companions, &images);
    for entry in images {
        complete(files, &entry.digest)?;
        for reference in names(name, own_name(entry).as_slice())? {
            layout.images.push((reference, entry.digest.clone()));
        }
    }
    layout.images.dedup();
    if layout.images.is_empty() {
        return Err("it holds no image".into());
    }
    Ok(layout)
}

fn own_name(entry: &Descriptor) -> Option<String> {
    let mut names = NAMES.into_iter().filter_map(|key| entry.annotations.get(key));
    names.find(|text| text.contains([':', '/'])).cloned()
}

/// What an entry of the index is.
enum Told {
    Image,
    /// It names its subject itself, or has none.
    About,
    /// The digits of its image, empty where only the layout tells, and its tag or the tag's ending.
    Companion {
        of: String,
        tag: String,
    },
}

fn told(files: &Files, entry: &Descriptor) -> Result<Told, String> {
    let artifact: Option<Artifact> = serde_json::from_slice(files.document(&entry.digest)?).ok();
    let says = |one: Artifact| {
        one.subject.is_some() || one.artifact_type.is_some_and(|kind| !kind.is_empty())
    };
    if artifact.is_some_and(says) {
        return Ok(Told::About);
    }
    let tags = NAMES.into_iter().filter_map(|key| entry.annotations.get(key));
    let tags = tags.map(|text| text.rsplit_once(':').map_or(text.as_str(), |(_, tag)| tag));
    for tag in tags {
        if let Some((hex, _)) = companion_tag(tag) {
            return Ok(Told::Companion { of: hex.to_owned(), tag: tag.to_owned() });
        }
    }
    let kind = entry.annotations.get("kind").and_then(|kind| kind.strip_prefix(COSIGN));
    Ok(match kind {
        Some("sigs") => Told::Companion { of: String::new(), tag: "sig".into() },
        Some("atts") => Told::Companion { of: String::new(), tag: "att".into() },
        _ => Told::Image,
    })
}

/// What names no image belongs to the only one; of several it is nobody's.
fn adopt(companions: &mut Vec<Companion>, images: &[&Descriptor]) {
    let digests: BTreeSet<&str> = images.iter().map(|entry| entry.digest.as_str()).collect();
    let only = digests.first().filter(|_| digests.len() == 1).and_then(|digest| hex_of(digest));
    for companion in companions.iter_mut().filter(|one| one.of.is_empty()) {
        let Some(hex) = only else { continue };
        companion.tag = format!("sha256-{hex}.{}", companion.tag);
        hex.clone_into(&mut companion.of);
    }
    companions.retain(|one| !one.of.is_empty());
}

/// All documents that name a subject, whether the index lists them or not.
fn about(files: &Files) -> Vec<(String, String)> {
    let subject = |stored: &Stored| {
        let artifact: Artifact = serde_json::from_slice(stored.text.as_deref()?).ok()?;
        Some((stored.digest.clone(), artifact.subject?.digest))
    };
    let mut found: Vec<_> = files.files.values().filter_map(subject).collect();
    found.sort_unstable();
    found.dedup();
    found
}

/// Everything that this machine needs of an image is there; of one for others, all of one variant.
fn complete(files: &Files, digest: &str) -> Result<(), String> {
    let Ok(index) = serde_json::from_slice::<Index>(files.document(digest)?) else {
        return whole(files, digest);
    };
    // One level: an index of indexes is not made by any tool.
    if let Some(chosen) = choose(&index) {
        return whole(files, &chosen.digest);
    }
    let mut first = Err("it holds an index of no images".to_owned());
    for entry in &index.manifests {
        match whole(files, &entry.digest) {
            Ok(()) => return Ok(()),
            Err(why) => first = first.or(Err(why)),
        }
    }
    first
}

fn whole(files: &Files, digest: &str) -> Result<(), String> {
    let manifest: Manifest = serde_json::from_slice(files.document(digest)?)
        .map_err(|error| format!("{digest}: {error}"))?;
    let mut parts = manifest.layers.iter().chain([&manifest.config]);
    parts.try_for_each(|part| files.by_digest(&part.digest).map(drop))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEX: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

    fn check(tag: &str, expected: Option<&str>) {
        assert_eq!(companion_tag(tag).map(|(_, ending)| ending), expected, "{tag}");
    }

    #[test]
    fn tags_of_older_signatures_are_known() {
        check(&format!("sha256-{HEX}.sig"), Some("sig"));
        check(&format!("sha256-{HEX}.att"), Some("att"));
        for other in ["1.0", "sha256-ab.sig", &format!("sha256-{HEX}"), &format!("sha256-{HEX}.x")]
        {
            check(other, None);
        }
    }
}
