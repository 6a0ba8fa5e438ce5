//! The storage seam: a folder, synced as the real one, whose operation number N fails.

use futures_util::{StreamExt, stream::BoxStream};
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result, UploadPart,
    local::LocalFileSystem, path::Path as Location,
};
use std::{
    fmt,
    ops::Range,
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

/// Counts every operation that writes and fails some of them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Fuse {
    count: Arc<AtomicU64>,
    blows: Arc<Mutex<Range<u64>>>,
}

impl Fuse {
    /// Operation number `blows_at`, from 1, fails; 0 lets all pass.
    pub(crate) fn new(blows_at: u64) -> Self {
        let fuse = Self::default();
        fuse.arm(blows_at..blows_at + 1);
        fuse
    }

    /// From here on counted anew: the operations with these numbers, from 1, fail.
    pub(crate) fn arm(&self, blows: Range<u64>) {
        *self.blows.lock().unwrap() = blows;
        self.count.store(0, Ordering::SeqCst);
    }

    /// Operations so far.
    pub(crate) fn count(&self) -> u64 {
        self.count.load(Ordering::SeqCst)
    }

    fn pass(&self) -> Result<()> {
        let number = self.count.fetch_add(1, Ordering::SeqCst) + 1;
        if self.blows.lock().unwrap().contains(&number) {
            let source = std::io::Error::other("the seam fails this operation").into();
            return Err(object_store::Error::Generic { store: "seam", source });
        }
        Ok(())
    }
}

/// The place.
#[derive(Debug)]
pub(crate) struct Faulty {
    inner: LocalFileSystem,
    fuse: Fuse,
}

impl Faulty {
    pub(crate) fn new(dir: &Path, fuse: Fuse) -> Self {
        std::fs::create_dir_all(dir).unwrap();
        Self { inner: LocalFileSystem::new_with_prefix(dir).unwrap().with_fsync(true), fuse }
    }
}

impl fmt::Display for Faulty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a faulty folder")
    }
}

#[async_trait::async_trait]
impl ObjectStore for Faulty {
    async fn put_opts(
        &self,
        location: &Location,
        payload: PutPayload,
        options: PutOptions,
    ) -> Result<PutResult> {
        self.fuse.pass()?;
        self.inner.put_opts(location, payload, options).await
    }

    async fn put_multipart_opts(
        &self,
        location: &Location,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.fuse.pass()?;
        let inner = self.inner.put_multipart_opts(location, options).await?;
        Ok(Box::new(Upload { inner, fuse: self.fuse.clone() }))
    }

    async fn get_opts(&self, location: &Location, options: GetOptions) -> Result<GetResult> {
        self.inner.get_opts(location, options).await
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, Result<Location>>,
    ) -> BoxStream<'static, Result<Location>> {
        let fuse = self.fuse.clone();
        let passed = locations.map(move |location| fuse.pass().and(location));
        self.inner.delete_stream(passed.boxed())
    }

    fn list(&self, prefix: Option<&Location>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Location>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Location, to: &Location, options: CopyOptions) -> Result<()> {
        self.fuse.pass()?;
        self.inner.copy_opts(from, to, options).await
    }
}

#[derive(Debug)]
struct Upload {
    inner: Box<dyn MultipartUpload>,
    fuse: Fuse,
}

#[async_trait::async_trait]
impl MultipartUpload for Upload {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        match self.fuse.pass() {
            Ok(()) => self.inner.put_part(data),
            Err(error) => Box::pin(async { Err(error) }),
        }
    }

    async fn complete(&mut self) -> Result<PutResult> {
        self.fuse.pass()?;
        self.inner.complete().await
    }

    async fn abort(&mut self) -> Result<()> {
        self.fuse.pass()?;
        self.inner.abort().await
    }
}
