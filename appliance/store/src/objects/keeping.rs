//! Quotas, sums, rotten bytes, and how far the keeper's rounds have come.

use crate::{
    Reader, Txn,
    error::Error,
    objects::{BlobRow, Usage, blobs::blob},
};
use rusqlite::{OptionalExtension, params};

/// What a bucket may hold at most; `None` is no bound.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Quota {
    /// Bytes, equal ones counted each time.
    pub bytes: Option<u64>,
    /// Versions.
    pub objects: Option<u64>,
}

impl Reader<'_> {
    /// What a bucket holds and may hold; reads one row.
    pub fn bucket_sums(&self, bucket: i64) -> Result<(Usage, Quota), Error> {
        let found = self
            .statement(
                "SELECT objects, bytes, max_objects, max_bytes FROM bucket_sums WHERE bucket = ?1",
            )?
            .query_row([bucket], |row| {
                let usage = Usage { objects: row.get(0)?, bytes: row.get(1)? };
                Ok((usage, Quota { objects: row.get(2)?, bytes: row.get(3)? }))
            })
            .optional()?;
        Ok(found.unwrap_or_default())
    }

    /// Where a round of the keeper stands; 0 when it never began.
    pub fn keeper_mark(&self, name: &str) -> Result<i64, Error> {
        let found = self
            .statement("SELECT value FROM keeper_marks WHERE name = ?1")?
            .query_row([name], |row| row.get(0))
            .optional()?;
        Ok(found.unwrap_or_default())
    }

    /// Blobs numbered above `after`, rotten ones too, at most `limit`: the order of the scrubber.
    pub fn blob_list_all(&self, after: i64, limit: u32) -> Result<Vec<BlobRow>, Error> {
        let mut list = self.statement(
            "SELECT id, hash, size, path FROM blobs WHERE id > ?1 ORDER BY id LIMIT ?2",
        )?;
        let rows = list.query_map(params![after, limit], blob)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// The first rotten blob that is numbered above `after`, and that something names.
    pub fn blob_bad_after(&self, after: i64) -> Result<Option<BlobRow>, Error> {
        let found = self
            .statement(
                "SELECT id, hash, size, path FROM blobs WHERE id > ?1 AND bad = 1 AND refs > 0
                 ORDER BY id LIMIT 1",
            )?
            .query_row([after], blob)
            .optional()?;
        Ok(found)
    }

    /// The blob was found rotten and is kept from readers.
    pub fn blob_is_bad(&self, id: i64) -> Result<bool, Error> {
        Ok(self.statement("SELECT 1 FROM blobs WHERE id = ?1 AND bad = 1")?.exists([id])?)
    }

    /// The rotten blob with these bytes.
    pub fn blob_bad_by_hash(&self, hash: &[u8; 32]) -> Result<Option<BlobRow>, Error> {
        let found = self
            .statement("SELECT id, hash, size, path FROM blobs WHERE hash = ?1 AND bad = 1")?
            .query_row(params![hash], blob)
            .optional()?;
        Ok(found)
    }
}

impl Txn<'_> {
    /// Bounds a bucket; what it holds beyond stays.
    pub fn bucket_quota_set(&mut self, bucket: i64, quota: Quota) -> Result<(), Error> {
        self.statement(
            "UPDATE bucket_sums SET max_objects = ?2, max_bytes = ?3 WHERE bucket = ?1",
        )?
        .execute(params![bucket, quota.objects, quota.bytes])?;
        Ok(())
    }

    /// Notes where a round of the keeper stands.
    pub fn keeper_mark_set(&mut self, name: &str, value: i64) -> Result<(), Error> {
        self.statement("INSERT OR REPLACE INTO keeper_marks (name, value) VALUES (?1, ?2)")?
            .execute(params![name, value])?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::objects::{NewBlob, NewBucket, NewObject, NewPart};
    use base::time::Timestamp;

    fn object(bucket: i64, key: &str, size: u64, marker: bool) -> NewObject<'_> {
        let modified = Timestamp(0);
        NewObject {
            bucket,
            key,
            version: key,
            marker,
            size,
            etag: "",
            modified,
            blob: None,
            details: "{}",
        }
    }

    fn bucket(txn: &mut Txn<'_>, quota: Quota) -> i64 {
        let new = NewBucket {
            name: "b",
            owner: "o",
            created: Timestamp(0),
            versioning: "off",
            settings: "{}",
        };
        let bucket = txn.bucket_insert(&new).unwrap();
        txn.bucket_quota_set(bucket, quota).unwrap();
        bucket
    }

    /// Stores a part as the room does; one that is refused leaves nothing.
    fn part(txn: &mut Txn<'_>, upload: i64, number: u32, size: u64) -> Result<(), Error> {
        let hash = [u8::try_from(number).unwrap(); 32];
        let data = Some(Vec::new());
        let blob = txn.blob_hold(&NewBlob { hash, size, path: None, data }, |_| false)?.id;
        let (etag, details, modified) = ("", "{}", Timestamp(0));
        txn.statement("SAVEPOINT part")?.execute([])?;
        let put =
            txn.upload_part_put(&NewPart { upload, number, size, etag, modified, blob, details });
        if put.is_err() {
            txn.statement("ROLLBACK TO part")?.execute([])?;
        }
        txn.statement("RELEASE part")?.execute([])?;
        put
    }

    fn part_bytes(txn: &Txn<'_>) -> u64 {
        let mut sum = txn.statement("SELECT part_bytes FROM bucket_sums").unwrap();
        sum.query_row([], |row| row.get(0)).unwrap()
    }

    #[test]
    fn parts_count_against_a_quota_and_are_given_back_once() {
        let (sql, key) = crate::migrate::in_memory();
        let mut txn = Txn::new(&sql, &key, base::ids::Cursor(0));
        let bucket = bucket(&mut txn, Quota { bytes: Some(100), objects: None });
        txn.object_insert(&object(bucket, "a", 40, false)).unwrap();
        let upload =
            |txn: &mut Txn<'_>, name| txn.upload_insert(bucket, "k", name, Timestamp(0), "{}");
        let first = upload(&mut txn, "first").unwrap();
        let second = upload(&mut txn, "second").unwrap();
        part(&mut txn, first, 1, 30).unwrap();
        part(&mut txn, second, 1, 20).unwrap();
        assert!(matches!(part(&mut txn, first, 2, 11), Err(Error::Quota)));
        assert!(matches!(part(&mut txn, second, 1, 31), Err(Error::Quota)));
        assert!(matches!(txn.object_insert(&object(bucket, "b", 11, false)), Err(Error::Quota)));
        assert_eq!(part_bytes(&txn), 50);
        part(&mut txn, first, 1, 40).expect("what takes another's place counts once");
        assert_eq!(part_bytes(&txn), 60);
        txn.upload_delete(first, Timestamp(1)).unwrap();
        txn.upload_delete(first, Timestamp(1)).unwrap();
        assert_eq!(part_bytes(&txn), 20);
        txn.object_insert(&object(bucket, "b", 40, false)).unwrap();
        txn.upload_delete(second, Timestamp(1)).unwrap();
        assert_eq!(part_bytes(&txn), 0);
    }

    #[test]
    fn sums_follow_every_row_and_a_quota_refuses_what_would_break_it() {
        let (sql, key) = crate::migrate::in_memory();
        let mut txn = Txn::new(&sql, &key, base::ids::Cursor(0));
        let bucket = bucket(&mut txn, Quota { bytes: Some(100), objects: Some(2) });
        txn.object_insert(&object(bucket, "a", 60, false)).unwrap();
        let refused = txn.object_insert(&object(bucket, "b", 41, false));
        assert!(matches!(refused, Err(Error::Quota)), "{refused:?}");
        txn.object_insert(&object(bucket, "b", 40, false)).unwrap();
        assert!(matches!(txn.object_insert(&object(bucket, "c", 0, false)), Err(Error::Quota)));
        txn.object_insert(&object(bucket, "marker", 0, true)).unwrap();
        let first = txn.object_latest(bucket, "a").unwrap().unwrap();
        txn.object_delete(&first, Timestamp(1)).unwrap();
        let (usage, quota) = txn.bucket_sums(bucket).unwrap();
        assert_eq!((usage.objects, usage.bytes, quota.objects), (2, 40, Some(2)));
        assert_eq!(usage, txn.bucket_usage(bucket).unwrap());
    }
}
