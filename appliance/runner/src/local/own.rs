//! The folders that one run has to itself, whatever else runs at the same time.
//!
//! Why: `appliance run` may be started twice in one working copy, to run two jobs say; neither may empty
//! what the other writes. The first has the folders of the working copy's name, a second those with a
//! number behind it.
//! Invariants: the kernel's lock tells whether a run lives, so that what a killed one left is emptied by
//! the next; a folder is emptied and removed by nobody but the holder of its lock.

use super::LocalError;
use std::{
    fs::{self, File, TryLockError},
    io,
    path::{Path, PathBuf},
};

/// Runs of one working copy at once.
const RUNS_MAX: u32 = 64;

/// Folders of one run; their lock is held until this is dropped.
pub(super) struct Own {
    /// What stays after it, until the next run.
    pub(super) artifacts: PathBuf,
    /// What is of this run alone.
    pub(super) objects: PathBuf,
    _lock: File,
}

impl Own {
    /// Takes the first folders of the working copy that nobody else has, and empties them.
    pub(super) fn take(keep: &Path, project: &str) -> Result<Self, LocalError> {
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| LocalError::Artifacts { path, source }
        };
        let locks = keep.join("locks");
        fs::create_dir_all(&locks).map_err(failed(&locks))?;
        for nth in 1..=RUNS_MAX {
            let name = if nth == 1 { project.to_owned() } else { format!("{project}-{nth}") };
            let Some(lock) = lock(&locks.join(&name)).map_err(failed(&locks))? else { continue };
            let artifacts = keep.join("artifacts").join(&name);
            let objects = keep.join("objects").join(&name);
            for path in [&artifacts, &objects] {
                remove(path).map_err(failed(path))?;
            }
            return Ok(Self { artifacts, objects, _lock: lock });
        }
        Err(LocalError::Crowded { most: RUNS_MAX })
    }
}

impl Drop for Own {
    /// Layers and unfinished objects are of this run alone.
    fn drop(&mut self) {
        let _ = remove(&self.objects);
    }
}

/// `None` when somebody else has it.
fn lock(path: &Path) -> io::Result<Option<File>> {
    let file = File::options().create(true).truncate(false).write(true).open(path)?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_at_once_have_folders_of_their_own_and_later_ones_take_them_over() {
        let keep = tempfile::tempdir().unwrap();
        let take = |project: &str| Own::take(keep.path(), project).unwrap();
        let name = |own: &Own| own.artifacts.file_name().unwrap().to_str().unwrap().to_owned();
        let (first, other) = (take("app-1"), take("app-2"));
        for folder in [&first.artifacts, &first.objects, &other.objects] {
            fs::create_dir_all(folder).unwrap();
        }
        let second = take("app-1");
        assert_eq!([&first, &second, &other].map(name), ["app-1", "app-1-2", "app-2"]);
        let (artifacts, objects) = (first.artifacts.clone(), first.objects.clone());
        drop(second);
        assert!(artifacts.exists() && objects.exists(), "they are of one that lives");
        drop(first);
        assert!(artifacts.exists() && !objects.exists() && other.objects.exists());
        fs::create_dir_all(&objects).unwrap();
        assert_eq!(name(&take("app-1")), "app-1");
        assert!(!artifacts.exists() && !objects.exists(), "what a killed one left is gone");
    }
}
