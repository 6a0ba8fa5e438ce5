//! Reads an open file as a stream.
//!
//! The way: what the kernel holds in memory is copied right away, since handing it to another
//! thread would cost more than the copy; only what must come from the disk is waited for on a
//! thread that may block. Buffers are used again: fresh memory is slower than the reading itself.
//! Invariants: the stream gives exactly the range, or ends with an error. A file that is removed
//! meanwhile is read to its end all the same.
//! Memory: [`STEP`] bytes per stream at a time, and [`SPARE_MAX`] buffers that wait on each
//! thread.

use crate::{error::Error, vault::ByteStream};
use bytes::Bytes;
use futures_util::StreamExt;
use rustix::{
    fs::{CWD, Mode, OFlags, ResolveFlags, openat2},
    io::{ReadWriteFlags, preadv2},
};
use std::{
    cell::RefCell, fs::File, io::IoSliceMut, ops::Range, os::unix::fs::FileExt, path::Path,
    sync::Arc,
};

/// Read at once: few calls, and still at hand in the processor's cache when it is sent.
const STEP: usize = 256 << 10;

/// Buffers of a thread that wait for its next reader.
const SPARE_MAX: usize = 4;

thread_local! {
    /// Of each thread its own: what it wrote last is in its core's cache.
    static SPARE: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

/// A buffer that goes back when its last reader is done with it.
struct Lent {
    buffer: Vec<u8>,
    length: usize,
}

impl Lent {
    fn new(length: usize) -> Self {
        let spare = SPARE.with_borrow_mut(Vec::pop);
        Self { buffer: spare.unwrap_or_else(|| vec![0; STEP]), length: length.min(STEP) }
    }

    fn target(&mut self) -> &mut [u8] {
        &mut self.buffer[..self.length]
    }
}

impl AsRef<[u8]> for Lent {
    fn as_ref(&self) -> &[u8] {
        &self.buffer[..self.length]
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        let buffer = std::mem::take(&mut self.buffer);
        // A thread that ends keeps nothing.
        let _ = SPARE.try_with(|spare| {
            let mut spare = spare.borrow_mut();
            if spare.len() < SPARE_MAX {
                spare.push(buffer);
            }
        });
    }
}

/// Opens a file whose name the kernel has in memory: without the disk, and without another thread.
/// Kernels that cannot tell refuse, as they do when it is not there.
pub(crate) fn open(path: &Path) -> Option<File> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    openat2(CWD, path, flags, Mode::empty(), ResolveFlags::CACHED).ok().map(File::from)
}

/// The bytes of `range`; `path` names the file in errors.
pub(crate) fn stream(file: File, path: String, range: Range<u64>) -> ByteStream {
    let file = Arc::new(file);
    futures_util::stream::try_unfold((range.start, path), move |(at, path)| {
        let file = Arc::clone(&file);
        let left = usize::try_from(range.end.saturating_sub(at)).unwrap_or(usize::MAX);
        async move {
            if left == 0 {
                return Ok(None);
            }
            let bytes = step(file, at, left).await.map_err(|source| failed(&path, source))?;
            let next = at + bytes.len() as u64;
            Ok(Some((bytes, (next, path))))
        }
    })
    .boxed()
}

/// The error of a file that cannot be read.
pub(crate) fn failed(path: &str, source: std::io::Error) -> Error {
    let source = object_store::Error::Generic { store: "file", source: source.into() };
    Error::bytes("read", path, source)
}

/// [`STEP`] bytes from `at`, or the `left` ones when they are fewer.
async fn step(file: Arc<File>, at: u64, left: usize) -> std::io::Result<Bytes> {
    let mut lent = Lent::new(left);
    let target = &mut [IoSliceMut::new(lent.target())];
    // File systems that cannot tell what is in memory refuse, and are read the other way.
    let ready = preadv2(&*file, target, at, ReadWriteFlags::NOWAIT).unwrap_or(0);
    if ready < lent.length {
        let from = at + ready as u64;
        let read = move || file.read_exact_at(&mut lent.target()[ready..], from).map(|()| lent);
        lent = tokio::task::spawn_blocking(read).await.map_err(std::io::Error::other)??;
    }
    Ok(Bytes::from_owner(lent))
}
