//! Importing: every file is stored under its SHA-256, then the manifest says what they are.

use super::{
    BUCKET, DOCUMENT_MAX, ImageError, Reference, STAGED, Tagged,
    archive::{self, Found, Source},
    blob_key,
    layout::{self, Files, Layout, names},
    manifest::{CONFIG, Descriptor, MANIFEST, Manifest, Saved},
};
use crate::{digest, error::Error, ingest::Body, objects::Objects};
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use std::{
    io::{self, Read},
    sync::Arc,
};
use store::Txn;
use tokio::sync::mpsc;

/// Read at once from the archive; the queue holds two of them.
const READ: usize = 256 << 10;

const PLAIN: &str = "application/vnd.oci.image.layer.v1.tar";

/// Of an image's configuration (OCI image specification, `config.md`).
#[derive(Deserialize)]
struct Configured {
    rootfs: RootFs,
}

#[derive(Deserialize)]
struct RootFs {
    #[serde(default)]
    diff_ids: Vec<String>,
}

/// A file of the archive, stored.
#[derive(Debug, Clone)]
pub(super) struct Stored {
    pub(super) digest: String,
    size: u64,
    /// Its first bytes tell how it is compressed.
    magic: [u8; 4],
    /// The whole of a small one.
    pub(super) text: Option<Vec<u8>>,
}

impl Stored {
    fn layer_type(&self) -> &'static str {
        match self.magic {
            [0x1f, 0x8b, ..] => "application/vnd.oci.image.layer.v1.tar+gzip",
            [0x28, 0xb5, 0x2f, 0xfd] => "application/vnd.oci.image.layer.v1.tar+zstd",
            _ => PLAIN,
        }
    }

    /// Whether an image with this configuration has other bytes as its layer of that number. It names
    /// them uncompressed: of a compressed layer the job's own check tells.
    fn expects_another(&self, number: usize, layer: &Self) -> bool {
        let config = self.text.as_deref().and_then(|text| serde_json::from_slice(text).ok());
        let named =
            config.and_then(|config: Configured| config.rootfs.diff_ids.into_iter().nth(number));
        layer.layer_type() == PLAIN && named.is_some_and(|digest| digest != layer.digest)
    }

    fn descriptor(&self, media_type: &str) -> Descriptor {
        Descriptor {
            media_type: media_type.to_owned(),
            digest: self.digest.clone(),
            size: self.size,
            platform: None,
            annotations: Default::default(),
        }
    }
}

/// A manifest that was made here, and the names that are to lead to it.
struct Made {
    digest: String,
    key: String,
    text: Vec<u8>,
    names: Vec<Reference>,
}

impl Objects {
    /// Imports the images of an archive or folder; `name` names one that carries no name. `beside` is
    /// written in the transaction that names them.
    ///
    /// # Errors
    /// [`ImageError::Read`], [`ImageError::Archive`] when it lacks something, [`ImageError::Quota`],
    /// [`ImageError::Objects`].
    pub async fn image_import(
        &self,
        source: Source,
        name: Option<&str>,
        beside: impl FnOnce(&Txn<'_>) -> Result<(), store::Error> + Send + 'static,
    ) -> Result<Vec<Tagged>, ImageError> {
        let imported = self.import(source, name, beside).await;
        self.bounded(imported).await
    }

    async fn import(
        &self,
        source: Source,
        name: Option<&str>,
        beside: impl FnOnce(&Txn<'_>) -> Result<(), store::Error> + Send + 'static,
    ) -> Result<Vec<Tagged>, ImageError> {
        let name = name.map(str::parse::<Reference>).transpose()?;
        let (objects, from) = (self.clone(), source.clone());
        let runtime = tokio::runtime::Handle::current();
        let files = tokio::task::spawn_blocking(move || take_in(&objects, &runtime, &from))
            .await
            .map_err(|_| Error::Lost)??;
        let bad = |why: String| ImageError::Archive { path: source.path().to_owned(), why };
        if let Some(path) = files.damaged() {
            return Err(bad(format!("{path} is damaged: its bytes have another digest")));
        }
        // A file may be both: the layout keeps digests, by which signatures and pins find the image.
        let layout = match layout::read(&files, name.as_ref()) {
            Err(_) if files.text("manifest.json").is_some() => {
                let saved = saved(&files, name.as_ref()).map_err(bad)?;
                Layout { images: self.keep_manifests(saved).await?, ..Layout::default() }
            }
            found => found.map_err(bad)?,
        };
        let named = layout.named().map_err(bad)?;
        self.image_shelve(named, &layout.about, beside).await?;
        let tagged = layout
            .images
            .into_iter()
            .map(|(reference, digest)| Tagged { reference: reference.to_string(), digest });
        Ok(tagged.collect())
    }

    /// Stores manifests that were made here; the names that are to lead to each.
    async fn keep_manifests(
        &self,
        saved: Vec<Made>,
    ) -> Result<Vec<(Reference, String)>, ImageError> {
        let mut images = Vec::new();
        for Made { digest, key, text, names } in saved {
            self.put(BUCKET, &key, text).await?;
            images.extend(names.into_iter().map(|name| (name, digest.clone())));
        }
        Ok(images)
    }
}

/// The images of a `docker save` archive: manifests are made from what it tells.
fn saved(files: &Files, name: Option<&Reference>) -> Result<Vec<Made>, String> {
    let text = files.text("manifest.json").unwrap_or_default();
    let saved: Vec<Saved> =
        serde_json::from_slice(text).map_err(|error| format!("manifest.json: {error}"))?;
    let mut images = Vec::new();
    for image in saved {
        let missing = |path: &str| format!("it names {path} and does not hold it");
        let config = files.get(&image.config).ok_or_else(|| missing(&image.config))?;
        let mut layers = Vec::new();
        for (number, path) in image.layers.iter().enumerate() {
            let layer = files.get(path).ok_or_else(|| missing(path))?;
            if config.expects_another(number, layer) {
                return Err(format!("{path} is damaged: the image expects another digest"));
            }
            layers.push(layer.descriptor(layer.layer_type()));
        }
        let manifest = Manifest {
            schema_version: 2,
            media_type: MANIFEST.into(),
            config: config.descriptor(CONFIG),
            layers,
        };
        let text = serde_json::to_vec(&manifest).map_err(|error| error.to_string())?;
        let digest = format!("sha256:{}", digest::hex(&Sha256::digest(&text)));
        let key = blob_key(&digest).ok_or("the digest of a manifest is malformed")?;
        let names = names(name, &image.repo_tags.unwrap_or_default())?;
        images.push(Made { digest, key, text, names });
    }
    layout::only(name, images.iter().map(|made| made.digest.as_str()))?;
    Ok(images)
}

/// Stores every file of the source; runs on a thread that may block.
fn take_in(
    objects: &Objects,
    runtime: &tokio::runtime::Handle,
    source: &Source,
) -> Result<Files, ImageError> {
    let mut files = Files::default();
    let walked = archive::walk(source, &mut |path, found| {
        match found {
            Found::Link(target) => drop(files.links.insert(path, target)),
            Found::File(reader) => {
                let stored = store_file(objects, runtime, reader)?;
                files.files.insert(path, stored);
            }
        }
        Ok(())
    });
    match walked {
        Ok(()) => Ok(files),
        Err(error) => match error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) {
            Some(own) => Err(own.clone().into()),
            None => {
                Err(ImageError::Read { path: source.path().to_owned(), source: Arc::new(error) })
            }
        },
    }
}

/// Streams a file into the store while it is hashed, then gives it the name of its hash.
fn store_file(
    objects: &Objects,
    runtime: &tokio::runtime::Handle,
    reader: &mut dyn Read,
) -> io::Result<Stored> {
    let staged = format!("{STAGED}{}", digest::hex(&crate::seal::random::<16>()));
    let (send, receive) = mpsc::channel::<Result<Bytes, Error>>(1);
    let (room, key) = (objects.clone(), staged.clone());
    let put = runtime.spawn(async move {
        let bytes =
            stream::unfold(receive, |mut queue| async move { Some((queue.recv().await?, queue)) });
        room.put(BUCKET, &key, Body::from(bytes.boxed())).await
    });
    let (mut hash, mut size, mut magic, mut text) =
        (Sha256::new(), 0_u64, [0; 4], Some(Vec::new()));
    loop {
        let mut buffer = Vec::with_capacity(READ);
        let read = reader.take(READ as u64).read_to_end(&mut buffer);
        if let Err(error) = &read {
            let source = Arc::new(io::Error::from(error.kind()));
            drop(send.blocking_send(Err(Error::Receive { key: staged.clone(), source })));
        }
        if read? == 0 {
            break;
        }
        if size == 0 {
            buffer.iter().take(4).zip(&mut magic).for_each(|(byte, at)| *at = *byte);
        }
        hash.update(&buffer);
        size += buffer.len() as u64;
        text = text.filter(|_| size <= DOCUMENT_MAX).map(|mut text| {
            text.extend_from_slice(&buffer);
            text
        });
        if send.blocking_send(Ok(Bytes::from(buffer))).is_err() {
            break;
        }
    }
    drop(send);
    let digest = format!("sha256:{}", digest::hex(&hash.finalize()));
    let key = blob_key(&digest).ok_or_else(|| io::Error::other("malformed digest"))?;
    runtime.block_on(async {
        put.await.map_err(|_| io::Error::other(Error::Lost))?.map_err(io::Error::other)?;
        objects.rename(BUCKET, &staged, &key).await.map_err(io::Error::other)
    })?;
    // Only documents are looked at again; a small layer is not one.
    let text = text.filter(|text| text.first() == Some(&b'{') || text.first() == Some(&b'['));
    Ok(Stored { digest, size, magic, text })
}
