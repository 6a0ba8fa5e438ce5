//! Blobs of which parts are read are read whole by the keeper, now and then.
//!
//! Why: a part has no sum of its own, so that a reader of parts cannot notice rot; many clients read
//! every large object in parts.
//! Bounds: [`WAITING_MAX`] blobs wait at once, each is read at most once in [`EVERY`], and all of them
//! at the scrubber's pace, so that a busy house does not read everything twice.

use crate::{error::Error, objects::Objects, scrub::PACE};
use std::{
    collections::HashSet,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// Blobs that wait; beyond them the next reads note them again.
const WAITING_MAX: usize = 32;

/// A blob whose parts are read all the time is read whole once in this time.
const EVERY: Duration = Duration::from_secs(6 * 3600);

/// Blobs remembered as read; beyond them nothing is noted until the time is over.
const SEEN_MAX: usize = 4096;

/// Between two looks.
const PAUSE: Duration = Duration::from_secs(60);

/// What was noted; shared by all readers.
#[derive(Debug, Default)]
pub(crate) struct Samples(Mutex<Noted>);

#[derive(Debug, Default)]
struct Noted {
    waiting: Vec<i64>,
    seen: HashSet<i64>,
    since: Option<Instant>,
}

impl Noted {
    fn note(&mut self, blob: i64, now: Instant) {
        if self.since.is_none_or(|since| now.duration_since(since) >= EVERY) {
            self.seen.clear();
            self.since = Some(now);
        }
        let room = self.waiting.len() < WAITING_MAX && self.seen.len() < SEEN_MAX;
        if room && self.seen.insert(blob) {
            self.waiting.push(blob);
        }
    }
}

impl Samples {
    /// A part of it was read.
    pub(crate) fn note(&self, blob: i64) {
        self.noted().note(blob, Instant::now());
    }

    fn take(&self) -> Vec<i64> {
        std::mem::take(&mut self.noted().waiting)
    }

    fn noted(&self) -> MutexGuard<'_, Noted> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Objects {
    pub(crate) async fn sample_for_ever(&self) {
        loop {
            tokio::time::sleep(PAUSE).await;
            if let Err(error) = self.look_at_samples(PACE).await {
                tracing::warn!(%error, "could not read bytes whole of which parts are read");
            }
        }
    }

    /// Reads the blobs whole of which parts were read lately, at so many bytes per second, and keeps
    /// the damaged ones from further readers.
    ///
    /// # Errors
    /// [`Error::Index`], [`Error::Bytes`] when the place cannot be read.
    pub async fn look_at_samples(&self, pace: u64) -> Result<(), Error> {
        for id in self.inner.vault.samples.take() {
            let found = self.read(move |reader| Ok(reader.blob_get(id)?)).await?;
            let Some(blob) = found else { continue };
            let micros = blob.size.saturating_mul(1_000_000) / pace.max(1);
            self.scrub_blob(blob).await?;
            tokio::time::sleep(Duration::from_micros(micros)).await;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_blob_waits_once_in_its_time_and_few_at_once() {
        let (mut noted, begin) = (Noted::default(), Instant::now());
        for _ in 0..3 {
            noted.note(7, begin);
        }
        assert_eq!(std::mem::take(&mut noted.waiting), [7]);
        noted.note(7, begin + EVERY - Duration::from_secs(1));
        assert_eq!(noted.waiting, [0_i64; 0], "it was read");
        noted.note(7, begin + EVERY);
        assert_eq!(noted.waiting, [7]);
        (0..100).for_each(|blob| noted.note(blob, begin + EVERY));
        assert_eq!(noted.waiting.len(), WAITING_MAX);
        noted.waiting.clear();
        noted.note(99, begin + EVERY);
        assert_eq!(noted.waiting, [99], "what found no room is not counted as read");
    }
}
