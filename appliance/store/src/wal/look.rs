//! What the log of a stop that was not clean holds, read before SQLite does.
//!
//! Why: SQLite takes the log up to the first page that does not fit, and says nothing of what stands
//! behind it. A power cut leaves pages of one commit there, which nobody was told is done: a commit begins
//! only when the one before is on the disk. Anything more was acknowledged, and is lost by damage.
//! Invariant: nothing is written, and a page behind the break counts only when its own sum is right.

use super::{FRAME, HEADER};
use std::{
    fs::File,
    io::{self, BufReader, Read},
    path::Path,
};

/// What stands in front of the pages, where they are of this form; its last bit tells the sums' order of bytes.
const MAGIC: u32 = 0x377f_0682;

/// Sizes that a page may have.
const PAGES: std::ops::RangeInclusive<u32> = 512..=65536;

/// What a log holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Found {
    /// What SQLite will take is all that was acknowledged.
    Whole,
    /// So many acknowledged commits, at the least, stand behind a broken page.
    Lost(u64),
    /// Its beginning is broken: SQLite will take none of it.
    Unusable,
}

/// So many bytes behind an empty beginning tell whether anything was ever written, a damaged sector or not.
const FIRST_PAGES: u64 = 1 << 17;

type Sum = (u32, u32);

/// Reads the log at `path`; one that is not there is an empty one.
pub(crate) fn look(path: &Path) -> io::Result<Found> {
    let file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Found::Whole),
        file => file?,
    };
    let mut file = BufReader::with_capacity(1 << 16, file);
    let mut header = [0; HEADER as usize];
    if !fill(&mut file, &mut header)? || header == [0; HEADER as usize] {
        // SQLite flushes the header before any page.
        let mut first = Vec::new();
        file.take(FIRST_PAGES).read_to_end(&mut first)?;
        let begun = first.iter().any(|&byte| byte != 0);
        return Ok(if begun { Found::Unusable } else { Found::Whole });
    }
    let Some(round) = Round::of(&header) else { return Ok(Found::Unusable) };
    Ok(match round.lost(&mut file)? {
        0 => Found::Whole,
        lost => Found::Lost(lost),
    })
}

/// One use of the log from its front, as the header tells it.
struct Round {
    big_endian: bool,
    page_size: u32,
    salt: [u8; 8],
    sum: Sum,
}

/// A page and what stands in front of it.
struct Frame {
    head: [u8; FRAME as usize],
    page: Vec<u8>,
}

impl Round {
    fn of(header: &[u8; HEADER as usize]) -> Option<Self> {
        let magic = word(header, 0);
        let page_size = word(header, 8);
        let known =
            magic & !1 == MAGIC && PAGES.contains(&page_size) && page_size.is_power_of_two();
        let salt = header[16..24].try_into().ok()?;
        let round = Self { big_endian: magic & 1 == 1, page_size, salt, sum: pair(header, 24) };
        (known && round.add((0, 0), &header[..24]) == round.sum).then_some(round)
    }

    /// Acknowledged commits behind the first page that does not fit.
    fn lost(&self, file: &mut impl Read) -> io::Result<u64> {
        let (mut before, mut broken, mut commits) = (Some(self.sum), false, 0_u64);
        while let Some(frame) = next(file, self.page_size)? {
            let ours = frame.head[8..16] == self.salt;
            let fits = ours && before.is_some_and(|sum| self.sum_of(sum, &frame) == frame.sum());
            // The first that does not fit may itself have ended a commit.
            if ours && frame.ends_commit() && (if broken { fits } else { !fits }) {
                commits += 1;
            }
            broken |= !fits;
            before = ours.then(|| frame.sum());
        }
        // The last may be the one that nobody was told of.
        Ok(commits.saturating_sub(1))
    }

    fn sum_of(&self, before: Sum, frame: &Frame) -> Sum {
        self.add(self.add(before, &frame.head[..8]), &frame.page)
    }

    fn add(&self, sum: Sum, bytes: &[u8]) -> Sum {
        let (words, _) = bytes.as_chunks::<4>();
        let word = |bytes: [u8; 4]| match self.big_endian {
            true => u32::from_be_bytes(bytes),
            false => u32::from_le_bytes(bytes),
        };
        words.as_chunks::<2>().0.iter().fold(sum, |(a, b), &[first, second]| {
            let a = a.wrapping_add(word(first)).wrapping_add(b);
            (a, b.wrapping_add(word(second)).wrapping_add(a))
        })
    }
}

impl Frame {
    fn sum(&self) -> Sum {
        pair(&self.head, 16)
    }

    fn ends_commit(&self) -> bool {
        word(&self.head, 4) != 0
    }
}

fn next(file: &mut impl Read, page_size: u32) -> io::Result<Option<Frame>> {
    let mut frame = Frame { head: [0; FRAME as usize], page: vec![0; page_size as usize] };
    Ok((fill(file, &mut frame.head)? && fill(file, &mut frame.page)?).then_some(frame))
}

/// `false` when the file ends before.
fn fill(file: &mut impl Read, into: &mut [u8]) -> io::Result<bool> {
    match file.read_exact(into) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        read => read.map(|()| true),
    }
}

fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

fn pair(bytes: &[u8], at: usize) -> Sum {
    (word(bytes, at), word(bytes, at + 4))
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: usize = HEADER as usize;
    const STRIDE: usize = 512 + FRAME as usize;

    /// Looks at a log of ten commits after `harm`, which is told how many pages it has.
    fn check(harm: impl FnOnce(&mut Vec<u8>, usize), expected: &[Found]) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.db");
        let sql = rusqlite::Connection::open(&path).unwrap();
        sql.pragma_update(None, "page_size", 512).unwrap();
        sql.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(())).unwrap();
        sql.execute_batch("CREATE TABLE t (n INTEGER)").unwrap();
        for n in 0..10 {
            sql.execute("INSERT INTO t VALUES (?1)", [n]).unwrap();
        }
        let log = super::super::of(&path);
        let mut bytes = std::fs::read(&log).unwrap();
        let frames = (bytes.len() - FIRST) / STRIDE;
        bytes.resize(bytes.len() + 5000, 0);
        harm(&mut bytes, frames);
        let harmed = folder.path().join("harmed");
        std::fs::write(&harmed, &bytes).unwrap();
        let found = look(&harmed).unwrap();
        assert!(expected.contains(&found), "{found:?}");
    }

    #[test]
    fn what_a_power_cut_may_leave_is_whole() {
        check(|_, _| (), &[Found::Whole]);
        check(|bytes, _| bytes.clear(), &[Found::Whole]);
        check(|bytes, _| bytes.fill(0), &[Found::Whole]);
        // The last commit did not reach the disk, or only in part.
        check(|bytes, frames| bytes[FIRST + (frames - 1) * STRIDE..].fill(0), &[Found::Whole]);
        check(|bytes, frames| bytes[FIRST + (frames - 1) * STRIDE + 30] ^= 1, &[Found::Whole]);
        assert_eq!(look(Path::new("/nowhere/a.db-wal")).unwrap(), Found::Whole);
    }

    #[test]
    fn acknowledged_commits_behind_a_broken_page_are_counted() {
        let lost = [Found::Lost(8), Found::Lost(9), Found::Lost(10)];
        check(|bytes, _| bytes[FIRST + 100] ^= 1, &lost);
        check(|bytes, _| bytes[FIRST..FIRST + 512].fill(7), &lost);
        check(|bytes, frames| bytes[FIRST + (frames - 2) * STRIDE + 30] ^= 1, &[Found::Lost(1)]);
    }

    #[test]
    fn a_log_whose_beginning_is_broken_is_of_no_use() {
        check(|bytes, _| bytes[10] ^= 1, &[Found::Unusable]);
        check(|bytes, _| bytes[..512].fill(0), &[Found::Unusable]);
        check(|bytes, _| bytes[..FIRST].fill(0), &[Found::Unusable]);
    }
}
