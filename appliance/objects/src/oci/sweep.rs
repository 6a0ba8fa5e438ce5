//! Gives back the space of images that no name leads to any more, and of imports that were cut.
//!
//! Invariants: what a name leads to stays; so does an index that lists such a manifest, as plans
//! may pin it by its digest; and everything younger than [`AGE`], as an import writes its name last.

use super::{
    BUCKET, DOCUMENT_MAX, ImageError, STAGED,
    manifest::{Index, Manifest},
    there,
};
use crate::{
    bucket,
    error::Error,
    listing::Entry,
    objects::{Info, Objects},
    versions,
};
use base::time::Timestamp;
use std::{collections::HashSet, time::Duration};

/// Longer than any import takes.
pub const AGE: Duration = Duration::from_secs(24 * 3600);

/// Where blobs are.
const BLOBS: &str = "blobs/";

impl Objects {
    /// Removes what [`Objects::image_remove`] and cut imports left behind for [`AGE`]; tells how
    /// many objects that were. Their bytes are given back by [`Objects::gc`].
    ///
    /// # Errors
    /// [`ImageError::Objects`]; what was removed until then stays removed.
    pub async fn image_sweep(&self, now: Timestamp) -> Result<u64, ImageError> {
        let before = Timestamp(now.0 - i64::try_from(AGE.as_micros()).unwrap_or(i64::MAX));
        let mut removed = 0;
        for info in self.image_objects(STAGED).await? {
            removed += u64::from(self.image_forget(&info, before).await?);
        }
        let reachable = self.image_reachable().await?;
        for info in self.image_objects(BLOBS).await? {
            let wanted = info.modified >= before
                || reachable.contains(&info.key)
                || self.image_is_index(&info, &reachable).await?;
            if !wanted {
                removed += u64::from(self.image_forget(&info, before).await?);
            }
        }
        Ok(removed)
    }

    /// Keys of all blobs that names lead to.
    async fn image_reachable(&self) -> Result<HashSet<String>, ImageError> {
        let mut keys = HashSet::new();
        for tagged in self.image_list().await? {
            let document = self.image_document(&tagged.reference, &tagged.digest).await;
            keys.extend(super::blob_key(&tagged.digest));
            // An image that is damaged keeps what can still be told of it.
            let Ok(text) = document else { continue };
            let Ok(manifest) = serde_json::from_str::<Manifest>(&text) else { continue };
            let parts = manifest.layers.iter().chain([&manifest.config]);
            keys.extend(parts.filter_map(|part| super::blob_key(&part.digest)));
        }
        Ok(keys)
    }

    /// An index of something that is wanted.
    async fn image_is_index(
        &self,
        info: &Info,
        reachable: &HashSet<String>,
    ) -> Result<bool, ImageError> {
        if info.size > DOCUMENT_MAX {
            return Ok(false);
        }
        let Some(bytes) = there(self.get_small(BUCKET, &info.key, DOCUMENT_MAX).await)? else {
            return Ok(false);
        };
        let Ok(index) = serde_json::from_slice::<Index>(&bytes) else { return Ok(false) };
        let mut listed = index.manifests.iter().filter_map(|one| super::blob_key(&one.digest));
        Ok(listed.any(|key| reachable.contains(&key)))
    }

    /// All objects under a prefix.
    async fn image_objects(&self, prefix: &str) -> Result<Vec<Info>, ImageError> {
        let (mut found, mut after) = (Vec::new(), None::<String>);
        loop {
            let page = self.list(BUCKET, prefix, None, after.as_deref(), 1000).await?;
            found.extend(page.entries.into_iter().filter_map(|entry| match entry {
                Entry::Object(info) => Some(info),
                Entry::Prefix(_) => None,
            }));
            match page.next {
                Some(next) => after = Some(next),
                None => return Ok(found),
            }
        }
    }

    /// Removes an object unless it was stored again meanwhile.
    async fn image_forget(&self, info: &Info, before: Timestamp) -> Result<bool, Error> {
        let key = info.key.clone();
        self.write(move |txn| {
            let bucket = bucket::get(txn, BUCKET)?;
            let old = txn.object_latest(bucket.id, &key)?.filter(|row| row.modified < before);
            if old.is_some() {
                versions::delete(txn, &bucket, &key, crate::objects::now())?;
            }
            Ok(old.is_some())
        })
        .await
    }
}
