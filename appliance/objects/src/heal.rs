//! Asks the peer for what is damaged here: a rotten blob is an object, or a part of one, that the peer may
//! have under the same key.
//!
//! Invariants: one blob at a time, at the scrubber's pace, beside everything else; bytes are kept by
//! their BLAKE3 alone. Bytes that were sealed are sealed again under their own key, and compared before
//! any of them is written: other bytes under that key would tell something of the first ones.
//! Not healed: what a client's own key seals (SSE-C), and parts of uploads that go on.
//! On failure: a peer that does not answer is asked again after a pause that grows, as is one that has
//! other bytes or none; each of that is told once until it changes.

mod asking;
mod copies;
mod sealed;

pub use asking::Asked;

use crate::{
    error::Error,
    objects::Objects,
    peer::{FETCH, Peer},
    s3::report,
    seal::Key,
};
use asking::Asking;
use copies::Copy;
use std::{sync::atomic::Ordering, time::Instant};
use store::objects::BlobRow;

/// Where that many blobs in a row got no answer, the peer is away, and the rest of the round waits.
const FAILURES_MAX: u64 = 3;

/// What came of one blob, the more telling the later.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Outcome {
    Unasked,
    Absent,
    Other,
    Failed(String),
    Healed,
}

/// Once through all rotten blobs, by number, from one of them and round to it.
struct Way {
    after: i64,
    /// The last one of the second half.
    end: i64,
    /// The second half has begun; a way from the first blob has no other.
    wrapped: bool,
}

impl Way {
    fn from(after: i64) -> Self {
        let wrapped = after == 0;
        Self { after, end: if wrapped { i64::MAX } else { after }, wrapped }
    }
}

impl Asked {
    fn count(&mut self, outcome: Outcome) {
        match outcome {
            Outcome::Unasked => self.unasked += 1,
            Outcome::Absent => self.absent += 1,
            Outcome::Other => self.other += 1,
            Outcome::Healed => self.healed += 1,
            Outcome::Failed(reason) => {
                self.failed += 1;
                self.reason = Some(reason);
            }
        }
    }
}

impl Objects {
    /// Asks at the start, when something is found damaged, and again while something stays so.
    pub(crate) async fn heal_for_ever(&self) {
        let Some(peer) = &self.inner.config.peer else { return };
        let (mut asking, mut after) = (Asking::new(Instant::now()), 0);
        loop {
            tokio::select! {
                () = at(asking.next) => {
                    let asked = self.ask(peer, &mut after).await;
                    if asking.ended(&asked, Instant::now()) {
                        tell(peer, &asked);
                    }
                }
                () = self.inner.rot.notified() => asking.news(Instant::now()),
            }
        }
    }

    /// Asks the peer once for everything that is damaged; nothing without a peer.
    pub async fn ask_peer(&self) -> Asked {
        match &self.inner.config.peer {
            Some(peer) => self.ask(peer, &mut 0).await,
            None => Asked::default(),
        }
    }

    /// A round over all rotten blobs, from where the last one ended: it begins behind those for which
    /// there was no answer.
    async fn ask(&self, peer: &Peer, after: &mut i64) -> Asked {
        let (mut asked, mut in_a_row) = (Asked::default(), 0);
        let mut way = Way::from(*after);
        while in_a_row < FAILURES_MAX {
            let outcome = match self.ask_next(peer, &mut way).await {
                Ok(None) => break,
                Ok(Some(outcome)) => outcome,
                // The rest would fail alike: no room, a place that cannot be written.
                Err(error) => {
                    asked.count(Outcome::Failed(report(&error)));
                    break;
                }
            };
            in_a_row = if matches!(outcome, Outcome::Failed(_)) { in_a_row + 1 } else { 0 };
            asked.count(outcome);
        }
        *after = way.after;
        asked
    }

    async fn ask_next(&self, peer: &Peer, way: &mut Way) -> Result<Option<Outcome>, Error> {
        match self.next_rotten(way).await? {
            Some(blob) => self.ask_for(peer, &blob).await.map(Some),
            None => Ok(None),
        }
    }

    async fn next_rotten(&self, way: &mut Way) -> Result<Option<BlobRow>, Error> {
        loop {
            let after = way.after;
            let found = self.read(move |reader| Ok(reader.blob_bad_after(after)?)).await?;
            match found {
                Some(blob) if !way.wrapped || blob.id <= way.end => {
                    way.after = blob.id;
                    return Ok(Some(blob));
                }
                _ if way.wrapped => return Ok(None),
                _ => (way.after, way.wrapped) = (0, true),
            }
        }
    }

    /// Asks for a blob under one key after the other, until its bytes are had.
    async fn ask_for(&self, peer: &Peer, blob: &BlobRow) -> Result<Outcome, Error> {
        let (mut best, id) = (Outcome::Unasked, blob.id);
        for copy in self.read(move |reader| copies::of(reader, id)).await? {
            let outcome = self.ask_under(peer, blob, &copy).await?;
            best = best.max(outcome);
            if best == Outcome::Healed {
                self.inner.healed.fetch_add(1, Ordering::Relaxed);
                let (bucket, key) = (&copy.wanted.bucket, &copy.wanted.key);
                tracing::info!(blob.id, bucket, key, "damaged bytes were healed from the peer");
            }
            if best >= Outcome::Failed(String::new()) {
                break;
            }
        }
        Ok(best)
    }

    async fn ask_under(&self, peer: &Peer, blob: &BlobRow, copy: &Copy) -> Result<Outcome, Error> {
        let wrapping = self.wrapping_key(copy.encryption.as_ref());
        let key = match (&copy.seal, wrapping) {
            (None, _) => None,
            (Some(wrapped), Some(wrapping)) => wrapping.unwrap(wrapped).ok(),
            (Some(_), None) => None,
        };
        if copy.seal.is_some() && key.is_none() {
            return Ok(Outcome::Unasked);
        }
        match self.take(peer, blob, copy, key).await {
            Ok(true) => Ok(Outcome::Healed),
            Ok(false) => Ok(Outcome::Other),
            Err(Error::Bytes { attempt: FETCH, source, .. }) => Ok(match &*source {
                object_store::Error::NotFound { .. } => Outcome::Absent,
                other => Outcome::Failed(report(other)),
            }),
            Err(error) => Err(error),
        }
    }

    /// Takes the peer's bytes; `false` when they are others.
    async fn take(
        &self,
        peer: &Peer,
        blob: &BlobRow,
        copy: &Copy,
        key: Option<Key>,
    ) -> Result<bool, Error> {
        let Some(bytes) = peer.get(&copy.wanted).await? else { return Ok(false) };
        let Some(key) = key else { return self.heal(blob.hash, bytes).await };
        if sealed::hash(sealed::sealed(bytes, &key)).await? != blob.hash {
            return Ok(false);
        }
        let Some(bytes) = peer.get(&copy.wanted).await? else { return Ok(false) };
        self.heal(blob.hash, sealed::sealed(bytes, &key)).await
    }
}

/// Waits until then; for ever when there is no such time.
async fn at(next: Option<Instant>) {
    match next {
        Some(next) => tokio::time::sleep_until(next.into()).await,
        None => std::future::pending().await,
    }
}

fn tell(peer: &Peer, asked: &Asked) {
    let Asked { healed, other, absent, unasked, failed, .. } = asked;
    if let Some(reason) = &asked.reason {
        tracing::error!(
            peer = peer.address(),
            reason,
            "damaged bytes could not be had from the peer, and are asked for again: `appliance doctor` tells more"
        );
    }
    tracing::error!(
        healed,
        other,
        absent,
        unasked,
        failed,
        "stored bytes stay damaged, as the peer does not have them: put them into the peer, restore them from a backup, or upload them again"
    );
}
