//! Giving an image a name: what a repository needs of it is written down with its tag, at once.

use super::{
    BUCKET, ImageError, Reference, Tagged, blob_key, damaged,
    record::{self, Record},
    shelf::{self, Shelf, link_key, manifest_key},
    there,
};
use crate::{
    details,
    error::Error,
    objects::{Objects, now},
};
use std::collections::HashSet;

/// Manifests that one image leads to, attestations of all its variants among them.
const MANIFESTS_MAX: usize = 4096;

impl Objects {
    /// Lets a name lead to a stored manifest, and makes its repository give out all its parts.
    pub(super) async fn image_shelve(
        &self,
        reference: &Reference,
        digest: &str,
    ) -> Result<(), ImageError> {
        let records = self.image_records(&reference.to_string(), digest).await?;
        let (name, tag) = (reference.name().to_owned(), reference.tag().to_owned());
        let digest = digest.to_owned();
        let work = move |txn: &mut store::Txn<'_>| {
            let mut shelf = Shelf::open(txn, now())?;
            for (digest, record) in &records {
                for blob in &record.blobs {
                    shelf.put(&link_key(&name, blob), b"")?;
                }
                shelf.add(&name, digest, record)?;
            }
            shelf.tag(&name, &tag, &digest)
        };
        Ok(self.write(work).await?)
    }

    /// A manifest and all that it leads to, as far as they are here.
    pub(super) async fn image_records(
        &self,
        reference: &str,
        digest: &str,
    ) -> Result<Vec<(String, Record)>, ImageError> {
        let (mut found, mut seen) = (Vec::new(), HashSet::new());
        let mut open = vec![digest.to_owned()];
        while let Some(next) = open.pop() {
            if seen.len() >= MANIFESTS_MAX || !seen.insert(next.clone()) {
                continue;
            }
            let key = blob_key(&next).ok_or_else(|| damaged(reference, &next))?;
            // Variants for other machines are often left out of an archive.
            if there(self.head(BUCKET, &key).await)?.is_none() && next != digest {
                continue;
            }
            let text = self.image_document(reference, &next).await?;
            let read = record::read(text.as_bytes(), None);
            let record = read.map_err(|why| damaged(reference, &format!("{next}: {why}")))?;
            open.extend(record.manifests.iter().cloned());
            found.push((next, record));
        }
        Ok(found)
    }

    /// Gives an image a further name, in its repository or another one. No bytes move; what was
    /// signed or attested for it goes along.
    ///
    /// # Errors
    /// [`ImageError::Missing`], [`ImageError::Reference`], [`ImageError::Objects`].
    pub async fn image_copy(&self, from: &str, to: &str) -> Result<Tagged, ImageError> {
        let digest = self.image_digest(from).await?;
        let (source, target) = (self.image_name(from)?, self.image_name(to)?);
        let tagged = Tagged { reference: target.to_string(), digest: digest.clone() };
        let work = move |txn: &mut store::Txn<'_>| {
            let mut shelf = Shelf::open(txn, now())?;
            carry(&mut shelf, source.name(), target.name(), &digest)?;
            shelf.tag(target.name(), target.tag(), &digest)
        };
        self.write(work).await?;
        Ok(tagged)
    }
}

/// Writes down in repository `to` what `from` knows of a manifest and of what belongs to it.
fn carry(shelf: &mut Shelf<'_, '_>, from: &str, to: &str, digest: &str) -> Result<(), Error> {
    let (mut open, mut seen) = (vec![digest.to_owned()], HashSet::new());
    while let Some(next) = open.pop() {
        if seen.len() >= MANIFESTS_MAX || !seen.insert(next.clone()) {
            continue;
        }
        let (key, bucket) = (manifest_key(from, &next), shelf.bucket());
        let Some(text) = shelf::small(shelf.txn(), bucket, &key)? else { continue };
        let record: Record = details::parse(&key, &String::from_utf8_lossy(&text))?;
        for blob in &record.blobs {
            shelf.put(&link_key(to, blob), b"")?;
        }
        shelf.add(to, &next, &record)?;
        open.extend(record.manifests);
        let prefix = shelf::referrers_prefix(from, &next);
        for (row, _) in shelf::rows(shelf.txn(), bucket, &prefix)? {
            open.push(format!("sha256:{}", &row.key[prefix.len()..]));
        }
    }
    Ok(())
}
