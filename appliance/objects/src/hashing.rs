//! The MD5 of an upload, taken on a thread of its own while the next part comes in.
//!
//! Why: MD5 takes as long as all else that an upload costs, and cannot be shared out; beside the
//! receiving it costs an upload hardly any time where a core is free.
//! Invariants: parts are hashed in their order, one at a time; no more uploads hash at once than there
//! are cores, since more would only take threads.
//! Memory: one part, which its sender may not use again until [`Hashing::settle`].

use crate::{error::Error, md5::Chain};
use bytes::Bytes;
use std::{
    num::NonZero,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};
use tokio::{sync::Semaphore, task::JoinHandle};

/// Uploads that are under way.
#[derive(Debug, Clone)]
pub(crate) struct Uploads {
    count: Arc<AtomicUsize>,
    /// One for each that may hash at this time.
    turns: Arc<Semaphore>,
}

impl Uploads {
    /// On this machine's cores.
    pub(crate) fn new() -> Self {
        Self::on(std::thread::available_parallelism().map_or(1, NonZero::get))
    }

    fn on(cores: usize) -> Self {
        Self { count: Arc::default(), turns: Arc::new(Semaphore::new(cores)) }
    }
}

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
        uploads.count.fetch_add(1, Ordering::Relaxed);
        Self { uploads: uploads.clone(), state: State::Here(Chain::new()) }
    }

    /// How many there are at this time, this one among them.
    pub(crate) fn uploads(&self) -> usize {
        self.uploads.count.load(Ordering::Relaxed)
    }

    /// Begins to take in a part of whole blocks, when its turn comes.
    pub(crate) async fn update(&mut self, bytes: Bytes) -> Result<(), Error> {
        let mut chain = self.settle().await?;
        let turn = Arc::clone(&self.uploads.turns).acquire_owned().await;
        let turn = turn.map_err(|_| Error::Lost)?;
        self.state = State::Away(tokio::task::spawn_blocking(move || {
            chain.update(&bytes);
            drop((bytes, turn));
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
        self.uploads.count.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest;

    fn part(number: u8) -> Bytes {
        (0..=255_u8).map(|at| at ^ number).collect::<Vec<_>>().into()
    }

    async fn check(uploads: &Uploads, parts: u8, last: &[u8]) {
        let mut hashing = Hashing::new(uploads);
        for number in 0..parts {
            hashing.update(part(number)).await.unwrap();
        }
        let all: Vec<u8> = (0..parts).flat_map(part).chain(last.iter().copied()).collect();
        assert_eq!(hashing.finish(last).await.unwrap(), digest::md5(&all), "{parts} {last:?}");
    }

    #[tokio::test]
    async fn a_digest_is_that_of_all_parts_in_their_order() {
        let uploads = Uploads::new();
        check(&uploads, 0, b"").await;
        check(&uploads, 0, b"end").await;
        check(&uploads, 1, b"").await;
        check(&uploads, 5, b"end").await;
    }

    #[tokio::test]
    async fn uploads_that_share_one_core_all_come_to_their_end() {
        let uploads = Uploads::on(1);
        let all = (0..9).map(|parts| check(&uploads, parts, b"end"));
        futures_util::future::join_all(all).await;
        assert_eq!(uploads.turns.available_permits(), 1);
    }

    #[tokio::test]
    async fn after_settling_the_part_is_its_senders_again() {
        let uploads = Uploads::new();
        let mut hashing = Hashing::new(&uploads);
        let bytes = part(1);
        hashing.update(bytes.clone()).await.unwrap();
        hashing.settle().await.unwrap();
        assert!(bytes.try_into_mut().is_ok());
        assert_eq!(hashing.uploads(), 1);
        drop(hashing);
        assert_eq!(uploads.count.load(Ordering::Relaxed), 0);
    }
}
