//! Carries out the lifecycle rules of all buckets.
//!
//! Invariants: what is to go is decided on a page of rows and decided again inside the
//! transaction that removes it, by the rules of then, so that a version stored meanwhile is never taken
//! for an old one and a rule that was removed meanwhile removes nothing; object lock wins over every rule; a sweep that is cut goes on at the next one.

use crate::{
    bucket::{self, Bucket},
    details::{self, Details},
    error::Error,
    lifecycle::{self, Subject},
    lock,
    notify::Cause,
    objects::Objects,
    versions,
};
use base::time::Timestamp;
use store::{
    Reader, Txn,
    objects::{ObjectRow, UploadRow},
};

/// Rows read at once; also the most that one transaction removes.
const PAGE: u32 = 256;

/// What a sweep removed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Expired {
    /// Newest versions that were deleted, as their bucket's versioning says.
    pub current: u64,
    /// Older versions that were removed.
    pub noncurrent: u64,
    /// Markers that hid nothing any more.
    pub markers: u64,
    /// Unfinished uploads.
    pub uploads: u64,
    /// Sizes of all these versions; what a marker hides is counted, too.
    pub bytes: u64,
}

impl Expired {
    fn add(&mut self, other: Self) {
        self.current += other.current;
        self.noncurrent += other.noncurrent;
        self.markers += other.markers;
        self.uploads += other.uploads;
        self.bytes += other.bytes;
    }
}

impl Expired {
    fn count(&mut self, row: &ObjectRow, fate: Fate) {
        match fate {
            Fate::Stays => return,
            Fate::Deleted => self.current += 1,
            Fate::Removed => self.noncurrent += 1,
            Fate::MarkerRemoved => self.markers += 1,
        }
        self.bytes += row.size;
    }
}

/// What is to be done with a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Stays,
    Deleted,
    Removed,
    MarkerRemoved,
}

/// A key's place among its newer versions.
#[derive(Debug, Clone, Copy, Default)]
struct Above {
    /// Versions of the key that are newer, markers counted.
    newer: u32,
    /// When the next newer one was stored.
    replaced: Option<Timestamp>,
    /// An older version exists.
    hides: bool,
}

fn fate(bucket: &Bucket, row: &ObjectRow, above: Above, now: Timestamp) -> Result<Fate, Error> {
    let details: Details = details::parse(&row.key, &row.details)?;
    let rules = &bucket.settings.lifecycle;
    let since = above.replaced.unwrap_or(row.modified);
    let subject = Subject { key: &row.key, size: row.size, tags: &details.tags, since };
    if row.latest {
        let ended = || lifecycle::current_end(rules, &subject).is_some_and(|(at, _)| at <= now);
        let lone = !above.hides && lifecycle::marker_ended(rules, &subject, now);
        return Ok(match row.marker {
            true if lone => Fate::MarkerRemoved,
            false if ended() => Fate::Deleted,
            _ => Fate::Stays,
        });
    }
    let ended = lifecycle::noncurrent_ended(rules, &subject, above.newer.saturating_sub(1), now);
    let free = lock::permits_removal(&details, now, false);
    Ok(if ended && free { Fate::Removed } else { Fate::Stays })
}

impl Objects {
    /// Does what the lifecycle rules of all buckets ask for at `now`.
    ///
    /// # Errors
    /// [`Error::Index`]; what was removed until then stays removed.
    pub async fn expire(&self, now: Timestamp) -> Result<Expired, Error> {
        let mut all = Expired::default();
        for bucket in self.ruled().await? {
            all.add(self.expire_bucket(&bucket, now, true).await?);
        }
        Ok(all)
    }

    /// What [`Objects::expire`] would do at `now`, by bucket; nothing is changed.
    ///
    /// # Errors
    /// [`Error::Index`].
    pub async fn expire_plan(&self, now: Timestamp) -> Result<Vec<(String, Expired)>, Error> {
        let mut plan = Vec::new();
        for bucket in self.ruled().await? {
            let expired = self.expire_bucket(&bucket, now, false).await?;
            plan.push((bucket.name, expired));
        }
        Ok(plan)
    }

    /// Buckets with rules that are in force.
    async fn ruled(&self) -> Result<Vec<Bucket>, Error> {
        let (mut all, mut after) = (Vec::new(), String::new());
        loop {
            let from = after.clone();
            let rows = self.read(move |reader| Ok(reader.bucket_list(None, &from, PAGE)?)).await?;
            let Some(last) = rows.last() else { return Ok(all) };
            after = last.name.clone();
            for row in rows {
                let bucket = Bucket::from_row(row)?;
                if bucket.settings.lifecycle.iter().any(|rule| rule.enabled) {
                    all.push(bucket);
                }
            }
        }
    }

    /// Carries the rules out, or only counts when it is not to `act`.
    async fn expire_bucket(
        &self,
        bucket: &Bucket,
        now: Timestamp,
        act: bool,
    ) -> Result<Expired, Error> {
        let mut all = Expired::default();
        let (mut from, mut below) = (String::new(), i64::MAX);
        let mut above = Above::default();
        loop {
            let (asked, start, was) = (bucket.clone(), from.clone(), above);
            let work = move |reader: &Reader<'_>| {
                let rows = reader.object_list_versions(asked.id, &start, below, PAGE + 1)?;
                judge(&asked, &rows, was, now)
            };
            let page = self.read(work).await?;
            if !act {
                page.doomed.iter().for_each(|one| all.count(&one.row, one.fate));
            } else if !page.doomed.is_empty() {
                let name = bucket.name.clone();
                all.add(self.write(move |txn| carry_out(txn, &name, &page.doomed, now)).await?);
            }
            match page.next {
                Some((key, id, next)) => (from, below, above) = (key, id, next),
                None => break,
            }
        }
        all.uploads = self.expire_uploads(bucket, now, act).await?;
        Ok(all)
    }

    async fn expire_uploads(
        &self,
        bucket: &Bucket,
        now: Timestamp,
        act: bool,
    ) -> Result<u64, Error> {
        let (mut removed, mut from, mut after) = (0, String::new(), 0);
        loop {
            let (id, start) = (bucket.id, from.clone());
            let work = move |reader: &Reader<'_>| Ok(reader.upload_list(id, &start, after, PAGE)?);
            let uploads: Vec<UploadRow> = self.read(work).await?;
            let Some(last) = uploads.last() else { return Ok(removed) };
            (from, after) = (last.key.clone(), last.id);
            let rules = &bucket.settings.lifecycle;
            let ended =
                |one: &UploadRow| lifecycle::upload_ended(rules, &one.key, one.started, now);
            let ended: Vec<UploadRow> = uploads.into_iter().filter(ended).collect();
            if !act {
                removed += ended.len() as u64;
            } else if !ended.is_empty() {
                let name = bucket.name.clone();
                removed += self.write(move |txn| give_up(txn, &name, &ended, now)).await?;
            }
        }
    }
}

/// A version that must go.
struct Doomed {
    row: ObjectRow,
    above: Above,
    fate: Fate,
}

/// The versions of one page that must go, and where the next page begins.
struct Page {
    doomed: Vec<Doomed>,
    next: Option<(String, i64, Above)>,
}

/// Decides a page; its last row is only looked at, and decided with the next page.
fn judge(
    bucket: &Bucket,
    rows: &[ObjectRow],
    mut above: Above,
    now: Timestamp,
) -> Result<Page, Error> {
    let more = rows.len() > usize::try_from(PAGE).unwrap_or(usize::MAX);
    let decided = if more { &rows[..rows.len() - 1] } else { rows };
    let mut page = Page { doomed: Vec::new(), next: None };
    for (number, row) in decided.iter().enumerate() {
        if row.latest {
            above = Above::default();
        }
        above.hides = rows.get(number + 1).is_some_and(|next| next.key == row.key);
        let fate = fate(bucket, row, above, now)?;
        if fate != Fate::Stays {
            page.doomed.push(Doomed { row: row.clone(), above, fate });
        }
        above = Above { newer: above.newer + 1, replaced: Some(row.modified), hides: false };
    }
    if let (true, Some(last)) = (more, decided.last()) {
        page.next = Some((last.key.clone(), last.id, above));
    }
    Ok(page)
}

/// The bucket as it is now; `None` when it is gone.
fn still(txn: &Txn<'_>, bucket: &str) -> Result<Option<Bucket>, Error> {
    match bucket::get(txn, bucket) {
        Ok(bucket) => Ok(Some(bucket)),
        Err(Error::NoBucket(_)) => Ok(None),
        Err(other) => Err(other),
    }
}

/// What the rules say of a version now, if it is as it was when it was judged.
fn fate_now(
    txn: &Txn<'_>,
    bucket: &Bucket,
    judged: &Doomed,
    now: Timestamp,
) -> Result<Option<(ObjectRow, Fate)>, Error> {
    let Doomed { row: was, above, .. } = judged;
    let row = txn.object_version(bucket.id, &was.key, &was.version)?;
    let same = |row: &ObjectRow| {
        row.id == was.id && row.latest == was.latest && row.details == was.details
    };
    let Some(row) = row.filter(same) else { return Ok(None) };
    let most = above.newer.min(lifecycle::newer_needed(&bucket.settings.lifecycle));
    let newer = txn.object_newer(&row, most)?;
    // When it was replaced stays true, whatever became of the version that replaced it.
    let above = Above { newer, hides: txn.object_hides(&row)?, ..*above };
    let fate = fate(bucket, &row, above, now)?;
    Ok(Some((row, fate)))
}

/// Removes what the rules say of now, of what they said it of before.
fn carry_out(
    txn: &mut Txn<'_>,
    bucket: &str,
    doomed: &[Doomed],
    now: Timestamp,
) -> Result<Expired, Error> {
    let mut done = Expired::default();
    let Some(bucket) = still(txn, bucket)? else { return Ok(done) };
    // All are judged before any goes: what goes with them counts among their newer ones.
    let judged = doomed.iter().map(|one| fate_now(txn, &bucket, one, now));
    let judged: Vec<_> = judged.collect::<Result<_, _>>()?;
    for (row, fate) in judged.into_iter().flatten() {
        done.count(&row, fate);
        match fate {
            Fate::Stays => {}
            Fate::Deleted => {
                versions::delete(txn, &bucket, &row.key, Cause::Lifecycle, now)?;
            }
            Fate::Removed | Fate::MarkerRemoved => {
                versions::delete_version(txn, &bucket, &row, Cause::Lifecycle, now)?;
            }
        }
    }
    Ok(done)
}

/// Ends the uploads that the rules of now say it of, and that are not finished meanwhile.
fn give_up(
    txn: &mut Txn<'_>,
    bucket: &str,
    ended: &[UploadRow],
    now: Timestamp,
) -> Result<u64, Error> {
    let Some(bucket) = still(txn, bucket)? else { return Ok(0) };
    let rules = &bucket.settings.lifecycle;
    let mut gone = 0;
    for one in ended {
        let is_open = txn.upload_get(&one.name)?.is_some_and(|row| row.bucket == bucket.id);
        if is_open && lifecycle::upload_ended(rules, &one.key, one.started, now) {
            txn.upload_delete(one.id, now)?;
            gone += 1;
        }
    }
    Ok(gone)
}

#[cfg(test)]
mod tests;
