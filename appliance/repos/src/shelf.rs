//! All repositories of this place, one directory each: `<root>/<org>/<name>.git`.
//!
//! Invariants: a repository appears in one step, complete; what a cut left behind (received packs
//! that were never taken over, lock files) is removed when the shelf is opened. One process at a
//! time owns the root; the caller's lock on the data directory sees to that. Nobody changes a
//! repository that was set aside, however long ago it was opened, nor what has its name since.

use crate::{durable, error::Error, limits::Limits, repository::Repository};
use base::ids::RepoName;
use std::{
    collections::HashMap,
    fs, io,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};
use tokio::sync::Semaphore;

/// Where things are made before they are moved to their place, on the same file system.
const INCOMING: &str = ".incoming";

/// Where repositories are until they are removed for good.
const REMOVED: &str = ".removed";

const CONFIG: &str = "[core]\n\trepositoryformatversion = 0\n\tfilemode = true\n\tbare = true\n";

/// What all repositories of a shelf share.
#[derive(Debug)]
pub(crate) struct Shared {
    root: PathBuf,
    pub(crate) limits: Limits,
    /// One for each repository that was opened; a lock is a few bytes and is kept.
    locks: Mutex<HashMap<RepoName, Arc<Locks>>>,
    pub(crate) transfers: Arc<Semaphore>,
    serial: AtomicU64,
}

/// What keeps changes to one repository apart.
#[derive(Debug, Default)]
pub(crate) struct Locks {
    /// Held while references change or packs come and go; for milliseconds.
    pub(crate) change: Mutex<()>,
    /// Held while packs are put together; for as long as it takes.
    pub(crate) upkeep: Mutex<()>,
    /// How often objects were thrown away since the start.
    pub(crate) prunes: AtomicU64,
    /// The repository is not in its place any more; set and asked under `change`.
    pub(crate) is_gone: AtomicBool,
}

/// The repositories below one root. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Repos {
    shared: Arc<Shared>,
}

impl Repos {
    /// Opens the shelf, making the root if need be, and clears what a cut left behind.
    pub fn open(root: impl Into<PathBuf>, limits: Limits) -> Result<Self, Error> {
        let root = root.into();
        fs::create_dir_all(&root).map_err(Error::file("make", &root))?;
        // Absolute, because object directories remember where they were opened.
        let root = root.canonicalize().map_err(Error::file("find", &root))?;
        let transfers = Arc::new(Semaphore::new(limits.transfers.max(1)));
        let shared =
            Shared { root, limits, locks: Mutex::default(), transfers, serial: AtomicU64::new(0) };
        let repos = Self { shared: Arc::new(shared) };
        repos.clear_incoming()?;
        for name in repos.list()? {
            clear_locks(&repos.dir(&name))?;
        }
        Ok(repos)
    }

    fn clear_incoming(&self) -> Result<(), Error> {
        let incoming = self.shared.root.join(INCOMING);
        match fs::remove_dir_all(&incoming) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(Error::file("remove", incoming)(error));
            }
            _ => {}
        }
        fs::create_dir(&incoming).map_err(Error::file("make", incoming))
    }

    fn dir(&self, name: &RepoName) -> PathBuf {
        self.shared.root.join(name.org()).join(format!("{}.git", name.name()))
    }

    /// All repositories, sorted by name.
    pub fn list(&self) -> Result<Vec<RepoName>, Error> {
        let mut names = Vec::new();
        for org in directories(&self.shared.root)? {
            let inside = directories(&self.shared.root.join(&org))?;
            names.extend(inside.iter().filter_map(|dir| {
                let name = dir.strip_suffix(".git")?;
                format!("{org}/{name}").parse::<RepoName>().ok()
            }));
        }
        names.sort();
        Ok(names)
    }

    /// There is a repository of this name.
    #[must_use]
    pub fn exists(&self, name: &RepoName) -> bool {
        self.dir(name).join("HEAD").is_file()
    }

    /// Makes an empty repository, durably.
    pub fn create(&self, name: &RepoName) -> Result<Repository, Error> {
        let dir = self.dir(name);
        let org = self.shared.root.join(name.org());
        if self.exists(name) {
            return Err(Error::Exists(name.clone()));
        }
        fs::create_dir_all(&org).map_err(Error::file("make", &org))?;
        let draft = self.shared.incoming()?;
        fill(draft.path())?;
        fs::rename(draft.path(), &dir).map_err(|error| match error.kind() {
            io::ErrorKind::DirectoryNotEmpty | io::ErrorKind::AlreadyExists => {
                Error::Exists(name.clone())
            }
            _ => Error::file("make", &dir)(error),
        })?;
        durable::sync_dir(&org)?;
        durable::sync_dir(&self.shared.root)?;
        self.get(name)
    }

    /// The repository of this name.
    pub fn get(&self, name: &RepoName) -> Result<Repository, Error> {
        if !self.exists(name) {
            return Err(Error::NoRepository(name.clone()));
        }
        Ok(Repository::new(
            name.clone(),
            self.dir(name),
            self.locks(name),
            Arc::clone(&self.shared),
        ))
    }

    fn locks(&self, name: &RepoName) -> Arc<Locks> {
        let mut locks = self.shared.locks.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(locks.entry(name.clone()).or_default())
    }

    /// Takes a repository out of its place, durably, so that its name is free; it waits under
    /// `mark` for [`Repos::discard`]. One that is not there, or not any more, changes nothing. The
    /// caller sees to it that nobody makes one of that name meanwhile.
    pub fn set_aside(&self, name: &RepoName, mark: &str) -> Result<(), Error> {
        let locks = self.locks(name);
        let _guard = locks.change.lock().unwrap_or_else(PoisonError::into_inner);
        let (dir, aside) = (self.dir(name), self.shared.root.join(REMOVED));
        if dir.exists() {
            fs::create_dir_all(&aside).map_err(Error::file("make", &aside))?;
            fs::rename(&dir, aside.join(mark)).map_err(Error::file("set aside", &dir))?;
            locks.is_gone.store(true, Ordering::Relaxed);
            durable::sync_dir(&aside)?;
            durable::sync_dir(&self.shared.root.join(name.org()))?;
            durable::sync_dir(&self.shared.root)?;
        }
        self.shared.locks.lock().unwrap_or_else(PoisonError::into_inner).remove(name);
        Ok(())
    }

    /// Removes a repository to which nothing was ever pushed; one that somebody has opened stays. The
    /// caller sees to it that nobody makes or opens one of that name meanwhile.
    pub fn discard_unborn(&self, name: &RepoName) -> Result<(), Error> {
        let locks = self.locks(name);
        // The shelf has one, and this function.
        let is_open = Arc::strong_count(&locks) > 2;
        if is_open || !self.exists(name) || self.get(name)?.refs().read()?.iter().next().is_some() {
            return Ok(());
        }
        let (gone, dir) = (self.shared.incoming()?, self.dir(name));
        fs::rename(&dir, gone.path()).map_err(Error::file("remove", &dir))?;
        self.shared.locks.lock().unwrap_or_else(PoisonError::into_inner).remove(name);
        Ok(())
    }

    /// Removes for good what was set aside under `mark`; takes as long as it is large.
    pub fn discard(&self, mark: &str) -> Result<(), Error> {
        let path = self.shared.root.join(REMOVED).join(mark);
        match fs::remove_dir_all(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(Error::file("remove", path)(error))
            }
            _ => Ok(()),
        }
    }
}

impl Shared {
    /// A fresh directory that is removed with the guard, or at the next start.
    pub(crate) fn incoming(&self) -> Result<Incoming, Error> {
        let serial = self.serial.fetch_add(1, Ordering::Relaxed);
        let path = self.root.join(INCOMING).join(format!("{}-{serial}", std::process::id()));
        fs::create_dir(&path).map_err(Error::file("make", &path))?;
        Ok(Incoming(path))
    }
}

/// A directory for things on their way in; gone when dropped.
#[derive(Debug)]
pub(crate) struct Incoming(PathBuf);

impl Incoming {
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        match fs::remove_dir_all(&self.0) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::warn!(path = %self.0.display(), %error, "a received pack could not be removed; it goes at the next start");
            }
            _ => {}
        }
    }
}

/// Names of the directories in `dir`, but for hidden ones.
fn directories(dir: &Path) -> Result<Vec<String>, Error> {
    let mut names = Vec::new();
    for entry in fs::read_dir(dir).map_err(Error::file("list", dir))? {
        let entry = entry.map_err(Error::file("list", dir))?;
        if let Ok(name) = entry.file_name().into_string()
            && entry.path().is_dir()
            && !name.starts_with('.')
        {
            names.push(name);
        }
    }
    Ok(names)
}

/// Locks are held for the length of one write; at start nobody can hold one.
fn clear_locks(repo: &Path) -> Result<(), Error> {
    for name in ["packed-refs.lock", "HEAD.lock"] {
        let path = repo.join(name);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(Error::file("remove", path)(error));
            }
            _ => {}
        }
    }
    Ok(())
}

/// What an empty bare repository consists of.
fn fill(dir: &Path) -> Result<(), Error> {
    for sub in ["objects/info", "objects/pack", "refs/heads", "refs/tags"] {
        let path = dir.join(sub);
        fs::create_dir_all(&path).map_err(Error::file("make", &path))?;
    }
    durable::replace(&dir.join("config"), CONFIG.as_bytes())?;
    durable::replace(&dir.join("HEAD"), b"ref: refs/heads/main\n")?;
    for sub in ["objects", "refs", ""] {
        durable::sync_dir(&dir.join(sub))?;
    }
    Ok(())
}
