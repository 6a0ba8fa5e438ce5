//! One repository: what it holds, and how to read it.
//!
//! All calls read the disk and may take milliseconds: call them where blocking is allowed.

use crate::{
    commit::Commit,
    error::Error,
    limits::Limits,
    objects::Objects,
    pack::set::PackSet,
    refs::{RefStore, RefTable, effective_head},
    select::ancestry,
    shelf::{Locks, Shared},
};
use base::{ids::RepoName, units::Bytes};
use gix_hash::ObjectId;
use gix_object::Kind;
use std::{
    collections::HashSet,
    path::{Path, PathBuf},
    sync::{
        Arc, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

/// What a person or a trigger may name to mean one commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rev<'a> {
    /// 40 hexadecimal digits.
    Revision(&'a str),
    /// A branch without `refs/heads/`.
    Branch(&'a str),
    /// A tag without `refs/tags/`.
    Tag(&'a str),
}

/// A branch or a tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedRevision {
    /// Without its `refs/…/`.
    pub name: String,
    /// The commit that it stands for.
    pub revision: String,
}

/// The bytes of a file; `None` when there is no such file.
pub type FileRead = Result<Option<Vec<u8>>, Error>;

/// A bare repository on disk. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Repository {
    name: RepoName,
    dir: PathBuf,
    locks: Arc<Locks>,
    shared: Arc<Shared>,
}

impl Repository {
    pub(crate) fn new(
        name: RepoName,
        dir: PathBuf,
        locks: Arc<Locks>,
        shared: Arc<Shared>,
    ) -> Self {
        Self { name, dir, locks, shared }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &RepoName {
        &self.name
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    pub(crate) fn pack_dir(&self) -> PathBuf {
        self.dir.join("objects/pack")
    }

    /// Waits until nobody else changes the repository; an error when it was set aside.
    pub(crate) fn lock(&self) -> Result<MutexGuard<'_, ()>, Error> {
        let guard = self.locks.change.lock().unwrap_or_else(PoisonError::into_inner);
        match self.locks.is_gone.load(Ordering::Relaxed) {
            true => Err(Error::NoRepository(self.name.clone())),
            false => Ok(guard),
        }
    }

    /// `None` while somebody else puts packs together.
    pub(crate) fn lock_upkeep(&self) -> Option<MutexGuard<'_, ()>> {
        self.locks.upkeep.try_lock().ok()
    }

    /// Counts up, under the lock, when objects were thrown away.
    pub(crate) fn prunes(&self) -> &AtomicU64 {
        &self.locks.prunes
    }

    /// The packs as they are now; they stay readable when upkeep replaces them.
    pub(crate) fn packs(&self) -> Result<PackSet, Error> {
        let _guard = self.lock()?;
        PackSet::open(&self.pack_dir())
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.shared.limits
    }

    pub(crate) fn refs(&self) -> RefStore {
        RefStore::new(&self.dir)
    }

    pub(crate) fn objects(&self) -> Result<Objects, Error> {
        Objects::open(&self.dir.join("objects"), self.limits())
    }

    /// The references now, and the full name of the default branch.
    pub(crate) fn snapshot(&self) -> Result<(RefTable, String), Error> {
        let refs = self.refs();
        let table = refs.read()?;
        let head = effective_head(&refs.head()?, &table);
        Ok((table, head))
    }

    /// The default branch without `refs/heads/`. It may not be born yet.
    pub fn default_branch(&self) -> Result<String, Error> {
        let (_, head) = self.snapshot()?;
        Ok(head.strip_prefix("refs/heads/").unwrap_or(&head).to_owned())
    }

    /// Makes an existing branch the default one.
    pub fn set_default_branch(&self, branch: &str) -> Result<(), Error> {
        let _guard = self.lock()?;
        let name = format!("refs/heads/{branch}");
        let table = self.refs().read()?;
        table.get(&name).ok_or_else(|| self.unknown(format!("branch `{branch}`")))?;
        self.refs().set_head(&name)
    }

    /// What the reference of this full name points at, as 40 hexadecimal digits.
    pub fn target(&self, ref_name: &str) -> Result<Option<String>, Error> {
        Ok(self.refs().read()?.get(ref_name).map(|entry| entry.target.to_string()))
    }

    /// All branches, sorted by name.
    pub fn branches(&self) -> Result<Vec<NamedRevision>, Error> {
        self.named("refs/heads/")
    }

    /// All tags, sorted by name, with the commits that they stand for.
    pub fn tags(&self) -> Result<Vec<NamedRevision>, Error> {
        self.named("refs/tags/")
    }

    fn named(&self, prefix: &str) -> Result<Vec<NamedRevision>, Error> {
        let table = self.refs().read()?;
        let named = table.below(prefix).map(|(name, entry)| NamedRevision {
            name: name[prefix.len()..].to_owned(),
            revision: entry.object().to_string(),
        });
        Ok(named.collect())
    }

    fn unknown(&self, what: String) -> Error {
        Error::Unknown { repo: self.name.clone(), what }
    }

    fn id_of(&self, objects: &Objects, rev: Rev<'_>) -> Result<ObjectId, Error> {
        let of_ref = |name: String, what: String| {
            let table = self.refs().read()?;
            table.get(&name).map(|entry| entry.target).ok_or_else(|| self.unknown(what))
        };
        let id = match rev {
            Rev::Branch(name) => of_ref(format!("refs/heads/{name}"), format!("branch `{name}`")),
            Rev::Tag(name) => of_ref(format!("refs/tags/{name}"), format!("tag `{name}`")),
            Rev::Revision(hex) => ObjectId::from_hex(hex.as_bytes())
                .ok()
                .filter(|id| objects.contains(id))
                .ok_or_else(|| self.unknown(format!("commit `{}`", brief(hex)))),
        }?;
        Ok(objects.peel(&id, &mut Vec::new())?.unwrap_or(id))
    }

    /// The commit that `rev` means.
    pub fn resolve(&self, rev: Rev<'_>) -> Result<Commit, Error> {
        let objects = self.objects()?;
        let id = self.id_of(&objects, rev)?;
        Commit::read(&objects, &id)
    }

    /// The commit that `rev` means, and its file `path` as [`Repository::read_file`] tells it.
    pub fn resolve_with_file(
        &self,
        rev: Rev<'_>,
        path: &str,
        max: usize,
    ) -> Result<(Commit, FileRead), Error> {
        let objects = self.objects()?;
        let id = self.id_of(&objects, rev)?;
        Ok((Commit::read(&objects, &id)?, file_at(&objects, &id, path, max)))
    }

    /// The bytes of the file `path` (with `/`) at `revision`; `None` when there is no such file.
    /// A file larger than `max` is an error that says so.
    pub fn read_file(&self, revision: &str, path: &str, max: usize) -> FileRead {
        let objects = self.objects()?;
        let commit = self.id_of(&objects, Rev::Revision(revision))?;
        file_at(&objects, &commit, path, max)
    }

    /// `revision` can be reached from the branch or tag `ref_name` (full name) as it stands now.
    pub fn is_reachable(&self, revision: &str, ref_name: &str) -> Result<bool, Error> {
        let Ok(wanted) = ObjectId::from_hex(revision.as_bytes()) else { return Ok(false) };
        let table = self.refs().read()?;
        let Some(entry) = table.get(ref_name) else { return Ok(false) };
        if entry.target == wanted {
            return Ok(true);
        }
        let objects = self.objects()?;
        if objects.kind(&entry.object())? != Some(Kind::Commit) {
            return Ok(false);
        }
        ancestry::reaches(&objects, entry.object(), &HashSet::from([wanted]), i64::MIN)
    }
}

/// The start of what a caller gave, for a message.
fn brief(text: &str) -> String {
    text.chars().take(64).collect()
}

fn file_at(objects: &Objects, commit: &ObjectId, path: &str, max: usize) -> FileRead {
    let mut buffer = Vec::new();
    let mut current = objects.links(commit, &mut buffer)?.tree;
    for part in path.split('/') {
        if objects.kind(&current)? != Some(Kind::Tree) {
            return Ok(None);
        }
        let mut entries = objects.tree(&current, &mut buffer)?.filter_map(Result::ok);
        let entry = entries.find(|entry| entry.filename == part.as_bytes());
        let Some(next) = entry.map(|entry| entry.oid.to_owned()) else { return Ok(None) };
        current = next;
    }
    read_blob(objects, current, path, max)
}

fn read_blob(objects: &Objects, id: ObjectId, path: &str, max: usize) -> FileRead {
    if objects.kind(&id)? != Some(Kind::Blob) {
        return Ok(None);
    }
    if objects.size(&id)? > max as u64 {
        let limit = Bytes(max as u64).to_string();
        return Err(Error::TooLarge { what: format!("the file {path}"), limit });
    }
    let mut bytes = Vec::new();
    objects.find(&id, &mut bytes)?;
    Ok(Some(bytes))
}
