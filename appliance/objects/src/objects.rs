//! The room's own interface, for the other rooms: put, get, head, delete, list.
//!
//! It acts as the house, without access control: who may ask is decided by the caller.

use crate::{
    access_log::deliver::AccessLogs,
    bucket::{self, Bucket},
    cache::{Cache, Shelf, Weight},
    config::Config,
    content,
    details::{self, Details, Encryption},
    error::Error,
    ingest::{self, Body, Ingested, Plan},
    located::Located,
    notify::{Cause, Deed},
    seal::{self, Key},
    vault::{ByteStream, Vault},
    versions::{self, NewVersion},
};
use base::{secret::Secret, time::Timestamp};
use std::{
    ops::Range,
    sync::{Arc, atomic::AtomicU64},
    time::Duration,
};
use store::{Reader, Store};

/// The access key of addresses that the house signs for itself.
pub(crate) const HOUSE_KEY: &str = "APPLIANCE";

/// The longest that a presigned address may live, as on S3.
pub(crate) const PRESIGN_MAX: Duration = Duration::from_secs(7 * 24 * 3600);

/// The room; clones share it.
#[derive(Clone)]
pub struct Objects {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) store: Store,
    pub(crate) vault: Vault,
    pub(crate) config: Config,
    pub(crate) cache: Cache,
    /// Signs the house's own addresses.
    pub(crate) presign_secret: Arc<Secret>,
    /// Hashes of registry uploads that go on.
    pub(crate) sessions: crate::registry::Sessions,
    /// Wraps the keys of SSE-S3 objects; named keys are derived from it.
    pub(crate) site_key: Key,
    /// Keys that sign the notices of buckets are derived from it.
    pub(crate) webhooks: Key,
    /// Wakes who asks the peer, when something was found damaged.
    pub(crate) rot: tokio::sync::Notify,
    /// Blobs that the peer healed since the start.
    pub(crate) healed: AtomicU64,
    /// Wakes who tells notices, when rules were set.
    pub(crate) rules_changed: tokio::sync::Notify,
    pub(crate) access_logs: AccessLogs,
    pub(crate) signers: crate::s3::Signers,
}

/// What was stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// Without quotes.
    pub etag: String,
    /// In bytes.
    pub size: u64,
}

/// What is known of an object without its bytes.
#[derive(Debug, Clone)]
pub struct Info {
    /// Its key.
    pub key: String,
    /// In bytes.
    pub size: u64,
    /// Without quotes.
    pub etag: String,
    /// When it was stored.
    pub modified: Timestamp,
    /// Its media type, if one was given.
    pub content_type: Option<String>,
}

/// An object and the bytes asked for.
pub struct Found {
    /// What is known of it.
    pub info: Info,
    /// The bytes that follow.
    pub range: Range<u64>,
    /// Exactly the range, or an error.
    pub bytes: ByteStream,
}

/// Nothing is written beside a deed.
///
/// # Errors
/// Never.
pub const fn alone(_: &store::Txn<'_>) -> Result<(), store::Error> {
    Ok(())
}

/// The time of the clock.
pub(crate) fn now() -> Timestamp {
    Timestamp(jiff::Timestamp::now().as_microsecond())
}

impl std::fmt::Debug for Objects {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Objects").field("vault", &self.inner.vault).finish_non_exhaustive()
    }
}

impl Objects {
    /// Opens the room: makes its keys and the house's buckets at the first start. What a cut
    /// left behind waits for [`Objects::keep`].
    ///
    /// # Errors
    /// [`Error::Folder`] when the folder cannot be made or synced, [`Error::Index`] when the store fails.
    pub async fn open(config: Config, store: Store) -> Result<Self, Error> {
        let place = config.place.clone();
        let keep_free = config.keep_free;
        let vault = tokio::task::spawn_blocking(move || Vault::open(&place, keep_free))
            .await
            .map_err(|_| Error::Lost)??;
        let fresh = Secret::new(crate::digest::hex(&seal::random::<32>()));
        let (master, logged) = store
            .write(move |txn| {
                bucket::make_house(txn, now())?;
                txn.object_secret_insert("master", &fresh)?;
                let buckets = txn.bucket_list(None, "", u32::MAX)?;
                let logged = buckets.iter().any(|row| row.settings.contains("\"logging\""));
                let master = txn.object_secret_get("master")?.unwrap_or(fresh);
                Ok::<_, store::Error>((master, logged))
            })
            .await?;
        let bytes = crate::digest::unhex(master.expose()).and_then(|bytes| bytes.try_into().ok());
        let master = Key::new(bytes.ok_or(Error::Sealed)?);
        let presign = crate::digest::hex(master.derive("presign").expose());
        let inner = Inner {
            store,
            vault,
            config,
            cache: Cache::new(),
            presign_secret: Arc::new(Secret::new(presign)),
            sessions: crate::registry::Sessions::default(),
            site_key: master.derive("objects at rest"),
            webhooks: master.derive("webhooks"),
            rot: tokio::sync::Notify::new(),
            healed: AtomicU64::new(0),
            rules_changed: tokio::sync::Notify::new(),
            access_logs: AccessLogs::new(logged),
            signers: crate::s3::Signers::default(),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    pub(crate) async fn read<T, F>(&self, work: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: FnOnce(&Reader<'_>) -> Result<T, Error> + Send + 'static,
    {
        self.inner.store.read(work).await
    }

    /// Reads an item, or gives the one that was read from the same state of the database.
    pub(crate) async fn recall<T, F>(
        &self,
        shelf: &Shelf<T>,
        name: &str,
        work: F,
    ) -> Result<Arc<T>, Error>
    where
        T: Weight + Send + Sync + 'static,
        F: FnOnce(&Reader<'_>, &str) -> Result<T, Error> + Send + 'static,
    {
        // Asked for before the reading: what is read is of this state or of a later one.
        let state = self.inner.store.commits();
        if let Some(found) = shelf.get(state, name) {
            return Ok(found);
        }
        let read = Arc::new(self.inner.store.look(|reader| work(reader, name))?);
        shelf.put(state, name.to_owned(), &read);
        Ok(read)
    }

    pub(crate) async fn bucket(&self, name: &str) -> Result<Arc<Bucket>, Error> {
        self.recall(&self.inner.cache.buckets, name, bucket::get).await
    }

    pub(crate) async fn write<T, E, F>(&self, work: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<store::Error> + Send + 'static,
        F: FnOnce(&mut store::Txn<'_>) -> Result<T, E> + Send + 'static,
    {
        self.inner.store.write(work).await
    }

    pub(crate) async fn ingest(&self, body: Body, plan: &Plan<'_>) -> Result<Ingested, Error> {
        ingest::ingest(self, body, plan).await
    }

    /// The key that wraps those of objects encrypted by the site.
    pub(crate) fn wrapping_key(&self, encryption: Option<&Encryption>) -> Option<Key> {
        match encryption? {
            Encryption::Site => Some(self.inner.site_key.clone()),
            Encryption::Named(name) => Some(self.inner.site_key.derive(&format!("named:{name}"))),
            Encryption::Customer(_) => None,
        }
    }

    /// Stores an object; an older one of that key is replaced when this returns.
    ///
    /// # Errors
    /// [`Error::NoBucket`], [`Error::Full`], or the error that the stream gave.
    pub async fn put(
        &self,
        bucket: &str,
        key: &str,
        body: impl Into<Body>,
    ) -> Result<Stored, Error> {
        let ingested = self.ingest(body.into(), &Plan::default()).await?;
        let etag = crate::digest::hex(&ingested.summed.md5);
        let stored = Stored { etag: etag.clone(), size: ingested.summed.size };
        let (bucket, key, blob) = (bucket.to_owned(), key.to_owned(), ingested.blob.clone());
        let size = stored.size;
        let held = self
            .write(move |txn| {
                let bucket = bucket::get(txn, &bucket)?;
                let held = blob.hold(txn)?;
                let details = Details { owner: bucket.owner.clone(), ..Details::default() };
                let new = NewVersion {
                    key: &key,
                    size,
                    etag: &etag,
                    blob: Some(held.id),
                    details: &details::text(&details),
                    marker: false,
                    deed: Deed::Put,
                };
                versions::put(txn, &bucket, new, now())?;
                Ok::<_, Error>(held)
            })
            .await?;
        ingested.settle(held);
        Ok(stored)
    }

    /// Finds the newest version of a key, or a named one; markers are not there.
    pub(crate) async fn locate(
        &self,
        bucket: &str,
        key: &str,
        version: Option<&str>,
    ) -> Result<Arc<Located>, Error> {
        let Some(version) = version.map(str::to_owned) else {
            let (name, split) = (format!("{bucket}/{key}"), bucket.len());
            let work = move |reader: &Reader<'_>, name: &str| {
                Located::find(reader, &name[..split], &name[split + 1..], None)
            };
            return self.recall(&self.inner.cache.objects, &name, work).await;
        };
        let (bucket, key) = (bucket.to_owned(), key.to_owned());
        let work = move |reader: &Reader<'_>| Located::find(reader, &bucket, &key, Some(&version));
        self.read(work).await.map(Arc::new)
    }

    /// Gets an object or `range` of it; a range that ends behind the object is cut.
    ///
    /// # Errors
    /// [`Error::NoBucket`], [`Error::NoObject`], [`Error::Range`] when it begins behind the end.
    pub async fn get(
        &self,
        bucket: &str,
        key: &str,
        range: Option<Range<u64>>,
    ) -> Result<Found, Error> {
        let located = self.locate(bucket, key, None).await?;
        let size = located.row.size;
        let range = match range {
            None => 0..size,
            Some(range) if range.start < size => range.start..range.end.min(size),
            Some(_) => return Err(Error::Range { size }),
        };
        let unwrap = self.wrapping_key(located.details.encryption.as_ref());
        let info = located.info();
        let bytes =
            content::stream(&self.inner.vault, &located.pieces, range.clone(), unwrap.as_ref())
                .await?;
        Ok(Found { info, range, bytes })
    }

    /// Gets a whole object into memory, at most `limit` bytes of it.
    ///
    /// # Errors
    /// As [`Objects::get`]; [`Error::Range`] when the object is larger than `limit`.
    pub async fn get_small(&self, bucket: &str, key: &str, limit: u64) -> Result<Vec<u8>, Error> {
        use futures_util::TryStreamExt;
        let found = self.get(bucket, key, None).await?;
        if found.info.size > limit {
            return Err(Error::Range { size: found.info.size });
        }
        found
            .bytes
            .try_fold(Vec::new(), |mut all, part| async move {
                all.extend_from_slice(&part);
                Ok(all)
            })
            .await
    }

    /// What is known of an object.
    ///
    /// # Errors
    /// [`Error::NoBucket`], [`Error::NoObject`].
    pub async fn head(&self, bucket: &str, key: &str) -> Result<Info, Error> {
        Ok(self.locate(bucket, key, None).await?.info())
    }

    /// Deletes an object; one that is not there is fine.
    ///
    /// # Errors
    /// [`Error::NoBucket`].
    pub async fn delete(&self, bucket: &str, key: &str) -> Result<(), Error> {
        let (bucket, key) = (bucket.to_owned(), key.to_owned());
        self.write(move |txn| {
            let bucket = bucket::get(txn, &bucket)?;
            versions::delete(txn, &bucket, &key, Cause::Asked, now())?;
            Ok(())
        })
        .await
    }

    /// Gives an object another key in its bucket; what had that key is replaced. No bytes move.
    pub(crate) async fn rename(&self, bucket: &str, from: &str, to: &str) -> Result<(), Error> {
        let (bucket, from, to) = (bucket.to_owned(), from.to_owned(), to.to_owned());
        self.write(move |txn| {
            let bucket = bucket::get(txn, &bucket)?;
            let missing = || Error::NoObject { bucket: bucket.name.clone(), key: from.clone() };
            let row = txn.object_latest(bucket.id, &from)?.ok_or_else(missing)?;
            if let Some(blob) = row.blob {
                txn.blob_hold_again(blob)?;
            }
            let new = NewVersion {
                key: &to,
                size: row.size,
                etag: &row.etag,
                blob: row.blob,
                details: &row.details,
                marker: false,
                deed: Deed::Copy,
            };
            versions::put(txn, &bucket, new, now())?;
            versions::delete_version(txn, &bucket, &row, Cause::Asked, now())?;
            Ok(())
        })
        .await
    }
}
