//! Where a repository keeps its names, manifests, blobs and referrers: keys of the bucket `images`.
//!
//! | key | holds |
//! |---|---|
//! | `blobs/sha256/<hex>` | bytes, shared by all repositories |
//! | `tags/<name>:<tag>` | the digest that a tag leads to |
//! | `manifests/<name>:<hex>` | the [`Record`] of a manifest of that repository |
//! | `links/<name>:<hex>` | nothing: that repository may give out that blob |
//! | `referrers/<name>:<hex>:<hex>` | nothing: the second manifest says something about the first |
//!
//! `<name>` is the full name (`docker.io/ns/app`); no name ends with a colon, so that one
//! repository's keys never begin another's.

use super::{BUCKET, TAGS, record::Record, reference::hex_of};
use crate::{
    bucket::{self, Bucket},
    details::{self, Details},
    error::Error,
    notify::{Cause, Deed},
    versions::{self, NewVersion},
};
use base::time::Timestamp;
use store::{Reader, Txn, objects::NewBlob};

/// Where records are.
pub(crate) const MANIFESTS: &str = "manifests/";

/// Where links are.
pub(crate) const LINKS: &str = "links/";

/// Where referrers are.
pub(crate) const REFERRERS: &str = "referrers/";

pub(crate) fn tag_key(name: &str, tag: &str) -> String {
    format!("{TAGS}{name}:{tag}")
}

pub(crate) fn manifest_key(name: &str, digest: &str) -> String {
    format!("{MANIFESTS}{name}:{}", hex_of(digest).unwrap_or_default())
}

pub(crate) fn link_key(name: &str, digest: &str) -> String {
    format!("{LINKS}{name}:{}", hex_of(digest).unwrap_or_default())
}

/// What the keys of all referrers of a manifest begin with.
pub(crate) fn referrers_prefix(name: &str, subject: &str) -> String {
    format!("{REFERRERS}{name}:{}:", hex_of(subject).unwrap_or_default())
}

fn referrer_key(name: &str, subject: &str, digest: &str) -> String {
    format!("{}{}", referrers_prefix(name, subject), hex_of(digest).unwrap_or_default())
}

/// Changes of one repository inside one transaction.
pub(crate) struct Shelf<'a, 't> {
    txn: &'a mut Txn<'t>,
    bucket: Bucket,
    now: Timestamp,
}

impl<'a, 't> Shelf<'a, 't> {
    pub(crate) fn open(txn: &'a mut Txn<'t>, now: Timestamp) -> Result<Self, Error> {
        let bucket = bucket::get(txn, BUCKET)?;
        Ok(Self { txn, bucket, now })
    }

    pub(crate) fn txn(&mut self) -> &mut Txn<'t> {
        self.txn
    }

    pub(crate) fn bucket(&self) -> i64 {
        self.bucket.id
    }

    /// Writes a small object.
    pub(crate) fn put(&mut self, key: &str, text: &[u8]) -> Result<(), Error> {
        let blob = match text {
            [] => None,
            _ => {
                let hash = *blake3::hash(text).as_bytes();
                let (size, data) = (text.len() as u64, Some(text.to_vec()));
                Some(self.txn.blob_hold(&NewBlob { hash, size, path: None, data }, |_| false)?.id)
            }
        };
        self.put_blob(key, text.len() as u64, blob).map(drop)
    }

    /// Writes an object whose blob is already held for it; `None` when its pieces follow.
    pub(crate) fn put_blob(
        &mut self,
        key: &str,
        size: u64,
        blob: Option<i64>,
    ) -> Result<i64, Error> {
        let details = Details { owner: self.bucket.owner.clone(), ..Details::default() };
        let details = details::text(&details);
        let etag = "";
        let deed = Deed::Put;
        let new = NewVersion { key, size, etag, blob, details: &details, marker: false, deed };
        Ok(versions::put(self.txn, &self.bucket, new, self.now)?.row)
    }

    pub(crate) fn remove(&mut self, key: &str) -> Result<bool, Error> {
        let there = self.has(key)?;
        if there {
            versions::delete(self.txn, &self.bucket, key, Cause::Asked, self.now)?;
        }
        Ok(there)
    }

    pub(crate) fn has(&self, key: &str) -> Result<bool, Error> {
        Ok(self.txn.object_latest(self.bucket.id, key)?.is_some_and(|row| !row.marker))
    }

    /// Makes a manifest known to a repository.
    pub(crate) fn add(&mut self, name: &str, digest: &str, record: &Record) -> Result<(), Error> {
        if let Some(subject) = &record.subject {
            self.put(&referrer_key(name, subject, digest), b"")?;
        }
        let text = details::text(record);
        self.put(&manifest_key(name, digest), text.as_bytes())
    }

    /// Lets a tag lead to a manifest. The one that it led to before is young again, so that a plan
    /// that has just pinned it is not robbed of it.
    pub(crate) fn tag(&mut self, name: &str, tag: &str, digest: &str) -> Result<(), Error> {
        let key = tag_key(name, tag);
        if let Some(old) = small(self.txn, self.bucket.id, &key)?
            && let Ok(old) = String::from_utf8(old)
            && old != digest
        {
            self.renew(name, &old)?;
        }
        self.put(&key, digest.as_bytes())
    }

    /// Takes a tag away. The manifest that it led to is young again, as in [`Shelf::tag`].
    fn untag(&mut self, name: &str, tag: &str) -> Result<bool, Error> {
        let key = tag_key(name, tag);
        if let Some(old) = small(self.txn, self.bucket.id, &key)? {
            self.renew(name, &String::from_utf8_lossy(&old))?;
        }
        self.remove(&key)
    }

    /// Takes away what a reference names: a tag, or a manifest with all its tags.
    pub(crate) fn take_away(
        &mut self,
        name: &str,
        tag: &str,
        digest: Option<&str>,
    ) -> Result<bool, Error> {
        match digest {
            Some(digest) => self.forget(name, digest),
            None => self.untag(name, tag),
        }
    }

    /// Makes a manifest's record young.
    pub(crate) fn renew(&mut self, name: &str, digest: &str) -> Result<(), Error> {
        let key = manifest_key(name, digest);
        match small(self.txn, self.bucket.id, &key)? {
            Some(text) => self.put(&key, &text),
            None => Ok(()),
        }
    }

    /// Takes a manifest from a repository, with every tag that leads to it.
    fn forget(&mut self, name: &str, digest: &str) -> Result<bool, Error> {
        let key = manifest_key(name, digest);
        let Some(text) = small(self.txn, self.bucket.id, &key)? else { return Ok(false) };
        let record: Record = details::parse(&key, &String::from_utf8_lossy(&text))?;
        if let Some(subject) = &record.subject {
            self.remove(&referrer_key(name, subject, digest))?;
        }
        for (key, led_to) in tags_of(self.txn, self.bucket.id, name)? {
            if led_to == digest {
                self.remove(&key)?;
            }
        }
        self.remove(&key)
    }
}

/// The bytes of an object that is kept in a row.
pub(crate) fn small(reader: &Reader<'_>, bucket: i64, key: &str) -> Result<Option<Vec<u8>>, Error> {
    let Some(row) = reader.object_latest(bucket, key)?.filter(|row| !row.marker) else {
        return Ok(None);
    };
    match row.blob {
        Some(blob) => Ok(reader.blob_data(blob)?),
        None => Ok(Some(Vec::new())),
    }
}

/// Rows read at once.
const BATCH: u32 = 256;

/// Keys with a prefix, with what each holds.
pub(crate) fn rows(
    reader: &Reader<'_>,
    bucket: i64,
    prefix: &str,
) -> Result<Vec<(store::objects::ObjectRow, Vec<u8>)>, Error> {
    let (mut found, mut from) = (Vec::new(), prefix.to_owned());
    loop {
        let batch = reader.object_list(bucket, &from, BATCH)?;
        let full = batch.len() == BATCH as usize;
        for row in batch {
            if !row.key.starts_with(prefix) {
                return Ok(found);
            }
            from = format!("{}\0", row.key);
            let text = match row.blob {
                Some(blob) => reader.blob_data(blob)?.unwrap_or_default(),
                None => Vec::new(),
            };
            found.push((row, text));
        }
        if !full {
            return Ok(found);
        }
    }
}

/// Keys of a repository's tags and the digests that they lead to.
fn tags_of(reader: &Reader<'_>, bucket: i64, name: &str) -> Result<Vec<(String, String)>, Error> {
    let rows = rows(reader, bucket, &format!("{TAGS}{name}:"))?;
    let pair = |(row, text): (store::objects::ObjectRow, Vec<u8>)| {
        (row.key, String::from_utf8_lossy(&text).into_owned())
    };
    Ok(rows.into_iter().map(pair).collect())
}
