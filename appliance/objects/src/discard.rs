//! Removing objects that nobody needs any more: who keeps a bucket says which.
//!
//! Why: other rooms store bytes first and name them later, so that a cut leaves objects which only
//! they can tell from those in use.
//! Invariants: a page is one transaction, and what is needed is asked again within it, so that an
//! object which is named or stored anew meanwhile stays; a cut at any point leaves pages that are
//! done and pages that are not begun.
//! Units: a page is [`PAGE`] objects.

use crate::{
    bucket,
    error::Error,
    notify::Cause,
    objects::{Objects, now},
    versions,
};
use base::time::Timestamp;
use store::{Reader, Txn, objects::ObjectRow};

/// Objects looked at in one read, and removed in one transaction at most.
const PAGE: u32 = 256;

/// What one page came to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Discarded {
    /// Objects removed.
    pub objects: u64,
    /// Their sizes.
    pub bytes: u64,
    /// Give it as `after` for the next page; `None` at the end.
    pub next: Option<String>,
}

impl Objects {
    /// Looks at a page of current objects behind the key `after`, and removes those that were
    /// stored before `before` and that `needs` says no to. Space comes back as for any delete.
    ///
    /// # Errors
    /// [`Error::NoBucket`], [`Error::Index`]; then nothing of the page is removed.
    pub async fn discard<F>(
        &self,
        bucket: &str,
        after: &str,
        before: Timestamp,
        needs: F,
    ) -> Result<Discarded, Error>
    where
        F: Fn(&Reader<'_>, &str) -> Result<bool, store::Error> + Clone + Send + 'static,
    {
        let (name, after, asked) = (bucket.to_owned(), after.to_owned(), needs.clone());
        let (due, next) = self
            .read(move |reader| {
                let bucket = bucket::get(reader, &name)?;
                // The least key behind another one is that with a NUL at its end.
                let from = if after.is_empty() { after } else { format!("{after}\0") };
                let rows = reader.object_list(bucket.id, &from, PAGE)?;
                let is_full = rows.len() == PAGE as usize;
                let next = rows.last().filter(|_| is_full).map(|row| row.key.clone());
                Ok::<_, Error>((due(reader, rows, before, &asked)?, next))
            })
            .await?;
        let mut found = Discarded { next, ..Discarded::default() };
        if due.is_empty() {
            return Ok(found);
        }
        let name = bucket.to_owned();
        let gone = self.write(move |txn| remove(txn, &name, &due, before, &needs)).await?;
        (found.objects, found.bytes) = gone;
        Ok(found)
    }
}

/// Those of `rows` that are old and not needed.
fn due<F>(
    reader: &Reader<'_>,
    rows: Vec<ObjectRow>,
    before: Timestamp,
    needs: &F,
) -> Result<Vec<ObjectRow>, store::Error>
where
    F: Fn(&Reader<'_>, &str) -> Result<bool, store::Error>,
{
    let mut due = Vec::new();
    for row in rows {
        if row.modified < before && !needs(reader, &row.key)? {
            due.push(row);
        }
    }
    Ok(due)
}

fn remove<F>(
    txn: &mut Txn<'_>,
    bucket: &str,
    seen: &[ObjectRow],
    before: Timestamp,
    needs: &F,
) -> Result<(u64, u64), Error>
where
    F: Fn(&Reader<'_>, &str) -> Result<bool, store::Error>,
{
    let bucket = bucket::get(txn, bucket)?;
    let mut gone = (0, 0);
    for seen in seen {
        let Some(row) = txn.object_latest(bucket.id, &seen.key)? else { continue };
        // One that was stored anew since the look has another number.
        if row.id != seen.id || row.modified >= before || needs(txn, &row.key)? {
            continue;
        }
        versions::delete(txn, &bucket, &row.key, Cause::Asked, now())?;
        gone = (gone.0 + 1, gone.1 + row.size);
    }
    Ok(gone)
}
