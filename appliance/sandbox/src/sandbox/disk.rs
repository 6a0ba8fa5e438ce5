//! How much a job keeps on disk.
//!
//! Why by walking: quotas need mount options that few hosts have, an image file for each job
//! costs a formatting and megabytes of writes, and memory is scarcer than disk. A walk reads what
//! the job changed and nothing else; it stops at twice the bound, and the caller spaces walks by what
//! the last one took.
//! Limits: files that are open but deleted are not seen; the free space of the file system, told
//! beside it, shows those. A job that moves folders while they are walked is measured in part.
//! Invariants: one folder is open at any time, however deep the tree is and however long its paths.

use super::Sandbox;
use crate::{Error, root_tree, spec::Storage};
use base::units::Bytes;
use rustix::{
    fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, Stat, fstat, openat, statat},
    io::Errno,
};
use std::{ffi::CString, os::fd::OwnedFd, path::Path};

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
    /// `limits.disk` is exceeded, or cannot be told: a folder of the job cannot be read.
    pub over: bool,
}

impl Sandbox {
    /// Measures what the job keeps on disk. Costs some microseconds for each changed file; with
    /// [`Storage::Memory`] it costs nothing, since the kernel keeps the bound.
    ///
    /// # Errors
    /// When the file system cannot be asked.
    pub fn disk_usage(&self) -> Result<DiskUsage, Error> {
        let scratch = &self.spec.scratch;
        let stat =
            rustix::fs::statvfs(scratch).map_err(Error::path("ask for free space on", scratch))?;
        let walked = match (self.spec.storage, self.spec.limits.disk) {
            (Storage::Disk, Some(bound)) => {
                let specs = self.companions.iter().map(|one| &one.spec).chain([&self.spec]);
                let mut walk = Walk { size: 0, whole: true };
                specs
                    .for_each(|spec| walk.down(&root_tree::upper(spec), bound.0.saturating_mul(2)));
                Some((walk, bound))
            }
            _ => None,
        };
        let over = walked.is_some_and(|(walk, bound)| !walk.whole || walk.size > bound.0);
        Ok(DiskUsage {
            used: Bytes(walked.map_or(0, |(walk, _)| walk.size)),
            free: Bytes(stat.f_bavail * stat.f_frsize),
            size: Bytes(stat.f_blocks * stat.f_frsize),
            over,
        })
    }
}

/// What a walk has found.
#[derive(Debug, Clone, Copy)]
struct Walk {
    size: u64,
    /// Every folder could be read.
    whole: bool,
}

/// A folder on the way down: who it is, and its folders that were not walked yet.
struct Level {
    id: (u64, u64),
    folders: Vec<CString>,
}

impl Walk {
    /// Adds the blocks that files below `folder` take, until all exceed `bound`. What vanishes
    /// meanwhile is not counted; links are not followed.
    fn down(&mut self, folder: &Path, bound: u64) {
        let first = open(CWD, folder).and_then(|top| Ok((self.look(&top)?, top)));
        let Ok((first, mut here)) = first else {
            self.whole = false;
            return;
        };
        let mut levels = vec![first];
        while let Some(level) = levels.last_mut() {
            if self.size > bound {
                return;
            }
            if let Some(name) = level.folders.pop() {
                let below =
                    open(&here, name.as_c_str()).and_then(|below| Ok((self.look(&below)?, below)));
                match below {
                    Ok((level, below)) => {
                        levels.push(level);
                        here = below;
                    }
                    Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => {}
                    Err(_) => self.whole = false,
                }
                continue;
            }
            levels.pop();
            let Some(above) = levels.last() else { return };
            match open(&here, c"..") {
                Ok(parent) if fstat(&parent).is_ok_and(|stat| id(&stat) == above.id) => {
                    here = parent;
                }
                // Moved meanwhile: the next walk counts the rest.
                _ => return,
            }
        }
    }

    /// Counts what is in one folder.
    #[expect(clippy::useless_conversion, reason = "the widths differ between targets")]
    fn look(&mut self, folder: &OwnedFd) -> rustix::io::Result<Level> {
        let mut level = Level { id: id(&fstat(folder)?), folders: Vec::new() };
        for entry in Dir::read_from(folder)? {
            let entry = entry?;
            let name = entry.file_name();
            if matches!(name.to_bytes(), b"." | b"..") {
                continue;
            }
            let Ok(stat) = statat(folder, name, AtFlags::SYMLINK_NOFOLLOW) else { continue };
            let is_dir = FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
            // A file with several names is counted once for each; a share each would add up.
            let blocks = u64::try_from(stat.st_blocks).unwrap_or(0);
            self.size += blocks * 512 / if is_dir { 1 } else { u64::from(stat.st_nlink).max(1) };
            if is_dir {
                level.folders.push(name.to_owned());
            }
        }
        Ok(level)
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
    use std::{fs, path::Path};

    fn folder_size(folder: &Path, bound: u64) -> Walk {
        let mut walk = Walk { size: 0, whole: true };
        walk.down(folder, bound);
        walk
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
        assert!(folder_size(path, 1000).size > 1000);
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
