//! Keeps the place tidy: removes bytes that no row names and what a cut left behind.
//!
//! Invariants: a row goes before its file, and a file's name is never used again, so that a
//! cut at any point loses nothing and the next run goes on. Each run reads the state afresh; files
//! that could not be removed are noted in memory for the next one, and swept after a restart (see
//! `nameless.rs`).

use crate::{
    error::Error,
    objects::{Objects, now},
};
use base::time::Timestamp;
use std::time::Duration;
use store::objects::BlobRow;

/// Bytes stay for so long after their last row went: a reader that found them may still open them.
pub const GRACE: Duration = Duration::from_secs(60);

/// Blobs forgotten in one transaction.
const BATCH: u32 = 256;

/// Between two runs: space comes back within two minutes of a delete, and an idle house stays idle.
const PAUSE: Duration = Duration::from_secs(60);

/// Runs of the collection in an hour.
const RUNS_AN_HOUR: u64 = 3600 / PAUSE.as_secs();

/// What a run removed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Removed {
    /// Blobs.
    pub blobs: u64,
    /// Their bytes.
    pub bytes: u64,
}

impl Objects {
    /// Keeps the place tidy until it is dropped: a collection every minute, a step of the sweep every hour, and
    /// beside it the rounds of the scrubber, the asking of the peer, the notices and the access logs. A run that fails is logged, and
    /// the next one begins afresh. The lifecycle rules are not among them: [`Objects::expire`] is for
    /// who knows whether the clock can be believed.
    pub async fn keep(self) {
        tokio::join!(
            self.collect_for_ever(),
            self.scrub_for_ever(),
            self.sample_for_ever(),
            self.heal_for_ever(),
            self.tell_for_ever(),
            self.log_for_ever()
        );
    }

    async fn collect_for_ever(&self) {
        // A database that lost changes names less than there is.
        let sweeps = self.inner.store.lost_commits() == 0;
        if sweeps {
            self.begin_sweep().await;
        }
        for run in 1_u64.. {
            tokio::time::sleep(PAUSE).await;
            if let Err(error) = self.gc().await {
                tracing::warn!(%error, "could not give back the space of deleted objects");
            }
            if let Err(error) = self.look_at_suspects().await {
                tracing::warn!(%error, "could not read bytes that looked damaged again");
            }
            if sweeps && run.is_multiple_of(RUNS_AN_HOUR) {
                self.go_on_sweeping().await;
            }
        }
    }

    async fn begin_sweep(&self) {
        match self.sweep().await {
            Ok(0) => {}
            Ok(files) => tracing::info!(
                files,
                "nothing names some files, as a cut leaves them; they are removed after 24 hours of running"
            ),
            Err(error) => tracing::warn!(%error, "could not sweep the object store"),
        }
    }

    async fn go_on_sweeping(&self) {
        match self.sweep_hour().await {
            Ok(0) => {}
            Ok(files) => tracing::info!(files, "removed files that a cut had left without a name"),
            Err(error) => tracing::warn!(%error, "could not sweep the object store"),
        }
    }

    /// Reads again what a reader found damaged, and keeps it from further ones if it is.
    ///
    /// # Errors
    /// [`Error::Index`], [`Error::Bytes`].
    pub async fn look_at_suspects(&self) -> Result<(), Error> {
        let mut first = Ok(());
        // One that cannot be read keeps nobody from the others.
        for id in self.inner.vault.suspects() {
            let looked = self.look_at(id).await;
            // In doubt until then: what comes in meanwhile takes its place.
            self.inner.vault.looked_at(id);
            first = first.and(looked);
        }
        first
    }

    async fn look_at(&self, id: i64) -> Result<(), Error> {
        if let Some(blob) = self.read(move |reader| Ok(reader.blob_get(id)?)).await? {
            self.scrub_blob(blob).await?;
        }
        Ok(())
    }

    /// Gives back the space of blobs that nothing has named for [`GRACE`].
    ///
    /// # Errors
    /// [`Error::Index`] or [`Error::Bytes`]; what was removed until then stays removed.
    pub async fn gc(&self) -> Result<Removed, Error> {
        self.gc_before(Timestamp(now().0 - i64::try_from(GRACE.as_micros()).unwrap_or(i64::MAX)))
            .await
    }

    /// [`Objects::gc`] without the grace: only when nobody reads.
    ///
    /// # Errors
    /// As [`Objects::gc`].
    pub async fn gc_now(&self) -> Result<Removed, Error> {
        self.gc_before(Timestamp(i64::MAX)).await
    }

    async fn gc_before(&self, before: Timestamp) -> Result<Removed, Error> {
        let vault = &self.inner.vault;
        let mut removed = Removed::default();
        // What an earlier run could not remove keeps nobody from what became free since.
        let earlier = vault.remove_noted().await;
        loop {
            // Looked for without a write: an idle house commits nothing.
            if self.read(move |reader| Ok(reader.blob_unused(before, 1)?)).await?.is_empty() {
                return earlier.map(|()| removed);
            }
            let forgotten = self.forget(before).await?;
            if forgotten.is_empty() {
                return earlier.map(|()| removed);
            }
            removed.blobs += forgotten.len() as u64;
            removed.bytes += forgotten.iter().map(|blob| blob.size).sum::<u64>();
            vault.note_unremoved(forgotten.into_iter().filter_map(|blob| blob.path));
            vault.remove_noted().await?;
        }
    }

    /// Forgets a batch of blobs; their files are nobody's from then on.
    async fn forget(&self, before: Timestamp) -> Result<Vec<BlobRow>, Error> {
        self.write(move |txn| {
            let mut forgotten = Vec::new();
            for blob in txn.blob_unused(before, BATCH)? {
                if txn.blob_forget(blob.id)? {
                    forgotten.push(blob);
                }
            }
            Ok(forgotten)
        })
        .await
    }
}
