//! Image layers, unpacked once and shared by all jobs.
//!
//! Why: an overlay takes folders; unpacking 170 MB for each job would cost a second each time.
//! Form: `<store>/sha256-<hex>` is the tree of the layer whose uncompressed archive has that
//! digest (its "diff id"), in the form that overlayfs takes for a lower layer.
//! Invariants: a layer is there whole, verified against its digest and on disk, or not at all; no
//! entry of an archive can name a place outside its layer; the store is closed to all but root,
//! because layers hold set-user-id programs; layers that nobody uses go when all take too much.
//! Source: OCI image layer specification; overlayfs, "whiteouts and opaque directories".
//! On failure: [`ImageError`] names the layer and the entry; asking again is safe.

mod gate;
mod sweep;
mod tree;
mod unpack;

use flate2::read::MultiGzDecoder;
use sha2::{Digest, Sha256};
use std::{
    fs::{self, DirBuilder, File},
    io::{self, Read},
    os::unix::fs::{DirBuilderExt, PermissionsExt},
    path::{Path, PathBuf},
    sync::atomic::{AtomicU32, Ordering},
};

pub use unpack::Unpacked;

/// What an archive may ask for at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LayerLimits {
    /// Bytes of the uncompressed archive.
    pub bytes: u64,
    /// Entries. Large images have some hundred thousand.
    pub entries: u64,
}

impl Default for LayerLimits {
    /// 32 GiB and a million entries: beyond every image seen, well below a disk full of inodes.
    fn default() -> Self {
        Self { bytes: 32 << 30, entries: 1_000_000 }
    }
}

/// A layer that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// The store's folder could not be used.
    #[error("cannot {action} {path}")]
    Store {
        /// What was tried.
        action: &'static str,
        /// Where.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// A text that names no layer.
    #[error("`{0}` is not a layer digest: expected sha256: and 64 hexadecimal digits")]
    Digest(String),
    /// An entry could not be unpacked.
    #[error("cannot unpack `{entry}` of layer {layer}")]
    Entry {
        /// The layer's digest.
        layer: String,
        /// The entry's path in the archive.
        entry: String,
        /// The cause.
        source: io::Error,
    },
    /// The archive is broken, or larger than allowed.
    #[error("cannot read the archive of layer {layer}")]
    Archive {
        /// The layer's digest.
        layer: String,
        /// The cause.
        source: io::Error,
    },
    /// The archive is not the one that was promised.
    #[error(
        "the archive of layer {layer} has the digest {found}: it was damaged or replaced; import the image again"
    )]
    Mismatch {
        /// The digest that was promised.
        layer: String,
        /// The digest of what came.
        found: String,
    },
}

/// A folder of unpacked layers.
#[derive(Debug)]
pub struct LayerStore {
    root: PathBuf,
    limits: LayerLimits,
    /// Shared by all users of the store; who alone has it may remove half-built layers.
    _lock: File,
}

const PARTIAL: &str = ".partial-";

impl LayerStore {
    /// Opens the store in `root`, making it when it is missing, and removes what an interrupted
    /// unpacking left unless another process has the store open.
    ///
    /// # Errors
    /// When the folder cannot be made or read.
    pub fn open(root: &Path, limits: LayerLimits) -> Result<Self, ImageError> {
        let failed = |action, source| ImageError::Store { action, path: root.to_owned(), source };
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(root)
            .map_err(|source| failed("make", source))?;
        let lock = File::options().create(true).append(true).open(root.join("lock"));
        let lock = lock.map_err(|source| failed("make a lock in", source))?;
        if lock.try_lock().is_ok() {
            for entry in fs::read_dir(root).map_err(|source| failed("read", source))?.flatten() {
                if entry.file_name().to_string_lossy().starts_with(PARTIAL) {
                    fs::remove_dir_all(entry.path()).map_err(|source| failed("clean", source))?;
                }
            }
        }
        lock.lock_shared().map_err(|source| failed("lock", source))?;
        Ok(Self { root: root.to_owned(), limits, _lock: lock })
    }

    /// The folder of a layer that is there: for [`Root::Layers`](crate::Root::Layers).
    ///
    /// # Errors
    /// A text that is no digest; a store that cannot be used.
    pub fn layer(&self, diff_id: &str) -> Result<Option<PathBuf>, ImageError> {
        let path = self.path(diff_id)?;
        let failed = |source| ImageError::Store { action: "use", path: path.clone(), source };
        self.used(path.clone()).map_err(failed)
    }

    /// Unpacks a layer from its archive (tar, plain or packed by gzip or zstd, told by its first
    /// bytes) and returns its folder; one that is there already is returned without reading.
    ///
    /// # Errors
    /// The archive is broken, too large or not the promised one; the disk is full. Nothing is
    /// left of the attempt.
    pub fn unpack(
        &self,
        diff_id: &str,
        archive: impl Read,
    ) -> Result<(PathBuf, Unpacked), ImageError> {
        let path = self.path(diff_id)?;
        if let Some(path) = self.layer(diff_id)? {
            return Ok((path, Unpacked::default()));
        }
        let partial = Partial::make(&self.root)?;
        let unpacked = self.unpack_into(&partial.0, diff_id, archive)?;
        self.publish(&partial.0, &path)?;
        Ok((path, unpacked))
    }

    fn path(&self, diff_id: &str) -> Result<PathBuf, ImageError> {
        let hex = diff_id.strip_prefix("sha256:").filter(|hex| {
            hex.len() == 64 && hex.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
        });
        let hex = hex.ok_or_else(|| ImageError::Digest(diff_id.chars().take(80).collect()))?;
        Ok(self.root.join(format!("sha256-{hex}")))
    }

    fn unpack_into(
        &self,
        folder: &Path,
        diff_id: &str,
        archive: impl Read,
    ) -> Result<Unpacked, ImageError> {
        let broken = |source| ImageError::Archive { layer: diff_id.to_owned(), source };
        let plain = decompress(archive).map_err(broken)?;
        let mut hashing = Hashing { inner: plain, hasher: Sha256::new(), left: self.limits.bytes };
        let unpacked = unpack::unpack(folder, diff_id, &mut hashing, self.limits)?;
        // What follows the archive's end mark belongs to the digest.
        io::copy(&mut hashing, &mut io::sink()).map_err(broken)?;
        let found = hashing
            .hasher
            .finalize()
            .iter()
            .fold(String::from("sha256:"), |text, byte| format!("{text}{byte:02x}"));
        if found == diff_id {
            Ok(unpacked)
        } else {
            Err(ImageError::Mismatch { layer: diff_id.to_owned(), found })
        }
    }

    /// Makes a complete layer visible, so that it survives a cut of power.
    fn publish(&self, partial: &Path, path: &Path) -> Result<(), ImageError> {
        let publish = || -> io::Result<()> {
            // One call for all its files, where an fsync for each would take minutes.
            rustix::fs::syncfs(File::open(partial)?)?;
            match fs::rename(partial, path) {
                // Somebody else unpacked it meanwhile; ours is removed by its owner.
                Err(_) if path.is_dir() => return Ok(()),
                result => result?,
            }
            let _done_by_the_next_sweep = sweep::note(path);
            File::open(&self.root)?.sync_all()
        };
        publish().map_err(|source| ImageError::Store {
            action: "publish",
            path: path.to_owned(),
            source,
        })
    }
}

/// A layer that is being built; removed when it was not renamed.
struct Partial(PathBuf);

impl Partial {
    fn make(root: &Path) -> Result<Self, ImageError> {
        let path = partial_path(root);
        // The process's mask must not close it to the users of the image.
        let made = fs::create_dir(&path)
            .and_then(|()| fs::set_permissions(&path, fs::Permissions::from_mode(0o755)));
        match made {
            Ok(()) => Ok(Self(path)),
            Err(source) => Err(ImageError::Store { action: "make", path, source }),
        }
    }
}

/// A name that nothing has, of something that is removed at the next start.
fn partial_path(root: &Path) -> PathBuf {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    root.join(format!("{PARTIAL}{}-{count}", std::process::id()))
}

impl Drop for Partial {
    fn drop(&mut self) {
        let _renamed_or_removed_at_the_next_start = crate::remove_tree(&self.0);
    }
}

/// Reads plain bytes out of whatever the first four promise.
fn decompress<'a>(mut archive: impl Read + 'a) -> io::Result<Box<dyn Read + 'a>> {
    let mut magic = Vec::with_capacity(4);
    archive.by_ref().take(4).read_to_end(&mut magic)?;
    let kind = <[u8; 4]>::try_from(magic.as_slice()).unwrap_or_default();
    let whole = io::Cursor::new(magic).chain(archive);
    match kind {
        [0x1f, 0x8b, ..] => Ok(Box::new(MultiGzDecoder::new(io::BufReader::new(whole)))),
        [0x28, 0xb5, 0x2f, 0xfd] => Ok(Box::new(zstd::stream::read::Decoder::new(whole)?)),
        _ => Ok(Box::new(whole)),
    }
}

/// Counts and hashes what passes, and ends a bomb with an error.
struct Hashing<R> {
    inner: R,
    hasher: Sha256,
    left: u64,
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        let Some(left) = self.left.checked_sub(count as u64) else {
            return Err(io::Error::new(
                io::ErrorKind::FileTooLarge,
                "the archive is larger than the limit for a layer",
            ));
        };
        self.left = left;
        self.hasher.update(&buffer[..count]);
        Ok(count)
    }
}
