//! Images for jobs: brought in from a file, found by the names that plans use.
//!
//! Why: an appliance without internet has no registry to pull from, so that images come as an OCI
//! layout (a folder or a tar of one) or as the output of `docker save`.
//! The way: every blob is kept once, under `blobs/sha256/<hex>` of the bucket `images`; a name is a
//! small object `refs/<full name>:<tag>` that holds a digest.
//! Invariants: a blob's bytes are those that its key promises, checked as they come; a name is
//! written after everything it leads to is stored, so that a cut import leaves the old image.
//! On failure: [`ImageError`]; blobs of a failed import stay and make its repetition shorter.

mod document;
mod reference;
mod resolve;
mod source;
mod take;

pub use reference::Reference;
pub use resolve::{Image, Layer, resolve};
pub use source::Source;

use crate::{bucket, error::Error, listing::Entry, objects::Objects};
use serde::{Deserialize, Serialize};
use std::{path::PathBuf, sync::Arc};

/// The bucket of images.
const BUCKET: &str = "images";

/// Where names are.
const NAMES: &str = "refs/";

/// The largest index, manifest or configuration that is read: registries take 4 MiB as well.
const DOCUMENT_MAX: u64 = 4 << 20;

/// An image could not be brought in or found.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ImageError {
    /// Nothing of that name is here.
    #[error(
        "image `{0}` is not in the local store: bring it in with `appliance registry import FILE`, FILE being an OCI layout or what `docker save` wrote"
    )]
    Missing(String),
    /// The name cannot be one.
    #[error("`{0}` is no image reference: write `name:tag` or `name@sha256:…`")]
    Reference(String),
    /// It is there, for other machines.
    #[error("image `{reference}` has no variant for {platform}: import one that has")]
    Platform {
        /// As it was asked for.
        reference: String,
        /// For example `linux/amd64`.
        platform: String,
    },
    /// It is there, and a part of it is not.
    #[error("image `{reference}` is incomplete, {digest} is missing: make the file again and import it")]
    Incomplete {
        /// As it was asked for.
        reference: String,
        /// What is missing.
        digest: String,
    },
    /// The file is not what was expected.
    #[error("the file is not an image that can be imported: {0}")]
    Archive(String),
    /// The file cannot be read.
    #[error("could not read {path}")]
    Read {
        /// The file, or what of it.
        path: PathBuf,
        /// The cause.
        #[source]
        source: Arc<std::io::Error>,
    },
    /// The bytes are not those that their name promises.
    #[error("`{0}` in the file is damaged: make the file again")]
    Damaged(String),
    /// Bytes could not be kept or got.
    #[error("the image store failed")]
    Objects(#[from] Error),
}

/// An image that was brought in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Imported {
    /// Its full name, for example `docker.io/library/alpine:3.20`.
    pub reference: String,
    /// `sha256:…` of its manifest for this machine.
    pub digest: String,
    /// Size of all its layers in bytes.
    pub size: u64,
}

/// What a name leads to.
#[derive(Debug, Serialize, Deserialize)]
struct Name {
    digest: String,
}

/// The key of a blob.
fn blob_key(digest: &str) -> String {
    format!("blobs/{}", digest.replacen(':', "/", 1))
}

fn name_key(reference: &Reference) -> String {
    format!("{NAMES}{}", reference.name())
}

/// Brings in the images of a file; `name` is for a file that names none, or to give it another.
///
/// # Errors
/// [`ImageError`] of any kind but `Missing`.
pub async fn import(
    objects: &Objects,
    source: Source,
    name: Option<&str>,
) -> Result<Vec<Imported>, ImageError> {
    let name = name.map(Reference::parse).transpose()?;
    let taken = take::take(objects, source).await?;
    let mut imported = Vec::new();
    for (reference, digest) in taken.images(objects, name).await? {
        imported.push(enter(objects, &reference, &digest).await?);
    }
    Ok(imported)
}

/// Writes the name of an image that is whole.
async fn enter(
    objects: &Objects,
    reference: &Reference,
    digest: &str,
) -> Result<Imported, ImageError> {
    let image = resolve::image(objects, &reference.name(), digest).await?;
    for layer in &image.layers {
        resolve::present(objects, &reference.name(), layer).await?;
    }
    let name = crate::details::text(&Name { digest: digest.to_owned() });
    objects.put(BUCKET, &name_key(reference), name.into_bytes()).await?;
    let size = image.layers.iter().map(|layer| layer.size).sum();
    Ok(Imported { reference: reference.name(), digest: image.digest, size })
}

/// Full names of the images that are here, in order.
///
/// # Errors
/// [`ImageError::Objects`].
pub async fn list(objects: &Objects) -> Result<Vec<String>, ImageError> {
    let (mut names, mut after) = (Vec::new(), None::<String>);
    loop {
        let page = objects.list(BUCKET, NAMES, None, after.as_deref(), 1000).await?;
        names.extend(page.entries.into_iter().filter_map(|entry| match entry {
            Entry::Object(info) => info.key.strip_prefix(NAMES).map(str::to_owned),
            Entry::Prefix(_) => None,
        }));
        match page.next {
            Some(next) => after = Some(next),
            None => return Ok(names),
        }
    }
}

/// Forgets a name; its blobs stay, as other names may lead to them.
///
/// # Errors
/// [`ImageError::Missing`], [`ImageError::Reference`], [`ImageError::Objects`].
pub async fn remove(objects: &Objects, reference: &str) -> Result<(), ImageError> {
    let key = name_key(&Reference::parse(reference)?);
    let asked = key.clone();
    let there = objects
        .read(move |reader| {
            let bucket = bucket::get(reader, BUCKET)?;
            Ok(reader.object_latest(bucket.id, &asked)?.is_some())
        })
        .await?;
    if !there {
        return Err(ImageError::Missing(reference.to_owned()));
    }
    Ok(objects.delete(BUCKET, &key).await?)
}
