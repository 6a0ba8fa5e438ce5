//! What buckets hold and may hold at most.
//!
//! Invariant: a quota is checked by the store in the transaction that would break it, whichever
//! way the object comes; parts of unfinished uploads count as the objects do, and turn into one
//! without being counted twice. Deleting is never refused. What a caller gives as `beside` is written in
//! the transaction of the deed, when it is done.

use crate::{
    bucket,
    error::Error,
    objects::{Objects, now},
};
use base::time::Timestamp;
use store::{
    Txn,
    objects::{Quota, Usage},
};

/// Buckets listed at once; a site has dozens.
const LIST_MAX: u32 = 10_000;

/// A bucket as operators see it.
#[derive(Debug, Clone)]
pub struct BucketInfo {
    /// Its name.
    pub name: String,
    /// Who made it; the house itself is `site`.
    pub owner: String,
    /// When.
    pub created: Timestamp,
    /// What it holds.
    pub usage: Usage,
    /// Uploads that are not finished, as objects, and what their parts take of `usage`.
    pub unfinished: Usage,
    /// What it may hold.
    pub quota: Quota,
}

impl BucketInfo {
    /// One of those that the house made for itself.
    #[must_use]
    pub fn is_house(&self) -> bool {
        bucket::is_house(&self.name)
    }
}

impl Objects {
    /// All buckets, by name.
    ///
    /// # Errors
    /// [`Error::Index`].
    pub async fn bucket_infos(&self) -> Result<Vec<BucketInfo>, Error> {
        self.read(|reader| {
            let rows = reader.bucket_list(None, "", LIST_MAX)?;
            let info = |row: store::objects::BucketRow| {
                let (usage, quota) = reader.bucket_sums(row.id)?;
                Ok(BucketInfo {
                    name: row.name,
                    owner: row.owner,
                    created: row.created,
                    usage,
                    unfinished: reader.bucket_unfinished(row.id)?,
                    quota,
                })
            };
            rows.into_iter().map(info).collect()
        })
        .await
    }

    /// Bounds a bucket; what it holds beyond stays.
    ///
    /// # Errors
    /// [`Error::NoBucket`].
    pub async fn bucket_quota(
        &self,
        bucket: &str,
        quota: Quota,
        beside: impl FnOnce(&Txn<'_>) -> Result<(), store::Error> + Send + 'static,
    ) -> Result<(), Error> {
        let bucket = bucket.to_owned();
        self.write(move |txn| {
            let id = bucket::get(txn, &bucket)?.id;
            txn.bucket_quota_set(id, quota)?;
            Ok(beside(txn)?)
        })
        .await
    }

    /// Makes a bucket for `owner`; `false` when the name is in use.
    ///
    /// # Errors
    /// [`Error::BucketName`] when S3 would not take the name, [`Error::Full`].
    pub async fn bucket_create(
        &self,
        bucket: &str,
        owner: &str,
        beside: impl FnOnce(&Txn<'_>) -> Result<(), store::Error> + Send + 'static,
    ) -> Result<bool, Error> {
        if !bucket::is_name(bucket) {
            return Err(Error::BucketName(bucket.to_owned()));
        }
        self.room_for_rows(0)?;
        let (bucket, owner) = (bucket.to_owned(), owner.to_owned());
        self.write(move |txn| {
            let made = txn.bucket_insert(&store::objects::NewBucket {
                name: &bucket,
                owner: &owner,
                created: now(),
                versioning: "off",
                settings: "{}",
            });
            match made {
                Err(error) if error.is_constraint() => return Ok(false),
                other => other?,
            };
            beside(txn)?;
            Ok(true)
        })
        .await
    }

    /// Deletes a bucket; `false` when it still holds objects.
    ///
    /// # Errors
    /// [`Error::NoBucket`]; [`Error::House`] for those that the house needs.
    pub async fn bucket_delete(
        &self,
        bucket: &str,
        beside: impl FnOnce(&Txn<'_>) -> Result<(), store::Error> + Send + 'static,
    ) -> Result<bool, Error> {
        let bucket = bucket.to_owned();
        self.write(move |txn| {
            let found = bucket::get(txn, &bucket)?;
            if bucket::is_house(&bucket) {
                return Err(Error::House(bucket));
            }
            let gone = txn.bucket_delete(found.id, now())?;
            if gone {
                beside(txn)?;
            }
            Ok(gone)
        })
        .await
    }
}
