//! A working copy of one commit as a tar stream, with a real `.git`, for the `checkout` step.
//!
//! Why not a clone inside the job: it would need a Git binary, an address and a credential there.
//! The stored packs are sent as they are: no object is looked at but those of the working tree.
//! Invariants: `git status` is clean without reading file contents again; the index is the last
//! entry and one second newer than the files, as Git wants it to trust their times.
//! Memory: one file at a time, and the index. What is too large is refused before the first byte.

mod bounds;
mod dot_git;
mod eol;
mod index;
mod tree;

use crate::{
    error::Error,
    refs::{RefTable, name_problem},
    repository::{Repository, Rev},
};
use gix_hash::ObjectId;
use index::Index;
use std::{io::Write, path::Path};

/// What is checked out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkout {
    /// 40 hexadecimal digits.
    pub revision: String,
    /// The branch that `HEAD` is on, without `refs/heads/`; `None` leaves it detached, as for a tag.
    pub branch: Option<String>,
    /// Address of the remote `origin`.
    pub url: String,
}

/// Times and modes of tar entries.
struct Archive<W: Write> {
    tar: tar::Builder<W>,
    /// Seconds since 1970.
    mtime: u64,
}

impl<W: Write> Archive<W> {
    /// Ends the work when nobody reads the archive any more; a write of nothing tells.
    fn check_reader(&mut self) -> Result<(), Error> {
        self.tar.get_mut().write(&[]).map(drop).map_err(Error::Transfer)
    }

    fn header(&self, kind: tar::EntryType, mode: u32, size: u64) -> tar::Header {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_size(size);
        header.set_mtime(self.mtime);
        header.set_uid(0);
        header.set_gid(0);
        header
    }

    fn file(&mut self, path: &Path, mode: u32, bytes: &[u8]) -> Result<(), Error> {
        let mut header = self.header(tar::EntryType::Regular, mode, bytes.len() as u64);
        self.tar.append_data(&mut header, path, bytes).map_err(Error::Transfer)
    }

    fn directory(&mut self, path: &Path) -> Result<(), Error> {
        let mut header = self.header(tar::EntryType::Directory, 0o755, 0);
        self.tar.append_data(&mut header, path, std::io::empty()).map_err(Error::Transfer)
    }

    fn link(&mut self, path: &Path, target: &Path) -> Result<(), Error> {
        let mut header = self.header(tar::EntryType::Symlink, 0o777, 0);
        self.tar.append_link(&mut header, path, target).map_err(Error::Transfer)
    }
}

impl Repository {
    /// Writes the archive. `now` (seconds since 1970) is about the time of all files: builds that
    /// compare times must see files of a checkout as newer than what they cached before.
    pub fn write_checkout(
        &self,
        checkout: &Checkout,
        now: u64,
        to: impl Write,
    ) -> Result<(), Error> {
        let revision = self.resolve(Rev::Revision(&checkout.revision))?.revision;
        let commit = ObjectId::from_hex(revision.as_bytes()).map_err(|_| Error::Unknown {
            repo: self.name().clone(),
            what: "that commit".into(),
        })?;
        // References first: a push that comes in between leaves packs that nothing names, and not
        // names whose objects are missing.
        let (table, head) = self.snapshot()?;
        let stored = dot_git::Stored::open(self)?;
        // In the past, so that a job's first change to a file gives it another time, even one of
        // the same size in the first second: Git would miss it.
        let files_at = now.saturating_sub(2);
        let mut archive = Archive { tar: tar::Builder::new(to), mtime: files_at };
        let objects = self.objects()?;
        let root = objects.links(&commit, &mut Vec::new())?.tree;
        bounds::check(&mut archive, &objects, self.limits(), root)?;
        dot_git::write(&mut archive, checkout, commit, &refs_of(&table, checkout, commit), &head)?;
        stored.write(&mut archive)?;
        let mut index = Index::new(files_at);
        tree::write(&mut archive, &objects, root, &mut index)?;
        archive.mtime = files_at + 1;
        let index = index.finish().map_err(Error::Transfer)?;
        archive.file(Path::new(".git/index"), 0o644, &index)?;
        archive.tar.finish().map_err(Error::Transfer)
    }
}

/// The references of the copy: those of the repository as `origin`'s, tags as they are, and the
/// branch that is built, which stands at the commit even if it has moved on here.
fn refs_of(table: &RefTable, checkout: &Checkout, commit: ObjectId) -> RefTable {
    let mut refs = RefTable::default();
    for (name, entry) in table.below("refs/heads/") {
        let branch = &name["refs/heads/".len()..];
        refs.set(format!("refs/remotes/origin/{branch}"), *entry);
    }
    for (name, entry) in table.below("refs/tags/") {
        refs.set(name.to_owned(), *entry);
    }
    if let Some(branch) = checkout.local_branch() {
        let entry = crate::refs::RefEntry { target: commit, peeled: None };
        refs.set(format!("refs/heads/{branch}"), entry);
        refs.set(format!("refs/remotes/origin/{branch}"), entry);
    }
    refs
}

impl Checkout {
    /// The branch, if it can be one.
    fn local_branch(&self) -> Option<&str> {
        let is_good = |branch: &&str| name_problem(&format!("refs/heads/{branch}")).is_none();
        self.branch.as_deref().filter(is_good)
    }
}
