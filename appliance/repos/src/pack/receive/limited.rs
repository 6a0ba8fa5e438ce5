//! A reader of a pack that keeps to its bounds and remembers why it stopped.

use super::guard::Guard;
use std::io::{self, Read};

/// A client that sends a pack which is not wanted is heard out this far, so that it reads the
/// answer instead of a broken connection.
const DRAIN_MAX: u64 = 1 << 30;

/// Magic, version and number of objects.
const HEADER: usize = 12;

/// Why no more was read.
#[derive(Debug)]
pub(super) enum Problem {
    TooManyBytes,
    TooManyObjects(u32),
    NotAPack,
    Cut(io::Error),
}

/// Reads a pack within bounds.
pub(super) struct Limited<'a> {
    inner: &'a mut dyn Read,
    left: u64,
    objects_max: u32,
    header: Vec<u8>,
    guard: &'a Guard,
    pub(super) problem: Option<Problem>,
}

impl<'a> Limited<'a> {
    pub(super) fn new(
        inner: &'a mut dyn Read,
        bytes: u64,
        objects_max: u32,
        guard: &'a Guard,
    ) -> Self {
        let header = Vec::with_capacity(HEADER);
        Self { inner, left: bytes, objects_max, header, guard, problem: None }
    }

    /// Reads what the client still sends, within reason.
    pub(super) fn drain(&mut self) {
        drain(self.inner);
    }

    fn stop(&mut self, problem: Problem) -> io::Error {
        self.problem.get_or_insert(problem);
        io::Error::other("the pack was refused")
    }

    /// Looks at the first bytes as they pass.
    fn inspect(&mut self, bytes: &[u8]) -> Result<(), Problem> {
        let missing = HEADER - self.header.len();
        if missing == 0 {
            return Ok(());
        }
        self.header.extend(bytes.iter().take(missing));
        let Ok(header) = <[u8; HEADER]>::try_from(&self.header[..]) else { return Ok(()) };
        let (_, count) = gix_pack::data::header::decode(&header).map_err(|_| Problem::NotAPack)?;
        if count > self.objects_max { Err(Problem::TooManyObjects(count)) } else { Ok(()) }
    }
}

/// Reads what a client still sends, within reason.
pub(crate) fn drain(from: &mut dyn Read) {
    if let Err(error) = io::copy(&mut from.take(DRAIN_MAX), &mut io::sink()) {
        tracing::debug!(%error, "a client left before it was told why its push was refused");
    }
}

impl Read for Limited<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = match self.inner.read(buffer) {
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Err(error),
            Err(error) => return Err(self.stop(Problem::Cut(error))),
        };
        if count as u64 > self.left {
            return Err(self.stop(Problem::TooManyBytes));
        }
        self.left -= count as u64;
        self.guard.hear();
        self.inspect(&buffer[..count]).map_err(|problem| self.stop(problem))?;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(wire: &[u8], bytes: u64, objects: u32) -> Option<Problem> {
        let mut inner = wire;
        let guard = Guard::new();
        let mut limited = Limited::new(&mut inner, bytes, objects, &guard);
        let _ = io::copy(&mut limited, &mut io::sink());
        limited.problem
    }

    #[test]
    fn a_pack_is_read_within_its_bounds() {
        let wire = b"PACK\0\0\0\x02\0\0\0\x05rest";
        assert!(check(wire, 16, 5).is_none());
        assert!(matches!(check(wire, 15, 5), Some(Problem::TooManyBytes)));
        assert!(matches!(check(wire, 16, 4), Some(Problem::TooManyObjects(5))));
        assert!(matches!(check(b"GIF89a......", 99, 5), Some(Problem::NotAPack)));
        assert!(check(b"", 99, 5).is_none());
    }
}
