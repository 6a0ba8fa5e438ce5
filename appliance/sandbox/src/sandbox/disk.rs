//! How much a job keeps on disk.
//!
//! Why by walking: quotas need mount options that few hosts have, an image file for each job
//! costs a formatting and megabytes of writes, and memory is scarcer than disk. A walk reads what
//! the job changed and nothing else; it stops at twice the bound, and the caller spaces walks by what
//! the last one took.
//! Limits: files that are open but deleted are not seen; the free space of the file system, told
//! beside it, shows those.

use super::Sandbox;
use crate::{Error, root_tree, spec::Storage};
use base::units::Bytes;
use std::{fs, os::unix::fs::MetadataExt, path::PathBuf};

/// What a job's changes take, and what is left for others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DiskUsage {
    /// Of the job's files; at least this much when the walk stopped at twice the bound.
    pub used: Bytes,
    /// Free on the file system of the scratch directory.
    pub free: Bytes,
    /// `limits.disk` is exceeded.
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
        let bound = self.spec.limits.disk.map_or(u64::MAX, |bytes| bytes.0);
        let used = match self.spec.storage {
            Storage::Memory => 0,
            Storage::Disk => {
                let specs = self.companions.iter().map(|one| &one.spec).chain([&self.spec]);
                folders_size(specs.map(root_tree::upper).collect(), bound.saturating_mul(2))
            }
        };
        Ok(DiskUsage {
            used: Bytes(used),
            free: Bytes(stat.f_bavail * stat.f_frsize),
            over: used > bound,
        })
    }
}

/// Blocks that files below `folders` take, counted until they exceed `bound`. What vanishes
/// meanwhile is not counted; links are not followed.
fn folders_size(mut folders: Vec<PathBuf>, bound: u64) -> u64 {
    let mut size = 0;
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let Ok(meta) = entry.metadata() else { continue };
            // A file with several names is counted once for each; a share each would add up.
            size += meta.blocks() * 512 / if meta.is_dir() { 1 } else { meta.nlink().max(1) };
            if meta.is_dir() {
                folders.push(entry.path());
            }
            if size > bound {
                return size;
            }
        }
    }
    size
}

#[cfg(test)]
mod tests {
    use super::folders_size;
    use std::fs;

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
        let size = folders_size(vec![path.to_owned()], u64::MAX);
        assert!((1 << 20..(1 << 20) + (64 << 10)).contains(&size), "{size}");
        assert!(folders_size(vec![path.to_owned()], 1000) > 1000);
    }
}
