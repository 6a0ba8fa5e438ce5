//! The kinds of a received pack's objects, and how far their deltas lead.
//!
//! Why bounded: whoever reads an object afterwards goes the way through all deltas that it builds on, for
//! its kind alone as well. A few megabytes of deltas, each built on the one before, would keep every
//! reader at work for hours.
//! Why together: the kind of a delta is that of its base. Each entry is looked at once, however many
//! build on it.

use super::broken;
use crate::{error::Error, failure::Failure};
use gix_object::Kind;
use gix_pack::{Bundle, data::entry::Header};

/// Deltas that may build on one another: Git itself makes no longer chains.
const DEPTH_MAX: u32 = 4095;

/// An entry that is known: its kind, and the deltas below it.
type Known = (Kind, u32);

struct Chains<'a> {
    bundle: &'a Bundle,
    /// Offsets of all entries with their numbers in the index, ascending.
    by_offset: Vec<(u64, u32)>,
    known: Vec<Option<Known>>,
}

/// What an entry is.
enum Found {
    Whole(Kind),
    /// A delta on the entry of this number.
    On(u32),
}

/// The kind of each object, in index order, from the entries' headers alone.
pub(super) fn kinds(bundle: &Bundle) -> Result<Vec<Kind>, Failure> {
    let numbers = 0..bundle.index.num_objects();
    let mut by_offset: Vec<(u64, u32)> =
        numbers.clone().map(|number| (bundle.index.pack_offset_at_index(number), number)).collect();
    by_offset.sort_unstable();
    let known = vec![None; by_offset.len()];
    let mut chains = Chains { bundle, by_offset, known };
    numbers.map(|number| chains.kind(number)).collect()
}

impl Chains<'_> {
    fn kind(&mut self, number: u32) -> Result<Kind, Failure> {
        let mut above = Vec::new();
        let mut at = number;
        let (kind, mut depth) = loop {
            if let Some(known) = self.known[at as usize] {
                break known;
            }
            match self.find(at)? {
                Found::Whole(kind) => {
                    self.known[at as usize] = Some((kind, 0));
                    break (kind, 0);
                }
                Found::On(base) => {
                    above.push(at);
                    at = base;
                }
            }
            if above.len() > DEPTH_MAX as usize {
                return Err(too_deep());
            }
        };
        for number in above.into_iter().rev() {
            depth += 1;
            self.known[number as usize] = Some((kind, depth));
        }
        if depth > DEPTH_MAX { Err(too_deep()) } else { Ok(kind) }
    }

    fn find(&self, number: u32) -> Result<Found, Error> {
        let path = self.bundle.pack.path();
        let offset = self.bundle.index.pack_offset_at_index(number);
        let entry = self.bundle.pack.entry(offset).map_err(broken("read a received pack", path))?;
        let base = match entry.header {
            Header::Commit => return Ok(Found::Whole(Kind::Commit)),
            Header::Tree => return Ok(Found::Whole(Kind::Tree)),
            Header::Blob => return Ok(Found::Whole(Kind::Blob)),
            Header::Tag => return Ok(Found::Whole(Kind::Tag)),
            Header::RefDelta { base_id } => self.bundle.index.lookup(base_id),
            Header::OfsDelta { base_distance } => {
                offset.checked_sub(base_distance).and_then(|offset| self.number_at(offset))
            }
        };
        base.map(Found::On).ok_or_else(|| Error::Objects {
            action: "find the base of a delta",
            path: path.to_owned(),
            source: format!("nothing of the pack is where the entry at {offset} says").into(),
        })
    }

    fn number_at(&self, offset: u64) -> Option<u32> {
        let found = self.by_offset.binary_search_by_key(&offset, |(offset, _)| *offset).ok()?;
        Some(self.by_offset[found].1)
    }
}

fn too_deep() -> Failure {
    Failure::Refused(format!(
        "more than {DEPTH_MAX} of its deltas build on one another; pack the copy anew (`git repack -adf`) and push again"
    ))
}
