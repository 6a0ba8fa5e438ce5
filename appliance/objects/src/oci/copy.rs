//! Giving an image a name: what a repository needs of it is written down with its tag, at once.

use super::{
    BUCKET, ImageError, Reference, Tagged, blob_key, damaged,
    record::{self, Record},
    shelf::{self, Shelf, link_key, manifest_key, tag_key},
    there,
};
use crate::{
    details,
    error::Error,
    objects::{Objects, now},
};
use std::collections::HashSet;
use store::Txn;

/// Manifests that one image leads to, attestations of all its variants among them.
const MANIFESTS_MAX: usize = 4096;

impl Objects {
    /// Lets names lead to stored manifests, and makes their repositories give out all their parts and
    /// what is said `about` them: pairs of a manifest and its subject.
    pub(super) async fn image_shelve(
        &self,
        images: Vec<(Reference, String)>,
        about: &[(String, String)],
        beside: impl FnOnce(&Txn<'_>) -> Result<(), store::Error> + Send + 'static,
    ) -> Result<(), ImageError> {
        let mut known = Vec::new();
        for (reference, digest) in images {
            let records = self.records_with(&reference.to_string(), &digest, about).await?;
            known.push((reference, digest, records));
        }
        let work = move |txn: &mut Txn<'_>| {
            let mut shelf = Shelf::open(txn, now())?;
            for (reference, digest, records) in &known {
                write_down(&mut shelf, reference.name(), records)?;
                shelf.tag(reference.name(), reference.tag(), digest)?;
            }
            Ok::<_, Error>(beside(txn)?)
        };
        Ok(self.write(work).await?)
    }

    /// Makes a repository give out all parts of what its tag leads to, as long as it leads there: who
    /// removes the name meanwhile is not undone.
    pub(super) async fn image_adopt(
        &self,
        reference: Reference,
        digest: String,
        records: Vec<(String, Record)>,
    ) -> Result<(), ImageError> {
        let work = move |txn: &mut Txn<'_>| {
            let mut shelf = Shelf::open(txn, now())?;
            let (key, bucket) = (tag_key(reference.name(), reference.tag()), shelf.bucket());
            let leads_to = shelf::small(shelf.txn(), bucket, &key)?;
            if leads_to.is_some_and(|leads_to| leads_to == digest.as_bytes()) {
                write_down(&mut shelf, reference.name(), &records)?;
            }
            Ok::<_, Error>(())
        };
        Ok(self.write(work).await?)
    }

    /// [`Objects::image_records`] with what is said about those manifests, and about that. What is about
    /// other images is passed over.
    async fn records_with(
        &self,
        reference: &str,
        digest: &str,
        about: &[(String, String)],
    ) -> Result<Vec<(String, Record)>, ImageError> {
        let mut records = self.image_records(reference, digest).await?;
        let mut known: HashSet<String> = records.iter().map(|(digest, _)| digest.clone()).collect();
        let next = |known: &HashSet<String>| {
            let fits = |(says, of): &&(String, String)| known.contains(of) && !known.contains(says);
            about.iter().find(fits).map(|(says, _)| says.clone())
        };
        while let Some(says) = next(&known) {
            let more = self.image_records(reference, &says).await?;
            known.extend(more.iter().map(|(digest, _)| digest.clone()));
            records.extend(more);
        }
        Ok(records)
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
    /// signed or attested for it goes along. `beside` is told its full name and writes in the same
    /// transaction.
    ///
    /// # Errors
    /// [`ImageError::Missing`], [`ImageError::Reference`], [`ImageError::Quota`], [`ImageError::Objects`];
    /// [`Error::Full`] within it above the high-water mark.
    pub async fn image_copy(
        &self,
        from: &str,
        to: &str,
        beside: impl FnOnce(&Txn<'_>, &str) -> Result<(), store::Error> + Send + 'static,
    ) -> Result<Tagged, ImageError> {
        self.room_for_rows(0)?;
        let digest = self.image_digest(from).await?;
        let (source, target) = (self.image_name(from)?, self.image_name(to)?);
        let tagged = Tagged { reference: target.to_string(), digest: digest.clone() };
        let full = tagged.reference.clone();
        let work = move |txn: &mut Txn<'_>| {
            let mut shelf = Shelf::open(txn, now())?;
            carry(&mut shelf, source.name(), target.name(), &digest)?;
            shelf.tag(target.name(), target.tag(), &digest)?;
            Ok::<_, Error>(beside(txn, &full)?)
        };
        let written = self.write(work).await.map_err(ImageError::Objects);
        self.bounded(written).await?;
        Ok(tagged)
    }
}

/// Writes down in a repository what it may give out.
fn write_down(
    shelf: &mut Shelf<'_, '_>,
    name: &str,
    records: &[(String, Record)],
) -> Result<(), Error> {
    for (digest, record) in records {
        for blob in &record.blobs {
            shelf.put(&link_key(name, blob), b"")?;
        }
        shelf.add(name, digest, record)?;
    }
    Ok(())
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
