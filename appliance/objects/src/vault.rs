//! The durable place for the bytes of large objects.
//!
//! Why: `object_store` gives one interface to folders and to remote stores; over a folder it
//! promises durability only when asked, and not for the removal of what a cut left behind.
//! Invariants: a path is used once (its name is random), so that a file, once complete, never
//! changes; [`Filing::finish`] returns after the bytes and every directory entry on the way to
//! them are on the disk; files that no row names are removed by `nameless.rs`.
//! Units: sizes in bytes.

use crate::{
    config::Place,
    digest,
    error::Error,
    filing::Filing,
    hashing::{Hashing, Uploads},
    headway::Headway,
    reading,
    sample::Samples,
    seal,
};
use bytes::Bytes;
use futures_util::{StreamExt, stream::BoxStream};
use object_store::{
    GetOptions, GetResultPayload, ObjectStore, ObjectStoreExt, local::LocalFileSystem,
    path::Path as Location,
};
use std::{
    collections::BTreeSet,
    fs::{DirBuilder, File},
    ops::Range,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::AtomicU64},
};

mod reads;

use reads::Reads;

/// Damaged blobs noted between two looks of the keeper.
const SUSPECTS_MAX: usize = 256;

/// Files noted that could not be removed; those beyond are left to the sweep of the next start.
const UNREMOVED_MAX: usize = 4096;

/// So many removals may fail before the rest is left for later.
const FAILURES_MAX: usize = 3;

/// Beside the shards: for how long which files have had no name.
const COUNT: &str = "nameless";

/// Folders that the files are spread over; a power of 16.
const SHARDS: u32 = 256;

/// Bytes as they come, or the reason why they stop.
pub type ByteStream = BoxStream<'static, Result<Bytes, Error>>;

/// The place; clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Vault {
    bytes: Arc<dyn ObjectStore>,
    folder: Option<PathBuf>,
    keep_free: u64,
    /// Begins the name of every file of this run: what has another one and no row is a leftover.
    era: String,
    /// Blobs that a reader found damaged, until the keeper looks at them.
    suspects: Arc<Mutex<Vec<i64>>>,
    /// Blobs of which parts are read.
    pub(crate) samples: Arc<Samples>,
    /// Files that nobody names and that could not be removed, until the keeper tries again.
    unremoved: Arc<Mutex<BTreeSet<String>>>,
    /// Files that are being read, or will be by who reads what stands before them.
    reads: Reads,
    /// Bytes taken in since the start, as their senders count them.
    pub(crate) taken: Arc<AtomicU64>,
    uploads: Uploads,
}

fn folder_error<'a>(
    attempt: &'static str,
    path: &'a Path,
) -> impl FnOnce(std::io::Error) -> Error + 'a {
    move |source| Error::Folder { attempt, path: path.to_owned(), source: Arc::new(source) }
}

impl Vault {
    /// Opens the place; over a folder, makes all its shards durable at once.
    pub(crate) fn open(place: &Place, keep_free: u64) -> Result<Self, Error> {
        match place {
            Place::Remote(bytes) => Ok(Self::over(Arc::clone(bytes), None, 0)),
            Place::Folder(path) => {
                prepare(path)?;
                let bytes = LocalFileSystem::new_with_prefix(path)
                    .map_err(|source| Error::bytes("open", &path.to_string_lossy(), source))?
                    .with_fsync(true);
                Ok(Self::over(Arc::new(bytes), Some(path.clone()), keep_free))
            }
        }
    }

    fn over(bytes: Arc<dyn ObjectStore>, folder: Option<PathBuf>, keep_free: u64) -> Self {
        Self {
            bytes,
            folder,
            keep_free,
            era: digest::hex(&seal::random::<6>()),
            suspects: Arc::default(),
            samples: Arc::default(),
            unremoved: Arc::default(),
            reads: Reads::default(),
            taken: Arc::default(),
            uploads: Uploads::new(),
        }
    }

    /// Notes a blob whose bytes did not fit; beyond the bound the scrubber finds them anyway.
    pub(crate) fn suspect(&self, blob: i64) {
        let mut suspects = self.suspects.lock().unwrap_or_else(PoisonError::into_inner);
        if suspects.len() < SUSPECTS_MAX && !suspects.contains(&blob) {
            suspects.push(blob);
        }
    }

    /// The noted blobs.
    pub(crate) fn suspects(&self) -> Vec<i64> {
        self.suspects.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// A reader found it damaged, and nobody has looked at it since.
    pub(crate) fn doubts(&self, blob: i64) -> bool {
        self.suspects.lock().unwrap_or_else(PoisonError::into_inner).contains(&blob)
    }

    /// It was looked at, or has other bytes now: it is in doubt no longer.
    pub(crate) fn looked_at(&self, blob: i64) {
        self.suspects.lock().unwrap_or_else(PoisonError::into_inner).retain(|one| *one != blob);
    }

    /// Refuses when the file system is nearly full.
    pub(crate) fn room(&self, wanted: u64) -> Result<(), Error> {
        let bound = self.keep_free.saturating_add(wanted);
        if self.free().is_some_and(|free| free < bound) { Err(Error::Full) } else { Ok(()) }
    }

    fn free(&self) -> Option<u64> {
        let stat = rustix::fs::statvfs(self.folder.as_ref()?).ok()?;
        Some(stat.f_bavail.saturating_mul(stat.f_frsize))
    }

    /// Bytes that a folder may still take; `None` where nobody knows.
    pub(crate) fn left(&self) -> Option<u64> {
        Some(self.free()?.saturating_sub(self.keep_free))
    }

    /// Begins a file under a name of its own.
    pub(crate) async fn file(&self, with_md5: bool) -> Result<Filing, Error> {
        let id = digest::hex(&seal::random::<16>());
        let path = format!("{}/{}-{id}", &id[..2], self.era);
        let upload = self
            .bytes
            .put_multipart(&Location::from(path.as_str()))
            .await
            .map_err(|source| Error::bytes("create", &path, source))?;
        let md5 = with_md5.then(|| Hashing::new(&self.uploads));
        Ok(match &self.folder {
            Some(folder) => {
                let headway = Headway::new(&half(&folder.join(&path)));
                Filing::local(path, upload, md5, headway)
            }
            None => Filing::remote(path, upload, md5),
        })
    }

    /// Reads `range` of a file.
    pub(crate) async fn read(&self, path: &str, range: Range<u64>) -> Result<ByteStream, Error> {
        let known = self.folder.as_ref().and_then(|folder| reading::open(&folder.join(path)));
        if let Some(file) = known {
            return Ok(reading::stream(file, path.to_owned(), range));
        }
        let options = GetOptions::new().with_range(Some(range.clone()));
        let found = self
            .bytes
            .get_opts(&Location::from(path), options)
            .await
            .map_err(|source| Error::bytes("read", path, source))?;
        if found.range != range {
            return Err(reading::failed(path, std::io::ErrorKind::UnexpectedEof.into()));
        }
        let path = path.to_owned();
        match found.payload {
            GetResultPayload::File(file, _) => Ok(reading::stream(file, path, range)),
            GetResultPayload::Stream(stream) => Ok(stream
                .map(move |part| part.map_err(|source| Error::bytes("read", &path, source)))
                .boxed()),
        }
    }

    /// Keeps files until what is returned is dropped: who reads several opens most of them late. One
    /// file of a folder is open by then, and can be read to its end whatever becomes of its name.
    pub(crate) fn hold(&self, paths: &[&String]) -> reads::Held {
        let needed = paths.len() > 1 || self.folder.is_none();
        let paths = if needed { paths } else { &[] };
        self.reads.hold(paths.iter().map(|path| (*path).clone()).collect())
    }

    /// Removes a file that no row names; one that is gone is fine. Noted until it is done: one that is
    /// being read stays until a later collection.
    pub(crate) async fn remove(&self, path: &str) -> Result<(), Error> {
        if self.reads.put_off(path) {
            self.noted().remove(path);
            return Ok(());
        }
        self.note_unremoved([path.to_owned()]);
        match self.bytes.delete(&Location::from(path)).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => {
                self.noted().remove(path);
                Ok(())
            }
            Err(source) => Err(Error::bytes("remove", path, source)),
        }
    }

    /// Removes what was noted. One file that stays does not keep the others; where many stay, the
    /// place is away and the rest waits.
    pub(crate) async fn remove_noted(&self) -> Result<(), Error> {
        self.note_unremoved(self.reads.left());
        let noted: Vec<String> = self.noted().iter().cloned().collect();
        let mut failed = Vec::new();
        for path in noted {
            failed.extend(self.remove(&path).await.err());
            if failed.len() == FAILURES_MAX {
                break;
            }
        }
        failed.into_iter().next().map_or(Ok(()), Err)
    }

    /// Notes files that no row names.
    pub(crate) fn note_unremoved(&self, paths: impl IntoIterator<Item = String>) {
        let mut noted = self.noted();
        for path in paths {
            if noted.len() < UNREMOVED_MAX {
                noted.insert(path);
            }
        }
    }

    fn noted(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.unremoved.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Paths of one shard that earlier runs wrote; their half-written files in a folder are
    /// removed on the way, since nothing can name them.
    pub(crate) async fn shard(&self, shard: u32) -> Result<Vec<String>, Error> {
        let name = format!("{shard:02x}");
        if let Some(folder) = self.folder.clone() {
            let shard = folder.join(&name);
            let era = self.era.clone();
            let work = move || remove_halves(&shard, &era);
            tokio::task::spawn_blocking(work).await.map_err(|_| Error::Lost)??;
        }
        let mut found = Vec::new();
        let mut list = self.bytes.list(Some(&Location::from(name.as_str())));
        while let Some(entry) = list.next().await {
            let entry = entry.map_err(|source| Error::bytes("list", &name, source))?;
            if entry.location.filename().is_some_and(|name| !name.starts_with(&self.era)) {
                found.push(entry.location.to_string());
            }
        }
        Ok(found)
    }

    /// The count of files without a name; empty when there is none.
    pub(crate) async fn count_get(&self) -> Result<Bytes, Error> {
        let found = self.bytes.get(&Location::from(COUNT)).await;
        let read = match found {
            Err(object_store::Error::NotFound { .. }) => return Ok(Bytes::new()),
            Ok(found) => found.bytes().await,
            Err(source) => Err(source),
        };
        read.map_err(|source| Error::bytes("read", COUNT, source))
    }

    /// Replaces the count in one step; an empty one leaves no file.
    pub(crate) async fn count_put(&self, count: Vec<u8>) -> Result<(), Error> {
        let at = Location::from(COUNT);
        let put = match count.is_empty() {
            true => self.bytes.delete(&at).await,
            false => self.bytes.put(&at, count.into()).await.map(drop),
        };
        match put {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(source) => Err(Error::bytes("write", COUNT, source)),
        }
    }

    /// The numbers of all shards.
    pub(crate) fn shards() -> Range<u32> {
        0..SHARDS
    }
}

/// Makes the folder and its shards, each entry synced.
fn prepare(folder: &Path) -> Result<(), Error> {
    let make = |path: &Path| {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)
            .map_err(folder_error("create", path))
    };
    make(folder)?;
    for shard in Vault::shards() {
        make(&folder.join(format!("{shard:02x}")))?;
    }
    let sync = |path: &Path| {
        File::open(path).and_then(|dir| dir.sync_all()).map_err(folder_error("sync", path))
    };
    sync(folder)?;
    folder.parent().filter(|parent| !parent.as_os_str().is_empty()).map_or(Ok(()), sync)
}

/// Where `object_store` writes a file of ours until it is complete: `<name>#<n>`, and with a name
/// that is used once the first number is free.
fn half(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push("#1");
    name.into()
}

/// Removes what interrupted uploads of earlier runs left: see [`half`].
fn remove_halves(shard: &Path, era: &str) -> Result<(), Error> {
    let entries = std::fs::read_dir(shard).map_err(folder_error("list", shard))?;
    for entry in entries {
        let path = entry.map_err(folder_error("list", shard))?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if name.contains('#') && !name.starts_with(era) {
            std::fs::remove_file(&path).map_err(folder_error("remove", &path))?;
        }
    }
    Ok(())
}
