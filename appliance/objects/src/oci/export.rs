//! Exporting: one tar that is an OCI layout and a `docker save` archive at once, as Docker itself
//! writes since version 25. `docker load`, `podman load`, skopeo and `appliance registry import` read it.
//! What is said about the image, by referrers or under the tags of older tools, goes along.
//!
//! Invariant: a blob whose bytes have another digest ends the archive with an error that names it.
//! Memory: one file's header and one piece of a blob at a time.

use super::{
    BUCKET, ImageError, Reference, blob_key, damaged,
    layout::ENDINGS,
    manifest::{Index, Manifest, choose},
    record::Record,
    reference::hex_of,
    shelf, there,
};
use crate::{bucket, digest::hex, error::Error, objects::Objects, vault::ByteStream};
use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::{collections::BTreeSet, sync::Arc};

/// A tar is made of blocks of so many bytes.
const BLOCK: usize = 512;

/// A file of the archive.
enum Part {
    Text(&'static str, Vec<u8>),
    Blob(String),
}

/// What is said about an image: digest, record, and the tag by which older tools find it.
type About = (String, Record, Option<Reference>);

/// Manifests that say something about one image.
const ABOUT_MAX: usize = 4096;

impl Objects {
    /// An image as an archive.
    ///
    /// # Errors
    /// [`ImageError::Missing`], [`ImageError::Damaged`]; the stream ends with [`Error`] when bytes
    /// cannot be read.
    pub async fn image_export(&self, reference: &str) -> Result<ByteStream, ImageError> {
        let digest = self.image_digest(reference).await?;
        let records = self.image_records(reference, &digest).await?;
        let mut blobs: BTreeSet<String> = BTreeSet::new();
        for (digest, record) in &records {
            blobs.insert(digest.clone());
            blobs.extend(record.blobs.iter().cloned());
        }
        let (_, top) = records.first().ok_or_else(|| damaged(reference, &digest))?;
        let name = self.image_name(reference)?;
        let mut about = self.referrers(reference, &name, &records).await?;
        about.extend(self.companions(&name, &digest).await?);
        for (digest, record, _) in &about {
            blobs.insert(digest.clone());
            blobs.extend(record.blobs.iter().cloned());
        }
        self.refuse_rotten(reference, &blobs).await?;
        // An image that is named by its digest has no name to be written into the archive.
        let full = Some(name).filter(|name| name.digest().is_none());
        let mut entries = vec![layout_entry(&digest, top, full.as_ref())];
        entries.extend(
            about.iter().map(|(digest, record, tag)| layout_entry(digest, record, tag.as_ref())),
        );
        let index = serde_json::to_vec(&layout_index(&entries));
        let mut parts = vec![
            Part::Text("oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#.to_vec()),
            Part::Text("index.json", index.unwrap_or_default()),
        ];
        let docker = self.docker_manifest(reference, &digest, full.as_ref()).await?;
        parts.extend(docker.map(|text| Part::Text("manifest.json", text)));
        parts.extend(blobs.into_iter().map(Part::Blob));
        let (objects, image) = (self.clone(), Arc::from(reference));
        let files = stream::iter(parts)
            .then(move |part| {
                let (objects, image) = (objects.clone(), Arc::clone(&image));
                async move { objects.file(part, &image).await }
            })
            .try_flatten();
        let end = stream::once(async { Ok(Bytes::from(vec![0; 2 * BLOCK])) });
        Ok(files.chain(end).boxed())
    }

    /// What is known to be damaged is told before the first byte.
    async fn refuse_rotten(
        &self,
        reference: &str,
        blobs: &BTreeSet<String>,
    ) -> Result<(), ImageError> {
        for digest in blobs {
            let Some(key) = blob_key(digest) else { continue };
            match there(self.head(BUCKET, &key).await) {
                Err(Error::Damaged(_)) => return Err(damaged(reference, digest)),
                other => other.map(drop)?,
            }
        }
        Ok(())
    }

    /// What refers to the image in its repository, and to that.
    async fn referrers(
        &self,
        reference: &str,
        name: &Reference,
        records: &[(String, Record)],
    ) -> Result<Vec<About>, ImageError> {
        let mut open: Vec<String> = records.iter().map(|(digest, _)| digest.clone()).collect();
        let (mut seen, mut about) = (open.iter().cloned().collect::<BTreeSet<_>>(), Vec::new());
        while let Some(next) = open.pop() {
            let prefix = shelf::referrers_prefix(name.name(), &next);
            let found = self.read(move |reader| {
                let bucket = bucket::get(reader, BUCKET)?.id;
                let rows = shelf::rows(reader, bucket, &prefix)?;
                Ok(rows
                    .into_iter()
                    .map(|(row, _)| row.key[prefix.len()..].to_owned())
                    .collect::<Vec<_>>())
            });
            for digest in found.await?.into_iter().map(|hex| format!("sha256:{hex}")) {
                if about.len() >= ABOUT_MAX || !seen.insert(digest.clone()) {
                    continue;
                }
                for (digest, record) in self.image_records(reference, &digest).await? {
                    open.push(digest.clone());
                    about.push((digest, record, None));
                }
            }
        }
        Ok(about)
    }

    /// What older tools say about the image.
    async fn companions(&self, name: &Reference, digest: &str) -> Result<Vec<About>, ImageError> {
        let mut about = Vec::new();
        for ending in ENDINGS {
            let hex = hex_of(digest).unwrap_or_default();
            let text = format!("{}:sha256-{hex}.{ending}", name.name());
            let digest = match self.image_digest(&text).await {
                Err(ImageError::Missing(_)) => continue,
                found => found?,
            };
            let tag: Reference = text.parse()?;
            // Such a manifest leads to no other.
            let found = self.image_records(&text, &digest).await?.into_iter().take(1);
            about.extend(found.map(|(digest, record)| (digest, record, Some(tag.clone()))));
        }
        Ok(about)
    }

    /// `manifest.json` for the variant of this machine, or the only one.
    async fn docker_manifest(
        &self,
        reference: &str,
        digest: &str,
        full: Option<&Reference>,
    ) -> Result<Option<Vec<u8>>, ImageError> {
        let mut text = self.image_document(reference, digest).await?;
        if let Ok(index) = serde_json::from_str::<Index>(&text) {
            let Some(chosen) = choose(&index).and_then(|chosen| blob_key(&chosen.digest)) else {
                return Ok(None);
            };
            match there(self.get_small(BUCKET, &chosen, super::DOCUMENT_MAX).await)? {
                Some(bytes) => text = String::from_utf8_lossy(&bytes).into_owned(),
                None => return Ok(None),
            }
        }
        let Ok(manifest) = serde_json::from_str::<Manifest>(&text) else { return Ok(None) };
        let layers: Vec<String> =
            manifest.layers.iter().filter_map(|layer| blob_key(&layer.digest)).collect();
        let tags: Vec<String> = full.iter().map(ToString::to_string).collect();
        let config = blob_key(&manifest.config.digest);
        let all = json!([{ "Config": config, "RepoTags": tags, "Layers": layers }]);
        Ok(serde_json::to_vec(&all).ok())
    }

    /// Header, bytes and padding of one file.
    async fn file(&self, part: Part, image: &str) -> Result<ByteStream, Error> {
        match part {
            Part::Text(name, text) => {
                let size = text.len() as u64;
                let bytes = stream::once(async { Ok(Bytes::from(text)) });
                Ok(framed(name, size, bytes.boxed()))
            }
            Part::Blob(digest) => {
                let Some(key) = blob_key(&digest) else { return Ok(stream::empty().boxed()) };
                let found = match there(self.get(BUCKET, &key, None).await) {
                    // A small one is compared before its first byte.
                    Err(Error::Damaged(_)) => return Err(rotten(&digest, image)),
                    found => found?,
                };
                match found {
                    Some(found) => {
                        let bytes = verified(found.bytes, digest, image.to_owned());
                        Ok(framed(&key, found.info.size, bytes))
                    }
                    // What an import left out is left out again.
                    None => Ok(stream::empty().boxed()),
                }
            }
        }
    }
}

/// Passes a blob on, and ends with an error when its bytes have another digest.
fn verified(bytes: ByteStream, digest: String, image: String) -> ByteStream {
    let state = (bytes, Sha256::new(), digest, image);
    stream::try_unfold(state, |(mut bytes, mut hasher, digest, image)| async move {
        match bytes.next().await {
            Some(Ok(part)) => {
                hasher.update(&part);
                return Ok(Some((part, (bytes, hasher, digest, image))));
            }
            Some(Err(Error::Damaged(_))) => {}
            Some(Err(other)) => return Err(other),
            None if digest == format!("sha256:{}", hex(&hasher.finalize())) => return Ok(None),
            None => {}
        }
        Err(rotten(&digest, &image))
    })
    .boxed()
}

fn rotten(digest: &str, image: &str) -> Error {
    tracing::error!(image, digest, "a blob of an image that is exported is damaged");
    Error::Damaged(format!("{digest} of image {image}"))
}

fn layout_entry(digest: &str, record: &Record, name: Option<&Reference>) -> Value {
    let mut entry =
        json!({ "mediaType": record.media_type, "digest": digest, "size": record.size });
    if let (Some(_), Some(kind)) = (&record.subject, &record.artifact_type) {
        entry["artifactType"] = json!(kind);
    }
    if let Some(name) = name {
        entry["annotations"] = json!({
            "io.containerd.image.name": name.to_string(),
            "org.opencontainers.image.ref.name": name.to_string(),
        });
    }
    entry
}

fn layout_index(entries: &[Value]) -> Value {
    json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": entries,
    })
}

/// A tar entry; bytes that do not fit the promised size end it with an error.
fn framed(name: &str, size: u64, bytes: ByteStream) -> ByteStream {
    let mut header = tar::Header::new_gnu();
    header.set_size(size);
    header.set_mode(0o644);
    header.set_entry_type(tar::EntryType::Regular);
    if let Err(source) = header.set_path(name) {
        let error = Error::Receive { key: name.to_owned(), source: Arc::new(source) };
        return stream::once(async { Err(error) }).boxed();
    }
    header.set_cksum();
    let head = Bytes::copy_from_slice(header.as_bytes());
    let used = usize::try_from(size % BLOCK as u64).unwrap_or(0);
    let padding = Bytes::from(vec![0; (BLOCK - used) % BLOCK]);
    stream::once(async { Ok(head) }).chain(bytes).chain(stream::once(async { Ok(padding) })).boxed()
}
