//! A file of the vault as it is written: part by part, hashed on the way.
//!
//! Invariants: [`Filing::finish`] returns after the bytes and every directory entry on the way to
//! them are on the disk, or says why not.
//! Memory: one part being filled and one being written, whatever the file's size; the more uploads
//! there are, the smaller are parts.

use crate::{error::Error, hashing::Hashing, headway::Headway};
use bytes::{Bytes, BytesMut};
use object_store::{MultipartUpload, PutPayload, UploadPart};
use std::{future::poll_fn, task::Poll};

/// Written at once to a folder, and hashed at once, by each of many uploads; two of these are all
/// the memory that an upload holds.
const PART_LOCAL: usize = 128 << 10;

/// The same for one of few: each part costs a turn of another thread.
const PART_FEW: usize = 512 << 10;

/// What the parts of all uploads may take together before they get smaller.
const PARTS_MAX: usize = 1 << 20;

/// Written at once to a remote store: S3 takes no part under 5 MiB but the last.
const PART_REMOTE: usize = 8 << 20;

/// The size of a part in a folder while there are so many uploads; whole blocks of every hash.
fn part_of(uploads: usize) -> usize {
    (PARTS_MAX / uploads.next_power_of_two()).clamp(PART_LOCAL, PART_FEW)
}

/// A file being written.
pub(crate) struct Filing {
    path: String,
    upload: Box<dyn MultipartUpload>,
    hasher: blake3::Hasher,
    md5: Option<Hashing>,
    buffer: BytesMut,
    part: usize,
    size: u64,
    headway: Option<Headway>,
    /// The part that is being written, or was last.
    full: Bytes,
    writing: Option<UploadPart>,
}

/// A file that is durable.
#[derive(Debug, Clone)]
pub(crate) struct Filed {
    pub(crate) path: String,
    pub(crate) hash: [u8; 32],
    pub(crate) md5: Option<[u8; 16]>,
    pub(crate) size: u64,
}

impl Filing {
    /// Over a folder.
    pub(crate) fn local(
        path: String,
        upload: Box<dyn MultipartUpload>,
        md5: Option<Hashing>,
        headway: Option<Headway>,
    ) -> Self {
        Self { headway, ..Self::new(path, upload, md5, PART_LOCAL) }
    }

    /// Over a remote store.
    pub(crate) fn remote(
        path: String,
        upload: Box<dyn MultipartUpload>,
        md5: Option<Hashing>,
    ) -> Self {
        Self::new(path, upload, md5, PART_REMOTE)
    }

    fn new(
        path: String,
        upload: Box<dyn MultipartUpload>,
        md5: Option<Hashing>,
        part: usize,
    ) -> Self {
        Self {
            path,
            upload,
            hasher: blake3::Hasher::new(),
            md5,
            buffer: BytesMut::with_capacity(part),
            part,
            size: 0,
            headway: None,
            full: Bytes::new(),
            writing: None,
        }
    }

    /// Appends bytes; waits when the disk is slower than the sender.
    pub(crate) async fn write(&mut self, mut bytes: &[u8]) -> Result<(), Error> {
        while !bytes.is_empty() {
            let take = bytes.len().min(self.part - self.buffer.len());
            self.buffer.extend_from_slice(&bytes[..take]);
            bytes = &bytes[take..];
            if self.buffer.len() == self.part {
                let full = self.flush().await?;
                if let Some(md5) = &mut self.md5 {
                    md5.update(full.clone()).await?;
                }
                self.hasher.update(&full);
            }
        }
        Ok(())
    }

    /// So many bytes are with the store, or on their way.
    pub(crate) fn flushed(&self) -> u64 {
        self.size
    }

    /// Gives the part to the store, and to whoever hashes it.
    async fn flush(&mut self) -> Result<Bytes, Error> {
        self.wait().await?;
        if let Some(headway) = &mut self.headway {
            headway.reached(self.size);
        }
        if let Some(md5) = &mut self.md5 {
            md5.settle().await?;
        }
        // Two buffers in turn: fresh memory for each part would cost more than hashing it.
        let next = std::mem::take(&mut self.full).try_into_mut().unwrap_or_default();
        let full = std::mem::replace(&mut self.buffer, next).freeze();
        self.resize();
        self.full = full.clone();
        self.size += full.len() as u64;
        self.begin(full.clone()).await;
        Ok(full)
    }

    /// Empties the buffer for a part of the size that is right now.
    fn resize(&mut self) {
        if let Some(md5) = self.md5.as_ref().filter(|_| self.part != PART_REMOTE) {
            self.part = part_of(md5.uploads());
        }
        if self.buffer.capacity() > self.part {
            self.buffer = BytesMut::new();
        }
        self.buffer.clear();
        self.buffer.reserve(self.part);
    }

    /// Begins to write a part.
    async fn begin(&mut self, full: Bytes) {
        let mut writing = self.upload.put_part(PutPayload::from(full));
        if self.part == PART_REMOTE {
            // What goes out over a network needs somebody to attend to it.
            let attended = tokio::spawn(writing);
            writing =
                Box::pin(async move { attended.await.unwrap_or_else(|source| Err(source.into())) });
        }
        // A folder's write is on its way to another thread once it was asked for.
        let begun = poll_fn(|context| Poll::Ready(writing.as_mut().poll(context))).await;
        self.writing = Some(match begun {
            Poll::Pending => writing,
            Poll::Ready(done) => Box::pin(async { done }),
        });
    }

    /// The part before is with the store, which has let go of its bytes.
    async fn wait(&mut self) -> Result<(), Error> {
        let Some(writing) = self.writing.take() else { return Ok(()) };
        writing.await.map_err(|source| Error::bytes("write", &self.path, source))
    }

    /// Makes the file durable.
    pub(crate) async fn finish(mut self) -> Result<Filed, Error> {
        let last = if self.buffer.is_empty() { Bytes::new() } else { self.flush().await? };
        self.hasher.update(&last);
        let md5 = match self.md5.take() {
            Some(md5) => Some(md5.finish(&last).await?),
            None => None,
        };
        self.wait().await?;
        self.upload.complete().await.map_err(|source| Error::bytes("sync", &self.path, source))?;
        let hash = *self.hasher.finalize().as_bytes();
        Ok(Filed { path: std::mem::take(&mut self.path), hash, md5, size: self.size })
    }

    /// Gives up: the part that was written is removed.
    pub(crate) async fn abort(mut self) {
        drop(self.wait().await);
        if let Err(error) = self.upload.abort().await {
            tracing::debug!(path = self.path, %error, "a half-written file stays until the next sweep");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(uploads: usize, part: usize) {
        assert_eq!(part_of(uploads), part, "{uploads}");
    }

    #[test]
    fn parts_get_smaller_with_the_number_of_uploads_and_stay_whole_blocks() {
        check(0, PART_FEW);
        check(1, PART_FEW);
        check(2, PART_FEW);
        check(3, PARTS_MAX / 4);
        check(8, PART_LOCAL);
        check(9, PART_LOCAL);
        check(1000, PART_LOCAL);
        assert!((0..1000).all(|uploads| part_of(uploads).is_multiple_of(1024)));
    }
}
