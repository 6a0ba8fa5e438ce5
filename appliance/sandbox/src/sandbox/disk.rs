//! How much a job keeps on disk.
//!
//! Why by walking: quotas need mount options that few hosts have, an image file for each job
//! costs a formatting and megabytes of writes, and memory is scarcer than disk. A walk reads what
//! the job changed and nothing else; it stops at twice the bound, and the caller spaces walks by what
//! the last one took.
//! Why in slices: a million files on a cold disk take a minute, and the caller has one thread.
//! Why at least a block for each file: an empty one, or a link, takes none, and still one of the files
//! that the file system has.
//! Limits: files that are open but deleted are not seen; the free space of the file system, told
//! beside it, shows those. A job that moves folders while they are walked is measured in part.
//! Invariants: one folder is open at any time (twice, while it is read), however deep the tree is and
//! however long its paths.

use super::Sandbox;
use crate::{Error, root_tree, spec::Storage};
use base::units::Bytes;
use rustix::{
    fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, Stat, fstat, openat, statat},
    io::Errno,
};
use std::{
    ffi::{CStr, CString},
    os::fd::OwnedFd,
    path::{Path, PathBuf},
    time::Instant,
};

/// A file counts as so many blocks of 512 bytes at least.
const FILE_MIN: u64 = 8;

/// What a job's changes take, and what is left for others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DiskUsage {
    /// Of the job's files; at least this much when the walk stopped at twice the bound. Zero for
    /// a job without a bound, which is not walked.
    pub used: Bytes,
    /// Free on the file system of the scratch directory.
    pub free: Bytes,
    /// Its size.
    pub size: Bytes,
    /// How many more files the file system takes, and how many in all; `None` where it has no fixed
    /// number.
    pub files: Option<(u64, u64)>,
    /// `limits.disk` is exceeded, or cannot be told: a folder of the job cannot be read.
    pub over: bool,
}

/// A look at what a job keeps on disk, as far as it has come.
#[derive(Debug)]
pub struct DiskLook {
    scratch: PathBuf,
    walk: Option<Walk>,
}

impl Sandbox {
    /// Begins to measure what the job keeps on disk. Costs some microseconds for each changed file;
    /// with [`Storage::Memory`] it costs nothing, since the kernel keeps the bound.
    #[must_use]
    pub fn disk_look(&self) -> DiskLook {
        let specs = self.companions.iter().map(|one| &one.spec).chain([&self.spec]);
        let walk = match (self.spec.storage, self.spec.limits.disk) {
            (Storage::Disk, Some(bound)) => {
                Some(Walk::new(specs.map(root_tree::upper).collect(), bound.0))
            }
            _ => None,
        };
        DiskLook { scratch: self.spec.scratch.clone(), walk }
    }
}

impl DiskLook {
    /// Goes on until `until`, one step at least; `None` while there is more to look at.
    ///
    /// # Errors
    /// When the file system cannot be asked.
    pub fn go_on(&mut self, until: Instant) -> Result<Option<DiskUsage>, Error> {
        if self.walk.as_mut().is_some_and(|walk| !walk.go_on(until)) {
            return Ok(None);
        }
        let stat = rustix::fs::statvfs(&self.scratch)
            .map_err(Error::path("ask for free space on", &self.scratch))?;
        Ok(Some(DiskUsage {
            used: Bytes(self.walk.as_ref().map_or(0, |walk| walk.size)),
            free: Bytes(stat.f_bavail * stat.f_frsize),
            size: Bytes(stat.f_blocks * stat.f_frsize),
            files: (stat.f_files > 0).then_some((stat.f_favail, stat.f_files)),
            over: self.walk.as_ref().is_some_and(|walk| !walk.whole || walk.size > walk.bound),
        }))
    }
}

/// What all below a folder takes, as far as it can be read.
pub(crate) fn size_below(folder: &Path) -> u64 {
    let mut walk = Walk::new(vec![folder.to_owned()], u64::MAX);
    while walk.step() {}
    walk.size
}

/// A walk through the trees of one job: what it has found, and where it stands. What vanishes
/// meanwhile is not counted; links are not followed.
#[derive(Debug)]
struct Walk {
    size: u64,
    bound: u64,
    /// Every folder could be read.
    whole: bool,
    /// Trees that were not begun.
    tops: Vec<PathBuf>,
    /// From the top to where it stands.
    levels: Vec<Level>,
    here: Option<Here>,
}

/// A folder on the way down: who it is, and its folders that were not walked yet.
#[derive(Debug)]
struct Level {
    id: (u64, u64),
    folders: Vec<CString>,
}

/// The folder where a walk stands.
#[derive(Debug)]
struct Here {
    folder: OwnedFd,
    /// Entries that were not counted yet; `None` when all are.
    entries: Option<Dir>,
}

impl Walk {
    const fn new(tops: Vec<PathBuf>, bound: u64) -> Self {
        Self { size: 0, bound, whole: true, tops, levels: Vec::new(), here: None }
    }

    /// Adds the blocks that files take, until all were counted or exceed twice the bound, which it
    /// tells, or until `until`.
    fn go_on(&mut self, until: Instant) -> bool {
        while self.step() {
            if Instant::now() >= until {
                return false;
            }
        }
        true
    }

    /// Counts one entry, or goes to the next folder; false at the end.
    fn step(&mut self) -> bool {
        if self.size > self.bound.saturating_mul(2) {
            return false;
        }
        let Some(mut here) = self.here.take() else { return self.begin() };
        match here.entries.as_mut().map(Dir::read) {
            Some(Some(Ok(entry))) => self.count(&here.folder, entry.file_name()),
            Some(Some(Err(_))) => (self.whole, here.entries) = (false, None),
            Some(None) => here.entries = None,
            None => {
                self.here = self.leave(here.folder);
                return true;
            }
        }
        self.here = Some(here);
        true
    }

    /// Begins the next tree; false when there is none.
    fn begin(&mut self) -> bool {
        let Some(top) = self.tops.pop() else { return false };
        self.levels.clear();
        match open(CWD, top).and_then(|top| self.enter(top)) {
            Ok(here) => self.here = Some(here),
            Err(_) => self.whole = false,
        }
        true
    }

    fn enter(&mut self, folder: OwnedFd) -> rustix::io::Result<Here> {
        let id = id(&fstat(&folder)?);
        let entries = Some(Dir::read_from(&folder)?);
        self.levels.push(Level { id, folders: Vec::new() });
        Ok(Here { folder, entries })
    }

    /// Goes down into the next folder, or up; nowhere at the top, or when the way up has moved: the
    /// next look counts the rest.
    fn leave(&mut self, folder: OwnedFd) -> Option<Here> {
        if let Some(name) = self.levels.last_mut()?.folders.pop() {
            match open(&folder, name.as_c_str()).and_then(|below| self.enter(below)) {
                Ok(below) => return Some(below),
                Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => {}
                Err(_) => self.whole = false,
            }
            return Some(Here { folder, entries: None });
        }
        self.levels.pop();
        let above = self.levels.last()?;
        let parent = open(&folder, c"..").ok()?;
        let is_above = fstat(&parent).is_ok_and(|stat| id(&stat) == above.id);
        is_above.then_some(Here { folder: parent, entries: None })
    }

    #[expect(clippy::useless_conversion, reason = "the widths differ between targets")]
    fn count(&mut self, folder: &OwnedFd, name: &CStr) {
        if matches!(name.to_bytes(), b"." | b"..") {
            return;
        }
        let Ok(stat) = statat(folder, name, AtFlags::SYMLINK_NOFOLLOW) else { return };
        let is_dir = FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
        // A file with several names is counted once for each; a share each would add up.
        let blocks = u64::try_from(stat.st_blocks).unwrap_or(0).max(FILE_MIN);
        self.size += blocks * 512 / if is_dir { 1 } else { u64::from(stat.st_nlink).max(1) };
        if is_dir && let Some(level) = self.levels.last_mut() {
            level.folders.push(name.to_owned());
        }
    }
}

#[expect(clippy::useless_conversion, reason = "the widths differ between targets")]
fn id(stat: &Stat) -> (u64, u64) {
    (u64::from(stat.st_dev), u64::from(stat.st_ino))
}

fn open(
    parent: impl std::os::fd::AsFd,
    path: impl rustix::path::Arg,
) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    openat(parent, path, flags, Mode::empty())
}

#[cfg(test)]
mod tests {
    use super::Walk;
    use std::{fs, path::Path, time::Instant};

    fn folder_size(folder: &Path, bound: u64) -> Walk {
        let mut walk = Walk::new(vec![folder.to_owned()], bound);
        while !walk.go_on(Instant::now() + std::time::Duration::from_secs(1)) {}
        walk
    }

    #[test]
    fn a_walk_in_slices_finds_what_one_at_once_finds() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        for name in 0..300 {
            let below = folder.path().join(format!("{}/{}", name % 3, name % 7));
            fs::create_dir_all(&below).expect("a folder");
            fs::write(below.join(name.to_string()), [1; 5000]).expect("a file");
        }
        rustix::fs::syncfs(fs::File::open(folder.path()).expect("the folder")).expect("synced");
        let whole = folder_size(folder.path(), u64::MAX);
        let mut walk = Walk::new(vec![folder.path().to_owned()], u64::MAX);
        let mut slices = 1;
        while !walk.go_on(Instant::now()) {
            slices += 1;
        }
        assert_eq!((walk.size, walk.whole), (whole.size, true));
        assert!(slices > 300, "one entry at a time, when there is time for no more: {slices}");
    }

    #[test]
    fn a_walk_counts_blocks_once_and_stops_at_the_bound() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path();
        fs::create_dir(path.join("a")).expect("a folder");
        fs::write(path.join("a/file"), vec![1; 1 << 20]).expect("a file");
        fs::hard_link(path.join("a/file"), path.join("again")).expect("a link");
        std::os::unix::fs::symlink("/", path.join("out")).expect("a link");
        fs::File::create(path.join("hole"))
            .and_then(|file| file.set_len(1 << 40))
            .expect("a sparse file");
        rustix::fs::syncfs(fs::File::open(path).expect("the folder"))
            .expect("blocks are given at the latest now");
        let walk = folder_size(path, u64::MAX);
        assert!((1 << 20..(1 << 20) + (64 << 10)).contains(&walk.size) && walk.whole, "{walk:?}");
        assert!(folder_size(path, 500).size > 1000);
    }

    #[test]
    fn empty_files_count_too() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        for name in 0..100 {
            fs::File::create(folder.path().join(name.to_string())).expect("a file");
        }
        assert_eq!(folder_size(folder.path(), u64::MAX).size, 100 * 4096);
        assert!(folder_size(folder.path(), 100_000).size > 200_000, "and come to the bound");
    }

    #[test]
    fn what_lies_deeper_than_any_path_is_counted() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let top = folder.path().join("top");
        fs::create_dir(&top).expect("a folder");
        let before = folder_size(&top, u64::MAX).size;
        crate::remove::tests::chain(&top, 3000);
        rustix::fs::syncfs(fs::File::open(&top).expect("the folder")).expect("synchronised");
        let walk = folder_size(&top, u64::MAX);
        assert!(walk.whole && walk.size >= before + 8192, "{walk:?}");
        crate::remove_tree(&top).expect("removed");
    }

    #[test]
    fn a_folder_that_cannot_be_read_is_told() {
        assert!(!folder_size(Path::new("/nowhere-at-all"), u64::MAX).whole);
    }
}
