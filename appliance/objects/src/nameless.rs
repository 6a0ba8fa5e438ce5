//! Files that no row names: kept for a day in which the house runs, then removed.
//!
//! Why kept: a database that lost its latest changes, or a copy of it that is too old, does not name files
//! that the right one does; once that is put back, they must be there.
//! Why counted in hours of running: a machine without a clock of its own may wake up after a cut in
//! whatever year. The count is a file of the place, written in one step; a cut costs an hour at most.
//! Invariants: only files that were counted for [`HOURS`], and that no row names then, are removed; a
//! count that is lost or broken begins anew.

use crate::{error::Error, objects::Objects, vault::Vault};
use std::collections::BTreeMap;

/// So many hours a file stays without a name.
const HOURS: u32 = 24;

/// Files counted at once; those beyond come after the next start.
const COUNTED_MAX: usize = 16_384;

/// Hours of each file without a name.
type Counted = BTreeMap<String, u32>;

impl Objects {
    /// Begins to count the files of earlier runs that no row names, and goes on with those that were
    /// counted already; returns how many there are. Once at each start.
    ///
    /// # Errors
    /// [`Error::Index`] or [`Error::Bytes`]; nothing was removed.
    pub async fn sweep(&self) -> Result<usize, Error> {
        let before = self.counted().await?;
        let nameless = self.nameless().await?.into_iter().take(COUNTED_MAX);
        let hours = |path: &String| before.get(path).copied().unwrap_or(0);
        let counted: Counted = nameless.map(|path| (path.clone(), hours(&path))).collect();
        if counted != before {
            self.inner.vault.count_put(write(&counted)).await?;
        }
        Ok(counted.len())
    }

    /// One more hour has passed; removes the files whose time is over, and returns how many.
    ///
    /// # Errors
    /// As [`Objects::gc`].
    pub async fn sweep_hour(&self) -> Result<u64, Error> {
        let before = self.counted().await?;
        if before.is_empty() {
            return Ok(0);
        }
        let (mut counted, mut removed) = (Counted::new(), 0);
        for (path, hours) in before {
            if self.is_named(&path).await? {
                continue;
            }
            if hours + 1 < HOURS {
                counted.insert(path, hours + 1);
            } else {
                // One that stays is tried again with the next collection.
                removed += u64::from(self.inner.vault.remove(&path).await.is_ok());
            }
        }
        self.inner.vault.count_put(write(&counted)).await?;
        Ok(removed)
    }

    /// Removes all files of earlier runs that no row names at once: only over a database that is known
    /// to be the right one.
    ///
    /// # Errors
    /// As [`Objects::gc`].
    pub async fn sweep_now(&self) -> Result<u64, Error> {
        let nameless = self.nameless().await?;
        for path in &nameless {
            self.inner.vault.remove(path).await?;
        }
        if !self.counted().await?.is_empty() {
            self.inner.vault.count_put(Vec::new()).await?;
        }
        Ok(nameless.len() as u64)
    }

    async fn nameless(&self) -> Result<Vec<String>, Error> {
        let mut nameless = Vec::new();
        for shard in Vault::shards() {
            for path in self.inner.vault.shard(shard).await? {
                if !self.is_named(&path).await? {
                    nameless.push(path);
                }
            }
        }
        Ok(nameless)
    }

    async fn is_named(&self, path: &str) -> Result<bool, Error> {
        let path = path.to_owned();
        self.read(move |reader| Ok(reader.blob_path_known(&path)?)).await
    }

    async fn counted(&self) -> Result<Counted, Error> {
        Ok(read(&self.inner.vault.count_get().await?))
    }
}

/// A line for each file: hours, a space, the path.
fn write(counted: &Counted) -> Vec<u8> {
    counted.iter().flat_map(|(path, hours)| format!("{hours} {path}\n").into_bytes()).collect()
}

/// Lines that are none are passed over.
fn read(bytes: &[u8]) -> Counted {
    let lines = bytes.split(|&byte| byte == b'\n').filter_map(|line| str::from_utf8(line).ok());
    lines
        .filter_map(|line| line.split_once(' '))
        .filter(|(_, path)| path.split('/').count() == 2)
        .filter_map(|(hours, path)| Some((path.to_owned(), hours.parse().ok()?)))
        .take(COUNTED_MAX)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_is_read_as_it_was_written_and_what_is_broken_is_passed_over() {
        let counted = Counted::from([("00/a-1".to_owned(), 3), ("ff/b".to_owned(), 0)]);
        assert_eq!(read(&write(&counted)), counted);
        assert!(read(b"").is_empty());
        assert!(read(b"x 00/a\n7\n5 ../../etc\n5 a\n\xff 00/a").is_empty());
    }
}
