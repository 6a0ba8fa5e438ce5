//! From lines that wait to objects of the target bucket.
//!
//! Invariants: whether a source may write there is asked in the transaction that writes; what may
//! not, or cannot be written, is counted as lost and told in the log of the service.

use super::{Batch, Logging, Place, Source, Waiting};
use crate::{
    bucket::{self, Bucket},
    details::{self, Details, Grant, Grantee},
    error::Error,
    ingest::Plan,
    notify::Deed,
    objects::{Objects, now},
    s3,
    versions::{self, NewVersion},
};
use bytes::Bytes;
use std::{
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::sync::Notify;

/// The access logs of the room.
#[derive(Debug, Default)]
pub(crate) struct AccessLogs {
    /// Some bucket is logged, or was since the start.
    on: AtomicBool,
    waiting: Mutex<Waiting>,
    /// Wakes who delivers.
    due: Notify,
}

impl AccessLogs {
    pub(crate) fn new(on: bool) -> Self {
        Self { on: AtomicBool::new(on), ..Self::default() }
    }

    /// Some bucket may be logged.
    pub(crate) fn is_on(&self) -> bool {
        self.on.load(Ordering::Relaxed)
    }

    /// A bucket is logged from now on.
    pub(crate) fn begin(&self) {
        self.on.store(true, Ordering::Relaxed);
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a line.
    pub(crate) fn add(&self, logging: &Logging, source: Source, line: &str) {
        let mut waiting = self.waiting();
        let is_first = waiting.oldest().is_none();
        let is_much = waiting.add(logging, source, line, now());
        drop(waiting);
        if is_first || is_much {
            self.due.notify_one();
        }
    }

    /// Lines that were lost since the start.
    pub(crate) fn lost(&self) -> u64 {
        self.waiting().lost
    }
}

impl Objects {
    /// Delivers access logs when they are due, for ever.
    pub(crate) async fn log_for_ever(&self) {
        let (logs, period) = (&self.inner.access_logs, self.inner.config.log_period);
        loop {
            let oldest = logs.waiting().oldest();
            let wait = oldest.map(|since| period.saturating_sub(now().since(since)));
            tokio::select! {
                () = logs.due.notified() => {}
                () = tokio::time::sleep(wait.unwrap_or_default()), if wait.is_some() => {}
            }
            self.deliver(period).await;
        }
    }

    /// Delivers all access logs that wait; for a clean stop.
    pub async fn deliver_access_logs(&self) {
        self.deliver(Duration::ZERO).await;
    }

    async fn deliver(&self, period: Duration) {
        let due = self.inner.access_logs.waiting().due(period, now());
        for (place, batch) in due {
            let lines = batch.lines.values().map(|text| text.lines().count() as u64).sum::<u64>();
            let lost = match self.deliver_one(&place, batch).await {
                Ok(lost) => lost,
                Err(error) => {
                    let target = place.target.as_str();
                    tracing::warn!(target, lines, %error, "an access log could not be delivered");
                    lines
                }
            };
            self.inner.access_logs.waiting().lost += lost;
        }
    }

    /// Returns how many lines might not be written.
    async fn deliver_one(&self, place: &Place, batch: Batch) -> Result<u64, Error> {
        let target = self.bucket(&place.target).await?;
        let prefix = place.prefix.as_str();
        let (good, bad): (Vec<_>, Vec<_>) = batch
            .lines
            .into_iter()
            .partition(|(source, _)| s3::may_deliver(&target, prefix, source));
        for (source, _) in &bad {
            let (target, source) = (place.target.as_str(), source.bucket.as_str());
            tracing::warn!(
                target,
                source,
                "an access log may not be delivered by the target's policy"
            );
        }
        let lost = bad.iter().map(|(_, text)| text.lines().count() as u64).sum();
        if good.is_empty() {
            return Ok(lost);
        }
        let sources: Vec<Source> = good.iter().map(|(source, _)| source.clone()).collect();
        let text: String = good.into_iter().map(|(_, text)| text).collect();
        self.put_log(place, text, sources, batch.grants).await?;
        Ok(lost)
    }

    async fn put_log(
        &self,
        place: &Place,
        text: String,
        sources: Vec<Source>,
        grants: Vec<Grant>,
    ) -> Result<(), Error> {
        let encryption = self.bucket(&place.target).await?.settings.encryption.clone();
        let wrap = self.wrapping_key(encryption.as_ref());
        let plan = Plan { wrap: wrap.as_ref(), sums: &[], expected: text.len() as u64 };
        let ingested = self.ingest(Bytes::from(text).into(), &plan).await?;
        let unique = crate::digest::hex(&crate::seal::random::<8>()).to_uppercase();
        let key = place.key(&self.inner.config.region, now(), &unique);
        let (place, blob) = (place.clone(), ingested.blob.clone());
        let (etag, size) = (crate::digest::hex(&ingested.summed.md5), ingested.summed.size);
        let seal = ingested.seal.clone();
        let work = move |txn: &mut store::Txn<'_>| {
            let target = bucket::get(txn, &place.target)?;
            if !sources.iter().all(|source| s3::may_deliver(&target, &place.prefix, source)) {
                return Err(Error::NoBucket(place.target.clone()));
            }
            let details = Details { encryption, seal, ..details_of(&target, grants) };
            let held = blob.hold(txn)?;
            let new = NewVersion {
                key: &key,
                size,
                etag: &etag,
                blob: Some(held.id),
                details: &details::text(&details),
                marker: false,
                deed: Deed::Put,
            };
            versions::put(txn, &target, new, now())?;
            Ok(held)
        };
        let held = self.write(work).await?;
        ingested.settle(held);
        Ok(())
    }
}

/// A log object belongs to the owner of the bucket that it is in.
fn details_of(target: &Bucket, grants: Vec<Grant>) -> Details {
    let owner = target.owner.clone();
    let own = Grant { to: Grantee::User(owner.clone()), permission: "FULL_CONTROL".into() };
    let grants = (!grants.is_empty()).then(|| [vec![own], grants].concat());
    let headers = [("content-type".to_owned(), "text/plain".to_owned())].into();
    Details { owner, headers, grants, ..Details::default() }
}
