//! From rows back to bytes.
//!
//! Invariants: a stream gives exactly the bytes asked for, or ends with an error; its first bytes
//! are read before it is given out, so that a file that is gone is told before an answer begins, and no
//! file that it has yet to open is removed. A blob that cannot be read is noted as suspect. Whole blobs in
//! the database are always verified; of whole files every [`VERIFY_ONE_OF`]th read is, and its last bytes are
//! given out when all of them are known to be right: who asks for no more than the promised length gets less
//! of a damaged one. Of the files that are read in part, every [`SAMPLE_ONE_OF`]th read has the keeper read
//! the whole (`sample.rs`). The scrubber reads the rest.

use crate::{
    details::{self, PieceDetails},
    error::Error,
    seal::{CHUNK, Chunks, Key, TAG, sealed_range},
    vault::{ByteStream, Vault},
};
use bytes::{Bytes, BytesMut};
use futures_util::{StreamExt, TryStreamExt, stream};
use std::{
    ops::Range,
    sync::atomic::{AtomicU32, Ordering},
};
use store::{
    Reader,
    objects::{BlobRow, ObjectRow},
};

/// Whole files are hashed in one of so many reads: rot is seen soon, at an eighth of the cost.
const VERIFY_ONE_OF: u32 = 8;

static READS: AtomicU32 = AtomicU32::new(0);

/// So many reads of a part lead to one look at the whole.
const SAMPLE_ONE_OF: u32 = 8;

static PARTS: AtomicU32 = AtomicU32::new(0);

/// One blob of an object, in the object's order.
#[derive(Debug, Clone)]
pub(crate) struct Piece {
    /// Its part number; 1 for an object in one piece.
    pub(crate) number: u32,
    /// Plain size.
    pub(crate) size: u64,
    pub(crate) blob: BlobRow,
    pub(crate) data: Option<Bytes>,
    pub(crate) details: PieceDetails,
}

/// The blobs of a version; `seal` is that of an object in one piece.
pub(crate) fn pieces(
    reader: &Reader<'_>,
    row: &ObjectRow,
    seal: Option<&String>,
) -> Result<Vec<Piece>, Error> {
    if let Some(blob) = row.blob {
        let details = PieceDetails { seal: seal.cloned(), checksum: None };
        return Ok(vec![piece(reader, 1, row.size, blob, details)?]);
    }
    reader
        .object_pieces(row.id)?
        .into_iter()
        .map(|part| {
            let details = details::parse(&row.key, &part.details)?;
            piece(reader, part.number, part.size, part.blob, details)
        })
        .collect()
}

/// One blob with its bytes when they are in the row.
pub(crate) fn piece(
    reader: &Reader<'_>,
    number: u32,
    size: u64,
    blob: i64,
    details: PieceDetails,
) -> Result<Piece, Error> {
    let missing = || Error::Damaged(format!("blob {blob}"));
    let blob = reader.blob_get(blob)?.ok_or_else(missing)?;
    let data = match blob.path {
        // Rotten bytes are nobody's; those in the row are compared whenever they are read from it.
        Some(_) if reader.blob_is_bad(blob.id)? => return Err(missing()),
        Some(_) => None,
        None => Some(Bytes::from(reader.blob_data(blob.id)?.ok_or_else(missing)?)),
    };
    if data.as_ref().is_some_and(|data| blake3::hash(data).as_bytes() != &blob.hash) {
        return Err(missing());
    }
    Ok(Piece { number, size, blob, data, details })
}

/// Streams `range` of the object made of `pieces`; `unwrap` opens the keys of sealed blobs. The
/// first bytes are at hand when this returns.
pub(crate) async fn stream(
    vault: &Vault,
    pieces: &[Piece],
    range: Range<u64>,
    unwrap: Option<&Key>,
) -> Result<ByteStream, Error> {
    let mut bytes = joined(vault, wanted(pieces, &range, unwrap)?);
    match bytes.next().await {
        None => Ok(bytes),
        Some(first) => Ok(stream::iter([Ok(first?)]).chain(bytes).boxed()),
    }
}

/// What is wanted of a piece, and the key that opens it.
type Wanted = (Piece, Range<u64>, Option<Key>);

fn wanted(
    pieces: &[Piece],
    range: &Range<u64>,
    unwrap: Option<&Key>,
) -> Result<Vec<Wanted>, Error> {
    let mut wanted = Vec::new();
    let mut start = 0;
    for piece in pieces {
        let (from, to) = (range.start.max(start), range.end.min(start + piece.size));
        start += piece.size;
        if from >= to {
            continue;
        }
        let begin = start - piece.size;
        let key = open_key(piece, unwrap)?;
        wanted.push((piece.clone(), from - begin..to - begin, key));
    }
    Ok(wanted)
}

fn joined(vault: &Vault, wanted: Vec<Wanted>) -> ByteStream {
    let vault = vault.clone();
    let paths: Vec<_> = wanted.iter().filter_map(|(piece, ..)| piece.blob.path.as_ref()).collect();
    let held = vault.hold(&paths);
    let streams = stream::iter(wanted).then(move |(piece, range, key)| {
        let vault = vault.clone();
        async move {
            let blob = piece.blob.id;
            let bytes = piece_stream(&vault, piece, range, key).await;
            let note = move |error| unreadable(&vault, blob, error);
            match bytes {
                Ok(bytes) => Ok(bytes.map_err(note)),
                Err(error) => Err(note(error)),
            }
        }
    });
    let bytes = streams.try_flatten();
    bytes.inspect(move |_| _ = &held).boxed()
}

/// Notes a blob whose file is not there, is too short, or cannot be read.
fn unreadable(vault: &Vault, blob: i64, error: Error) -> Error {
    if let Error::Bytes { path, source, .. } = &error {
        tracing::error!(blob.id = blob, path, %source, "stored bytes cannot be read");
        vault.suspect(blob);
    }
    error
}

/// The bytes of `range` when they came with the row and lie open.
pub(crate) fn at_hand(pieces: &[Piece], range: &Range<u64>) -> Option<Bytes> {
    let [Piece { data: Some(data), details: PieceDetails { seal: None, .. }, .. }] = pieces else {
        return None;
    };
    Some(cut(data, range))
}

fn cut(data: &Bytes, range: &Range<u64>) -> Bytes {
    let bounds = |at: u64| usize::try_from(at).unwrap_or(usize::MAX).min(data.len());
    data.slice(bounds(range.start)..bounds(range.end))
}

fn open_key(piece: &Piece, unwrap: Option<&Key>) -> Result<Option<Key>, Error> {
    match (&piece.details.seal, unwrap) {
        (None, _) => Ok(None),
        (Some(_), None) => Err(Error::Sealed),
        (Some(wrapped), Some(key)) => key.unwrap(wrapped).map(Some),
    }
}

async fn piece_stream(
    vault: &Vault,
    piece: Piece,
    range: Range<u64>,
    key: Option<Key>,
) -> Result<ByteStream, Error> {
    let Some(key) = key else {
        return stored_stream(vault, &piece.blob, piece.data, range).await;
    };
    let (sealed, first, skip) = sealed_range(range.start, range.end, piece.size);
    let stored = stored_stream(vault, &piece.blob, piece.data, sealed).await?;
    Ok(opened(stored, Chunks::new(&key), first, skip, range.end - range.start))
}

async fn stored_stream(
    vault: &Vault,
    blob: &BlobRow,
    data: Option<Bytes>,
    range: Range<u64>,
) -> Result<ByteStream, Error> {
    let whole = range == (0..blob.size);
    let Some(path) = &blob.path else {
        let data = data.ok_or_else(|| Error::Damaged(format!("blob {}", blob.id)))?;
        let part = cut(&data, &range);
        return Ok(stream::once(async { Ok(part) }).boxed());
    };
    let bytes = vault.read(path, range).await?;
    if !whole {
        if PARTS.fetch_add(1, Ordering::Relaxed).is_multiple_of(SAMPLE_ONE_OF) {
            vault.samples.note(blob.id);
        }
        return Ok(bytes);
    }
    let verify = READS.fetch_add(1, Ordering::Relaxed).is_multiple_of(VERIFY_ONE_OF);
    Ok(if verify { verified(vault.clone(), bytes, blob.clone()) } else { bytes })
}

/// Passes the bytes on, the last of them when all are what was stored; fails in their place.
fn verified(vault: Vault, bytes: ByteStream, blob: BlobRow) -> ByteStream {
    let state = Verifying { vault, bytes, hasher: blake3::Hasher::new(), left: blob.size, blob };
    stream::try_unfold(state, |mut state| async move {
        let Some(part) = state.bytes.next().await else {
            return if state.left == 0 { Ok(None) } else { Err(state.damaged()) };
        };
        let part = part?;
        state.hasher.update(&part);
        state.left = state.left.saturating_sub(part.len() as u64);
        if state.left == 0 && state.hasher.finalize().as_bytes() != &state.blob.hash {
            return Err(state.damaged());
        }
        Ok(Some((part, state)))
    })
    .boxed()
}

/// A read that is compared as it passes.
struct Verifying {
    vault: Vault,
    bytes: ByteStream,
    hasher: blake3::Hasher,
    /// Bytes that have yet to come.
    left: u64,
    blob: BlobRow,
}

impl Verifying {
    fn damaged(&self) -> Error {
        tracing::error!(blob.id = self.blob.id, "stored bytes are damaged");
        self.vault.suspect(self.blob.id);
        Error::Damaged(format!("blob {}", self.blob.id))
    }
}

/// Opens sealed chunks, skips the first `skip` plain bytes and stops after `wanted`.
fn opened(bytes: ByteStream, chunks: Chunks, first: u64, skip: usize, wanted: u64) -> ByteStream {
    let state = Opening { bytes, chunks, sealed: BytesMut::new(), number: first, skip, wanted };
    stream::try_unfold(state, |mut state| async move {
        if state.wanted == 0 {
            return Ok(None);
        }
        let plain = state.next().await?;
        Ok(Some((plain, state)))
    })
    .boxed()
}

struct Opening {
    bytes: ByteStream,
    chunks: Chunks,
    sealed: BytesMut,
    number: u64,
    skip: usize,
    wanted: u64,
}

impl Opening {
    async fn next(&mut self) -> Result<Bytes, Error> {
        while self.sealed.len() < CHUNK + TAG {
            match self.bytes.next().await {
                Some(part) => self.sealed.extend_from_slice(&part?),
                None => break,
            }
        }
        let length = self.sealed.len().min(CHUNK + TAG);
        let mut chunk = self.sealed.split_to(length).to_vec();
        self.chunks.open(self.number, &mut chunk)?;
        self.number += 1;
        let wanted = usize::try_from(self.wanted).unwrap_or(usize::MAX);
        let skip = std::mem::take(&mut self.skip).min(chunk.len());
        let end = chunk.len().min(skip.saturating_add(wanted));
        if end == skip {
            return Err(Error::Damaged("a sealed chunk".into()));
        }
        self.wanted -= (end - skip) as u64;
        Ok(Bytes::from(chunk).slice(skip..end))
    }
}
