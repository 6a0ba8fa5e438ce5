//! Numbers that no two runs of a working copy share: those of its pipelines and of its jobs.
//!
//! Why: a cache may have the number of a build in its key, and keys are never overwritten.
//! Form: `numbers/<project>/<what>`, the last that was given.
//! Invariants: the kernel's lock keeps runs apart; a number is given once, also to a run that is
//! killed.

use super::LocalError;
use std::{
    fs::{self, File},
    io::{self, Read},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

/// Where the numbers of one working copy are.
pub(super) struct Numbers(PathBuf);

impl Numbers {
    pub(super) fn new(keep: &Path, project: &str) -> Self {
        Self(keep.join("numbers").join(project))
    }

    /// Takes `count` numbers for `what`; the first of them.
    pub(super) fn take(&self, what: &str, count: u64) -> Result<u64, LocalError> {
        let path = self.0.join(what);
        take(&path, count).map_err(|source| LocalError::Artifacts { path, source })
    }
}

fn take(path: &Path, count: u64) -> io::Result<u64> {
    fs::create_dir_all(path.parent().unwrap_or(path))?;
    let mut file =
        File::options().create(true).truncate(false).read(true).write(true).open(path)?;
    file.lock()?;
    let mut text = String::new();
    (&mut file).take(64).read_to_string(&mut text)?;
    let last: u64 = text.trim().parse().unwrap_or(0);
    // Always as long, so that it is never half of a number.
    file.write_all_at(format!("{:020}\n", last.saturating_add(count)).as_bytes(), 0)?;
    Ok(last.saturating_add(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_given_once_however_many_ask() {
        let keep = tempfile::tempdir().unwrap();
        let take = |what: &str, count| Numbers::new(keep.path(), "app").take(what, count).unwrap();
        assert_eq!([take("jobs", 3), take("jobs", 1), take("pipelines", 1)], [1, 4, 1]);
        let mut given: Vec<u64> = std::thread::scope(|scope| {
            let asked: Vec<_> = (0..8).map(|_| scope.spawn(|| take("jobs", 2))).collect();
            asked.into_iter().map(|asked| asked.join().unwrap()).collect()
        });
        given.sort_unstable();
        assert_eq!(given, [5, 7, 9, 11, 13, 15, 17, 19]);
    }
}
