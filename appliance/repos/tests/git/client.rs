//! The real Git client in a directory of its own.

use super::server::Server;
use repos::Limits;
use std::{
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};
use tempfile::TempDir;

/// A server and a place for working copies.
pub(crate) struct Place {
    pub(crate) dir: TempDir,
    pub(crate) server: Server,
}

impl Place {
    pub(crate) fn new() -> Self {
        Self::with(Limits::default())
    }

    pub(crate) fn with(limits: Limits) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let server = Server::start(&dir.path().join("root"), limits);
        Self { dir, server }
    }

    /// A new working copy with one commit and the server as `origin`.
    pub(crate) fn copy(&self, name: &str) -> Copy {
        let copy = Copy { dir: self.dir.path().join(name) };
        std::fs::create_dir(&copy.dir).unwrap();
        copy.git(&["init", "-q", "-b", "main"]);
        copy.git(&["remote", "add", "origin", &self.server.url()]);
        copy.commit("README.md", "hello\n");
        copy
    }

    /// Clones from the server, with further arguments.
    pub(crate) fn clone(&self, name: &str, arguments: &[&str]) -> Copy {
        let url = self.server.url();
        let all = [&["clone", "-q"], arguments, &[&url, name]].concat();
        run(self.dir.path(), &all, true);
        Copy { dir: self.dir.path().join(name) }
    }

    /// The stored repository is whole in the eyes of Git itself.
    pub(crate) fn fsck(&self) {
        let bare = self.dir.path().join("root/acme/relay.git");
        run(&bare, &["fsck", "--strict", "--full"], true);
    }
}

/// A working copy.
pub(crate) struct Copy {
    pub(crate) dir: PathBuf,
}

#[expect(clippy::disallowed_methods, reason = "tests run the real Git client")]
pub(crate) fn command(dir: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new("git");
    command
        .args(arguments)
        .current_dir(dir)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("HOME", dir)
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_TERMINAL_PROMPT", "0")
        .env("GIT_AUTHOR_NAME", "Ada")
        .env("GIT_AUTHOR_EMAIL", "ada@example.test")
        .env("GIT_COMMITTER_NAME", "Ada")
        .env("GIT_COMMITTER_EMAIL", "ada@example.test")
        .stdin(Stdio::null());
    command
}

fn run(dir: &Path, arguments: &[&str], must_succeed: bool) -> Output {
    let output = command(dir, arguments).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.success(), must_succeed, "git {arguments:?}: {stderr}");
    output
}

impl Copy {
    /// Runs Git, which must succeed; its output without the last line end.
    pub(crate) fn git(&self, arguments: &[&str]) -> String {
        let output = run(&self.dir, arguments, true);
        String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
    }

    /// Runs Git, which must succeed; what it says on standard error.
    pub(crate) fn git_says(&self, arguments: &[&str]) -> String {
        let output = run(&self.dir, arguments, true);
        String::from_utf8_lossy(&output.stderr).into_owned()
    }

    /// Runs Git, which must fail; what it says on standard error.
    pub(crate) fn git_fails(&self, arguments: &[&str]) -> String {
        let output = run(&self.dir, arguments, false);
        String::from_utf8_lossy(&output.stderr).into_owned()
    }

    pub(crate) fn write(&self, file: &str, text: impl AsRef<[u8]>) {
        let path = self.dir.join(file);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    /// Writes a file and commits it; the new revision.
    pub(crate) fn commit(&self, file: &str, text: impl AsRef<[u8]>) -> String {
        self.write(file, text);
        self.git(&["add", "-A"]);
        self.git(&["commit", "-q", "-m", &format!("Write {file}")]);
        self.head()
    }

    pub(crate) fn head(&self) -> String {
        self.git(&["rev-parse", "HEAD"])
    }

    pub(crate) fn fsck(&self) {
        self.git(&["fsck", "--strict", "--full"]);
    }
}

/// Bytes that do not compress, the same for the same seed.
pub(crate) fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(2).wrapping_add(1);
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        bytes.extend_from_slice(&(state >> 16).to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}
