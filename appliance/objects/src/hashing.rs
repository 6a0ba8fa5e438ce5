//! The MD5 of an upload, taken on a thread of its own while the next part comes in.
//!
//! Why: MD5 takes as long as all else that an upload costs, and cannot be shared out; beside the
//! receiving it costs an upload hardly any time where a core is free.
//! Invariants: parts are hashed in their order, one at a time.
//! Memory: one part, which its sender may not use again until [`Hashing::settle`].

use crate::{error::Error, md5::Chain};
use bytes::Bytes;
use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};
use tokio::task::JoinHandle;

/// Uploads that are under way.
#[derive(Debug, Clone, Default)]
pub(crate) struct Uploads(Arc<AtomicUsize>);

/// The MD5 of one upload.
pub(crate) struct Hashing {
    uploads: Uploads,
    state: State,
}

enum State {
    Here(Chain),
    Away(JoinHandle<Chain>),
}

impl Hashing {
    pub(crate) fn new(uploads: &Uploads) -> Self {
        uploads.0.fetch_add(1, Ordering::Relaxed);
        Self { uploads: uploads.clone(), state: State::Here(Chain::new()) }
    }

    /// How many there are at this time, this one among them.
    pub(crate) fn uploads(&self) -> usize {
        self.uploads.0.load(Ordering::Relaxed)
    }

    /// Begins to take in a part of whole blocks.
    pub(crate) async fn update(&mut self, bytes: Bytes) -> Result<(), Error> {
        let mut chain = self.settle().await?;
        self.state = State::Away(tokio::task::spawn_blocking(move || {
            chain.update(&bytes);
            chain
        }));
        Ok(())
    }

    /// All parts so far are hashed, and their bytes let go.
    pub(crate) async fn settle(&mut self) -> Result<Chain, Error> {
        let chain = match &mut self.state {
            State::Here(chain) => return Ok(*chain),
            State::Away(hashed) => hashed.await.map_err(|_| Error::Lost)?,
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
        self.uploads.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest;

    fn part(number: u8) -> Bytes {
        (0..=255_u8).map(|at| at ^ number).collect::<Vec<_>>().into()
    }

    async fn check(parts: u8, last: &[u8]) {
        let uploads = Uploads::default();
        let mut hashing = Hashing::new(&uploads);
        for number in 0..parts {
            hashing.update(part(number)).await.unwrap();
        }
        let all: Vec<u8> = (0..parts).flat_map(part).chain(last.iter().copied()).collect();
        assert_eq!(hashing.finish(last).await.unwrap(), digest::md5(&all), "{parts} {last:?}");
    }

    #[tokio::test]
    async fn a_digest_is_that_of_all_parts_in_their_order() {
        check(0, b"").await;
        check(0, b"end").await;
        check(1, b"").await;
        check(5, b"end").await;
    }

    #[tokio::test]
    async fn after_settling_the_part_is_its_senders_again() {
        let uploads = Uploads::default();
        let mut hashing = Hashing::new(&uploads);
        let bytes = part(1);
        hashing.update(bytes.clone()).await.unwrap();
        hashing.settle().await.unwrap();
        assert!(bytes.try_into_mut().is_ok());
        assert_eq!(hashing.uploads(), 1);
        drop(hashing);
        assert_eq!(uploads.0.load(Ordering::Relaxed), 0);
    }
}
