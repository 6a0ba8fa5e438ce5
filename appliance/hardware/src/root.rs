//! The root below which the machine is read: `/`, or a tree captured from another machine.
//!
//! Why: nobody has every board on the desk; a tree of small files replays one in a test.
//! Invariants: no path leaves the root by its own text (`..` or an absolute path is a bug of the
//! caller); a file is read up to [`FILE_MAX`] bytes; an answer is trimmed.
//! On failure: the kernel's own error; a sensor answers EAGAIN, EIO or ENODATA as a matter of
//! course, so the caller makes it a quality.

use std::{
    fs::{self, File},
    io::{self, Read},
    path::{Path, PathBuf},
    str::FromStr,
};

/// No file of sysfs is longer than a page, and those of procfs that are read here (`meminfo`,
/// `diskstats`, `net/netstat`) stay below this on machines with hundreds of devices.
const FILE_MAX: u64 = 256 << 10;

/// What most are below, so that one read takes them: the kernel may write a whole table anew for each.
const FILE_USUAL: usize = 4 << 10;

/// Where the machine is read.
#[derive(Debug, Clone)]
pub struct Root(PathBuf);

impl Default for Root {
    fn default() -> Self {
        Self(PathBuf::from("/"))
    }
}

impl Root {
    /// A root at `path`: `/` for this machine.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// Whether this is the living machine and not a captured tree.
    #[must_use]
    pub fn is_live(&self) -> bool {
        self.0 == Path::new("/")
    }

    /// The full path of `relative`.
    #[must_use]
    pub fn join(&self, relative: impl AsRef<Path>) -> PathBuf {
        debug_assert!(
            relative.as_ref().is_relative(),
            "{} is absolute",
            relative.as_ref().display()
        );
        self.0.join(relative)
    }

    /// The trimmed text of a small file.
    ///
    /// # Errors
    /// Whatever the kernel answers; `InvalidData` when it is not UTF-8.
    pub fn text(&self, relative: impl AsRef<Path>) -> io::Result<String> {
        let mut text = String::with_capacity(FILE_USUAL);
        File::open(self.join(relative))?.take(FILE_MAX).read_to_string(&mut text)?;
        text.truncate(text.trim_end().len());
        text.shrink_to_fit();
        Ok(text)
    }

    /// The number, or other plain value, that a small file holds.
    ///
    /// # Errors
    /// As [`Root::text`]; `InvalidData` when it is something else.
    pub fn value<T: FromStr>(&self, relative: impl AsRef<Path>) -> io::Result<T> {
        let text = self.text(relative)?;
        text.trim().parse().map_err(|_| io::Error::from(io::ErrorKind::InvalidData))
    }

    /// Names in a folder, sorted; empty when there is no such folder.
    #[must_use]
    pub fn names(&self, relative: impl AsRef<Path>) -> Vec<String> {
        let Ok(entries) = fs::read_dir(self.join(relative)) else { return Vec::new() };
        let mut names: Vec<String> =
            entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect();
        names.sort_unstable();
        names
    }

    /// An absolute path of the machine without links, as far as it exists: mount points have none. A
    /// link that leads out of a captured tree is not followed.
    #[must_use]
    pub fn real(&self, path: &Path) -> PathBuf {
        let root = fs::canonicalize(&self.0).unwrap_or_else(|_| self.0.clone());
        let real = path.ancestors().find_map(|there| {
            let real =
                fs::canonicalize(self.join(there.strip_prefix("/").unwrap_or(there))).ok()?;
            let below = Path::new("/").join(real.strip_prefix(&root).ok()?);
            let rest = path.strip_prefix(there).ok().filter(|rest| *rest != Path::new(""));
            Some(rest.map_or_else(|| below.clone(), |rest| below.join(rest)))
        });
        real.unwrap_or_else(|| path.to_path_buf())
    }

    /// Where a link below `/sys` leads, as a path below the root's `sys/`: the name of a device
    /// that stays over restarts. The given path itself when it is no link.
    #[must_use]
    pub fn device(&self, relative: impl AsRef<Path>) -> String {
        let path = self.join(relative.as_ref());
        let real = fs::canonicalize(&path).unwrap_or(path);
        let root = fs::canonicalize(&self.0).unwrap_or_else(|_| self.0.clone());
        let below = real.strip_prefix(&root).unwrap_or(&real);
        below.strip_prefix("sys").unwrap_or(below).display().to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_files_are_read_below_the_root() {
        let folder = tempfile::tempdir().unwrap();
        let root = Root::new(folder.path());
        fs::create_dir_all(root.join("sys/devices/platform/chip.0")).unwrap();
        fs::write(root.join("sys/devices/platform/chip.0/temp1_input"), "41000\n").unwrap();
        fs::create_dir_all(root.join("sys/class/hwmon")).unwrap();
        std::os::unix::fs::symlink(
            "../../devices/platform/chip.0",
            root.join("sys/class/hwmon/hwmon3"),
        )
        .unwrap();
        assert_eq!(root.value::<i64>("sys/class/hwmon/hwmon3/temp1_input").unwrap(), 41_000);
        assert_eq!(root.device("sys/class/hwmon/hwmon3"), "devices/platform/chip.0");
        assert_eq!(root.names("sys/class/hwmon"), ["hwmon3"]);
        assert!(root.names("sys/class/none").is_empty());
        assert!(root.value::<i64>("sys/class/hwmon/hwmon3/temp2_input").is_err());
    }

    #[test]
    fn links_are_followed_within_the_root_alone() {
        let folder = tempfile::tempdir().unwrap();
        let root = Root::new(folder.path());
        let link = |to: &str, at: &str| std::os::unix::fs::symlink(to, root.join(at)).unwrap();
        fs::create_dir_all(root.join("srv/data")).unwrap();
        fs::create_dir_all(root.join("var/lib")).unwrap();
        link("../../srv/data", "var/lib/appliance");
        link("/dev", "var/lib/out");
        let check =
            |path: &str, real: &str| assert_eq!(root.real(Path::new(path)), Path::new(real));
        check("/", "/");
        check("/var/lib/appliance", "/srv/data");
        check("/var/lib/appliance/not/yet", "/srv/data/not/yet");
        check("/srv", "/srv");
        check("/none/at/all", "/none/at/all");
        check("/var/lib/out", "/var/lib/out");
    }
}
