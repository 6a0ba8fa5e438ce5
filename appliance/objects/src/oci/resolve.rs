//! From a name to what a runner needs: manifest, configuration, layers.

use super::{
    BUCKET, DOCUMENT_MAX, ImageError, Name, Reference, blob_key,
    document::{Document, Platform, fitting},
    name_key,
    reference::is_digest,
};
use crate::{error::Error, objects::Objects};
use serde::de::DeserializeOwned;

/// Indexes within indexes: more than any tool writes.
const DEPTH_MAX: usize = 4;

/// An image of the local store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// `sha256:…` of its manifest for this machine.
    pub digest: String,
    /// The OCI image configuration, as JSON text.
    pub config: String,
    /// Bottom layer first.
    pub layers: Vec<Layer>,
}

/// One layer of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layer {
    /// `sha256:…` of its bytes as they are stored.
    pub digest: String,
    /// OCI or Docker media type.
    pub media_type: String,
    /// Size as it is stored.
    pub size: u64,
    /// The object's key in the bucket `images`.
    pub key: String,
}

/// Finds an image by the name that a plan uses.
///
/// # Errors
/// [`ImageError::Missing`] tells how to bring it in; [`ImageError::Platform`],
/// [`ImageError::Incomplete`], [`ImageError::Reference`], [`ImageError::Objects`].
pub async fn resolve(objects: &Objects, reference: &str) -> Result<Image, ImageError> {
    let parsed = Reference::parse(reference)?;
    let missing = || ImageError::Missing(reference.to_owned());
    if let Some(digest) = parsed.digest() {
        let there = found(objects.head(BUCKET, &blob_key(digest)).await)?;
        there.ok_or_else(missing)?;
        return image(objects, reference, digest).await;
    }
    let text = found(objects.get_small(BUCKET, &name_key(&parsed), DOCUMENT_MAX).await)?;
    let name: Name = json(reference, &text.ok_or_else(missing)?)?;
    image(objects, reference, &name.digest).await
}

/// `None` for what is not there.
fn found<T>(got: Result<T, Error>) -> Result<Option<T>, ImageError> {
    match got {
        Ok(found) => Ok(Some(found)),
        Err(Error::NoObject { .. }) => Ok(None),
        Err(other) => Err(other.into()),
    }
}

fn json<T: DeserializeOwned>(what: &str, bytes: &[u8]) -> Result<T, ImageError> {
    serde_json::from_slice(bytes)
        .map_err(|error| ImageError::Archive(format!("{what} cannot be read: {error}")))
}

/// The bytes of a document of an image.
async fn document(
    objects: &Objects,
    reference: &str,
    digest: &str,
) -> Result<Vec<u8>, ImageError> {
    if !is_digest(digest) {
        return Err(ImageError::Archive(format!("`{digest}` is not a SHA-256 digest")));
    }
    let bytes = found(objects.get_small(BUCKET, &blob_key(digest), DOCUMENT_MAX).await)?;
    let (reference, digest) = (reference.to_owned(), digest.to_owned());
    bytes.ok_or(ImageError::Incomplete { reference, digest })
}

/// The image that a digest leads to; an index is followed to the variant of this machine.
pub(super) async fn image(
    objects: &Objects,
    reference: &str,
    digest: &str,
) -> Result<Image, ImageError> {
    let (mut digest, here) = (digest.to_owned(), Platform::here());
    let other =
        || ImageError::Platform { reference: reference.to_owned(), platform: here.to_string() };
    for _ in 0..DEPTH_MAX {
        let bytes = document(objects, reference, &digest).await?;
        let read: Document = json(&digest, &bytes)?;
        if read.manifests.is_empty() {
            return manifest(objects, reference, digest, read).await;
        }
        digest.clone_from(&fitting(&read.manifests, &here).ok_or_else(other)?.digest);
    }
    Err(ImageError::Archive(format!("indexes are nested deeper than {DEPTH_MAX}")))
}

async fn manifest(
    objects: &Objects,
    reference: &str,
    digest: String,
    read: Document,
) -> Result<Image, ImageError> {
    let config = read
        .config
        .ok_or_else(|| ImageError::Archive(format!("{digest} is not an image manifest")))?;
    let config = document(objects, reference, &config.digest).await?;
    let made_for: Platform = json("the image's configuration", &config)?;
    let here = Platform::here();
    if !made_for.architecture.is_empty() && made_for.architecture != here.architecture {
        let (reference, platform) = (reference.to_owned(), here.to_string());
        return Err(ImageError::Platform { reference, platform });
    }
    let config = String::from_utf8(config)
        .map_err(|_| ImageError::Archive("the image's configuration is not UTF-8".into()))?;
    let layers = read.layers.into_iter().map(|layer| Layer {
        key: blob_key(&layer.digest),
        digest: layer.digest,
        media_type: layer.media_type,
        size: layer.size,
    });
    Ok(Image { digest, config, layers: layers.collect() })
}

/// Checks that a layer is stored.
pub(super) async fn present(
    objects: &Objects,
    reference: &str,
    layer: &Layer,
) -> Result<(), ImageError> {
    let stored = found(objects.head(BUCKET, &layer.key).await)?;
    if is_digest(&layer.digest) && stored.is_some_and(|stored| stored.size == layer.size) {
        return Ok(());
    }
    let (reference, digest) = (reference.to_owned(), layer.digest.clone());
    Err(ImageError::Incomplete { reference, digest })
}
