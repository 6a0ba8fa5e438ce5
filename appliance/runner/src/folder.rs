//! The folder of one job: every file that its supervisor and the runner share.
//!
//! Why a folder named at random and not after the task: a supervisor is started ahead of the job
//! that it will serve.
//! Invariants: the folder is 0700 and its files 0600, because they hold the job's variables and
//! output; it is removed when the control side knows the job's end.
//! Durability: none is needed. After a loss of power the sandbox is gone, and the control side
//! starts a new attempt; what a killed process wrote is still there.

use base::protocol::Assignment;
use std::{
    fs,
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

/// Why a job's folder could not be used.
#[derive(Debug, thiserror::Error)]
#[error("could not {attempt} {path}")]
pub struct FolderError {
    attempt: &'static str,
    path: PathBuf,
    source: io::Error,
}

/// The folder of one job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Folder(PathBuf);

impl Folder {
    /// Makes a new folder under `jobs`.
    pub fn create(jobs: &Path) -> Result<Self, FolderError> {
        let path = jobs.join(uuid::Uuid::new_v4().simple().to_string());
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&path)
            .map_err(|source| FolderError { attempt: "create", path: path.clone(), source })?;
        Ok(Self(path))
    }

    /// The folder at `path`, made before.
    #[must_use]
    pub const fn at(path: PathBuf) -> Self {
        Self(path)
    }

    /// The folders under `jobs`; none when there is no such place.
    #[must_use]
    pub fn all(jobs: &Path) -> Vec<Self> {
        let Ok(entries) = fs::read_dir(jobs) else { return Vec::new() };
        entries.flatten().map(|entry| Self(entry.path())).collect()
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Its own name, unlike that of any other folder.
    #[must_use]
    pub fn name(&self) -> String {
        self.0.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }

    /// Where the supervisor listens.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.0.join("supervisor.sock")
    }

    /// What the supervisor says that belongs to no step.
    #[must_use]
    pub fn supervisor_log(&self) -> PathBuf {
        self.0.join("supervisor.log")
    }

    /// What the runner remembers.
    #[must_use]
    pub fn journal(&self) -> PathBuf {
        self.0.join("journal")
    }

    /// The masked output of a step.
    #[must_use]
    pub fn output(&self, step: u32) -> PathBuf {
        self.0.join(format!("step-{step}.out"))
    }

    /// What the process of a step reads, or leaves for the runner.
    #[must_use]
    pub fn exchange(&self, step: u32) -> PathBuf {
        self.0.join(format!("step-{step}.bytes"))
    }

    /// What the job may see of this folder, read-only: its scripts and the doorbell.
    #[must_use]
    pub fn door(&self) -> PathBuf {
        self.0.join("door")
    }

    /// Where programs inside the job ring.
    #[must_use]
    pub fn doorbell(&self) -> PathBuf {
        self.door().join("agent.sock")
    }

    /// The sandbox's own place: overlay, scratch.
    #[must_use]
    pub fn sandbox(&self) -> PathBuf {
        self.0.join("sandbox")
    }

    fn assignment_path(&self) -> PathBuf {
        self.0.join("assignment.json")
    }

    /// Keeps the assignment: from here on the job is known to a restarted runner.
    pub fn keep_assignment(&self, assignment: &Assignment) -> Result<(), FolderError> {
        let path = self.assignment_path();
        let draft = self.0.join("assignment.draft");
        let failed = |source| FolderError { attempt: "write", path: path.clone(), source };
        let json = serde_json::to_vec(assignment).map_err(|error| failed(error.into()))?;
        private(&draft).and_then(|mut file| file.write_all(&json)).map_err(failed)?;
        fs::rename(&draft, &path).map_err(failed)
    }

    /// The assignment kept before; `None` when the folder never got one.
    pub fn assignment(&self) -> Result<Option<Assignment>, FolderError> {
        let path = self.assignment_path();
        let failed = |source| FolderError { attempt: "read", path: path.clone(), source };
        match fs::read(&path) {
            Ok(json) => {
                serde_json::from_slice(&json).map(Some).map_err(|error| failed(error.into()))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(failed(error)),
        }
    }

    /// Removes the assignment: from here on no runner takes this for a job.
    pub(crate) fn forget(&self) {
        // What stands in the way of it stands in the way of the folder, too.
        let _ = fs::remove_file(self.assignment_path());
    }

    /// Removes the folder and all that is in it, the assignment first: a runner that finds what a
    /// cut removal left must not take it for a job without a journal.
    pub fn remove(&self) -> Result<(), FolderError> {
        self.forget();
        match sandbox::remove_tree(&self.0) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                Err(FolderError { attempt: "remove", path: self.0.clone(), source })
            }
            _ => Ok(()),
        }
    }
}

/// Opens a file of the job that holds nothing yet, 0600.
pub(crate) fn fresh(path: &Path) -> io::Result<fs::File> {
    let file = private(path)?;
    file.set_len(0)?;
    Ok(file)
}

/// Opens a file of the job to append to, 0600.
pub(crate) fn private(path: &Path) -> io::Result<fs::File> {
    fs::OpenOptions::new().create(true).append(true).mode(0o600).open(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::examples;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn an_assignment_is_found_again_and_seen_by_nobody_else() {
        let jobs = tempfile::tempdir().unwrap();
        let folder = Folder::create(jobs.path()).unwrap();
        assert!(folder.assignment().unwrap().is_none());
        let job = examples::assignment();
        folder.keep_assignment(&job).unwrap();
        assert_eq!(folder.assignment().unwrap().unwrap().task, job.task);
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(folder.path()), mode(&folder.assignment_path())), (0o700, 0o600));
        assert_eq!(Folder::all(jobs.path()), std::slice::from_ref(&folder));
        folder.remove().unwrap();
        folder.remove().unwrap();
    }
}
