//! The images of `appliance run`: a store of its own, because no appliance need be there.
//!
//! Form: `images/` in the user's cache folder, a data directory that holds images alone.
//! Invariants: the store is open for as long as one question takes, so that several runs and an
//! import can share it; each waits for the other, at most [`PATIENCE`].
//! On failure: a missing image tells how to import it.

use crate::{data_dir::DataDir, local_run};
use anyhow::Context;
use base::{
    protocol::{ImageSource, Presigned},
    secret::Secret,
};
use futures_util::TryStreamExt;
use objects::{
    Objects,
    oci::{ImageError, Source, Tagged},
};
use runner::local::{Images, Pending};
use std::{
    io::Write,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};
use store::{OpenError, SiteKey, Store};

/// The longest wait for another process that has the store: an import of gigabytes.
const PATIENCE: Duration = Duration::from_secs(120);

/// Between two looks whether it is free.
const PAUSE: Duration = Duration::from_millis(50);

/// How long the addresses of layers would be good, which nobody uses here.
const ADDRESS: Duration = Duration::from_secs(60);

pub(crate) struct LocalImages(PathBuf);

impl LocalImages {
    /// Those under the cache folder `keep`.
    pub(crate) fn under(keep: &Path) -> Self {
        Self(keep.join("images"))
    }

    /// Those of the user whose process this is.
    pub(crate) fn of_user() -> anyhow::Result<Self> {
        Ok(Self::under(&local_run::cache_folder()?))
    }

    /// Brings images in from an archive or a layout.
    pub(crate) async fn import(
        &self,
        path: &Path,
        name: Option<&str>,
    ) -> anyhow::Result<Vec<Tagged>> {
        let source = Source::at(path.to_owned());
        self.with(async |objects| Ok(objects.image_import(source, name, objects::alone).await?))
            .await
    }

    pub(crate) async fn list(&self) -> anyhow::Result<Vec<Tagged>> {
        self.with(async |objects| Ok(objects.image_list().await?)).await
    }

    /// Opens the store for one piece of work.
    async fn with<T>(
        &self,
        work: impl AsyncFnOnce(Objects) -> anyhow::Result<T>,
    ) -> anyhow::Result<T> {
        let data = DataDir::of_images(&self.0)?;
        let store = self.store(&data).await?;
        let config = objects::Config::new(data.join("objects"));
        let done = match Objects::open(config, store.clone()).await {
            Ok(objects) => work(objects).await,
            Err(error) => Err(error.into()),
        };
        // Closing waits for threads, and nothing else runs here meanwhile that could not wait.
        let closed = tokio::task::spawn_blocking(move || store.close()).await?;
        let done = done?;
        closed.map(|()| done).context("the store of local images could not be closed")
    }

    async fn store(&self, data: &DataDir) -> anyhow::Result<Store> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let key = SiteKey::new(data.site_key()?);
            match Store::open(&store::Config::new(data.join("state")), key) {
                Err(OpenError::InUse { .. }) if Instant::now() < deadline => {
                    tokio::time::sleep(PAUSE).await;
                }
                opened => return opened.context("cannot open the store of local images"),
            }
        }
    }

    async fn source(&self, reference: &str) -> anyhow::Result<ImageSource> {
        let found =
            self.with(async |objects| Ok(objects.image_source(reference, ADDRESS).await)).await?;
        let mut source = found.map_err(|error| match error {
            ImageError::Missing(name) => anyhow::anyhow!(
                "image `{name}` is not in the local store of `appliance run`: bring it in with `appliance registry import --local FILE`, FILE being an OCI layout or what `docker save` wrote"
            ),
            other => other.into(),
        })?;
        for layer in &mut source.layers {
            layer.from = Presigned { url: Secret::new(&layer.digest) };
        }
        Ok(source)
    }

    async fn layer(&self, digest: &str, into: &Path) -> anyhow::Result<()> {
        let write = async |objects: Objects| {
            let mut file = std::fs::File::create(into)
                .with_context(|| format!("cannot write {}", into.display()))?;
            let mut bytes = objects.image_layer(digest).await?;
            while let Some(some) = bytes.try_next().await? {
                file.write_all(&some)?;
            }
            Ok(())
        };
        self.with(write).await
    }
}

impl Images for LocalImages {
    fn find<'a>(&'a self, reference: &'a str) -> Pending<'a, ImageSource> {
        Box::pin(async move { self.source(reference).await.map_err(|error| format!("{error:#}")) })
    }

    fn fetch<'a>(&'a self, digest: &'a str, into: &'a Path) -> Pending<'a, ()> {
        Box::pin(
            async move { self.layer(digest, into).await.map_err(|error| format!("{error:#}")) },
        )
    }
}
