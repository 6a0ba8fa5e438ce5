//! Throws away what nothing reaches any more: branches that were deleted, commits that were pushed
//! over.
//!
//! The way: mark all that references and kept revisions reach; choose old packs that are mostly
//! waste; mark, too, all that the other packs hold and reach; write what is left of the chosen ones
//! into a new pack, and put it in their place.
//! Invariants: every object that is there afterwards refers only to objects that are there as well,
//! reached or not, so that a push may build on any; a push that was checked before is checked anew
//! ([`crate::pack::receive`]); nothing goes while references or packs have changed since the walk;
//! the new pack is durable before the old ones go, so that a cut at any moment loses nothing.
//! Limits: packs younger than asked for stay whole; at most [`COPY_MAX`] are copied at a time, and a
//! pack with little waste is not worth it.
//! On failure: everything stays. A repository that lacks an object is not pruned.

mod mark;

use crate::{
    error::Error,
    pack::set::{PackSet, indices},
    refs::RefTable,
    repository::Repository,
    upkeep,
};
use gix_hash::ObjectId;
use mark::Marks;
use std::{fs, path::PathBuf, sync::atomic::Ordering, time::SystemTime};

/// Bytes of what is left that are copied at a time.
const COPY_MAX: u64 = 1 << 30;

/// A pack is written anew when at least one part of so many is waste.
const WASTE_SHARE: u64 = 4;

/// Walks, while pushes come in between.
const TRIES: usize = 3;

/// What was thrown away.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Pruned {
    /// Objects.
    pub objects: u64,
    /// Bytes that they took in their packs.
    pub bytes: u64,
}

/// What one pack holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Held {
    live: u64,
    waste: u64,
    /// It may be touched.
    is_old: bool,
}

/// The repository as it was looked at.
struct Seen {
    packs: PackSet,
    indices: Vec<PathBuf>,
    table: RefTable,
}

impl Repository {
    /// Throws away objects of packs that were written before `before` and that neither a reference
    /// nor one of the revisions in `keep` (40 hexadecimal digits; others are passed over) reaches.
    /// Pushes and fetches go on meanwhile. Takes as long as the history is large; does nothing
    /// while packs are put together.
    pub fn prune(&self, keep: &[String], before: SystemTime) -> Result<Pruned, Error> {
        let Some(_busy) = self.lock_upkeep() else { return Ok(Pruned::default()) };
        for _ in 0..TRIES {
            let seen = self.look()?;
            if let Some(pruned) = self.prune_seen(&seen, keep, before)? {
                return Ok(pruned);
            }
        }
        Ok(Pruned::default())
    }

    /// Under the lock nobody moves a pack in: one without an index is what a cut left.
    fn look(&self) -> Result<Seen, Error> {
        let _guard = self.lock()?;
        let dir = self.pack_dir();
        for entry in fs::read_dir(&dir).map_err(Error::file("list", &dir))? {
            let path = entry.map_err(Error::file("list", &dir))?.path();
            let is_pack = path.extension().is_some_and(|extension| extension == "pack");
            if is_pack && !path.with_extension("idx").exists() {
                upkeep::remove(&path)?;
            }
        }
        Ok(Seen {
            packs: PackSet::open(&dir)?,
            indices: indices(&dir)?,
            table: self.refs().read()?,
        })
    }

    /// `None` when somebody changed the repository meanwhile.
    fn prune_seen(
        &self,
        seen: &Seen,
        keep: &[String],
        before: SystemTime,
    ) -> Result<Option<Pruned>, Error> {
        let objects = self.objects()?;
        let mut marks = Marks::new(&seen.packs, &objects);
        let kept = keep.iter().filter_map(|text| ObjectId::from_hex(text.as_bytes()).ok());
        let kept = kept.filter(|id| seen.packs.locate(id).is_some());
        for root in seen.table.iter().map(|(_, entry)| entry.target).chain(kept) {
            marks.mark(root)?;
        }
        let chosen = choose(&held(seen, &marks, before)?);
        for pack in (0..seen.indices.len()).filter(|pack| !chosen.contains(pack)) {
            for number in 0..length(&seen.packs, pack) {
                if !marks.has(pack, number) {
                    marks.mark(seen.packs.stored(pack, number).0)?;
                }
            }
        }
        let (left, pruned) = sort(seen, &marks, &chosen);
        if pruned.objects == 0 {
            return Ok(Some(pruned));
        }
        let incoming = self.shared().incoming()?;
        let new = match left.is_empty() {
            true => None,
            false => Some(upkeep::write(self, &seen.packs, left, &incoming)?),
        };
        let _guard = self.lock()?;
        if self.refs().read()? != seen.table || indices(&self.pack_dir())? != seen.indices {
            return Ok(None);
        }
        let old: Vec<PathBuf> =
            chosen.iter().map(|pack| seen.packs.path(*pack).to_owned()).collect();
        self.prunes().fetch_add(1, Ordering::AcqRel);
        upkeep::replace(self, &old, new.as_deref())?;
        Ok(Some(pruned))
    }
}

fn length(packs: &PackSet, pack: usize) -> u32 {
    packs.lengths().nth(pack).unwrap_or(0)
}

/// What each pack holds, in bytes.
fn held(seen: &Seen, marks: &Marks<'_>, before: SystemTime) -> Result<Vec<Held>, Error> {
    let mut all = Vec::with_capacity(seen.indices.len());
    for pack in 0..seen.indices.len() {
        let path = seen.packs.path(pack);
        let written = fs::metadata(path).and_then(|meta| meta.modified());
        let written = written.map_err(Error::file("look at", path))?;
        let mut held = Held { is_old: written < before, ..Held::default() };
        for number in 0..length(&seen.packs, pack) {
            let (_, size) = seen.packs.stored(pack, number);
            *if marks.has(pack, number) { &mut held.live } else { &mut held.waste } += size;
        }
        all.push(held);
    }
    Ok(all)
}

/// The packs that are worth it, those that are mostly waste first, within [`COPY_MAX`].
fn choose(all: &[Held]) -> Vec<usize> {
    let worth = |held: &Held| held.waste > 0 && held.waste * WASTE_SHARE >= held.live + held.waste;
    let mut chosen: Vec<usize> =
        (0..all.len()).filter(|pack| all[*pack].is_old && worth(&all[*pack])).collect();
    chosen.sort_by_key(|pack| all[*pack].live);
    let mut copied = 0;
    chosen.retain(|pack| {
        copied += all[*pack].live;
        copied <= COPY_MAX
    });
    chosen.sort_unstable();
    chosen
}

/// Of the chosen packs: the objects that stay, and the sum of those that go.
fn sort(seen: &Seen, marks: &Marks<'_>, chosen: &[usize]) -> (Vec<ObjectId>, Pruned) {
    let (mut left, mut pruned) = (Vec::new(), Pruned::default());
    for pack in chosen {
        for number in 0..length(&seen.packs, *pack) {
            let (id, size) = seen.packs.stored(*pack, number);
            if marks.has(*pack, number) {
                left.push(id);
            } else {
                pruned.objects += 1;
                pruned.bytes += size;
            }
        }
    }
    (left, pruned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(all: &[(u64, u64, bool)], expected: &[usize]) {
        let all: Vec<Held> = all
            .iter()
            .map(|(live, waste, is_old)| Held { live: *live, waste: *waste, is_old: *is_old })
            .collect();
        assert_eq!(choose(&all), expected, "{all:?}");
    }

    #[test]
    fn old_packs_with_much_waste_are_written_anew() {
        check(&[(0, 9, true), (3, 1, true), (4, 1, true), (0, 0, true), (9, 0, true)], &[0, 1]);
        check(&[(0, 9, false), (1, 9, false)], &[]);
        check(&[(COPY_MAX, COPY_MAX, true), (1, 9, true), (0, 5, true)], &[1, 2]);
        check(&[(COPY_MAX + 1, COPY_MAX, true)], &[]);
    }
}
