//! Git's index, version 2: which files the working tree has, with their sizes and times. Pure.
//!
//! Source: `gitformat-index` of the Git documentation.

use gix_hash::{Kind as HashKind, ObjectId};
use std::{io, ops::Range};

/// Longer names have this in place of their length.
const NAME_LENGTH_MAX: usize = 0xfff;

/// Where the number of entries stands.
const COUNT: Range<usize> = 8..12;

/// One file of the working tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    /// With `/`, from the root of the working tree.
    pub(super) path: Vec<u8>,
    /// As in a tree: type and permission.
    pub(super) mode: u32,
    pub(super) id: ObjectId,
    /// Bytes on disk; zero for a submodule.
    pub(super) size: u64,
}

/// The text of an index on its way. It grows with the walk, for a list beside it would take as much
/// memory again.
pub(super) struct Index {
    text: Vec<u8>,
    count: u32,
    /// Of all entries, in seconds since 1970.
    mtime: u64,
}

impl Index {
    pub(super) fn new(mtime: u64) -> Self {
        let mut text = b"DIRC".to_vec();
        text.extend(2_u32.to_be_bytes());
        text.extend([0; 4]);
        Self { text, count: 0, mtime }
    }

    /// Adds an entry; they come sorted by path.
    pub(super) fn push(&mut self, entry: &Entry) {
        let start = self.text.len();
        // Git keeps the lower 32 bits of sizes and times.
        let low = |number: u64| (number & u64::from(u32::MAX)) as u32;
        let fields = [0, 0, low(self.mtime), 0, 0, 0, entry.mode, 0, 0, low(entry.size)];
        self.text.extend(fields.into_iter().flat_map(u32::to_be_bytes));
        self.text.extend(entry.id.as_slice());
        let length = entry.path.len().min(NAME_LENGTH_MAX);
        self.text.extend((length as u16).to_be_bytes());
        self.text.extend(&entry.path);
        // At least one zero, and up to the next multiple of eight.
        let padding = 8 - (self.text.len() - start) % 8;
        self.text.extend(std::iter::repeat_n(0, padding));
        self.count += 1;
    }

    /// The whole text, with its count and its digest.
    pub(super) fn finish(mut self) -> io::Result<Vec<u8>> {
        self.text[COUNT].copy_from_slice(&self.count.to_be_bytes());
        let mut hasher = gix_hash::hasher(HashKind::Sha1);
        hasher.update(&self.text);
        let digest = hasher.try_finalize().map_err(io::Error::other)?;
        self.text.extend(digest.as_slice());
        Ok(self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(name_length: usize, expected: usize) {
        let entry = Entry {
            path: vec![b'x'; name_length],
            mode: 0o100_644,
            id: ObjectId::null(HashKind::Sha1),
            size: 1,
        };
        let mut index = Index::new(1);
        index.push(&entry);
        let text = index.finish().unwrap();
        assert_eq!(text.len() - 12 - 20, expected, "{name_length}");
        assert_eq!(text[COUNT], [0, 0, 0, 1]);
    }

    #[test]
    fn entries_are_padded_to_eight_bytes_with_at_least_one_zero() {
        check(1, 64);
        check(2, 72);
        check(9, 72);
        check(10, 80);
    }
}
