//! What storing and deleting mean under each kind of versioning. Runs inside the one write.
//!
//! | bucket | put | delete without a version |
//! |---|---|---|
//! | off | replaces the version `null` | removes the version `null` |
//! | on | adds a version | adds a marker |
//! | suspended | replaces the version `null` | replaces the version `null` by a marker |

use crate::{
    bucket::{Bucket, Versioning},
    notices,
    notify::{Cause, Deed, What},
};
use base::time::Timestamp;
use store::{
    Error, Txn,
    objects::{NewObject, ObjectRow},
};
use uuid::Uuid;

/// The name of the version where versions are not kept.
pub(crate) const NULL: &str = "null";

/// A version to be stored; its name follows from the bucket.
#[derive(Debug, Clone, Copy)]
pub(crate) struct NewVersion<'a> {
    pub(crate) key: &'a str,
    pub(crate) size: u64,
    pub(crate) etag: &'a str,
    pub(crate) blob: Option<i64>,
    pub(crate) details: &'a str,
    pub(crate) marker: bool,
    /// What the bucket's rules are told of it.
    pub(crate) deed: Deed,
}

/// A version that was stored.
#[derive(Debug, Clone)]
pub(crate) struct Put {
    pub(crate) row: i64,
    /// `None` when the bucket keeps none now and this is no marker.
    pub(crate) version: Option<String>,
    /// When.
    pub(crate) modified: Timestamp,
}

/// What a delete did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Deleted {
    /// A marker was made or removed.
    pub(crate) marker: bool,
    /// The version that was made or removed.
    pub(crate) version: Option<String>,
}

/// Stores a version as the newest.
pub(crate) fn put(
    txn: &mut Txn<'_>,
    bucket: &Bucket,
    new: NewVersion<'_>,
    now: Timestamp,
) -> Result<Put, Error> {
    let version = match bucket.versioning {
        Versioning::On => Uuid::now_v7().simple().to_string(),
        Versioning::Off | Versioning::Suspended => {
            remove_null(txn, bucket, new.key, now)?;
            NULL.to_owned()
        }
    };
    let row = txn.object_insert(&NewObject {
        bucket: bucket.id,
        key: new.key,
        version: &version,
        marker: new.marker,
        size: new.size,
        etag: new.etag,
        modified: now,
        blob: new.blob,
        details: new.details,
    })?;
    let version = (new.marker || bucket.versioning == Versioning::On).then_some(version);
    let NewVersion { key, size, etag, deed, .. } = new;
    notices::note(txn, bucket, &What { deed, key, size, etag, version: version.as_deref() }, now)?;
    Ok(Put { row, version, modified: now })
}

/// `false` when there was none.
fn remove_null(
    txn: &mut Txn<'_>,
    bucket: &Bucket,
    key: &str,
    now: Timestamp,
) -> Result<bool, Error> {
    let Some(old) = txn.object_version(bucket.id, key, NULL)? else { return Ok(false) };
    txn.object_delete(&old, now)?;
    Ok(true)
}

/// Deletes a key as the bucket's versioning says.
pub(crate) fn delete(
    txn: &mut Txn<'_>,
    bucket: &Bucket,
    key: &str,
    cause: Cause,
    now: Timestamp,
) -> Result<Deleted, Error> {
    if bucket.versioning == Versioning::Off {
        if remove_null(txn, bucket, key, now)? {
            gone(txn, bucket, key, None, cause, now)?;
        }
        return Ok(Deleted::default());
    }
    let details = format!("{{\"owner\":{}}}", serde_json::Value::from(bucket.owner.as_str()));
    let deed = cause.deed(true);
    let marker =
        NewVersion { key, size: 0, etag: "", blob: None, details: &details, marker: true, deed };
    let put = put(txn, bucket, marker, now)?;
    Ok(Deleted { marker: true, version: put.version })
}

/// Tells that a version was removed.
fn gone(
    txn: &mut Txn<'_>,
    bucket: &Bucket,
    key: &str,
    version: Option<&str>,
    cause: Cause,
    now: Timestamp,
) -> Result<(), Error> {
    let what = What { deed: cause.deed(false), key, size: 0, etag: "", version };
    notices::note(txn, bucket, &what, now)
}

/// Removes one named version for good.
pub(crate) fn delete_version(
    txn: &mut Txn<'_>,
    bucket: &Bucket,
    row: &ObjectRow,
    cause: Cause,
    now: Timestamp,
) -> Result<Deleted, Error> {
    txn.object_delete(row, now)?;
    gone(txn, bucket, &row.key, Some(&row.version), cause, now)?;
    Ok(Deleted { marker: row.marker, version: Some(row.version.clone()) })
}
