//! Exporting: one tar that is an OCI layout and a `docker save` archive at once, as Docker itself
//! writes since version 25. `docker load`, `podman load`, skopeo and `appliance registry import` read it.
//!
//! Invariant: a blob whose bytes have another digest ends the archive with an error that names it.
//! Memory: one file's header and one piece of a blob at a time.

use super::{
    BUCKET, ImageError, Reference, blob_key, damaged,
    manifest::{Index, Manifest, choose},
    record::Record,
    there,
};
use crate::{digest::hex, error::Error, objects::Objects, vault::ByteStream};
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
        self.refuse_rotten(reference, &blobs).await?;
        let (_, top) = records.first().ok_or_else(|| damaged(reference, &digest))?;
        // An image that is named by its digest has no name to be written into the archive.
        let full = Some(self.image_name(reference)?).filter(|name| name.digest().is_none());
        let index = serde_json::to_vec(&layout_index(&digest, top, full.as_ref()));
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
                match there(self.get(BUCKET, &key, None).await)? {
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
        tracing::error!(image, digest, "a blob of an image that is exported is damaged");
        Err(Error::Damaged(format!("{digest} of image {image}")))
    })
    .boxed()
}

fn layout_index(digest: &str, top: &Record, full: Option<&Reference>) -> Value {
    let annotations = full.map(|full| {
        json!({
            "io.containerd.image.name": full.to_string(),
            "org.opencontainers.image.ref.name": full.to_string(),
        })
    });
    let mut entry = json!({ "mediaType": top.media_type, "digest": digest, "size": top.size });
    if let Some(annotations) = annotations {
        entry["annotations"] = annotations;
    }
    json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": [entry],
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
