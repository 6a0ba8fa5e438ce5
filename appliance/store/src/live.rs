//! Live state that may be lost at any boot: the tails of running logs, and what can be rebuilt.
//!
//! Why: state that changes with every line of output must not cost a durable commit each time.
//! Invariants: nothing here is needed for a promise; after an unclean stop all of it is deleted
//! unopened, because opening a torn database may panic; a value has at most [`VALUE_MAX`] bytes.
//! On failure: callers go on without the value; a lost tail is only a gap in a live view.

mod memory;
mod sled;

pub use self::{memory::MemoryLive, sled::SledLive};

use std::sync::{Arc, Mutex, PoisonError, Weak};
use tokio::sync::watch;

/// Larger values would go to files of sled's that are never synced or reclaimed.
pub const VALUE_MAX: usize = 64 << 10;

/// A key with its value.
pub type Pair = (Vec<u8>, Vec<u8>);

/// Live state could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum LiveError {
    /// The value is larger than [`VALUE_MAX`].
    #[error("a live value of {size} bytes is over the bound of {VALUE_MAX}")]
    TooLarge {
        /// Its size.
        size: usize,
    },
    /// The store of live state failed; it is wiped at the next start.
    #[error("could not {attempt} live state")]
    Engine {
        /// For example `read`.
        attempt: &'static str,
        /// The cause.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// What a keeper of live state can do. All but `watch` may block on the disk.
pub trait Live: Send + Sync + std::fmt::Debug {
    /// The value of `key`.
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, LiveError>;
    /// Sets all of `pairs` at once; watchers of their prefixes are woken.
    fn put(&self, pairs: &[Pair]) -> Result<(), LiveError>;
    /// Removes `keys`; absent ones are passed over.
    fn delete(&self, keys: &[Vec<u8>]) -> Result<(), LiveError>;
    /// At most `limit` pairs whose key starts with `prefix`, in order of keys.
    fn scan(&self, prefix: &[u8], limit: usize) -> Result<Vec<Pair>, LiveError>;
    /// Changes whenever a key that starts with `prefix` is set.
    fn watch(&self, prefix: &[u8]) -> Watch;
    /// Removes everything.
    fn wipe(&self) -> Result<(), LiveError>;
}

/// Wakes when a key of its prefix was set.
#[derive(Debug)]
pub struct Watch {
    changes: watch::Receiver<u64>,
    _sender: Arc<Watched>,
}

impl Watch {
    /// Waits for the next change; at once if there was one since the last call.
    pub async fn changed(&mut self) {
        // The sender lives as long as this watch, so that waiting cannot fail.
        drop(self.changes.changed().await);
    }
}

#[derive(Debug)]
struct Watched {
    prefix: Vec<u8>,
    changes: watch::Sender<u64>,
}

/// The prefixes somebody waits for; few, since each is an open page or stream.
#[derive(Debug, Default)]
struct Watchers(Mutex<Vec<Weak<Watched>>>);

impl Watchers {
    fn add(&self, prefix: &[u8]) -> Watch {
        let mut list = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        list.retain(|watched| watched.strong_count() > 0);
        let (sender, changes) = watch::channel(0);
        let watched = Arc::new(Watched { prefix: prefix.to_owned(), changes: sender });
        list.push(Arc::downgrade(&watched));
        Watch { changes, _sender: watched }
    }

    fn wake(&self, pairs: &[Pair]) {
        let list = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for watched in list.iter().filter_map(Weak::upgrade) {
            if pairs.iter().any(|(key, _)| key.starts_with(&watched.prefix)) {
                watched.changes.send_modify(|count| *count += 1);
            }
        }
    }
}

fn check_sizes(pairs: &[Pair]) -> Result<(), LiveError> {
    match pairs.iter().map(|(_, value)| value.len()).find(|size| *size > VALUE_MAX) {
        Some(size) => Err(LiveError::TooLarge { size }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    /// The same promises for every keeper.
    fn check(live: &dyn Live) {
        let pair = |key: &str, value: &str| (key.as_bytes().to_vec(), value.as_bytes().to_vec());
        live.put(&[pair("a/1", "x"), pair("a/2", "y"), pair("b/1", "z")]).unwrap();
        assert_eq!(live.get(b"a/2").unwrap(), Some(b"y".to_vec()));
        assert_eq!(live.scan(b"a/", 10).unwrap(), [pair("a/1", "x"), pair("a/2", "y")]);
        assert_eq!(live.scan(b"a/", 1).unwrap(), [pair("a/1", "x")]);
        live.delete(&[b"a/1".to_vec(), b"absent".to_vec()]).unwrap();
        assert_eq!(live.scan(b"", 10).unwrap(), [pair("a/2", "y"), pair("b/1", "z")]);
        let large = (b"k".to_vec(), vec![0; VALUE_MAX + 1]);
        assert!(matches!(live.put(&[large]), Err(LiveError::TooLarge { .. })));
        live.wipe().unwrap();
        assert!(live.scan(b"", 10).unwrap().is_empty());
    }

    #[test]
    fn memory_keeps_the_promises() {
        check(&MemoryLive::default());
    }

    #[test]
    fn sled_keeps_the_promises() {
        let dir = tempfile::tempdir().unwrap();
        check(&SledLive::open(dir.path()).unwrap());
    }

    #[tokio::test]
    async fn a_watch_wakes_for_its_prefix_alone_and_misses_nothing() {
        let live = MemoryLive::default();
        let mut watch = live.watch(b"a/");
        live.put(&[(b"b/1".to_vec(), vec![])]).unwrap();
        let idle = tokio::time::timeout(Duration::from_millis(20), watch.changed()).await;
        assert!(idle.is_err());
        live.put(&[(b"a/1".to_vec(), vec![])]).unwrap();
        tokio::time::timeout(Duration::from_secs(5), watch.changed()).await.unwrap();
    }
}
