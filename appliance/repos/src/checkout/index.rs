//! Git's index, version 2: which files the working tree has, with their sizes and times. Pure.
//!
//! Source: `gitformat-index` of the Git documentation.

use gix_hash::{Kind as HashKind, ObjectId};
use std::io;

/// Longer names have this in place of their length.
const NAME_LENGTH_MAX: usize = 0xfff;

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

/// The text of the index; `entries` are sorted by path, `mtime` is theirs in seconds since 1970.
pub(super) fn render(entries: &[Entry], mtime: u64) -> io::Result<Vec<u8>> {
    let count = u32::try_from(entries.len()).map_err(io::Error::other)?;
    let mut text = Vec::with_capacity(entries.len() * 96 + 32);
    text.extend(b"DIRC");
    text.extend(2_u32.to_be_bytes());
    text.extend(count.to_be_bytes());
    for entry in entries {
        push(&mut text, entry, mtime);
    }
    let mut hasher = gix_hash::hasher(HashKind::Sha1);
    hasher.update(&text);
    let digest = hasher.try_finalize().map_err(io::Error::other)?;
    text.extend(digest.as_slice());
    Ok(text)
}

fn push(text: &mut Vec<u8>, entry: &Entry, mtime: u64) {
    let start = text.len();
    // Git keeps the lower 32 bits of sizes and times.
    let low = |number: u64| (number & u64::from(u32::MAX)) as u32;
    let fields = [0, 0, low(mtime), 0, 0, 0, entry.mode, 0, 0, low(entry.size)];
    for field in fields {
        text.extend(field.to_be_bytes());
    }
    text.extend(entry.id.as_slice());
    let length = entry.path.len().min(NAME_LENGTH_MAX);
    text.extend((length as u16).to_be_bytes());
    text.extend(&entry.path);
    // At least one zero, and up to the next multiple of eight.
    let padding = 8 - (text.len() - start) % 8;
    text.extend(std::iter::repeat_n(0, padding));
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
        assert_eq!(render(&[entry], 1).unwrap().len() - 12 - 20, expected, "{name_length}");
    }

    #[test]
    fn entries_are_padded_to_eight_bytes_with_at_least_one_zero() {
        check(1, 64);
        check(2, 72);
        check(9, 72);
        check(10, 80);
    }
}
