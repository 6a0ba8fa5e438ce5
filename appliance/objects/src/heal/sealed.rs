//! Plain bytes sealed again under the key that they were sealed with: the same bytes come out.

use crate::{
    error::Error,
    seal::{CHUNK, Chunks, Key},
    vault::ByteStream,
};
use bytes::{Bytes, BytesMut};
use futures_util::{StreamExt, TryStreamExt, stream};

struct Sealing {
    plain: ByteStream,
    chunks: Chunks,
    number: u64,
    waiting: BytesMut,
}

/// The sealed form of a blob whose plain bytes come.
pub(super) fn sealed(plain: ByteStream, key: &Key) -> ByteStream {
    let state = Sealing { plain, chunks: Chunks::new(key), number: 0, waiting: BytesMut::new() };
    stream::try_unfold(state, |mut state| async move {
        let chunk = state.next().await?;
        Ok(chunk.map(|chunk| (chunk, state)))
    })
    .boxed()
}

impl Sealing {
    async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        while self.waiting.len() < CHUNK {
            match self.plain.next().await {
                Some(part) => self.waiting.extend_from_slice(&part?),
                None => break,
            }
        }
        if self.waiting.is_empty() {
            return Ok(None);
        }
        let length = self.waiting.len().min(CHUNK);
        let mut chunk = self.waiting.split_to(length).to_vec();
        self.chunks.seal(self.number, &mut chunk);
        self.number += 1;
        Ok(Some(chunk.into()))
    }
}

/// BLAKE3 of what comes.
pub(super) async fn hash(bytes: ByteStream) -> Result<[u8; 32], Error> {
    let add = |mut hasher: blake3::Hasher, part: Bytes| async move {
        hasher.update(&part);
        Ok(hasher)
    };
    Ok(*bytes.try_fold(blake3::Hasher::new(), add).await?.finalize().as_bytes())
}
