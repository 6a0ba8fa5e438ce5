//! A working copy that is pushed with the real git.

use crate::harness::Appliance;
use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};
use tempfile::TempDir;

/// A repository with one remote: the appliance.
pub(crate) struct WorkingCopy {
    pub(crate) folder: TempDir,
    authority: PathBuf,
}

impl WorkingCopy {
    /// An empty repository whose `origin` is `project` on the appliance, with the administrator's
    /// credentials.
    pub(crate) fn new(appliance: &Appliance, project: &str, token: &str) -> Self {
        let authority = appliance.data().join("tls/ca.pem");
        let this = Self { folder: tempfile::tempdir().unwrap(), authority };
        this.git(&["init", "--quiet", "--initial-branch=main"]);
        let url = appliance.git_url(project).replace("https://", &format!("https://{token}@"));
        this.git(&["remote", "add", "origin", &url]);
        this.git(&["config", "user.name", "Tester"]);
        this.git(&["config", "user.email", "tester@example.org"]);
        this
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Writes a file and commits it.
    pub(crate) fn commit(&self, path: &str, content: &str, message: &str) {
        let file = self.path().join(path);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, content).unwrap();
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--message", message]);
    }

    /// A git command that must succeed; what it printed on standard error.
    pub(crate) fn git(&self, arguments: &[&str]) -> String {
        let output = self.try_git(arguments);
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "git {arguments:?}: {told}");
        told
    }

    /// What a git command printed as its result.
    pub(crate) fn git_output(&self, arguments: &[&str]) -> String {
        let output = self.try_git(arguments);
        assert!(
            output.status.success(),
            "git {arguments:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    pub(crate) fn try_git(&self, arguments: &[&str]) -> Output {
        Command::new("git")
            .args(arguments)
            .current_dir(self.path())
            .env("GIT_TERMINAL_PROMPT", "0")
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("HOME", self.path())
            .env("GIT_SSL_CAINFO", &self.authority)
            .output()
            .unwrap()
    }

    /// Pushes `main`; what the terminal of the pusher shows.
    pub(crate) fn push(&self) -> String {
        self.git(&["push", "origin", "main"])
    }
}
