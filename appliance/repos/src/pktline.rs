//! Packet lines: the framing of Git's wire protocol. Pure, but for the reader over a stream.
//!
//! A packet is four hexadecimal digits of length, which count themselves, and the payload; the
//! lengths 0, 1 and 2 are the flush, delimiter and response-end marks.
//! Source: `gitprotocol-common` and `gitprotocol-v2` of the Git documentation.

use std::io::{self, Read, Write};

/// Largest payload of one packet.
pub(crate) const DATA_MAX: usize = 65_516;

/// Largest payload of one packet on a side band; one byte names the band.
pub(crate) const BAND_MAX: usize = DATA_MAX - 1;

/// One packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Packet {
    Data(Vec<u8>),
    Flush,
    Delimiter,
    ResponseEnd,
}

impl Packet {
    /// The payload as text without its line end; marks are empty.
    pub(crate) fn text(&self) -> &[u8] {
        match self {
            Self::Data(data) => data.strip_suffix(b"\n").unwrap_or(data),
            _ => b"",
        }
    }
}

/// What the four digits say: a mark, or how many bytes follow.
#[derive(Debug, PartialEq, Eq)]
enum Head {
    Mark(Packet),
    Payload(usize),
}

fn parse_head(digits: [u8; 4]) -> io::Result<Head> {
    let bad = || {
        let shown = String::from_utf8_lossy(&digits).into_owned();
        io::Error::new(io::ErrorKind::InvalidData, format!("bad packet length {shown:?}"))
    };
    if !digits.iter().all(u8::is_ascii_hexdigit) {
        return Err(bad());
    }
    let text = std::str::from_utf8(&digits).map_err(|_| bad())?;
    match usize::from_str_radix(text, 16).map_err(|_| bad())? {
        0 => Ok(Head::Mark(Packet::Flush)),
        1 => Ok(Head::Mark(Packet::Delimiter)),
        2 => Ok(Head::Mark(Packet::ResponseEnd)),
        length if (4..=DATA_MAX + 4).contains(&length) => Ok(Head::Payload(length - 4)),
        _ => Err(bad()),
    }
}

/// Reads one packet; `None` at the end of the stream.
pub(crate) fn read(from: &mut impl Read) -> io::Result<Option<Packet>> {
    let mut digits = [0; 4];
    if !read_all_or_nothing(from, &mut digits)? {
        return Ok(None);
    }
    match parse_head(digits)? {
        Head::Mark(mark) => Ok(Some(mark)),
        Head::Payload(length) => {
            let mut data = vec![0; length];
            from.read_exact(&mut data)?;
            Ok(Some(Packet::Data(data)))
        }
    }
}

/// Fills `buffer`; false when the stream ended before its first byte.
fn read_all_or_nothing(from: &mut impl Read, buffer: &mut [u8]) -> io::Result<bool> {
    let mut filled = 0;
    while filled < buffer.len() {
        match from.read(&mut buffer[filled..]) {
            Ok(0) if filled == 0 => return Ok(false),
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(true)
}

/// Writes one packet. The payload has at most [`DATA_MAX`] bytes.
pub(crate) fn write(to: &mut impl Write, payload: &[u8]) -> io::Result<()> {
    write_parts(to, &[payload])
}

fn write_parts(to: &mut impl Write, parts: &[&[u8]]) -> io::Result<()> {
    let length: usize = parts.iter().map(|part| part.len()).sum();
    if length > DATA_MAX {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "packet too long"));
    }
    write!(to, "{:04x}", length + 4)?;
    parts.iter().try_for_each(|part| to.write_all(part))
}

pub(crate) fn flush(to: &mut impl Write) -> io::Result<()> {
    to.write_all(b"0000")
}

pub(crate) fn delimiter(to: &mut impl Write) -> io::Result<()> {
    to.write_all(b"0001")
}

/// Tells the client why there will be no answer, in a form that it shows to its user.
pub(crate) fn error(to: &mut impl Write, message: &str) -> io::Result<()> {
    let message = message.as_bytes();
    write_parts(to, &[b"ERR ", &message[..message.len().min(1000)], b"\n"])
}

/// A channel of a side-band stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Band {
    Data = 1,
    Progress = 2,
    Fatal = 3,
}

/// Writes `bytes` on `band`, in as many packets as it takes.
pub(crate) fn band(to: &mut impl Write, band: Band, bytes: &[u8]) -> io::Result<()> {
    bytes.chunks(BAND_MAX).try_for_each(|chunk| write_parts(to, &[&[band as u8], chunk]))
}

/// A writer whose bytes travel on the data band.
pub(crate) struct DataBand<'a, W: Write>(pub(crate) &'a mut W);

impl<W: Write> Write for DataBand<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let chunk = &bytes[..bytes.len().min(BAND_MAX)];
        band(self.0, Band::Data, chunk)?;
        Ok(chunk.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(wire: &[u8], expected: impl Into<Option<Packet>>) {
        assert_eq!(read(&mut &*wire).unwrap(), expected.into());
    }

    #[test]
    fn packets_and_marks_are_read() {
        check(b"", None);
        check(b"0000rest", Some(Packet::Flush));
        check(b"0001", Some(Packet::Delimiter));
        check(b"0002", Some(Packet::ResponseEnd));
        check(b"0004", Some(Packet::Data(Vec::new())));
        check(b"0009hello", Some(Packet::Data(b"hello".to_vec())));
    }

    #[test]
    fn broken_packets_are_errors() {
        for wire in [&b"0003"[..], b"00", b"zzzz", b"+009hello", b"0009hell", b"fff5", b"ffff"] {
            assert!(read(&mut &*wire).is_err(), "{wire:?}");
        }
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic_and_always_end(wire in proptest::collection::vec(any::<u8>(), 0..200)) {
            let mut rest = &wire[..];
            let mut count = 0;
            while let Ok(Some(_)) = read(&mut rest) {
                count += 1;
            }
            prop_assert!(count <= wire.len() / 4);
        }

        #[test]
        fn what_is_written_is_read_back(payload in proptest::collection::vec(any::<u8>(), 0..70_000)) {
            let mut wire = Vec::new();
            let written = write(&mut wire, &payload);
            prop_assert_eq!(written.is_ok(), payload.len() <= DATA_MAX);
            if written.is_ok() {
                prop_assert_eq!(read(&mut &*wire).unwrap(), Some(Packet::Data(payload)));
            }
        }
    }
}
