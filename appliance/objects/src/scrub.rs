//! Re-reads everything at a bounded rate and compares it with its BLAKE3: rot is found before it
//! is needed, kept from readers, and healed where the same bytes can be had.
//!
//! Invariants: only a blob whose bytes are missing or wrong is called rotten; a device that fails
//! to read ends the round instead, as it says nothing about the bytes. A rotten blob keeps its row:
//! equal bytes that arrive later, from a peer or by an upload, take its place.
//! The way: blobs by their number; the number reached is noted now and then, so that a restart
//! goes on where the last run stood.

use crate::{
    error::Error,
    ingest::{Body, Plan},
    objects::{Objects, now},
};
use futures_util::TryStreamExt;
use std::time::Duration;
use store::objects::BlobRow;

/// Bytes per second of a round: a disk of a gigabyte is read in two minutes, and a build beside it
/// does not notice.
pub(crate) const PACE: u64 = 8 << 20;

/// A round begins so long after the last one began: flash that rots within weeks is seen in time.
const EVERY: Duration = Duration::from_secs(7 * 24 * 3600);

/// Blobs looked up at once; the place of the round is noted after so many.
const BATCH: u32 = 256;

/// Where the round stands.
const MARK: &str = "scrub_blob";

/// When it began, in microseconds.
const BEGUN: &str = "scrub_begun";

/// What a round found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Scrubbed {
    /// Blobs read.
    pub blobs: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Those that are files.
    pub files: u64,
    /// Those that are missing or wrong, now or since an earlier round.
    pub rotten: u64,
}

/// A blob that is kept from readers until its bytes are had again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rotten {
    /// BLAKE3 of the bytes it should have: by it a peer finds them.
    pub hash: [u8; 32],
    /// Their number.
    pub size: u64,
}

impl Objects {
    /// Reads everything at once, without a pause.
    ///
    /// # Errors
    /// [`Error::Index`], [`Error::Bytes`] when the place cannot be read.
    pub async fn scrub_all(&self) -> Result<Scrubbed, Error> {
        let mut found = Scrubbed::default();
        let mut after = 0;
        while let Some(reached) = self.scrub_batch(after, u64::MAX, &mut found).await? {
            after = reached;
        }
        Ok(found)
    }

    /// Rounds without end; each goes on where a restart cut it.
    pub(crate) async fn scrub_for_ever(&self) {
        let minute = Duration::from_secs(60);
        loop {
            match self.scrub_round().await {
                Ok(None) => {}
                Ok(Some(found)) if found.rotten == 0 => {
                    tracing::info!(
                        found.blobs,
                        found.bytes,
                        "all stored bytes are as they were stored"
                    );
                }
                Ok(Some(found)) => tracing::error!(
                    found.blobs,
                    found.rotten,
                    "stored bytes are damaged: `appliance doctor` tells what helps"
                ),
                Err(error) => tracing::warn!(%error, "could not read all stored bytes"),
            }
            tokio::time::sleep(minute).await;
        }
    }

    /// One round, if it is due or was cut.
    async fn scrub_round(&self) -> Result<Option<Scrubbed>, Error> {
        let marks = |reader: &store::Reader<'_>| {
            Ok((reader.keeper_mark(MARK)?, reader.keeper_mark(BEGUN)?))
        };
        let (mut after, begun) = self.read(marks).await?;
        if after == 0 {
            let every = i64::try_from(EVERY.as_micros()).unwrap_or(i64::MAX);
            let begin = now().0;
            // A clock that was set back does not put the round off for ever.
            if (begun..begun.saturating_add(every)).contains(&begin) {
                return Ok(None);
            }
            self.scrub_note(BEGUN, begin).await?;
        }
        let mut found = Scrubbed::default();
        while let Some(reached) = self.scrub_batch(after, PACE, &mut found).await? {
            after = reached;
            self.scrub_note(MARK, after).await?;
        }
        self.scrub_note(MARK, 0).await?;
        Ok(Some(found))
    }

    async fn scrub_note(&self, name: &'static str, value: i64) -> Result<(), Error> {
        self.write(move |txn| Ok(txn.keeper_mark_set(name, value)?)).await
    }

    /// Reads the blobs that follow `after`; the number reached, or `None` at the end.
    async fn scrub_batch(
        &self,
        after: i64,
        pace: u64,
        found: &mut Scrubbed,
    ) -> Result<Option<i64>, Error> {
        let batch = self.read(move |reader| Ok(reader.blob_list_all(after, BATCH)?)).await?;
        let reached = batch.last().map(|blob| blob.id);
        for blob in batch {
            let (size, file) = (blob.size, blob.path.is_some());
            let Some(good) = self.scrub_blob(blob).await? else { continue };
            found.blobs += 1;
            found.bytes += size;
            found.files += u64::from(file);
            found.rotten += u64::from(!good);
            tokio::time::sleep(Duration::from_micros(size.saturating_mul(1_000_000) / pace)).await;
        }
        Ok(reached)
    }

    /// Reads one blob and notes a change; `None` when it is gone meanwhile.
    pub(crate) async fn scrub_blob(&self, blob: BlobRow) -> Result<Option<bool>, Error> {
        let good = self.is_as_stored(&blob).await?;
        let id = blob.id;
        let state = self
            .read(move |reader| {
                let there = reader.blob_get(id)?;
                Ok((there, reader.blob_is_bad(id)?))
            })
            .await?;
        let (there, was_bad) = state;
        if there.is_none_or(|there| there.path != blob.path) {
            return Ok(None);
        }
        if was_bad == good {
            let read = blob.clone();
            let note = move |txn: &mut store::Txn<'_>| txn.blob_checked(&read, now(), good);
            if !self.write::<_, store::Error, _>(note).await? {
                return Ok(None);
            }
            if good {
                tracing::info!(blob.id = id, "stored bytes that were damaged can be read again");
            } else {
                let path = blob.path.as_deref().unwrap_or("the database");
                tracing::error!(
                    blob.id = id,
                    path,
                    "stored bytes are damaged and kept from readers"
                );
                self.inner.rot.notify_one();
            }
        }
        Ok(Some(good))
    }

    async fn is_as_stored(&self, blob: &BlobRow) -> Result<bool, Error> {
        let Some(path) = &blob.path else {
            let id = blob.id;
            let data = self.read(move |reader| Ok(reader.blob_data(id)?)).await?;
            return Ok(data.is_some_and(|data| blake3::hash(&data).as_bytes() == &blob.hash));
        };
        let read = async {
            let bytes = self.inner.vault.read(path, 0..blob.size).await?;
            let hasher = blake3::Hasher::new();
            let add = |mut hasher: blake3::Hasher, part: bytes::Bytes| async move {
                hasher.update(&part);
                Ok(hasher)
            };
            Ok(bytes.try_fold(hasher, add).await?.finalize())
        };
        match read.await {
            Ok(hash) => Ok(hash.as_bytes() == &blob.hash),
            Err(error) if bytes_are_gone(&error) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The blobs that are kept from readers.
    ///
    /// # Errors
    /// [`Error::Index`].
    pub async fn rotten(&self) -> Result<Vec<Rotten>, Error> {
        let rows = self.read(|reader| Ok(reader.blob_bad()?)).await?;
        Ok(rows.into_iter().map(|row| Rotten { hash: row.hash, size: row.size }).collect())
    }

    /// Puts the bytes of a rotten blob back; `false` when they are not its bytes, or none such is
    /// rotten. The bytes are those that were stored: sealed ones of a sealed object.
    ///
    /// # Errors
    /// [`Error::Full`], [`Error::Bytes`], or the error that the stream gave.
    pub async fn heal(&self, hash: [u8; 32], body: impl Into<Body>) -> Result<bool, Error> {
        let found = self.read(move |reader| Ok(reader.blob_bad_by_hash(&hash)?)).await?;
        let Some(rotten) = found else { return Ok(false) };
        let plan = Plan { expected: rotten.size, ..Plan::default() };
        let ingested = self.ingest(body.into(), &plan).await?;
        if ingested.blob.new.hash != hash {
            return Ok(false);
        }
        let blob = ingested.blob.clone();
        let healed = self
            .write(move |txn| {
                let Some(old) = txn.blob_bad_by_hash(&hash)? else { return Ok::<_, Error>(None) };
                let held = blob.hold(txn)?;
                txn.blob_release(held.id, now())?;
                Ok(Some((held, old)))
            })
            .await?;
        let Some((held, old)) = healed else { return Ok(false) };
        ingested.settle(held);
        if let Some(path) = &old.path {
            self.inner.vault.remove(path).await?;
        }
        Ok(true)
    }
}

/// The file is not there, or shorter than it was.
fn bytes_are_gone(error: &Error) -> bool {
    let Error::Bytes { source, .. } = error else { return false };
    match &**source {
        object_store::Error::NotFound { .. } => true,
        object_store::Error::Generic { source, .. } => {
            let io = source.downcast_ref::<std::io::Error>();
            io.is_some_and(|io| io.kind() == std::io::ErrorKind::UnexpectedEof)
                || source.to_string().contains("range")
        }
        _ => false,
    }
}
