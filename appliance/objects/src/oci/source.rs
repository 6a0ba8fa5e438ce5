//! Where an image comes from, read by a thread of its own as a row of named entries.
//!
//! Memory: one channel of [`PARTS`] parts of [`PART`] bytes, whatever the size of the image.

use super::ImageError;
use crate::vault::ByteStream;
use bytes::Bytes;
use flate2::read::MultiGzDecoder;
use futures_util::StreamExt;
use std::{
    fs::File,
    io::{self, BufRead, BufReader, Read},
    path::{Component, Path, PathBuf},
    sync::Arc,
};
use tokio::{runtime::Handle, sync::mpsc};

/// Read at once.
const PART: usize = 256 << 10;

/// Read ahead while the store is busy.
const PARTS: usize = 2;

/// Folders within an OCI layout: `blobs/sha256`.
const DEPTH_MAX: usize = 3;

/// A file or folder with images.
pub enum Source {
    /// An OCI layout.
    Folder(PathBuf),
    /// A tar of an OCI layout or of `docker save`, plain or packed by gzip.
    Archive(Box<dyn Read + Send>),
}

impl Source {
    /// A folder or a file of this machine.
    ///
    /// # Errors
    /// [`ImageError::Read`].
    pub fn open(path: &Path) -> Result<Self, ImageError> {
        let failed = |source| read_error(path, source);
        if path.metadata().map_err(failed)?.is_dir() {
            return Ok(Self::Folder(path.to_owned()));
        }
        Ok(Self::Archive(Box::new(File::open(path).map_err(failed)?)))
    }

    /// An archive that comes over a connection. Within the runtime only.
    #[must_use]
    pub fn stream(bytes: ByteStream) -> Self {
        Self::Archive(Box::new(Pulled { runtime: Handle::current(), bytes, rest: Bytes::new() }))
    }

    /// Reads it in a thread; the entries come in the order of the file.
    pub(super) fn entries(self) -> mpsc::Receiver<Result<Entry, ImageError>> {
        let (to, entries) = mpsc::channel(1);
        tokio::task::spawn_blocking(move || {
            let read = match self {
                Self::Folder(path) => folder(&path, Path::new(""), 0, &to),
                Self::Archive(bytes) => archive(bytes, &to),
            };
            if let Err(error) = read {
                // Nobody listens any more when the import itself failed.
                drop(to.blocking_send(Err(error)));
            }
        });
        entries
    }
}

pub(super) fn read_error(path: &Path, source: io::Error) -> ImageError {
    ImageError::Read { path: path.to_owned(), source: Arc::new(source) }
}

/// One file of the image.
pub(super) struct Entry {
    /// Relative, parts joined by `/`.
    pub(super) name: String,
    pub(super) content: Content,
}

/// What is in it.
pub(super) enum Content {
    /// The same as that entry.
    Link(String),
    Bytes(mpsc::Receiver<io::Result<Bytes>>),
}

/// Who takes the entries.
type Taker = mpsc::Sender<Result<Entry, ImageError>>;

fn folder(root: &Path, within: &Path, depth: usize, to: &Taker) -> Result<(), ImageError> {
    let path = root.join(within);
    let failed = |source| read_error(&path, source);
    for entry in path.read_dir().map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let (kind, within) = (entry.file_type().map_err(failed)?, within.join(entry.file_name()));
        if kind.is_dir() && depth < DEPTH_MAX {
            folder(root, &within, depth + 1, to)?;
        } else if kind.is_file() {
            let file = File::open(entry.path()).map_err(|source| read_error(&within, source))?;
            give(plain(&within), file, to);
        }
    }
    Ok(())
}

fn archive(bytes: Box<dyn Read + Send>, to: &Taker) -> Result<(), ImageError> {
    let failed = |source| read_error(Path::new("the archive"), source);
    let mut bytes = BufReader::with_capacity(PART, bytes);
    let packed = bytes.fill_buf().map_err(failed)?.starts_with(&[0x1f, 0x8b]);
    if packed { unpack(MultiGzDecoder::new(bytes), to) } else { unpack(bytes, to) }.map_err(failed)
}

fn unpack(bytes: impl Read, to: &Taker) -> io::Result<()> {
    let mut archive = tar::Archive::new(bytes);
    for entry in archive.entries()? {
        let entry = entry?;
        let (path, kind) = (entry.path()?.into_owned(), entry.header().entry_type());
        if kind.is_symlink() || kind.is_hard_link() {
            let Some(target) = entry.link_name()? else { continue };
            let from = path.parent().filter(|_| kind.is_symlink()).unwrap_or(Path::new(""));
            let content = Content::Link(plain(&from.join(target)));
            drop(to.blocking_send(Ok(Entry { name: plain(&path), content })));
        } else if kind.is_file() {
            give(plain(&path), entry, to);
        }
        if to.is_closed() {
            return Ok(());
        }
    }
    Ok(())
}

/// Hands an entry over; what nobody wants to the end is left.
fn give(name: String, mut bytes: impl Read, to: &Taker) {
    let (parts, content) = mpsc::channel(PARTS);
    if to.blocking_send(Ok(Entry { name, content: Content::Bytes(content) })).is_err() {
        return;
    }
    loop {
        let mut part = Vec::with_capacity(PART);
        let read = bytes.by_ref().take(PART as u64).read_to_end(&mut part);
        let part = match read {
            Ok(0) => return,
            Ok(_) => Ok(part.into()),
            Err(error) => Err(error),
        };
        let broken = part.is_err();
        if parts.blocking_send(part).is_err() || broken {
            return;
        }
    }
}

/// A path without `.` and `..`, so that names in documents and in the file compare.
fn plain(path: &Path) -> String {
    let mut parts: Vec<String> = Vec::new();
    for part in path.components() {
        match part {
            Component::Normal(part) => parts.push(part.to_string_lossy().into_owned()),
            Component::ParentDir => drop(parts.pop()),
            Component::CurDir | Component::RootDir | Component::Prefix(_) => {}
        }
    }
    parts.join("/")
}

/// A stream as a reader for a thread.
struct Pulled {
    runtime: Handle,
    bytes: ByteStream,
    rest: Bytes,
}

impl Read for Pulled {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.rest.is_empty() {
            match self.runtime.block_on(self.bytes.next()) {
                Some(part) => self.rest = part.map_err(io::Error::other)?,
                None => return Ok(0),
            }
        }
        let take = self.rest.len().min(buffer.len());
        buffer[..take].copy_from_slice(&self.rest.split_to(take));
        Ok(take)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(path: &str, expected: &str) {
        assert_eq!(plain(Path::new(path)), expected, "{path}");
    }

    #[test]
    fn paths_are_made_plain() {
        check("./index.json", "index.json");
        check("a/../b/layer.tar", "b/layer.tar");
        check("/../../etc", "etc");
    }
}
