//! Uploads that come at the same time hash their parts by twos.
//!
//! Why: two MD5s at once cost hardly more than one ([`crate::md5`]), and MD5 is half of what an
//! upload costs.
//! The way: an upload leaves its full part on the desk and receives the next one meanwhile. Whoever
//! comes with another part hashes both; whoever comes back before that takes its own away and
//! hashes it alone. So nobody waits for a sender that is slow or gone.
//! Bounds: one part lies on the desk.

use crate::{error::Error, md5::Chain};
use bytes::Bytes;
use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError,
    atomic::{AtomicU64, AtomicUsize, Ordering},
};
use tokio::sync::oneshot;

/// Where parts wait for each other.
#[derive(Debug, Default)]
pub(crate) struct Pairs {
    desk: Mutex<Option<Part>>,
    uploads: AtomicUsize,
    numbers: AtomicU64,
}

#[derive(Debug)]
struct Part {
    upload: u64,
    chain: Chain,
    bytes: Bytes,
    done: oneshot::Sender<Chain>,
}

/// The MD5 of one upload.
pub(crate) struct Hashing {
    pairs: Arc<Pairs>,
    upload: u64,
    state: State,
}

enum State {
    Here(Chain),
    /// With a part on the desk, or with whoever took it from there.
    Away(oneshot::Receiver<Chain>),
}

impl Pairs {
    fn desk(&self) -> MutexGuard<'_, Option<Part>> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the part of that upload back, if nobody has it in hand.
    fn take_back(&self, upload: u64) -> Option<Part> {
        self.desk().take_if(|part| part.upload == upload)
    }
}

impl Hashing {
    pub(crate) fn new(pairs: &Arc<Pairs>) -> Self {
        pairs.uploads.fetch_add(1, Ordering::Relaxed);
        let upload = pairs.numbers.fetch_add(1, Ordering::Relaxed);
        Self { pairs: Arc::clone(pairs), upload, state: State::Here(Chain::new()) }
    }

    /// How many there are at this time, this one among them.
    pub(crate) fn uploads(&self) -> usize {
        self.pairs.uploads.load(Ordering::Relaxed)
    }

    /// Takes in a part of whole blocks, now or together with another upload's.
    pub(crate) async fn update(&mut self, bytes: Bytes) -> Result<(), Error> {
        let mut chain = self.settle().await?;
        let mut desk = self.pairs.desk();
        if let Some(mut other) = desk.take() {
            drop(desk);
            Chain::update_both([&mut chain, &mut other.chain], [&bytes, &other.bytes]);
            // Its upload needs its buffer as soon as it hears.
            drop(other.bytes);
            // One that went away needs no answer.
            other.done.send(other.chain).ok();
        } else if self.uploads() > 1 {
            let (done, hashed) = oneshot::channel();
            *desk = Some(Part { upload: self.upload, chain, bytes, done });
            drop(desk);
            self.state = State::Away(hashed);
            return Ok(());
        } else {
            drop(desk);
            chain.update(&bytes);
        }
        self.state = State::Here(chain);
        Ok(())
    }

    /// All parts so far are hashed, and their bytes let go.
    pub(crate) async fn settle(&mut self) -> Result<Chain, Error> {
        let chain = match &mut self.state {
            State::Here(chain) => return Ok(*chain),
            State::Away(hashed) => match self.pairs.take_back(self.upload) {
                Some(mut part) => {
                    part.chain.update(&part.bytes);
                    part.chain
                }
                None => hashed.await.map_err(|_| Error::Lost)?,
            },
        };
        self.state = State::Here(chain);
        Ok(chain)
    }

    /// The digest, after the last bytes.
    pub(crate) async fn finish(mut self, last: &[u8]) -> Result<[u8; 16], Error> {
        Ok(self.settle().await?.finish(last))
    }
}

impl Drop for Hashing {
    fn drop(&mut self) {
        self.pairs.uploads.fetch_sub(1, Ordering::Relaxed);
        drop(self.pairs.take_back(self.upload));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest;

    fn part(seed: u8, number: u8) -> Bytes {
        (0..=255_u8).map(|at| at.wrapping_mul(seed) ^ number).collect::<Vec<_>>().into()
    }

    fn expected(seed: u8, parts: u8) -> [u8; 16] {
        let all: Vec<u8> = (0..parts).flat_map(|number| part(seed, number)).collect();
        digest::md5(&all)
    }

    /// Uploads of so many parts, that come in turn.
    async fn check(lengths: &[u8]) {
        let pairs = Arc::new(Pairs::default());
        let mut uploads: Vec<_> = lengths.iter().map(|_| Hashing::new(&pairs)).collect();
        for number in 0..lengths.iter().copied().max().unwrap_or(0) {
            for (seed, upload) in (1..).zip(&mut uploads) {
                if number < lengths[usize::from(seed) - 1] {
                    upload.update(part(seed, number)).await.unwrap();
                }
            }
        }
        for (seed, upload) in (1..).zip(uploads) {
            let length = lengths[usize::from(seed) - 1];
            assert_eq!(upload.finish(b"").await.unwrap(), expected(seed, length), "{lengths:?}");
        }
        assert!(pairs.desk().is_none());
    }

    #[tokio::test]
    async fn digests_are_their_own_whoever_came_beside() {
        check(&[3]).await;
        check(&[3, 3]).await;
        check(&[5, 1, 4]).await;
        check(&[0, 2, 2, 7]).await;
    }

    #[tokio::test]
    async fn nobody_waits_for_an_upload_that_stands_still_or_went_away() {
        let pairs = Arc::new(Pairs::default());
        let (mut one, mut gone) = (Hashing::new(&pairs), Hashing::new(&pairs));
        gone.update(part(2, 0)).await.unwrap();
        drop(gone);
        assert!(pairs.desk().is_none());
        let still = Hashing::new(&pairs);
        one.update(part(1, 0)).await.unwrap();
        one.update(part(1, 1)).await.unwrap();
        assert_eq!(one.finish(b"").await.unwrap(), expected(1, 2));
        drop(still);
    }
}
