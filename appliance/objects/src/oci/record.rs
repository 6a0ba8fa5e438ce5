//! What is kept of a manifest beside its bytes: read once when it comes, pure.
//!
//! Why: pulls, referrers and the sweep need its type and what it names, and must not parse four
//! megabytes each time.
//! Source: OCI image and distribution specifications 1.1; Docker's schema 2 has the same shape.
//! Bounds: the text by its reader, [`NAMED_MAX`] descriptors; nesting by the JSON reader.

use super::reference::hex_of;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// More layers than any kernel mounts, more variants than there are machines.
const NAMED_MAX: usize = 4096;

/// Annotations of one manifest: as many bytes as a referrers list may well repeat.
const ANNOTATIONS_MAX: usize = 64 << 10;

/// The types that are taken, with what they are.
const TYPES: [(&str, Kind); 4] = [
    ("application/vnd.oci.image.manifest.v1+json", Kind::Image),
    ("application/vnd.oci.image.index.v1+json", Kind::Index),
    ("application/vnd.docker.distribution.manifest.v2+json", Kind::Image),
    ("application/vnd.docker.distribution.manifest.list.v2+json", Kind::Index),
];

/// An image, or a list of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Image,
    Index,
}

/// A manifest that is not taken, and why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Invalid(pub(crate) String);

fn invalid(why: impl Into<String>) -> Invalid {
    Invalid(why.into())
}

/// What is kept.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Record {
    pub(crate) media_type: String,
    pub(crate) size: u64,
    /// Of an artifact: its own type, or that of its configuration.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) artifact_type: Option<String>,
    /// The manifest that it says something about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) subject: Option<String>,
    /// Manifests of an index.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) manifests: Vec<String>,
    /// Configuration and layers; those that live elsewhere are left out.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) blobs: Vec<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) annotations: BTreeMap<String, String>,
}

/// The fields that are looked at.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    schema_version: Option<u64>,
    media_type: Option<String>,
    artifact_type: Option<String>,
    config: Option<Named>,
    layers: Option<Vec<Named>>,
    manifests: Option<Vec<Named>>,
    subject: Option<Named>,
    #[serde(default)]
    annotations: Option<BTreeMap<String, String>>,
}

/// A descriptor.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Named {
    #[serde(default)]
    media_type: String,
    digest: String,
    size: i64,
    #[serde(default)]
    urls: Option<Vec<String>>,
}

impl Named {
    fn check(&self) -> Result<(), Invalid> {
        if hex_of(&self.digest).is_none() {
            return Err(invalid(format!("`{:.80}` is no sha256 digest", self.digest)));
        }
        if self.size < 0 {
            return Err(invalid(format!("{} has a negative size", self.digest)));
        }
        Ok(())
    }

    /// It is fetched from elsewhere, and nobody pushes it.
    fn is_foreign(&self) -> bool {
        self.urls.as_ref().is_some_and(|urls| !urls.is_empty())
            || self.media_type.contains("nondistributable")
            || self.media_type.contains(".foreign.")
    }
}

/// The type of a manifest: what the sender says, what the text says, or what it looks like.
fn kind(document: &Document, told: Option<&str>) -> Result<(&'static str, Kind), Invalid> {
    let own = document.media_type.as_deref();
    if let (Some(own), Some(told)) = (own, told)
        && own != told
    {
        return Err(invalid(format!("it was sent as `{told:.100}` and calls itself `{own:.100}`")));
    }
    let looks_like = if document.manifests.is_some() { TYPES[1].0 } else { TYPES[0].0 };
    let wanted = told.or(own).unwrap_or(looks_like);
    let found = TYPES.iter().find(|(name, _)| *name == wanted);
    found
        .copied()
        .ok_or_else(|| invalid(format!("manifests of type `{wanted:.100}` are not taken")))
}

/// Reads a manifest; `told` is the type that its sender gave.
pub(crate) fn read(text: &[u8], told: Option<&str>) -> Result<Record, Invalid> {
    let document: Document = serde_json::from_slice(text)
        .map_err(|error| invalid(format!("it is no manifest: {error}")))?;
    if document.schema_version != Some(2) {
        return Err(invalid("only schemaVersion 2 is taken"));
    }
    let told = told.map(|told| told.split(';').next().unwrap_or_default().trim());
    let (media_type, kind) = kind(&document, told.filter(|told| !told.is_empty()))?;
    let mut record =
        Record { media_type: media_type.to_owned(), size: text.len() as u64, ..Record::default() };
    match (kind, document.manifests, document.config, document.layers) {
        // Both at once reads as one thing here and as another thing there.
        (Kind::Index, Some(manifests), None, None) => record.manifests = digests(&manifests)?,
        (Kind::Image, None, Some(config), Some(layers)) => {
            config.check()?;
            record.blobs = digests(&layers)?;
            record.artifact_type = Some(config.media_type.clone()).filter(|kind| !kind.is_empty());
            if !config.is_foreign() {
                record.blobs.push(config.digest);
            }
        }
        (Kind::Index, ..) => {
            return Err(invalid("an index has `manifests` and nothing of an image"));
        }
        (Kind::Image, ..) => return Err(invalid("an image has `config` and `layers` alone")),
    }
    if let Some(own) = document.artifact_type.filter(|own| !own.is_empty()) {
        record.artifact_type = Some(own);
    }
    if let Some(subject) = document.subject {
        subject.check()?;
        record.subject = Some(subject.digest);
    }
    record.annotations = document.annotations.unwrap_or_default();
    let annotated: usize =
        record.annotations.iter().map(|(key, value)| key.len() + value.len()).sum();
    if annotated > ANNOTATIONS_MAX {
        return Err(invalid("its annotations are larger than 64 KiB"));
    }
    Ok(record)
}

fn digests(all: &[Named]) -> Result<Vec<String>, Invalid> {
    if all.len() > NAMED_MAX {
        return Err(invalid(format!("it names more than {NAMED_MAX} parts")));
    }
    all.iter().try_for_each(Named::check)?;
    let mut digests: Vec<String> =
        all.iter().filter(|one| !one.is_foreign()).map(|one| one.digest.clone()).collect();
    digests.sort_unstable();
    digests.dedup();
    Ok(digests)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const A: &str = "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    const B: &str = "sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";
    const OCI: &str = "application/vnd.oci.image.manifest.v1+json";

    /// `None` when it is refused; `@A`, `@B` stand for descriptors.
    fn check(text: &str, told: Option<&str>, expected: Option<(&str, usize, usize)>) {
        let named = |digest: &str| format!(r#"{{"mediaType":"m","digest":"{digest}","size":1}}"#);
        let text = text.replace("@A", &named(A)).replace("@B", &named(B));
        let found = read(text.as_bytes(), told);
        let told = found
            .as_ref()
            .ok()
            .map(|record| (record.media_type.as_str(), record.blobs.len(), record.manifests.len()));
        assert_eq!(told, expected, "{text}: {found:?}");
    }

    #[test]
    fn images_and_indexes_are_told_apart_by_type_and_shape() {
        let image = r#"{"schemaVersion":2,"config":@A,"layers":[@B,@B]}"#;
        check(image, None, Some((OCI, 2, 0)));
        check(
            image,
            Some("application/vnd.oci.image.manifest.v1+json; charset=utf-8"),
            Some((OCI, 2, 0)),
        );
        check(image, Some(TYPES[2].0), Some((TYPES[2].0, 2, 0)));
        check(image, Some(TYPES[1].0), None);
        check(r#"{"schemaVersion":2,"manifests":[@A]}"#, None, Some((TYPES[1].0, 0, 1)));
        check(r#"{"schemaVersion":2,"manifests":[]}"#, Some(TYPES[3].0), Some((TYPES[3].0, 0, 0)));
    }

    #[test]
    fn what_reads_as_two_things_or_as_nothing_is_refused() {
        check(r#"{"schemaVersion":2,"config":@A,"layers":[],"manifests":[]}"#, None, None);
        check(r#"{"schemaVersion":1,"config":@A,"layers":[]}"#, None, None);
        check(r#"{"config":@A,"layers":[]}"#, None, None);
        check(r#"{"schemaVersion":2,"mediaType":"other","config":@A,"layers":[]}"#, None, None);
        check(
            r#"{"schemaVersion":2,"config":{"digest":"md5:1","size":1},"layers":[]}"#,
            None,
            None,
        );
        check(
            &format!(r#"{{"schemaVersion":2,"config":{{"digest":"{A}","size":-1}},"layers":[]}}"#),
            None,
            None,
        );
        for bad in ["", "[]", "null", "{}", "{\"schemaVersion\":2}", &"[".repeat(100_000)] {
            check(bad, None, None);
        }
    }

    #[test]
    fn artifacts_tell_their_type_and_subject_and_foreign_layers_are_not_needed() {
        let text = format!(
            r#"{{"schemaVersion":2,"config":{{"mediaType":"c/t","digest":"{A}","size":2}},
               "layers":[{{"mediaType":"x","digest":"{B}","size":1,"urls":["https://elsewhere"]}}],
               "subject":{{"digest":"{B}","size":1}},"annotations":{{"k":"v"}}}}"#
        );
        let record = read(text.as_bytes(), Some(OCI)).unwrap();
        assert_eq!(record.artifact_type.as_deref(), Some("c/t"));
        assert_eq!(record.subject.as_deref(), Some(B));
        assert_eq!(record.blobs, [A]);
        assert_eq!(record.annotations["k"], "v");
    }

    proptest! {
        #[test]
        fn no_text_brings_it_down(text in ".{0,300}", told in proptest::option::of(".{0,40}")) {
            let _ = read(text.as_bytes(), told.as_deref());
        }

        #[test]
        fn no_document_of_the_right_words_brings_it_down(
            words in proptest::collection::vec(proptest::sample::select(vec![
                "{", "}", "[", "]", ",", ":", "\"schemaVersion\"", "2", "\"config\"", "\"layers\"",
                "\"manifests\"", "\"digest\"", "\"size\"", "\"mediaType\"", "\"subject\"", "null", "-1", A,
            ]), 0..40)
        ) {
            if let Ok(record) = read(words.concat().as_bytes(), None) {
                prop_assert!(TYPES.iter().any(|(name, _)| *name == record.media_type));
                prop_assert!(record.blobs.iter().chain(&record.manifests).all(|one| hex_of(one).is_some()));
            }
        }
    }
}
