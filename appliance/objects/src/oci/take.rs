//! Takes the entries of a file into the store, and reads from them which images it holds.
//!
//! Bounds: [`ENTRIES_MAX`] entries; documents are kept in memory up to the room's limit.

use super::{
    BUCKET, DOCUMENT_MAX, ImageError, Reference, blob_key,
    document::{Descriptor, Document, Platform, Saved, fitting},
    source::{Content, Entry, Source, read_error},
};
use crate::{
    bucket, details,
    details::Details,
    digest::{self, Algorithm},
    error::Error,
    ingest::{Body, Plan},
    objects::{Objects, now},
    versions::{self, NewVersion},
};
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use std::{collections::BTreeMap, io, path::Path, sync::Arc};
use tokio::sync::mpsc;

/// More than the layers and documents of many images together.
const ENTRIES_MAX: usize = 10_000;

/// Links to links: more than `docker save` ever wrote.
const LINKS_MAX: usize = 8;

/// Bytes that were stored.
#[derive(Debug, Clone)]
struct Blob {
    /// `sha256:…`.
    digest: String,
    size: u64,
    /// Packed by gzip.
    packed: bool,
}

/// What a file held.
#[derive(Debug, Default)]
pub(super) struct Taken {
    index: Option<Vec<u8>>,
    saved: Option<Vec<u8>>,
    blobs: BTreeMap<String, Blob>,
    links: BTreeMap<String, String>,
}

/// Stores every blob of a file.
pub(super) async fn take(objects: &Objects, source: Source) -> Result<Taken, ImageError> {
    let mut entries = source.entries();
    let (mut taken, mut count) = (Taken::default(), 0);
    while let Some(entry) = entries.recv().await {
        let Entry { name, content } = entry?;
        count += 1;
        if count > ENTRIES_MAX {
            let why = format!("it has more than {ENTRIES_MAX} entries");
            return Err(ImageError::Archive(why));
        }
        match content {
            Content::Link(target) => drop(taken.links.insert(name, target)),
            Content::Bytes(bytes) => taken.add(objects, name, bytes).await?,
        }
    }
    Ok(taken)
}

impl Taken {
    async fn add(
        &mut self,
        objects: &Objects,
        name: String,
        bytes: mpsc::Receiver<io::Result<Bytes>>,
    ) -> Result<(), ImageError> {
        match name.as_str() {
            "index.json" => self.index = Some(whole(&name, bytes).await?),
            "manifest.json" => self.saved = Some(whole(&name, bytes).await?),
            _ if is_wanted(&name) => {
                let blob = keep(objects, &name, bytes).await?;
                self.blobs.insert(name, blob);
            }
            _ => {}
        }
        Ok(())
    }

    /// Names and digests of the images; `name` replaces the names of the file.
    pub(super) async fn images(
        &self,
        objects: &Objects,
        name: Option<Reference>,
    ) -> Result<Vec<(Reference, String)>, ImageError> {
        let indexed = match &self.index {
            Some(bytes) => indexed(&read(bytes, "index.json")?, name.as_ref())?,
            None => Vec::new(),
        };
        if !indexed.is_empty() {
            return Ok(indexed);
        }
        let images = match &self.saved {
            Some(bytes) => self.saved(objects, read(bytes, "manifest.json")?, name).await?,
            None if self.index.is_some() => Vec::new(),
            None => {
                let why = "it has neither `index.json` nor `manifest.json`";
                return Err(ImageError::Archive(why.into()));
            }
        };
        if images.is_empty() {
            let why = "it does not say how the image is called: give it a name";
            return Err(ImageError::Archive(why.into()));
        }
        Ok(images)
    }

    /// The images of `docker save`, each given a manifest.
    async fn saved(
        &self,
        objects: &Objects,
        saved: Vec<Saved>,
        name: Option<Reference>,
    ) -> Result<Vec<(Reference, String)>, ImageError> {
        if name.is_some() && saved.len() != 1 {
            return Err(several());
        }
        let mut images = Vec::new();
        for one in saved {
            let tags = one.repo_tags.clone().unwrap_or_default();
            let names = match &name {
                Some(name) => vec![name.clone()],
                None => tags.iter().map(|tag| Reference::parse(tag)).collect::<Result<_, _>>()?,
            };
            let digest = self.manifest(objects, &one).await?;
            images.extend(names.into_iter().map(|name| (name, digest.clone())));
        }
        Ok(images)
    }

    async fn manifest(&self, objects: &Objects, saved: &Saved) -> Result<String, ImageError> {
        let config = self.find(&saved.config)?;
        let layers = saved.layers.iter().map(|layer| {
            let blob = self.find(layer)?;
            let packed = if blob.packed { "+gzip" } else { "" };
            Ok(descriptor(format!("application/vnd.oci.image.layer.v1.tar{packed}"), blob))
        });
        let manifest = Document {
            schema_version: 2,
            media_type: "application/vnd.oci.image.manifest.v1+json".into(),
            config: Some(descriptor("application/vnd.oci.image.config.v1+json".into(), config)),
            layers: layers.collect::<Result<_, ImageError>>()?,
            ..Document::default()
        };
        let (to, bytes) = mpsc::channel(1);
        drop(to.try_send(Ok(details::text(&manifest).into())));
        drop(to);
        Ok(keep(objects, "the manifest", bytes).await?.digest)
    }

    fn find(&self, name: &str) -> Result<&Blob, ImageError> {
        let mut name = name;
        for _ in 0..LINKS_MAX {
            match (self.blobs.get(name), self.links.get(name)) {
                (Some(blob), _) => return Ok(blob),
                (None, Some(target)) => name = target,
                (None, None) => break,
            }
        }
        Err(ImageError::Archive(format!("`{name}` is missing in it")))
    }
}

fn several() -> ImageError {
    let why = "it holds several images, which cannot all have one name: import it without";
    ImageError::Archive(why.into())
}

fn descriptor(media_type: String, blob: &Blob) -> Descriptor {
    let (digest, size) = (blob.digest.clone(), blob.size);
    Descriptor { media_type, digest, size, ..Descriptor::default() }
}

/// What the index of a layout names.
fn indexed(
    index: &Document,
    name: Option<&Reference>,
) -> Result<Vec<(Reference, String)>, ImageError> {
    let here = Platform::here();
    let mut named: BTreeMap<&str, Vec<&Descriptor>> = BTreeMap::new();
    for entry in &index.manifests {
        if let Some(name) = entry.name() {
            named.entry(name).or_default().push(entry);
        }
    }
    if let Some(name) = name {
        let entry = fitting(&index.manifests, &here).filter(|_| named.len() <= 1);
        return Ok(vec![(name.clone(), entry.ok_or_else(several)?.digest.clone())]);
    }
    let pick = |(name, entries): (&str, Vec<&Descriptor>)| {
        let (reference, platform) = (name.to_owned(), here.to_string());
        let entry = fitting(entries, &here);
        let entry = entry.ok_or(ImageError::Platform { reference, platform })?;
        Ok((Reference::parse(name)?, entry.digest.clone()))
    };
    named.into_iter().map(pick).collect()
}

fn read<T: serde::de::DeserializeOwned>(bytes: &[u8], name: &str) -> Result<T, ImageError> {
    serde_json::from_slice(bytes)
        .map_err(|error| ImageError::Archive(format!("its `{name}` cannot be read: {error}")))
}

/// Blobs of a layout, and layers and configurations of `docker save`.
fn is_wanted(name: &str) -> bool {
    digest_of(name).is_some() || [".tar", ".tar.gz", ".json"].iter().any(|end| name.ends_with(end))
}

/// The digest that a name in a layout promises.
fn digest_of(name: &str) -> Option<&str> {
    name.strip_prefix("blobs/sha256/").filter(|hex| hex.len() == 64)
}

/// A small document.
async fn whole(
    name: &str,
    mut bytes: mpsc::Receiver<io::Result<Bytes>>,
) -> Result<Vec<u8>, ImageError> {
    let mut all = Vec::new();
    while let Some(part) = bytes.recv().await {
        all.extend_from_slice(&part.map_err(|source| read_error(Path::new(name), source))?);
        if all.len() as u64 > DOCUMENT_MAX {
            return Err(ImageError::Archive(format!("its `{name}` is too large")));
        }
    }
    Ok(all)
}

/// Stores bytes under their digest, once.
async fn keep(
    objects: &Objects,
    name: &str,
    mut bytes: mpsc::Receiver<io::Result<Bytes>>,
) -> Result<Blob, ImageError> {
    let first = bytes.recv().await;
    let packed = matches!(&first, Some(Ok(part)) if part.starts_with(&[0x1f, 0x8b]));
    let rest = stream::unfold(bytes, |mut bytes| async { Some((bytes.recv().await?, bytes)) });
    let key = name.to_owned();
    let all = stream::iter(first).chain(rest).map(move |part| {
        part.map_err(|source| Error::Receive { key: key.clone(), source: Arc::new(source) })
    });
    let plan = Plan { sums: &[Algorithm::Sha256], ..Plan::default() };
    let ingested = objects.ingest(Body::from(all.boxed()), &plan).await?;
    let hex = digest::hex(ingested.summed.get(Algorithm::Sha256).unwrap_or_default());
    if digest_of(name).is_some_and(|promised| promised != hex) {
        return Err(ImageError::Damaged(name.to_owned()));
    }
    let blob = Blob { digest: format!("sha256:{hex}"), size: ingested.summed.size, packed };
    commit(objects, blob_key(&blob.digest), ingested).await?;
    Ok(blob)
}

/// Writes the row, unless the same bytes have one.
async fn commit(
    objects: &Objects,
    key: String,
    ingested: crate::ingest::Ingested,
) -> Result<(), Error> {
    let (new, size) = (ingested.blob.clone(), ingested.summed.size);
    let etag = digest::hex(&ingested.summed.md5);
    let held = objects
        .write(move |txn| {
            let bucket = bucket::get(txn, BUCKET)?;
            if txn.object_latest(bucket.id, &key)?.is_some() {
                return Ok::<_, Error>(None);
            }
            let held = txn.blob_hold(&new)?;
            let details = Details { owner: bucket.owner.clone(), ..Details::default() };
            let details = details::text(&details);
            let (key, etag, blob) = (key.as_str(), etag.as_str(), Some(held.id));
            let new = NewVersion { key, size, etag, blob, details: &details, marker: false };
            versions::put(txn, &bucket, new, now())?;
            Ok(Some(held))
        })
        .await?;
    if let Some(held) = held {
        ingested.settle(held);
    }
    Ok(())
}
