//! Takes in the pack of a push: into a directory of its own, checked whole, before anything of
//! the repository changes.
//!
//! Why checked object by object: when everything that any new object refers to is there, and the
//! same holds for all older objects, then everything reachable from any reference is there. This
//! costs a pass over the push, never a walk over the history.
//! On failure: the directory goes, the repository is as it was.

mod chains;
pub(crate) mod check;
mod guard;
mod limited;

use crate::{
    durable,
    error::{Cause, Error},
    failure::Failure,
    objects::Objects,
    repository::Repository,
    shelf::Incoming,
};
use gix_hash::Kind as HashKind;
use gix_pack::{Bundle, bundle::write::Options};
use gix_utils::progress::Discard;
use guard::Guard;
pub(crate) use limited::drain;
use limited::{Limited, Problem};
use std::{
    fs,
    io::{BufReader, Read},
    path::{Path, PathBuf},
    sync::atomic::Ordering,
};

/// A received pack that is not yet part of the repository.
pub(crate) struct Quarantine {
    incoming: Incoming,
    /// Index of the pack; none when the pack was empty or there was none.
    index: Option<PathBuf>,
    /// How often objects had been thrown away when the pack was checked.
    prunes: u64,
}

impl Quarantine {
    /// Makes the directory: an object directory that borrows from the repository's.
    pub(crate) fn new(repository: &Repository) -> Result<Self, Error> {
        let incoming = repository.shared().incoming()?;
        let objects = incoming.path();
        for sub in ["info", "pack"] {
            let path = objects.join(sub);
            fs::create_dir(&path).map_err(Error::file("make", &path))?;
        }
        let borrowed = repository.dir().join("objects");
        let mut line = borrowed.into_os_string().into_encoded_bytes();
        line.push(b'\n');
        let path = objects.join("info/alternates");
        fs::write(&path, line).map_err(Error::file("write", &path))?;
        let prunes = repository.prunes().load(Ordering::Acquire);
        Ok(Self { incoming, index: None, prunes })
    }

    fn pack_dir(&self) -> PathBuf {
        self.incoming.path().join("pack")
    }

    /// The objects of the pack and of the repository together.
    pub(crate) fn objects(&self, repository: &Repository) -> Result<Objects, Error> {
        Objects::open(self.incoming.path(), repository.limits())
    }

    /// Reads, indexes and checks a pack. What is wrong with it is for its sender.
    pub(crate) fn receive(
        &mut self,
        repository: &Repository,
        from: &mut dyn Read,
    ) -> Result<u32, Failure> {
        let limits = repository.limits();
        let guard = Guard::new();
        let mut limited = Limited::new(from, limits.pack.0, limits.objects, &guard);
        let outcome = self.index_pack(repository, &mut limited, &guard);
        if let Some(why) = guard.told().filter(|_| outcome.is_err()) {
            limited.drain();
            return Err(Failure::Refused(why));
        }
        if let Some(problem) = limited.problem.take() {
            limited.drain();
            return Err(tell(problem, repository));
        }
        let written = outcome.inspect_err(|_| limited.drain())?;
        self.index = written.index_path;
        self.check(repository)?;
        Ok(written.index.num_objects)
    }

    fn check(&self, repository: &Repository) -> Result<(), Failure> {
        let Some(index) = &self.index else { return Ok(()) };
        let bundle = Bundle::at(index, HashKind::Sha1).map_err(|error| unusable(&error))?;
        check::check(&bundle, &self.objects(repository)?, repository.limits())
    }

    /// Checks again what was checked before objects were thrown away: some may have been those
    /// that the pack builds on. The caller holds the lock.
    pub(crate) fn check_anew(&self, repository: &Repository) -> Result<(), Failure> {
        if self.prunes == repository.prunes().load(Ordering::Acquire) {
            return Ok(());
        }
        self.check(repository).map_err(|failure| match failure {
            Failure::Refused(why) => Failure::Refused(format!(
                "{why}; what no branch reached any more was thrown away meanwhile: push again"
            )),
            other => other,
        })
    }

    fn index_pack(
        &self,
        repository: &Repository,
        limited: &mut Limited<'_>,
        guard: &Guard,
    ) -> Result<gix_pack::bundle::write::Outcome, Failure> {
        let objects = repository.objects()?;
        let options = Options {
            // One: the other cores belong to jobs and other clients.
            thread_limit: Some(1),
            alloc_limit_bytes: repository.limits().allocation(),
            ..Options::default()
        };
        let result = guard.over(repository.limits(), |stop| {
            Bundle::write_to_directory(
                &mut BufReader::new(limited),
                Some(&self.pack_dir()),
                &mut Discard,
                stop,
                Some(objects.handle()),
                HashKind::Sha1,
                options,
            )
        });
        result.map_err(|error| {
            if is_disk_full(&error) {
                let source = std::io::ErrorKind::StorageFull.into();
                Error::file("write", self.pack_dir())(source).into()
            } else {
                unusable(&error)
            }
        })
    }

    /// Moves the pack into the repository, durably.
    pub(crate) fn accept(self, repository: &Repository) -> Result<(), Error> {
        let Some(index) = &self.index else { return Ok(()) };
        move_pack(index, &repository.pack_dir())
    }
}

/// Moves a pack and its index to another directory of the same file system, the index last: a
/// pack without one is not seen.
pub(crate) fn move_pack(index: &Path, to: &Path) -> Result<(), Error> {
    let from = [index.with_extension("pack"), index.to_owned()];
    for file in &from {
        durable::sync_file(file)?;
    }
    for file in &from {
        let name = file.file_name().unwrap_or_default();
        fs::rename(file, to.join(name)).map_err(Error::file("move", file))?;
    }
    durable::sync_dir(to)
}

fn tell(problem: Problem, repository: &Repository) -> Failure {
    let limits = repository.limits();
    match problem {
        Problem::TooManyBytes => Failure::Refused(format!(
            "the pack is larger than the {} that one push may have here; push in smaller parts, or ask the operator to raise `git_pack_mib`",
            limits.pack
        )),
        Problem::TooManyObjects(count) => Failure::Refused(format!(
            "the pack has {count} objects, more than the {} that one push may have here; push in smaller parts, or ask the operator to raise `git_pack_objects`",
            limits.objects
        )),
        Problem::NotAPack => Failure::Refused("the pack does not start as a pack does".into()),
        Problem::Cut(error) => Failure::Connection(error),
    }
}

fn unusable(error: &(dyn std::error::Error + 'static)) -> Failure {
    Failure::Refused(format!("the pack cannot be used: {}", one_line(error)))
}

/// The error with its causes on one line.
pub(crate) fn one_line(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let words = error.to_string();
        if !words.is_empty() && !text.contains(&words) {
            text.push_str(": ");
            text.push_str(&words);
        }
        cause = error.source();
    }
    text.replace('\n', " ")
}

pub(crate) fn is_disk_full(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut cause = Some(error);
    while let Some(error) = cause {
        let io = error.downcast_ref::<std::io::Error>();
        if io.is_some_and(|io| io.kind() == std::io::ErrorKind::StorageFull) {
            return true;
        }
        cause = error.source();
    }
    // Some layers keep only the words of the system.
    one_line(error).contains("No space left on device")
}

/// Damage inside a checked pack, in the words of this room.
fn broken(action: &'static str, path: &Path) -> impl FnOnce(gix_error::Error) -> Error {
    let path = path.to_owned();
    move |source| Error::Objects { action, path, source: Cause::from(source) }
}
