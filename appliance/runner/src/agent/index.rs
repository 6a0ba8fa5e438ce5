//! Which files Git says that a working copy has: pure.
//!
//! Why: a commit that replaces another takes away the files that only the other had, and leaves
//! those that no commit had.
//! Source: `gitformat-index` of the Git documentation, versions 2 to 4.
//! Limits: names that another file holds (split index) are not found.

use std::{
    ffi::OsStr,
    os::unix::ffi::OsStrExt,
    path::{Component, Path, PathBuf},
};

/// Bytes of an entry in front of its flags: times, device, ids, size and SHA-1.
const FIXED: usize = 60;

/// Another two bytes of flags follow.
const EXTENDED: u16 = 0x4000;

/// The files in the index, as paths that lead nowhere else; none when it makes no sense.
pub(super) fn files(index: &[u8]) -> Option<Vec<PathBuf>> {
    let rest = index.strip_prefix(b"DIRC")?;
    let (version, rest) = number(rest)?;
    let (count, mut rest) = number(rest)?;
    if !(2..=4).contains(&version) {
        return None;
    }
    let mut names = Vec::new();
    let mut name = Vec::new();
    for _ in 0..count {
        rest = entry(rest, version, &mut name)?;
        names.extend(plain(&name));
    }
    Some(names)
}

fn number(text: &[u8]) -> Option<(u32, &[u8])> {
    let (number, rest) = text.split_first_chunk::<4>()?;
    Some((u32::from_be_bytes(*number), rest))
}

/// Reads one entry, its name over that of the one before; what follows.
fn entry<'a>(text: &'a [u8], version: u32, name: &mut Vec<u8>) -> Option<&'a [u8]> {
    let (flags, mut rest) = text.get(FIXED..)?.split_first_chunk::<2>()?;
    if version > 2 && u16::from_be_bytes(*flags) & EXTENDED != 0 {
        rest = rest.get(2..)?;
    }
    if version == 4 {
        let (dropped, after) = offset(rest)?;
        name.truncate(name.len().checked_sub(dropped)?);
        rest = after;
    } else {
        name.clear();
    }
    let end = rest.iter().position(|byte| *byte == 0)?;
    name.extend(&rest[..end]);
    if version == 4 {
        return rest.get(end + 1..);
    }
    // At least one zero, and up to the next multiple of eight.
    let length = text.len() - rest.len() + end;
    text.get(length + 8 - length % 8..)
}

/// A number of seven bits in each byte, the most significant first.
fn offset(text: &[u8]) -> Option<(usize, &[u8])> {
    let (mut value, mut at) = (0_usize, 0);
    loop {
        let byte = *text.get(at)?;
        at += 1;
        value = value.checked_mul(128)?.checked_add(usize::from(byte & 0x7f))?;
        if byte & 0x80 == 0 {
            return Some((value, &text[at..]));
        }
        value = value.checked_add(1)?;
    }
}

/// The name as a path, unless it leads elsewhere or into Git's own folder.
fn plain(name: &[u8]) -> Option<PathBuf> {
    let path = Path::new(OsStr::from_bytes(name));
    let is_plain = |part| matches!(part, Component::Normal(part) if part != ".git");
    (!name.is_empty() && path.components().all(is_plain)).then(|| path.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An index with entries of these names; in version 4, how much of the name before is dropped
    /// comes first.
    fn index(version: u32, names: &[(&[u8], &str)]) -> Vec<u8> {
        let mut text = b"DIRC".to_vec();
        text.extend(version.to_be_bytes());
        text.extend(u32::try_from(names.len()).unwrap().to_be_bytes());
        for (dropped, name) in names {
            let start = text.len();
            text.extend([7; FIXED]);
            let extended = if version == 3 { EXTENDED } else { 0 };
            text.extend((extended | 5_u16).to_be_bytes());
            if version == 3 {
                text.extend([0; 2]);
            }
            text.extend(*dropped);
            text.extend(name.as_bytes());
            let padding = if version == 4 { 1 } else { 8 - (text.len() - start) % 8 };
            text.extend(vec![0; padding]);
        }
        text.extend([0; 20]);
        text
    }

    fn check(index: &[u8], expected: Option<&[&str]>) {
        let expected = expected.map(|names| names.iter().map(PathBuf::from).collect::<Vec<_>>());
        assert_eq!(files(index), expected);
    }

    #[test]
    fn names_are_read_in_every_version() {
        let names: [(&[u8], &str); 3] = [(b"", "a"), (b"", "deep/file.txt"), (b"", "z")];
        for version in [2, 3] {
            check(&index(version, &names), Some(&["a", "deep/file.txt", "z"]));
        }
        let packed: [(&[u8], &str); 3] =
            [(b"\0", "deep/a.txt"), (b"\x05", "b.txt"), (b"\x0a", "z")];
        check(&index(4, &packed), Some(&["deep/a.txt", "deep/b.txt", "z"]));
        assert_eq!(offset(&[0x80, 0x00, 9]), Some((128, &[9_u8][..])));
    }

    #[test]
    fn what_leads_elsewhere_is_left_out_and_nonsense_is_nothing() {
        check(
            &index(2, &[(b"", "../x"), (b"", "/etc/x"), (b"", ".git/config"), (b"", "a")]),
            Some(&["a"]),
        );
        check(b"", None);
        check(b"DIRC\0\0\0\x02\0\0\0\x01", None);
        check(&index(5, &[]), None);
        check(&index(4, &[(b"\x09", "a")]), None);
    }
}
