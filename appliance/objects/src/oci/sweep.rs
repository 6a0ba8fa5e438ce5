//! Gives back the space of images that no name leads to any more, and of pushes that were cut.
//!
//! The way: one look at all small objects of the bucket, a pure decision, one transaction for all
//! of it, so that nothing is pushed in between.
//! Invariants: what a tag leads to stays, with all that says something about it; so does everything
//! younger than [`AGE`], as a push writes its tag last and a plan may have pinned what a tag led to
//! a moment ago. What only shows what would go writes nothing.

use super::{
    BUCKET, ImageError, Reference, STAGED, TAGS, Tagged,
    record::Record,
    reference::hex_of,
    shelf::{LINKS, MANIFESTS, REFERRERS, Shelf, manifest_key, rows},
    there,
};
use crate::{bucket, details, error::Error, objects::Objects};
use base::time::Timestamp;
use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    time::Duration,
};
use store::Reader;

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

/// A name without a record, as an older program imported it, and what it leads to.
struct Unrecorded {
    reference: Reference,
    digest: String,
    records: Vec<(String, Record)>,
}

impl Shelves {
    /// Knows it as if it had just been written down.
    fn adopt(&mut self, one: Unrecorded) {
        let name = one.reference.name().to_owned();
        let here = |digest: &String| Some((name.clone(), hex_of(digest)?.to_owned()));
        for (digest, record) in one.records {
            for blob in record.blobs.iter().filter_map(here) {
                self.links.entry(blob).or_insert(true);
            }
            if let Some(place) = here(&digest) {
                self.manifests.entry(place).or_insert((record, true));
            }
        }
    }
}

fn look(reader: &Reader<'_>, bucket: i64, before: Timestamp) -> Result<Shelves, Error> {
    let mut shelves = Shelves::default();
    for (row, text) in rows(reader, bucket, TAGS)? {
        let digest = String::from_utf8_lossy(&text).into_owned();
        if let (Some((name, _)), Some(hex)) = (place(&row.key, TAGS), hex_of(&digest)) {
            shelves.tags.insert((name, hex.to_owned()));
        }
    }
    for (row, text) in rows(reader, bucket, MANIFESTS)? {
        let Some(place) = place(&row.key, MANIFESTS) else { continue };
        let record = details::parse(&row.key, &String::from_utf8_lossy(&text))?;
        shelves.manifests.insert(place, (record, row.modified >= before));
    }
    for (row, _) in rows(reader, bucket, LINKS)? {
        if let Some(place) = place(&row.key, LINKS) {
            shelves.links.insert(place, row.modified >= before);
        }
    }
    Ok(shelves)
}

/// Keys that go.
fn unwanted(
    reader: &Reader<'_>,
    bucket: i64,
    shelves: &Shelves,
    before: Timestamp,
) -> Result<Vec<String>, Error> {
    let wanted = decide(shelves);
    let mut keys = Vec::new();
    let gone = |place: &Place| !wanted.manifests.contains(place);
    let manifests = shelves.manifests.keys().filter(|place| gone(place));
    keys.extend(manifests.map(|(name, hex)| format!("{MANIFESTS}{name}:{hex}")));
    let links = shelves.links.keys().filter(|place| !wanted.links.contains(*place));
    keys.extend(links.map(|(name, hex)| format!("{LINKS}{name}:{hex}")));
    for (row, _) in rows(reader, bucket, REFERRERS)? {
        let Some((name, hex)) = place(&row.key, REFERRERS) else { continue };
        let name = name.rsplit_once(':').map_or(name.clone(), |(name, _)| name.to_owned());
        if gone(&(name, hex)) {
            keys.push(row.key);
        }
    }
    for (prefix, wanted) in [(STAGED, &HashSet::new()), (BLOBS, &wanted.blobs)] {
        let mut from = prefix.to_owned();
        while let Some(row) = reader.object_list(bucket, &from, 1)?.pop() {
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
        for one in self.image_unrecorded().await? {
            self.image_adopt(one.reference, one.digest, one.records).await?;
        }
        let keys = self
            .write(move |txn| {
                let mut shelf = Shelf::open(txn, now)?;
                let bucket = shelf.bucket();
                let shelves = look(shelf.txn(), bucket, before)?;
                let keys = unwanted(shelf.txn(), bucket, &shelves, before)?;
                for key in &keys {
                    shelf.remove(key)?;
                }
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
        let unrecorded = self.image_unrecorded().await?;
        let planned = self.read(move |reader| {
            let bucket = bucket::get(reader, BUCKET)?.id;
            let mut shelves = look(reader, bucket, before)?;
            unrecorded.into_iter().for_each(|one| shelves.adopt(one));
            let keys = unwanted(reader, bucket, &shelves, before)?;
            let mut bytes = 0;
            for key in &keys {
                let row = reader.object_latest(bucket, key)?;
                bytes += row.map_or(0, |row| row.size);
            }
            Ok((keys.len() as u64, bytes))
        });
        Ok(planned.await?)
    }

    /// Names without a record, and what they lead to: those that an older program imported.
    async fn image_unrecorded(&self) -> Result<Vec<Unrecorded>, ImageError> {
        let mut found = Vec::new();
        for Tagged { reference, digest } in self.image_list().await? {
            let named: Reference = reference.parse()?;
            let key = manifest_key(named.name(), &digest);
            if there(self.head(BUCKET, &key).await)?.is_some() {
                continue;
            }
            match self.image_records(&reference, &digest).await {
                Ok(records) => found.push(Unrecorded { reference: named, digest, records }),
                Err(error) => {
                    tracing::warn!(%error, "an image that cannot be read is kept as far as it is known");
                }
            }
        }
        Ok(found)
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

    #[tokio::test]
    async fn a_name_that_was_removed_meanwhile_is_not_adopted() {
        let site = crate::s3::matrix::site().await;
        let objects = &site.objects;
        let config = br#"{"rootfs":{}}"#;
        let named = |bytes: &[u8]| {
            let hex = crate::digest::hex(&<sha2::Sha256 as sha2::Digest>::digest(bytes));
            (format!("sha256:{hex}"), format!("{BLOBS}{hex}"))
        };
        let manifest = format!(
            r#"{{"schemaVersion":2,"config":{{"digest":"{}","size":2}},"layers":[]}}"#,
            named(config).0
        );
        for bytes in [config, manifest.as_bytes()] {
            objects.put(BUCKET, &named(bytes).1, bytes.to_vec()).await.unwrap();
        }
        let (digest, tag) = (named(manifest.as_bytes()).0, "tags/docker.io/old/app:1");
        objects.put(BUCKET, tag, digest.clone().into_bytes()).await.unwrap();
        for removed in [true, false] {
            let one = objects.image_unrecorded().await.unwrap().pop().unwrap();
            if removed {
                objects.delete(BUCKET, tag).await.unwrap();
            }
            objects.image_adopt(one.reference, one.digest, one.records).await.unwrap();
            assert_eq!(objects.image_list().await.unwrap().is_empty(), removed);
            let records = objects.list(BUCKET, MANIFESTS, None, None, 9).await.unwrap().entries;
            assert_eq!(records.is_empty(), removed, "{records:?}");
            objects.put(BUCKET, tag, digest.clone().into_bytes()).await.unwrap();
        }
    }
}
