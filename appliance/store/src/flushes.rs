//! How long commits take: how patient the disk is.
//!
//! Why one that is under way counts, too: a disk that hangs ends no commit, and by the ended ones
//! alone it would look idle.
//! Invariants: a commit is counted before its writers are answered; one that failed is not.
//! Units: microseconds.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

/// Of [`Flushes::begun`]: nothing is under way.
const NONE: u64 = u64::MAX;

/// Commits since the start. One thread makes them, any may look.
#[derive(Debug)]
pub(crate) struct Flushes {
    start: Instant,
    count: AtomicU64,
    micros: AtomicU64,
    /// Since the start, of the one under way.
    begun: AtomicU64,
}

impl Default for Flushes {
    fn default() -> Self {
        Self {
            start: Instant::now(),
            count: AtomicU64::new(0),
            micros: AtomicU64::new(0),
            begun: AtomicU64::new(NONE),
        }
    }
}

/// A commit under way; dropped without [`Flush::done`] it has failed.
pub(crate) struct Flush<'a> {
    all: &'a Flushes,
    begun: u64,
}

impl Flushes {
    pub(crate) fn begin(&self) -> Flush<'_> {
        let begun = self.now();
        self.begun.store(begun, Ordering::Relaxed);
        Flush { all: self, begun }
    }

    /// Commits, each counted before its writers are answered.
    pub(crate) fn count(&self) -> u64 {
        self.count.load(Ordering::Acquire)
    }

    /// Commits, and microseconds in all.
    pub(crate) fn total(&self) -> (u64, u64) {
        (self.count.load(Ordering::Relaxed), self.micros.load(Ordering::Relaxed))
    }

    /// For how long the commit under way has waited.
    pub(crate) fn waiting(&self) -> Option<Duration> {
        let begun = Some(self.begun.load(Ordering::Relaxed)).filter(|begun| *begun != NONE)?;
        Some(Duration::from_micros(self.now().saturating_sub(begun)))
    }

    fn now(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_micros()).unwrap_or(NONE - 1)
    }
}

impl Flush<'_> {
    pub(crate) fn done(self) {
        let took = self.all.now().saturating_sub(self.begun);
        self.all.micros.fetch_add(took, Ordering::Relaxed);
        self.all.count.fetch_add(1, Ordering::Release);
    }
}

impl Drop for Flush<'_> {
    fn drop(&mut self) {
        self.all.begun.store(NONE, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_commit_waits_until_it_is_done_or_has_failed() {
        let flushes = Flushes::default();
        assert_eq!(flushes.waiting(), None);
        let one = flushes.begin();
        assert!(flushes.waiting().is_some());
        assert_eq!(flushes.count(), 0);
        one.done();
        assert_eq!((flushes.waiting(), flushes.count()), (None, 1));
        drop(flushes.begin());
        assert_eq!((flushes.waiting(), flushes.count()), (None, 1), "a failed one is not counted");
    }
}
