//! From a stream of bytes to a durable blob that waits for its row.
//!
//! Why: uploads, parts and copies all pass here, so that hashing, sealing and bounds are in one place.
//! Invariants: nothing is visible until a row names the blob; a blob that gets no row is removed
//! when its [`Ingested`] is dropped, or by the sweep after a cut. A caller that goes away while its
//! row is being committed takes no bytes with it: whether a row names them is asked behind it.
//! What the vault is to keep free stays free: the room for what is announced is asked for before
//! the first byte, and again after each part that went to the disk.
//! Memory: what [`crate::filing::Filing`] holds, and at most `inline_max` beside.

use crate::{
    digest::{self, Algorithm, Summed, Sums},
    error::Error,
    filing::Filing,
    objects::Objects,
    seal::{CHUNK, Chunks, Key},
    vault::{ByteStream, Vault},
};
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use std::sync::atomic::Ordering;
use store::{
    Txn,
    objects::{Held, NewBlob},
};

/// What is to be put.
pub struct Body(pub(crate) ByteStream);

impl From<Bytes> for Body {
    fn from(bytes: Bytes) -> Self {
        Self(stream::once(async { Ok(bytes) }).boxed())
    }
}

impl From<Vec<u8>> for Body {
    fn from(bytes: Vec<u8>) -> Self {
        Bytes::from(bytes).into()
    }
}

impl From<ByteStream> for Body {
    fn from(bytes: ByteStream) -> Self {
        Self(bytes)
    }
}

/// How the bytes are taken in.
#[derive(Default)]
pub(crate) struct Plan<'a> {
    /// The key that wraps the blob's own; `None` leaves the bytes plain.
    pub(crate) wrap: Option<&'a Key>,
    /// Checksums to compute beside MD5.
    pub(crate) sums: &'a [Algorithm],
    /// The number of bytes as far as the sender told it; 0 when it did not.
    pub(crate) expected: u64,
}

/// Bytes that are durable and have no row yet.
pub(crate) struct Ingested {
    /// Sums over the plain bytes.
    pub(crate) summed: Summed,
    /// The wrapped key, when they were sealed.
    pub(crate) seal: Option<String>,
    /// For the row.
    pub(crate) blob: Fresh,
    file: Leftover,
}

impl Ingested {
    /// The row is committed; the file stays unless equal bytes were there, and a rotten file that it
    /// took the place of goes.
    pub(crate) fn settle(mut self, held: Held) {
        if let Some(file) = self.file.0.as_mut() {
            file.fate = if held.spare { Fate::Spare } else { Fate::Kept };
        }
        let Some(path) = held.replaced else { return };
        let vault = &self.blob.vault;
        vault.looked_at(held.id);
        // The next collection removes it.
        vault.note_unremoved([path]);
        tracing::info!(blob.id = held.id, "stored bytes that were damaged were replaced");
    }
}

/// A blob that has just come in whole.
#[derive(Debug, Clone)]
pub(crate) struct Fresh {
    pub(crate) new: NewBlob,
    vault: Vault,
}

impl Fresh {
    /// Holds it for a row. What was kept of it already gives way when a reader found that damaged: who
    /// sends bytes again because they could not be read heals them.
    pub(crate) fn hold(&self, txn: &mut Txn<'_>) -> Result<Held, store::Error> {
        txn.blob_hold(&self.new, |id| self.vault.doubts(id))
    }
}

/// What becomes of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// A row may be on its way to the disk.
    Open,
    /// A row names it.
    Kept,
    /// No row names it, and none will.
    Spare,
}

struct File {
    objects: Objects,
    path: String,
    fate: Fate,
}

impl File {
    /// Removes it unless a row names it.
    async fn end(self) -> Result<(), Error> {
        if self.fate == Fate::Open {
            // Writes are done in their order: one that was queued for this file is done by now.
            let path = self.path.clone();
            let named = move |txn: &mut Txn<'_>| Ok::<_, Error>(txn.blob_path_known(&path)?);
            if self.objects.write(named).await? {
                return Ok(());
            }
        }
        self.objects.inner.vault.remove(&self.path).await
    }
}

/// A file that is removed when nothing took it over.
struct Leftover(Option<File>);

impl Drop for Leftover {
    fn drop(&mut self) {
        let Some(file) = self.0.take().filter(|file| file.fate != Fate::Kept) else { return };
        // Outside of the runtime the sweep of the next start takes it.
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        runtime.spawn(async move {
            let path = file.path.clone();
            if let Err(error) = file.end().await {
                tracing::debug!(path, %error, "a spare file stays until the next collection");
            }
        });
    }
}

/// Takes in a whole stream.
pub(crate) async fn ingest(
    objects: &Objects,
    body: Body,
    plan: &Plan<'_>,
) -> Result<Ingested, Error> {
    let (vault, inline_max) = (&objects.inner.vault, objects.inner.config.inline_max);
    // What is not announced is asked for again when it turns out to be more than a row takes.
    match usize::try_from(plan.expected) {
        Ok(few) if few <= inline_max => objects.room_for_rows(plan.expected)?,
        _ => vault.room(plan.expected)?,
    }
    // What is stored is what came, unless it is sealed.
    let with_md5 = plan.wrap.is_none();
    let mut sink = Sink { vault, inline_max, with_md5, small: Vec::new(), file: None };
    let taken = take(&mut sink, body, plan).await;
    match taken {
        Ok((mut summed, seal)) => {
            vault.taken.fetch_add(summed.size, Ordering::Relaxed);
            let (new, md5, file) = sink.finish(objects).await?;
            let blob = Fresh { new, vault: vault.clone() };
            summed.md5 = md5.unwrap_or(summed.md5);
            Ok(Ingested { summed, seal, blob, file })
        }
        Err(error) => {
            if let Some(file) = sink.file {
                file.abort().await;
            }
            Err(error)
        }
    }
}

async fn take(
    sink: &mut Sink<'_>,
    mut body: Body,
    plan: &Plan<'_>,
) -> Result<(Summed, Option<String>), Error> {
    let mut sums = if sink.with_md5 { Sums::without_md5(plan.sums) } else { Sums::new(plan.sums) };
    let mut sealer = plan.wrap.map(Sealer::new);
    while let Some(bytes) = body.0.next().await {
        let bytes = bytes?;
        sums.update(&bytes);
        match &mut sealer {
            None => sink.write(&bytes).await?,
            Some(sealer) => sealer.write(&bytes, sink).await?,
        }
    }
    let seal = match sealer {
        None => None,
        Some(sealer) => Some(sealer.finish(sink).await?),
    };
    Ok((sums.finish(), seal))
}

/// Cuts plain bytes into chunks and seals each.
struct Sealer {
    chunks: Chunks,
    wrapped: String,
    next: u64,
    plain: Vec<u8>,
}

impl Sealer {
    fn new(wrap: &Key) -> Self {
        let key = Key::random();
        let wrapped = wrap.wrap(&key);
        Self { chunks: Chunks::new(&key), wrapped, next: 0, plain: Vec::new() }
    }

    async fn write(&mut self, mut bytes: &[u8], sink: &mut Sink<'_>) -> Result<(), Error> {
        while !bytes.is_empty() {
            let take = bytes.len().min(CHUNK - self.plain.len());
            self.plain.extend_from_slice(&bytes[..take]);
            bytes = &bytes[take..];
            if self.plain.len() == CHUNK {
                self.flush(sink).await?;
            }
        }
        Ok(())
    }

    async fn flush(&mut self, sink: &mut Sink<'_>) -> Result<(), Error> {
        self.chunks.seal(self.next, &mut self.plain);
        self.next += 1;
        sink.write(&self.plain).await?;
        self.plain.clear();
        Ok(())
    }

    async fn finish(mut self, sink: &mut Sink<'_>) -> Result<String, Error> {
        if !self.plain.is_empty() {
            self.flush(sink).await?;
        }
        Ok(self.wrapped)
    }
}

/// Keeps few bytes at hand and many in a file.
struct Sink<'a> {
    vault: &'a Vault,
    inline_max: usize,
    with_md5: bool,
    small: Vec<u8>,
    file: Option<Filing>,
}

impl Sink<'_> {
    async fn write(&mut self, bytes: &[u8]) -> Result<(), Error> {
        if let Some(file) = &mut self.file {
            let before = file.flushed();
            file.write(bytes).await?;
            return if file.flushed() > before { self.vault.room(0) } else { Ok(()) };
        }
        if self.small.len() + bytes.len() <= self.inline_max {
            self.small.extend_from_slice(bytes);
            return Ok(());
        }
        self.vault.room(0)?;
        let mut file = self.vault.file(self.with_md5).await?;
        file.write(&std::mem::take(&mut self.small)).await?;
        self.file.insert(file).write(bytes).await
    }

    async fn finish(
        self,
        objects: &Objects,
    ) -> Result<(NewBlob, Option<[u8; 16]>, Leftover), Error> {
        let Some(file) = self.file else {
            let hash = *blake3::hash(&self.small).as_bytes();
            let size = self.small.len() as u64;
            let md5 = self.with_md5.then(|| digest::md5(&self.small));
            let blob = NewBlob { hash, size, path: None, data: Some(self.small) };
            return Ok((blob, md5, Leftover(None)));
        };
        let objects = objects.clone();
        // Goes on when its caller goes away: what it leaves is then removed, not forgotten.
        let finishing = tokio::spawn(async move {
            let filed = file.finish().await?;
            let file = File { objects, path: filed.path.clone(), fate: Fate::Open };
            Ok::<_, Error>((filed, Leftover(Some(file))))
        });
        let (filed, file) = finishing.await.map_err(|_| Error::Lost)??;
        let path = Some(filed.path);
        let blob = NewBlob { hash: filed.hash, size: filed.size, path, data: None };
        Ok((blob, filed.md5, file))
    }
}
