//! Images for jobs: brought in from a file, found by the names that plans use.
//!
//! Why: an appliance without internet has no registry to pull from, so that images come as an OCI
//! layout (a folder or a tar of one) or as the output of `docker save`.
//! The way: every blob is kept once, under `blobs/sha256/<hex>` of the bucket `images`; beside it
//! lie small objects that say what a repository names and may give out ([`shelf`]). The registry
//! over HTTP ([`crate::registry`]) reads and writes the same.
//! Invariants: a blob's key is computed from its bytes; a name is written after everything that it
//! leads to is stored, so that a cut import leaves the old image.
//! On failure: [`ImageError`]; blobs of a failed import stay and make its repetition no worse.

mod archive;
mod checked;
mod copy;
mod export;
mod import;
mod layout;
mod manifest;
pub(crate) mod record;
pub(crate) mod reference;
pub(crate) mod shelf;
mod sweep;

pub use archive::Source;
pub use checked::Checked;
pub use reference::Reference;
pub use sweep::AGE;

use crate::{
    bucket,
    error::Error,
    listing::Entry,
    objects::{Objects, now},
    vault::ByteStream,
};
use base::{
    protocol::{ImageSource, LayerSource},
    units::Bytes,
};
use http::Method;
use manifest::{Descriptor, Index, Manifest, architecture, choose};
use shelf::Shelf;
use std::{path::PathBuf, sync::Arc, time::Duration};
use store::{Txn, objects::Quota};

/// The bucket of images.
pub(crate) const BUCKET: &str = "images";

/// Where names are.
pub(crate) const TAGS: &str = "tags/";

/// Where files are while they are hashed.
const STAGED: &str = "importing/";

/// The largest index, manifest or configuration that is read: registries take 4 MiB as well.
pub(crate) const DOCUMENT_MAX: u64 = 4 << 20;

/// An image could not be brought in or found.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ImageError {
    /// Nothing of that name is here.
    #[error(
        "image `{0}` is not in the local store: bring it in with `appliance registry import FILE`, FILE being an OCI layout or what `docker save` wrote"
    )]
    Missing(String),
    /// There is no such name to be taken away.
    #[error(
        "there is no image `{0}` to remove: `appliance registry list` shows those that are here"
    )]
    NoName(String),
    /// Its bucket may not hold more.
    #[error(
        "the images have reached the quota of their bucket ({0}): raise it with `appliance bucket quota images`, or remove some with `appliance registry remove`, whose space comes back a day later"
    )]
    Quota(String),
    /// The name cannot be one.
    #[error("{}", no_reference(.0))]
    Reference(String),
    /// Its name is there, and a part of it is not or cannot be read.
    #[error("image `{reference}` is damaged in the local store ({what}): import it again")]
    Damaged {
        /// As it was asked for.
        reference: String,
        /// Which part.
        what: String,
    },
    /// It is there, for other machines.
    #[error("image `{reference}` has no variant for linux/{architecture}: import one that has")]
    Platform {
        /// As it was asked for.
        reference: String,
        /// In OCI's words.
        architecture: &'static str,
    },
    /// The file is not what was expected.
    #[error("{path} is not an image that can be imported: {why}")]
    Archive {
        /// The file or folder.
        path: PathBuf,
        /// What it lacks.
        why: String,
    },
    /// The file cannot be read.
    #[error("could not read the image at {path}")]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// The cause.
        #[source]
        source: Arc<std::io::Error>,
    },
    /// Bytes could not be kept or got.
    #[error("the image store failed")]
    Objects(#[from] Error),
}

fn no_reference(text: &str) -> String {
    let what = if text.trim().is_empty() {
        "the name of the image is empty".to_owned()
    } else {
        format!("`{text}` is no image reference")
    };
    format!("{what}: write `name:tag` or `name@sha256:…`")
}

/// A name and the manifest that it leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tagged {
    /// The full name, for example `docker.io/library/alpine:3.20`.
    pub reference: String,
    /// `sha256:…` of the manifest.
    pub digest: String,
}

/// The key of a blob; `None` when that is no SHA-256 digest.
pub(crate) fn blob_key(digest: &str) -> Option<String> {
    let hex = reference::hex_of(digest)?;
    Some(format!("blobs/sha256/{hex}"))
}

/// The digest of the blob that a file of an archive is, by its name.
fn blob_digest(path: &str) -> Option<String> {
    let digest = format!("sha256:{}", path.strip_prefix("blobs/sha256/")?);
    reference::hex_of(&digest)?;
    Some(digest)
}

/// `None` for what is not there.
pub(crate) fn there<T>(got: Result<T, Error>) -> Result<Option<T>, Error> {
    match got {
        Ok(found) => Ok(Some(found)),
        Err(Error::NoObject { .. }) => Ok(None),
        Err(other) => Err(other),
    }
}

impl Objects {
    /// Reads a name; the own host in front of it counts as none.
    fn image_name(&self, text: &str) -> Result<Reference, ImageError> {
        let own = &self.inner.config.own_names;
        reference::without_own_host(text.trim(), own).unwrap_or(text).parse()
    }

    /// The digest of the manifest that a name leads to.
    ///
    /// # Errors
    /// [`ImageError::Missing`] tells how to bring it in; [`ImageError::Reference`],
    /// [`ImageError::Damaged`], [`ImageError::Objects`].
    pub async fn image_digest(&self, reference: &str) -> Result<String, ImageError> {
        let missing = || ImageError::Missing(reference.to_owned());
        let parsed = self.image_name(reference)?;
        if let Some(digest) = parsed.digest() {
            let key = blob_key(digest).ok_or_else(missing)?;
            there(self.head(BUCKET, &key).await)?.ok_or_else(missing)?;
            return Ok(digest.to_owned());
        }
        let text = there(self.get_small(BUCKET, &format!("{TAGS}{parsed}"), DOCUMENT_MAX).await)?;
        String::from_utf8(text.ok_or_else(missing)?).map_err(|_| damaged(reference, "its name"))
    }

    /// What a runner needs of an image: its addresses live for `expires`, and work under `/s3` of
    /// the connection that the runner has.
    ///
    /// # Errors
    /// As [`Objects::image_digest`].
    pub async fn image_source(
        &self,
        reference: &str,
        expires: Duration,
    ) -> Result<ImageSource, ImageError> {
        let digest = self.image_digest(reference).await?;
        let (digest, manifest) = self.image_manifest(reference, digest).await?;
        let config = self.image_document(reference, &manifest.config.digest).await?;
        let layers = manifest.layers.into_iter().map(|layer| {
            let key = blob_key(&layer.digest).ok_or_else(|| damaged(reference, &layer.digest))?;
            let from = self.presign(&Method::GET, BUCKET, &key, expires, "");
            let Descriptor { media_type, digest, size, .. } = layer;
            Ok(LayerSource { digest, media_type, size, from })
        });
        let layers = layers.collect::<Result<_, ImageError>>()?;
        Ok(ImageSource { digest, config, layers })
    }

    /// The bytes of one layer, as they are kept.
    ///
    /// # Errors
    /// [`ImageError::Damaged`] when it is not here, [`ImageError::Objects`].
    pub async fn image_layer(&self, digest: &str) -> Result<ByteStream, ImageError> {
        let lost = || damaged(digest, "the layer");
        let key = blob_key(digest).ok_or_else(lost)?;
        let found = there(self.get(BUCKET, &key, None).await)?;
        Ok(found.ok_or_else(lost)?.bytes)
    }

    /// The manifest for this machine and its digest; an index that is pinned by its digest is
    /// followed.
    async fn image_manifest(
        &self,
        reference: &str,
        digest: String,
    ) -> Result<(String, Manifest), ImageError> {
        let (mut digest, mut text) =
            (digest.clone(), self.image_document(reference, &digest).await?);
        if let Ok(index) = serde_json::from_str::<Index>(&text) {
            let (reference, architecture) = (reference.to_owned(), architecture());
            let other = || ImageError::Platform { reference: reference.clone(), architecture };
            digest.clone_from(&choose(&index).ok_or_else(other)?.digest);
            text = self.image_document(&reference, &digest).await?;
        }
        let manifest = serde_json::from_str(&text);
        Ok((digest, manifest.map_err(|_| damaged(reference, "its manifest"))?))
    }

    /// A manifest or a configuration.
    async fn image_document(&self, reference: &str, digest: &str) -> Result<String, ImageError> {
        let lost = || damaged(reference, digest);
        let key = blob_key(digest).ok_or_else(lost)?;
        let bytes = match there(self.get_small(BUCKET, &key, DOCUMENT_MAX).await) {
            Err(Error::Range { .. }) => None,
            other => other?,
        };
        String::from_utf8(bytes.ok_or_else(lost)?).map_err(|_| lost())
    }

    /// The images that are here, by name.
    ///
    /// # Errors
    /// [`ImageError::Objects`].
    pub async fn image_list(&self) -> Result<Vec<Tagged>, ImageError> {
        let (mut images, mut after) = (Vec::new(), None::<String>);
        loop {
            let page = self.list(BUCKET, TAGS, None, after.as_deref(), 1000).await?;
            for entry in page.entries {
                let Entry::Object(info) = entry else { continue };
                let Some(reference) = info.key.strip_prefix(TAGS) else { continue };
                // One that was removed meanwhile is not listed.
                if let Some(bytes) = there(self.get_small(BUCKET, &info.key, DOCUMENT_MAX).await)? {
                    let digest = String::from_utf8_lossy(&bytes).into_owned();
                    images.push(Tagged { reference: reference.to_owned(), digest });
                }
            }
            match page.next {
                Some(next) => after = Some(next),
                None => return Ok(images),
            }
        }
    }

    /// Forgets a name, or by a digest a manifest with all its names; blobs stay until
    /// [`Objects::image_sweep`], as other names may lead to them. `beside` is written in the same
    /// transaction.
    ///
    /// # Errors
    /// [`ImageError::NoName`], [`ImageError::Reference`], [`ImageError::Objects`].
    pub async fn image_remove(
        &self,
        reference: &str,
        beside: impl FnOnce(&Txn<'_>) -> Result<(), store::Error> + Send + 'static,
    ) -> Result<(), ImageError> {
        let named = self.image_name(reference)?;
        let work = move |txn: &mut Txn<'_>| {
            let mut shelf = Shelf::open(txn, now())?;
            let gone = shelf.take_away(named.name(), named.tag(), named.digest())?;
            if gone {
                beside(txn)?;
            }
            Ok::<_, Error>(gone)
        };
        let gone = self.write(work).await?;
        if gone { Ok(()) } else { Err(ImageError::NoName(reference.to_owned())) }
    }

    /// Says what the bucket of images may hold, when that is why one could not be kept.
    async fn bounded<T>(&self, kept: Result<T, ImageError>) -> Result<T, ImageError> {
        let Err(ImageError::Objects(Error::Quota)) = kept else { return kept };
        let quota = self.read(|reader| Ok(reader.bucket_sums(bucket::get(reader, BUCKET)?.id)?.1));
        let Quota { bytes, objects } = quota.await?;
        let bytes = bytes.map(|bytes| format!("at most {}", Bytes(bytes)));
        let objects = objects.map(|objects| format!("at most {objects} objects"));
        let bounds: Vec<_> = bytes.into_iter().chain(objects).collect();
        Err(ImageError::Quota(bounds.join(", ")))
    }
}

fn damaged(reference: &str, what: &str) -> ImageError {
    ImageError::Damaged { reference: reference.to_owned(), what: what.to_owned() }
}
