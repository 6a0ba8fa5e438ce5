//! Bounds what an archive may say about its entries, apart from their content.
//!
//! Why: names and attributes that do not fit into a header stand in entries of their own, which the
//! reader of archives holds in memory whole, however large they are: a few kilobytes of a packed layer
//! can be gigabytes of name.
//! The way: between two entries only so many bytes are read; what an entry holds is read to its end
//! before the next is asked for.

use std::{
    cell::Cell,
    io::{self, Read},
};

/// What may be said about one entry: names and attributes take a few kilobytes, the largest set of
/// attributes that a file system keeps half of this.
const SAID_MAX: u64 = 1 << 20;

/// Counts what is read between entries; a number when it counts.
#[derive(Debug, Default)]
pub(super) struct Gate(Cell<Option<u64>>);

impl Gate {
    /// From here on an entry is described.
    pub(super) fn close(&self) {
        self.0.set(Some(SAID_MAX));
    }

    /// From here on its content follows.
    pub(super) fn open(&self) {
        self.0.set(None);
    }

    fn pass(&self, count: u64) -> io::Result<()> {
        let Some(left) = self.0.get() else { return Ok(()) };
        let left = left.checked_sub(count).ok_or_else(|| {
            let text = "what the archive says about one entry is longer than 1 MiB";
            io::Error::new(io::ErrorKind::InvalidData, text)
        })?;
        self.0.set(Some(left));
        Ok(())
    }
}

/// A reader whose bytes pass a gate.
pub(super) struct Gated<'a> {
    pub(super) inner: &'a mut dyn Read,
    pub(super) gate: &'a Gate,
}

impl Read for Gated<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.gate.pass(count as u64)?;
        Ok(count)
    }
}
