//! Live state in a map: for tests, and for runs without a server.

use super::{Live, LiveError, Pair, Watch, Watchers, check_sizes};
use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

/// Keeps live state in memory.
#[derive(Debug, Default)]
pub struct MemoryLive {
    map: Mutex<BTreeMap<Vec<u8>, Vec<u8>>>,
    watchers: Watchers,
}

impl MemoryLive {
    fn map(&self) -> MutexGuard<'_, BTreeMap<Vec<u8>, Vec<u8>>> {
        self.map.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Live for MemoryLive {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, LiveError> {
        Ok(self.map().get(key).cloned())
    }

    fn put(&self, pairs: &[Pair]) -> Result<(), LiveError> {
        check_sizes(pairs)?;
        self.map().extend(pairs.iter().cloned());
        self.watchers.wake(pairs);
        Ok(())
    }

    fn delete(&self, keys: &[Vec<u8>]) -> Result<(), LiveError> {
        let mut map = self.map();
        for key in keys {
            map.remove(key);
        }
        Ok(())
    }

    fn scan(&self, prefix: &[u8], limit: usize) -> Result<Vec<Pair>, LiveError> {
        let map = self.map();
        let found = map.range(prefix.to_vec()..).take_while(|(key, _)| key.starts_with(prefix));
        Ok(found.take(limit).map(|(key, value)| (key.clone(), value.clone())).collect())
    }

    fn watch(&self, prefix: &[u8]) -> Watch {
        self.watchers.add(prefix)
    }

    fn wipe(&self) -> Result<(), LiveError> {
        self.map().clear();
        Ok(())
    }
}
