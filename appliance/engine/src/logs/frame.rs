//! Frames: pieces of output, each compressed on its own, so that reading one needs no other.
//!
//! Pure. Form of the index: version byte 1, then for each frame three little-endian `u32`:
//! bytes of output, line breaks in them, compressed bytes.

use super::LogError;
use bytes::Bytes;
use std::io;

/// Output in one full frame: small enough that a look into the middle of a log decompresses
/// little, large enough to compress well; also all that a ring needs to hold.
pub(crate) const FRAME: usize = 256 << 10;

/// Output is compressed once and mostly never read: fast matters more than small.
const LEVEL: i32 = 2;

const VERSION: u8 = 1;

/// A compressed piece of output.
#[derive(Debug, Clone)]
pub(crate) struct Frame {
    pub(crate) info: FrameInfo,
    pub(crate) packed: Bytes,
}

/// Lengths of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FrameInfo {
    /// Bytes of output.
    pub(crate) size: u32,
    /// Line breaks in them.
    pub(crate) lines: u32,
    /// Compressed bytes.
    pub(crate) packed: u32,
}

/// Line breaks in `text`.
pub(crate) fn count_lines(text: &[u8]) -> u64 {
    memchr::memchr_iter(b'\n', text).count() as u64
}

fn small(length: u64) -> u32 {
    u32::try_from(length).expect("a frame holds at most FRAME bytes")
}

/// Compresses at most [`FRAME`] bytes.
pub(crate) fn pack(text: &[u8]) -> io::Result<Frame> {
    let packed: Bytes = zstd::bulk::compress(text, LEVEL)?.into();
    let info = FrameInfo {
        size: small(text.len() as u64),
        lines: small(count_lines(text)),
        packed: small(packed.len() as u64),
    };
    Ok(Frame { info, packed })
}

/// The output in a frame; `None` when the bytes are not what the index says.
pub(crate) fn unpack(info: FrameInfo, packed: &[u8]) -> Option<Vec<u8>> {
    let size = usize::try_from(info.size).ok().filter(|size| *size <= FRAME)?;
    let text = zstd::bulk::decompress(packed, size).ok()?;
    (text.len() == size).then_some(text)
}

/// The index of some frames.
pub(crate) fn write_index(frames: impl Iterator<Item = FrameInfo>) -> Vec<u8> {
    let mut index = vec![VERSION];
    for frame in frames {
        for number in [frame.size, frame.lines, frame.packed] {
            index.extend_from_slice(&number.to_le_bytes());
        }
    }
    index
}

/// Reads an index; `damaged` is the answer to one that makes no sense.
pub(crate) fn read_index(
    index: &[u8],
    damaged: impl Fn() -> LogError,
) -> Result<Vec<FrameInfo>, LogError> {
    let rest = index.strip_prefix(&[VERSION]).ok_or_else(&damaged)?;
    let (entries, rest) = rest.as_chunks::<12>();
    if !rest.is_empty() {
        return Err(damaged());
    }
    let number = |bytes: &[u8]| u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
    let info = |entry: &[u8; 12]| FrameInfo {
        size: number(&entry[0..4]),
        lines: number(&entry[4..8]),
        packed: number(&entry[8..12]),
    };
    Ok(entries.iter().map(info).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn damaged() -> LogError {
        LogError::Damaged { step: 0, offset: 0 }
    }

    fn check(text: &[u8]) {
        let frame = pack(text).unwrap();
        assert_eq!(unpack(frame.info, &frame.packed).as_deref(), Some(text));
        let index = write_index([frame.info, frame.info].into_iter());
        assert_eq!(read_index(&index, damaged).unwrap(), [frame.info, frame.info]);
    }

    #[test]
    fn a_frame_gives_back_its_bytes() {
        check(b"");
        check(b"one\ntwo\n\xff\0");
        check(&vec![b'x'; FRAME]);
    }

    #[test]
    fn damage_is_an_answer_not_a_panic() {
        let frame = pack(b"hello\n").unwrap();
        assert!(unpack(frame.info, &frame.packed[1..]).is_none());
        assert!(unpack(FrameInfo { size: 3, ..frame.info }, &frame.packed).is_none());
        assert!(unpack(FrameInfo { size: u32::MAX, ..frame.info }, &frame.packed).is_none());
        for index in [&[][..], &[2], &[1, 0, 0]] {
            assert!(read_index(index, damaged).is_err());
        }
    }
}
