//! The paths that Git keeps track of in a working copy.
//!
//! Source: `gitformat-index` of the Git documentation, versions 2 to 4.
//! Limits: an index that is split over two files tells only of those in the first; one of a repository
//! with SHA-256 tells of none.

use std::{
    ffi::OsStr,
    os::unix::ffi::OsStrExt,
    path::{Component, PathBuf},
};

/// Dates, device, inode, mode, owner and size of an entry.
const STAT: usize = 40;
const MODE: std::ops::Range<usize> = 24..28;
const ID: usize = 20;

/// A second word of flags follows.
const EXTENDED: u16 = 0x4000;

/// The files and links that `index` names; none from the place on where it cannot be read.
pub(super) fn paths(index: &[u8]) -> Vec<PathBuf> {
    let mut paths = Vec::new();
    let mut rest = Rest(index);
    let _ = rest.all(&mut paths);
    paths
}

struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    fn all(&mut self, paths: &mut Vec<PathBuf>) -> Option<()> {
        let magic = self.take(4)?;
        let (version, count) = (self.number()?, self.number()?);
        (magic == b"DIRC" && (2..=4).contains(&version)).then_some(())?;
        let mut name = Vec::new();
        for _ in 0..count {
            let mode = self.entry(version, &mut name)?;
            let path = PathBuf::from(OsStr::from_bytes(&name));
            let is_plain =
                |part: Component<'_>| matches!(part, Component::Normal(part) if part != ".git");
            if matches!(mode & 0o170_000, 0o100_000 | 0o120_000) && path.components().all(is_plain)
            {
                paths.push(path);
            }
        }
        Some(())
    }

    /// Reads the name of one entry, given the one before; its mode.
    fn entry(&mut self, version: u32, name: &mut Vec<u8>) -> Option<u32> {
        let before = self.0.len();
        let stat = self.take(STAT)?;
        let mode = u32::from_be_bytes(stat[MODE].try_into().ok()?);
        self.take(ID)?;
        let flags = u16::from_be_bytes(self.take(2)?.try_into().ok()?);
        if flags & EXTENDED != 0 {
            self.take(2)?;
        }
        // Version 4 names what differs from the entry before.
        let kept = match version {
            4 => name.len().checked_sub(self.offset()?)?,
            _ => 0,
        };
        name.truncate(kept);
        let end = self.0.iter().position(|byte| *byte == 0)?;
        name.extend_from_slice(self.take(end)?);
        self.take(1)?;
        if version < 4 {
            self.take((before - self.0.len()).wrapping_neg() % 8)?;
        }
        Some(mode)
    }

    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn number(&mut self) -> Option<u32> {
        Some(u32::from_be_bytes(self.take(4)?.try_into().ok()?))
    }

    /// Seven bits at a time, highest first; each further byte counts one more.
    fn offset(&mut self) -> Option<usize> {
        let mut byte = self.take(1)?[0];
        let mut value = usize::from(byte & 0x7f);
        while byte & 0x80 != 0 {
            byte = self.take(1)?[0];
            value = value.checked_add(1)?.checked_mul(128)? + usize::from(byte & 0x7f);
        }
        Some(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::{fs, path::Path, process::Command};

    /// As Git writes it, with one path that only its second flags make different.
    #[expect(clippy::disallowed_methods, reason = "tests run the real Git client")]
    fn written(version: &str) -> Vec<u8> {
        let copy = tempfile::tempdir().unwrap();
        let script = format!(
            "git init -q . && mkdir -p a/b && touch a/b/c a/b/cd a/longer-name z && ln -s z link \
             && git add . && touch later && git add -N later && git update-index --index-version {version}"
        );
        let done =
            Command::new("sh").args(["-c", &script]).current_dir(copy.path()).status().unwrap();
        assert!(done.success());
        fs::read(copy.path().join(".git/index")).unwrap()
    }

    #[test]
    fn the_paths_are_read_in_each_version() {
        for version in ["2", "3", "4"] {
            let expected = ["a/b/c", "a/b/cd", "a/longer-name", "later", "link", "z"];
            assert_eq!(
                paths(&written(version)),
                expected.map(|p| Path::new(p).to_owned()),
                "{version}"
            );
        }
    }

    proptest! {
        #[test]
        fn a_broken_index_is_no_panic(cut in 0usize..400, at in 0usize..400, byte in any::<u8>()) {
            let mut index = b"DIRC\0\0\0\x04\0\0\0\x09".to_vec();
            index.extend([0; 400]);
            index[at] = byte;
            index.truncate(cut);
            let _ = paths(&index);
        }
    }
}
