//! A machine's tree, unpacked below a temporary folder.

use base::{reading::Readings, time::Timestamp};
use hardware::{Config, Root, Sampler};
use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    time::Duration,
};

/// An unpacked tree and its sampler; the clock is the number of rounds.
pub(crate) struct Machine {
    folder: tempfile::TempDir,
    sampler: Sampler,
    seconds: u64,
}

impl Machine {
    pub(crate) fn new(tree: &str) -> Self {
        Self::with(tree, |_| {})
    }

    /// A machine with something else set before its sampler starts.
    pub(crate) fn with(tree: &str, change: impl FnOnce(&mut Config)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for line in tree.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
            plant(folder.path(), line);
        }
        let mut config = Config { root: Root::new(folder.path()), ..Config::default() };
        change(&mut config);
        Self { sampler: Sampler::new(&config).unwrap(), folder, seconds: 0 }
    }

    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.folder.path().join(path)
    }

    pub(crate) fn write(&self, path: &str, value: impl std::fmt::Display) {
        fs::write(self.path(path), format!("{value}\n")).unwrap();
    }

    /// One round, `seconds` after the one before.
    pub(crate) fn after(&mut self, seconds: u64) -> Readings {
        self.seconds += seconds;
        self.sampler.round(Timestamp(0), Duration::from_secs(self.seconds))
    }

    pub(crate) fn round(&mut self) -> Readings {
        self.after(1)
    }
}

fn plant(root: &Path, line: &str) {
    let link = line.split_once(" -> ");
    let (path, value) = link.or_else(|| line.split_once(": ")).expect("a path and a value");
    let path = root.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    match link {
        Some((_, target)) => symlink(target, path).unwrap(),
        None => fs::write(path, value.replace("\\n", "\n") + "\n").unwrap(),
    }
}
