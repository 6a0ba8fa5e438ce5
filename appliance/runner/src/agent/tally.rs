//! How many entries an archive has, told in the archive.
//!
//! Why: an archive that was damaged in its middle may look as if it ended there, and what is behind would
//! be missing without a word.
//! Form: a record before the first entry says that another one comes after the last, which has their number.
//! Other programs pass over both. Archives without the first are taken as they are.

use std::{
    fmt::Display,
    io::{self, Read, Write},
};

const KEY: &str = "APPLIANCE.entries";

/// What stands for the number in the first record.
const COMES: &str = "at the end";

/// The longest record that is looked at.
const RECORD_MAX: u64 = 64 << 10;

/// Counts the entries of an archive that is being written.
#[derive(Debug, Default)]
pub(super) struct Told(u64);

impl Told {
    /// Writes the first record.
    pub(super) fn begin<W: Write>(archive: &mut tar::Builder<W>) -> io::Result<Self> {
        write(archive, &COMES)?;
        Ok(Self(0))
    }

    pub(super) fn count(&mut self) {
        self.0 += 1;
    }

    /// Writes the last record.
    pub(super) fn end<W: Write>(self, archive: &mut tar::Builder<W>) -> io::Result<()> {
        write(archive, &self.0)
    }
}

fn write<W: Write>(archive: &mut tar::Builder<W>, value: &dyn Display) -> io::Result<()> {
    let record = record(&format!(" {KEY}={value}\n"));
    let mut header = tar::Header::new_ustar();
    header.set_entry_type(tar::EntryType::XGlobalHeader);
    header.set_path("pax_global_header")?;
    header.set_mode(0o644);
    header.set_size(record.len() as u64);
    header.set_cksum();
    archive.append(&header, record.as_bytes())
}

/// A record begins with its own length.
fn record(text: &str) -> String {
    let digits = (1..).find(|digits| (text.len() + digits).to_string().len() == *digits);
    format!("{}{text}", text.len() + digits.unwrap_or_default())
}

/// Compares what an archive tells of itself with what is found in it.
#[derive(Debug, Default)]
pub(super) struct Checked {
    is_due: bool,
    told: Option<u64>,
    found: u64,
}

impl Checked {
    pub(super) fn count(&mut self) {
        self.found += 1;
    }

    /// Reads a record, of us or of others.
    pub(super) fn hear(&mut self, record: impl Read) -> io::Result<()> {
        let mut text = Vec::new();
        record.take(RECORD_MAX).read_to_end(&mut text)?;
        for extension in tar::PaxExtensions::new(&text).flatten() {
            if extension.key().is_ok_and(|key| key == KEY) {
                let value = extension.value().unwrap_or_default();
                self.is_due |= value == COMES;
                self.told = value.parse().ok();
            }
        }
        Ok(())
    }

    /// Whether all entries were there.
    pub(super) fn end(self) -> io::Result<()> {
        if !self.is_due || self.told == Some(self.found) {
            return Ok(());
        }
        let of = self.told.map(|told| format!(" of {told}")).unwrap_or_default();
        let text = format!("the archive is damaged: only {}{of} entries are in it", self.found);
        Err(io::Error::new(io::ErrorKind::InvalidData, text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_counts_its_own_length() {
        for (text, expected) in
            [(" a=b\n", "6 a=b\n"), (" abcd=b\n", "9 abcd=b\n"), (" abcde=b\n", "11 abcde=b\n")]
        {
            assert_eq!(record(text), expected);
        }
    }

    #[test]
    fn an_archive_without_a_record_is_taken_as_it_is() {
        let mut foreign = Checked::default();
        foreign.hear(b"11 comment=\n".as_slice()).unwrap();
        foreign.count();
        foreign.end().unwrap();
    }
}
