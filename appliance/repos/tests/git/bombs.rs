//! Small packs that stand for much.

use super::{
    client::Place,
    limits::{assert_untouched, post},
};
use base::units::Bytes;
use flate2::{Compression, write::ZlibEncoder};
use gix_hash::{Kind as HashKind, ObjectId};
use gix_object::Kind;
use repos::Limits;
use std::{io::Write as _, time::Duration};

/// A pack on its way, and where its entries are.
struct Pack {
    bytes: Vec<u8>,
    count: u32,
}

/// Seven bits at a time, the lowest first.
fn number(mut rest: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    while rest > 0x7f {
        bytes.push((rest & 0x7f) as u8 | 0x80);
        rest >>= 7;
    }
    bytes.push(rest as u8);
    bytes
}

/// The distance to a base: seven bits at a time, the highest first, each further one less one.
fn distance(mut rest: usize) -> Vec<u8> {
    let mut bytes = vec![(rest & 0x7f) as u8];
    while rest > 0x7f {
        rest = (rest >> 7) - 1;
        bytes.insert(0, (rest & 0x7f) as u8 | 0x80);
    }
    bytes
}

/// The instruction that copies so many bytes of the base's start, in pieces.
fn copy(mut size: usize) -> Vec<u8> {
    const MOST: usize = 1 << 16;
    let (mut bytes, mut from) = (Vec::new(), 0);
    while size > 0 {
        let piece = size.min(MOST - 1);
        bytes.push(0b1011_1111);
        bytes.extend(&(from as u32).to_le_bytes());
        bytes.extend(&(piece as u16).to_le_bytes());
        from += piece;
        size -= piece;
    }
    bytes
}

impl Pack {
    /// With a commit of one file, whose id is returned.
    fn new() -> (Self, ObjectId) {
        let mut pack = Self { bytes: b"PACK\0\0\0\x02\0\0\0\0".to_vec(), count: 0 };
        let blob = pack.whole(Kind::Blob, b"file\n").1;
        let tree = [b"100644 file\0", blob.as_slice()].concat();
        let tree = pack.whole(Kind::Tree, &tree).1;
        let who = "A <a@example.org> 1700000000 +0000";
        let commit = format!("tree {tree}\nauthor {who}\ncommitter {who}\n\nfirst\n");
        let commit = pack.whole(Kind::Commit, commit.as_bytes()).1;
        (pack, commit)
    }

    fn entry(&mut self, kind: u8, size: usize, base: &[u8], data: &[u8]) -> usize {
        let at = self.bytes.len();
        let (low, rest) = ((size & 0x0f) as u8, size >> 4);
        if rest == 0 {
            self.bytes.push((kind << 4) | low);
        } else {
            self.bytes.push(0x80 | (kind << 4) | low);
            self.bytes.extend(number(rest));
        }
        self.bytes.extend(base);
        let mut deflate = ZlibEncoder::new(&mut self.bytes, Compression::best());
        deflate.write_all(data).unwrap();
        deflate.finish().unwrap();
        self.count += 1;
        at
    }

    fn whole(&mut self, kind: Kind, data: &[u8]) -> (usize, ObjectId) {
        let number = match kind {
            Kind::Commit => 1,
            Kind::Tree => 2,
            Kind::Blob => 3,
            Kind::Tag => 4,
        };
        let id = gix_object::compute_hash(HashKind::Sha1, kind, data).unwrap();
        (self.entry(number, data.len(), &[], data), id)
    }

    /// A delta on the entry at `base`, which has as many bytes: another start, and the rest of it.
    fn delta(&mut self, base: usize, size: usize, start: u64) -> usize {
        let own = start.to_be_bytes();
        let mut delta = [number(size), number(size), vec![8], own.to_vec()].concat();
        delta.extend(copy(size - own.len()));
        let back = distance(self.bytes.len() - base);
        self.entry(6, delta.len(), &back, &delta)
    }

    /// The request that pushes `tip` as the branch `main`.
    fn request(mut self, tip: ObjectId) -> Vec<u8> {
        self.bytes[8..12].copy_from_slice(&self.count.to_be_bytes());
        let mut hasher = gix_hash::hasher(HashKind::Sha1);
        hasher.update(&self.bytes);
        self.bytes.extend(hasher.try_finalize().unwrap().as_slice());
        let line = format!("{} {tip} refs/heads/main\0report-status", "0".repeat(40));
        [format!("{:04x}{line}0000", line.len() + 4).as_bytes(), &self.bytes].concat()
    }
}

/// Deltas of which each builds on the one before.
fn chain(length: u64) -> Vec<u8> {
    let (mut pack, tip) = Pack::new();
    let mut last = pack.whole(Kind::Blob, &[b'x'; 64]).0;
    for start in 0..length {
        last = pack.delta(last, 64, start);
    }
    pack.request(tip)
}

/// Objects of `size` bytes of which each is the base of the next, and of one that has to wait.
fn waiting(count: u64, size: usize) -> Vec<u8> {
    let (mut pack, tip) = Pack::new();
    let mut last = pack.whole(Kind::Blob, &vec![0; size]).0;
    for start in 0..count {
        pack.delta(last, size, 2 * start);
        last = pack.delta(last, size, 2 * start + 1);
    }
    pack.request(tip)
}

const TAKEN: &str = "ok refs/heads/main";

#[test]
fn deltas_that_build_on_one_another_without_end_are_refused() {
    let place = Place::new();
    let answer = post(&place, &chain(4096));
    assert!(answer.contains("more than 4095 of its deltas build on one another"), "{answer}");
    assert_untouched(&place);
    let answer = post(&place, &chain(4095));
    assert!(answer.contains(TAKEN), "{answer}");
    place.fsck();
}

#[test]
fn a_small_pack_that_asks_for_much_memory_is_refused() {
    let limits = || Limits { memory: Bytes::mib(64), ..Limits::default() };
    let request = waiting(64, 8 << 20);
    assert!(request.len() < 200_000, "{}", request.len());
    let place = Place::with(limits());
    let answer = post(&place, &request);
    assert!(answer.contains("takes more than 64 MiB of memory to unpack"), "{answer}");
    assert_untouched(&place);
    let answer = post(&place, &waiting(4, 1 << 20));
    assert!(answer.contains(TAKEN), "{answer}");
    place.fsck();
}

#[test]
fn a_small_pack_that_asks_for_much_time_is_refused() {
    let place = Place::with(Limits { unpacking: Duration::from_millis(100), ..Limits::default() });
    let answer = post(&place, &waiting(64, 8 << 20));
    assert!(answer.contains("the pack takes longer than"), "{answer}");
    assert_untouched(&place);
}
