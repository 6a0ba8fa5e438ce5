//! Keeps a repository quick and tells whether it is whole.
//!
//! Why: every push brings a pack; to find an object among hundreds of packs takes as many looks.
//! Small packs are put together when there are many, and each object is copied at most once per
//! doubling of the repository, so that the work stays small beside the pushes that caused it.
//! Invariants: the new pack is durable before the old ones go; who reads from an old one reads on.
//! Nothing is thrown away here: what no reference reaches stays until [`crate::prune`].

use crate::{
    durable,
    error::{Cause, Error},
    pack::{
        receive::{check, move_pack},
        set::{PackSet, indices},
        write::{Receiver, write_pack},
    },
    repository::Repository,
    shelf::Incoming,
};
use gix_hash::{Kind as HashKind, ObjectId};
use gix_pack::{Bundle, bundle::write::Options};
use gix_utils::progress::Discard;
use std::{
    fs::{self, File},
    io::{BufReader, BufWriter, Write},
    path::{Path, PathBuf},
    sync::atomic::AtomicBool,
};

/// More packs than this are put together. A look into each costs about a microsecond.
const PACKS_MAX: usize = 24;

/// Larger packs are left as they are: copying one is an event, not upkeep.
const MERGE_MAX: u64 = 1 << 30;

/// Looks whether a push left too many packs behind. What fails is logged; nothing depends on it.
pub(crate) fn after_push(repository: &Repository) {
    match tidy(repository, PACKS_MAX) {
        Ok(0) => {}
        Ok(count) => {
            tracing::info!(repository = %repository.name(), packs = count, "packs were put together");
        }
        Err(error) => {
            let cause = std::error::Error::source(&error).map(ToString::to_string);
            tracing::warn!(repository = %repository.name(), %error, cause, "packs could not be put together");
        }
    }
}

/// Puts packs together if there are more than `max`; returns how many became one.
fn tidy(repository: &Repository, max: usize) -> Result<usize, Error> {
    let Some(_busy) = repository.lock_upkeep() else { return Ok(0) };
    let all = sizes(&indices(&repository.pack_dir())?)?;
    if all.len() <= max {
        return Ok(0);
    }
    let chosen = choose(all);
    if chosen.len() < 2 {
        return Ok(0);
    }
    let incoming = repository.shared().incoming()?;
    let merged = merge(repository, &chosen, &incoming)?;
    let _guard = repository.lock()?;
    replace(repository, &chosen, Some(&merged))?;
    Ok(chosen.len())
}

/// Puts a pack in the place of others, durably: what is in both is never missing. The caller
/// holds the lock.
pub(crate) fn replace(
    repository: &Repository,
    old: &[PathBuf],
    new: Option<&Path>,
) -> Result<(), Error> {
    if let Some(new) = new {
        move_pack(new, &repository.pack_dir())?;
    }
    // A pack is named after its objects: the new one may be an old one.
    let name = new.and_then(Path::file_name);
    // The index first: a pack without one is not seen.
    for old in old.iter().filter(|old| old.file_name() != name) {
        remove(old)?;
        remove(&old.with_extension("pack"))?;
    }
    durable::sync_dir(&repository.pack_dir())
}

pub(crate) fn remove(path: &Path) -> Result<(), Error> {
    fs::remove_file(path).map_err(Error::file("remove", path))
}

fn sizes(indices: &[PathBuf]) -> Result<Vec<(u64, PathBuf)>, Error> {
    let mut sized = Vec::with_capacity(indices.len());
    for index in indices {
        let pack = index.with_extension("pack");
        let size = fs::metadata(&pack).map_err(Error::file("look at", &pack))?.len();
        sized.push((size, index.clone()));
    }
    Ok(sized)
}

/// The smallest packs, up to the first that is larger than all smaller ones together.
fn choose(mut all: Vec<(u64, PathBuf)>) -> Vec<PathBuf> {
    all.retain(|(size, _)| *size < MERGE_MAX);
    all.sort();
    let mut below = Vec::with_capacity(all.len());
    let mut total: u64 = 0;
    for (size, _) in &all {
        below.push(total);
        total = total.saturating_add(*size);
    }
    // Counted from the largest: a pack at least twice as large as what lies below it stays.
    let stay = all.iter().zip(&below).rev().take_while(|((size, _), below)| *size >= 2 * **below);
    let keep = all.len() - stay.count();
    all.into_iter().take(keep).map(|(_, path)| path).collect()
}

/// Writes one pack of all objects in the `chosen` ones; returns the path of its index.
fn merge(repository: &Repository, chosen: &[PathBuf], to: &Incoming) -> Result<PathBuf, Error> {
    let packs = repository.packs()?;
    let ids = packs.ids(chosen).into_iter().collect();
    write(repository, &packs, ids, to)
}

/// Writes one pack of these objects; returns the path of its index.
pub(crate) fn write(
    repository: &Repository,
    packs: &PackSet,
    ids: Vec<ObjectId>,
    to: &Incoming,
) -> Result<PathBuf, Error> {
    let draft = to.path().join("draft");
    let file = File::create(&draft).map_err(Error::file("make", &draft))?;
    let mut out = BufWriter::new(file);
    let receiver = Receiver { ofs_delta: true, thin: None };
    write_pack(ids, packs, &repository.objects()?, &receiver, &mut out, || Ok(()))?;
    out.flush().map_err(Error::file("write", &draft))?;
    let file = File::open(&draft).map_err(Error::file("open", &draft))?;
    let options = Options {
        thread_limit: Some(1),
        alloc_limit_bytes: repository.limits().allocation(),
        ..Options::default()
    };
    let none: Option<gix_odb::Handle> = None;
    // Indexing reads back and hashes every object: the copy is checked before the old ones go.
    let written = Bundle::write_to_directory(
        &mut BufReader::new(file),
        Some(to.path()),
        &mut Discard,
        &AtomicBool::new(false),
        none,
        HashKind::Sha1,
        options,
    )
    .map_err(|error| damage("put packs together", to.path(), error))?;
    written.index_path.ok_or_else(|| damage("put packs together", to.path(), "the pack is empty"))
}

fn damage(action: &'static str, path: &Path, cause: impl Into<Cause>) -> Error {
    Error::Objects { action, path: path.to_owned(), source: cause.into() }
}

impl Repository {
    /// Reads everything: checksums of all packs, every commit, tree and tag and what they refer
    /// to, and every reference. Returns what is wrong, in words; takes as long as the repository
    /// is large.
    pub fn check(&self) -> Result<Vec<String>, Error> {
        let mut problems = Vec::new();
        let objects = self.objects()?;
        for index in indices(&self.pack_dir())? {
            let bundle = Bundle::at(&index, HashKind::Sha1)
                .map_err(|error| damage("open a pack", &index, error))?;
            let stop = AtomicBool::new(false);
            let sums = bundle
                .index
                .verify_checksum(&mut Discard, &stop)
                .and_then(|_| bundle.pack.verify_checksum(&mut Discard, &stop));
            if let Err(error) = sums {
                problems.push(format!("{}: {error}", index.display()));
            } else if let Err(failure) = check::check(&bundle, &objects, self.limits()) {
                problems.push(format!("{}: {}", index.display(), failure.message()));
            }
        }
        for (name, entry) in self.refs().read()?.iter() {
            if !objects.contains(&entry.target) {
                problems.push(format!("{name} points at {}, which is missing", entry.target));
            }
        }
        Ok(problems)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_choice(sizes: &[u64], expected: usize) {
        let all = sizes.iter().map(|size| (*size, PathBuf::from(size.to_string()))).collect();
        assert_eq!(choose(all).len(), expected, "{sizes:?}");
    }

    #[test]
    fn small_packs_are_put_together_and_large_ones_stay() {
        check_choice(&[1, 1, 1, 1], 4);
        check_choice(&[1000, 1, 1, 1], 3);
        check_choice(&[1000, 900, 1, 1], 4);
        check_choice(&[1000, 100, 10, 1], 0);
        check_choice(&[MERGE_MAX, 1, 1], 2);
        check_choice(&[], 0);
    }
}
