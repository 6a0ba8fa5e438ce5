//! Writes a pack from stored objects, straight into a stream.
//!
//! Stored entries are copied. A stored delta is kept when its base is in the new pack as well, or
//! when the pack may be thin and the receiver has the base; else the object is written whole.
//! Memory: some tens of bytes for each object, and one object at a time.

use super::set::{PackSet, Place};
use crate::{error::Error, objects::Objects};
use flate2::{Compression, write::ZlibEncoder};
use gix_hash::{Hasher, Kind as HashKind, ObjectId};
use gix_pack::data::{Version, entry::Header, header};
use std::{
    collections::HashSet,
    io::{self, Write},
};

/// What the receiver of a pack understands and has.
#[derive(Debug, Default)]
pub(crate) struct Receiver {
    /// It takes deltas that name their base by distance.
    pub(crate) ofs_delta: bool,
    /// It completes deltas against objects that it has: these.
    pub(crate) thin: Option<HashSet<ObjectId>>,
}

/// One object on its way out.
struct Outgoing {
    id: ObjectId,
    place: Option<Place>,
    /// Where it was written; set as writing goes on.
    written_at: u64,
}

/// Writes `objects` as a pack; `on_object` is called after each.
pub(crate) fn write_pack(
    ids: Vec<ObjectId>,
    packs: &PackSet,
    objects: &Objects,
    receiver: &Receiver,
    to: impl Write,
    on_object: impl FnMut() -> io::Result<()>,
) -> Result<(), Error> {
    let mut all: Vec<Outgoing> =
        ids.into_iter().map(|id| Outgoing { id, place: packs.find(&id), written_at: 0 }).collect();
    // Stored order: a base precedes its deltas, and reading is sequential.
    all.sort_by_key(|object| object.place);
    let count = u32::try_from(all.len()).map_err(|_| Error::TooLarge {
        what: "the pack".into(),
        limit: format!("{} objects", u32::MAX),
    })?;
    let mut writer = PackWriter { all, packs, objects, receiver, out: Hashing::new(to) };
    writer.out.write_all(&header::encode(Version::V2, count)).map_err(Error::Transfer)?;
    writer.write_entries(on_object)?;
    writer.out.finish().map_err(Error::Transfer)
}

struct PackWriter<'a, W: Write> {
    all: Vec<Outgoing>,
    packs: &'a PackSet,
    objects: &'a Objects,
    receiver: &'a Receiver,
    out: Hashing<W>,
}

impl<W: Write> PackWriter<'_, W> {
    fn write_entries(
        &mut self,
        mut on_object: impl FnMut() -> io::Result<()>,
    ) -> Result<(), Error> {
        let mut buffer = Vec::new();
        for index in 0..self.all.len() {
            self.all[index].written_at = self.out.written;
            if !self.copy(index)? {
                self.write_whole(index, &mut buffer)?;
            }
            on_object().map_err(Error::Transfer)?;
        }
        Ok(())
    }

    /// Copies the stored entry; false when it must be written anew.
    fn copy(&mut self, index: usize) -> Result<bool, Error> {
        let Some(place) = self.all[index].place else { return Ok(false) };
        let (entry, bytes) = self.packs.entry(place)?;
        let header = match entry.header {
            Header::OfsDelta { base_distance } => {
                let Some(offset) = place.offset.checked_sub(base_distance) else {
                    return Ok(false);
                };
                match self.delta_header(index, Place { offset, ..place }) {
                    Some(header) => header,
                    None => return Ok(false),
                }
            }
            // Written by other programs only, and seldom: not worth a second way to find a base.
            Header::RefDelta { .. } => return Ok(false),
            whole => whole,
        };
        header.write_to(entry.decompressed_size, &mut self.out).map_err(Error::Transfer)?;
        self.out.write_all(bytes).map_err(Error::Transfer)?;
        Ok(true)
    }

    /// How the delta `index` names its base, stored at `base`; `None` when it cannot be used.
    fn delta_header(&self, index: usize, base: Place) -> Option<Header> {
        let before = &self.all[..index];
        if let Ok(found) = before.binary_search_by_key(&Some(base), |object| object.place) {
            let base = &before[found];
            return Some(if self.receiver.ofs_delta {
                Header::OfsDelta { base_distance: self.all[index].written_at - base.written_at }
            } else {
                Header::RefDelta { base_id: base.id }
            });
        }
        let had = self.receiver.thin.as_ref()?;
        let base_id = self.packs.id_at(base)?;
        had.contains(&base_id).then_some(Header::RefDelta { base_id })
    }

    fn write_whole(&mut self, index: usize, buffer: &mut Vec<u8>) -> Result<(), Error> {
        let data = self.objects.find(&self.all[index].id, buffer)?;
        let header = match data.kind {
            gix_object::Kind::Commit => Header::Commit,
            gix_object::Kind::Tree => Header::Tree,
            gix_object::Kind::Blob => Header::Blob,
            gix_object::Kind::Tag => Header::Tag,
        };
        header.write_to(data.data.len() as u64, &mut self.out).map_err(Error::Transfer)?;
        let mut deflate = ZlibEncoder::new(&mut self.out, Compression::fast());
        deflate.write_all(data.data).map_err(Error::Transfer)?;
        deflate.finish().map(drop).map_err(Error::Transfer)
    }
}

/// Counts and hashes what passes; ends with the hash.
struct Hashing<W> {
    inner: W,
    hasher: Hasher,
    written: u64,
}

impl<W: Write> Hashing<W> {
    fn new(inner: W) -> Self {
        Self { inner, hasher: gix_hash::hasher(HashKind::Sha1), written: 0 }
    }

    fn finish(mut self) -> io::Result<()> {
        let digest = self.hasher.try_finalize().map_err(io::Error::other)?;
        self.inner.write_all(digest.as_slice())?;
        self.inner.flush()
    }
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.inner.write(bytes)?;
        self.hasher.update(&bytes[..count]);
        self.written += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}
