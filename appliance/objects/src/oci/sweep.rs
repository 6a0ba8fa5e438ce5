//! Gives back the space of images that no name leads to any more, and of pushes that were cut.
//!
//! The way: one look at all small objects of the bucket, a pure decision, one transaction for all
//! of it, so that nothing is pushed in between.
//! Invariants: what a tag leads to stays, with all that says something about it; so does everything
//! younger than [`AGE`], as a push writes its tag last and a plan may have pinned what a tag led to
//! a moment ago.

use super::{
    BUCKET, ImageError, Reference, STAGED, TAGS,
    record::Record,
    reference::hex_of,
    shelf::{LINKS, MANIFESTS, REFERRERS, Shelf, rows},
};
use crate::{details, error::Error, objects::Objects};
use base::time::Timestamp;
use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    time::Duration,
};

/// Longer than any push takes.
pub const AGE: Duration = Duration::from_secs(24 * 3600);

/// Where blobs are.
const BLOBS: &str = "blobs/sha256/";

/// Unfinished uploads looked at in one sweep.
const UPLOADS: u32 = 10_000;

/// A repository and the digits of a digest.
type Place = (String, String);

/// What the bucket holds, as far as the decision needs it.
#[derive(Debug, Default)]
struct Shelves {
    tags: BTreeSet<Place>,
    /// With whether it is young.
    manifests: BTreeMap<Place, (Record, bool)>,
    links: BTreeMap<Place, bool>,
}

/// What stays.
#[derive(Debug, Default, PartialEq, Eq)]
struct Wanted {
    manifests: BTreeSet<Place>,
    links: BTreeSet<Place>,
    /// Digits.
    blobs: HashSet<String>,
}

/// Decides, pure.
fn decide(shelves: &Shelves) -> Wanted {
    let mut about: BTreeMap<Place, Vec<&Place>> = BTreeMap::new();
    for (place, (record, _)) in &shelves.manifests {
        if let Some(subject) = record.subject.as_deref().and_then(hex_of) {
            about.entry((place.0.clone(), subject.to_owned())).or_default().push(place);
        }
    }
    let mut wanted = Wanted::default();
    let young = shelves.manifests.iter().filter(|(_, (_, young))| *young).map(|(place, _)| place);
    let mut open: Vec<Place> = shelves.tags.iter().chain(young).cloned().collect();
    while let Some(place) = open.pop() {
        wanted.blobs.insert(place.1.clone());
        if !wanted.manifests.insert(place.clone()) {
            continue;
        }
        open.extend(about.get(&place).into_iter().flatten().map(|other| (*other).clone()));
        let Some((record, _)) = shelves.manifests.get(&place) else { continue };
        let here = |digest: &String| Some((place.0.clone(), hex_of(digest)?.to_owned()));
        open.extend(record.manifests.iter().filter_map(here));
        wanted.links.extend(record.blobs.iter().filter_map(here));
    }
    let young = shelves.links.iter().filter(|(_, young)| **young).map(|(place, _)| place);
    wanted.links.extend(young.cloned());
    wanted.blobs.extend(wanted.links.iter().map(|(_, hex)| hex.clone()));
    wanted
}

/// `<prefix><name>:<hex>` taken apart.
fn place(key: &str, prefix: &str) -> Option<Place> {
    let (name, hex) = key.strip_prefix(prefix)?.rsplit_once(':')?;
    Some((name.to_owned(), hex.to_owned()))
}

fn look(shelf: &mut Shelf<'_, '_>, before: Timestamp) -> Result<Shelves, Error> {
    let bucket = shelf.bucket();
    let txn = shelf.txn();
    let mut shelves = Shelves::default();
    for (row, text) in rows(txn, bucket, TAGS)? {
        let digest = String::from_utf8_lossy(&text).into_owned();
        if let (Some((name, _)), Some(hex)) = (place(&row.key, TAGS), hex_of(&digest)) {
            shelves.tags.insert((name, hex.to_owned()));
        }
    }
    for (row, text) in rows(txn, bucket, MANIFESTS)? {
        let Some(place) = place(&row.key, MANIFESTS) else { continue };
        let record = details::parse(&row.key, &String::from_utf8_lossy(&text))?;
        shelves.manifests.insert(place, (record, row.modified >= before));
    }
    for (row, _) in rows(txn, bucket, LINKS)? {
        if let Some(place) = place(&row.key, LINKS) {
            shelves.links.insert(place, row.modified >= before);
        }
    }
    Ok(shelves)
}

/// Keys that go.
fn unwanted(
    shelf: &mut Shelf<'_, '_>,
    shelves: &Shelves,
    before: Timestamp,
) -> Result<Vec<String>, Error> {
    let wanted = decide(shelves);
    let bucket = shelf.bucket();
    let mut keys = Vec::new();
    let gone = |place: &Place| !wanted.manifests.contains(place);
    let manifests = shelves.manifests.keys().filter(|place| gone(place));
    keys.extend(manifests.map(|(name, hex)| format!("{MANIFESTS}{name}:{hex}")));
    let links = shelves.links.keys().filter(|place| !wanted.links.contains(*place));
    keys.extend(links.map(|(name, hex)| format!("{LINKS}{name}:{hex}")));
    for (row, _) in rows(shelf.txn(), bucket, REFERRERS)? {
        let Some((name, hex)) = place(&row.key, REFERRERS) else { continue };
        let name = name.rsplit_once(':').map_or(name.clone(), |(name, _)| name.to_owned());
        if gone(&(name, hex)) {
            keys.push(row.key);
        }
    }
    for (prefix, wanted) in [(STAGED, &HashSet::new()), (BLOBS, &wanted.blobs)] {
        let mut from = prefix.to_owned();
        while let Some(row) = shelf.txn().object_list(bucket, &from, 1)?.pop() {
            let Some(hex) = row.key.strip_prefix(prefix) else { break };
            if row.modified < before && !wanted.contains(hex) {
                keys.push(row.key.clone());
            }
            from = format!("{}\0", row.key);
        }
    }
    Ok(keys)
}

impl Objects {
    /// Removes what removed names and cut pushes left behind for [`AGE`]; tells how many objects
    /// that were. Their bytes are given back by [`Objects::gc`].
    ///
    /// # Errors
    /// [`ImageError::Objects`]; then nothing was removed.
    pub async fn image_sweep(&self, now: Timestamp) -> Result<u64, ImageError> {
        let before = Timestamp(now.0 - i64::try_from(AGE.as_micros()).unwrap_or(i64::MAX));
        self.image_adopt().await?;
        let keys = self
            .write(move |txn| {
                let mut shelf = Shelf::open(txn, now)?;
                let shelves = look(&mut shelf, before)?;
                let keys = unwanted(&mut shelf, &shelves, before)?;
                for key in &keys {
                    shelf.remove(key)?;
                }
                let bucket = shelf.bucket();
                for upload in shelf.txn().upload_list(bucket, "", 0, UPLOADS)? {
                    if upload.started < before {
                        shelf.txn().upload_delete(upload.id, now)?;
                    }
                }
                Ok::<_, Error>(keys.len())
            })
            .await?;
        Ok(keys as u64)
    }

    /// What [`Objects::image_sweep`] would remove at `now`: objects, and the bytes that they name.
    ///
    /// # Errors
    /// [`ImageError::Objects`].
    pub async fn image_plan(&self, now: Timestamp) -> Result<(u64, u64), ImageError> {
        let before = Timestamp(now.0 - i64::try_from(AGE.as_micros()).unwrap_or(i64::MAX));
        self.image_adopt().await?;
        let planned = self.write(move |txn| {
            let mut shelf = Shelf::open(txn, now)?;
            let shelves = look(&mut shelf, before)?;
            let keys = unwanted(&mut shelf, &shelves, before)?;
            let bucket = shelf.bucket();
            let mut bytes = 0;
            for key in &keys {
                let row = shelf.txn().object_latest(bucket, key)?;
                bytes += row.map_or(0, |row| row.size);
            }
            Ok::<_, Error>((keys.len() as u64, bytes))
        });
        Ok(planned.await?)
    }

    /// Writes down what names without a record lead to: those that an older program imported.
    async fn image_adopt(&self) -> Result<(), ImageError> {
        for tagged in self.image_list().await? {
            let reference: Reference = tagged.reference.parse()?;
            let key = super::shelf::manifest_key(reference.name(), &tagged.digest);
            if super::there(self.head(BUCKET, &key).await)?.is_some() {
                continue;
            }
            if let Err(error) = self.image_shelve(&reference, &tagged.digest).await {
                tracing::warn!(%error, "an image that cannot be read is kept as far as it is known");
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(letter: char) -> String {
        format!("sha256:{}", letter.to_string().repeat(64))
    }

    fn at(letter: char) -> Place {
        ("r".into(), letter.to_string().repeat(64))
    }

    /// Manifests `letter:manifests:blobs:subject:young`, tags and links by letter; what stays.
    fn check(manifests: &[&str], tags: &str, links: &str, expected: (&str, &str, &str)) {
        let mut shelves = Shelves::default();
        for text in manifests {
            let parts: Vec<&str> = text.split(':').collect();
            let digests = |part: &str| part.chars().map(digest).collect::<Vec<_>>();
            let record = Record {
                manifests: digests(parts[1]),
                blobs: digests(parts[2]),
                subject: parts[3].chars().next().map(digest),
                ..Record::default()
            };
            let young = parts[4] == "young";
            shelves.manifests.insert(at(parts[0].chars().next().unwrap()), (record, young));
        }
        shelves.tags = tags.chars().map(at).collect();
        shelves.links =
            links.chars().map(|one| (at(one.to_ascii_lowercase()), one.is_uppercase())).collect();
        let wanted = decide(&shelves);
        let letters = |places: &mut dyn Iterator<Item = &String>| {
            let mut all: Vec<char> = places.filter_map(|hex| hex.chars().next()).collect();
            all.sort_unstable();
            all.into_iter().collect::<String>()
        };
        let found = (
            letters(&mut wanted.manifests.iter().map(|(_, hex)| hex)),
            letters(&mut wanted.links.iter().map(|(_, hex)| hex)),
            letters(&mut wanted.blobs.iter()),
        );
        let expected = (expected.0.to_owned(), expected.1.to_owned(), expected.2.to_owned());
        assert_eq!(found, expected, "{manifests:?}");
    }

    #[test]
    fn what_a_tag_leads_to_stays_with_all_that_is_said_about_it() {
        check(&["a::bc::old"], "a", "bcd", ("a", "bc", "abc"));
        check(&["a:b:::old", "b::c::old", "e::f::old"], "a", "cf", ("ab", "c", "abc"));
        check(&["a::b::old", "c::d:a:old", "e::f:c:old"], "a", "bdf", ("ace", "bdf", "abcdef"));
        check(&["c::d:a:old"], "", "d", ("", "", ""));
    }

    #[test]
    fn what_is_young_stays_and_circles_end() {
        check(&["a::b::young"], "", "b", ("a", "b", "ab"));
        check(&[], "", "Bc", ("", "b", "b"));
        check(&["a:b::b:old", "b:a::a:old"], "a", "", ("ab", "", "ab"));
    }
}
