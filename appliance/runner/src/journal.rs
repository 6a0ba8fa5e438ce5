//! What a runner must remember of a job to go on with it after a restart.
//!
//! Why a list of lines: each entry is one append, which a killed process either made or did not;
//! nothing is ever rewritten.
//! Invariants: a report is in the journal before it is sent, so that its number never names
//! anything else; a torn last line is passed over.
//! On failure: what the disk does not take is kept, and written before the next entry, so that no
//! entry is missing before a later one. When too much is kept, nothing more is remembered: a runner that is
//! started anew then goes on from an earlier moment.
//! Durability: no `fsync`; see [`crate::folder`].

use crate::folder::private;
use base::protocol::Progress;
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, BufRead, BufReader},
    path::{Path, PathBuf},
};

/// Why the journal could not be used.
#[derive(Debug, thiserror::Error)]
#[error("could not {attempt} the journal {path}")]
pub(crate) struct JournalError {
    attempt: &'static str,
    path: PathBuf,
    source: io::Error,
}

/// One thing to remember.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Entry {
    /// The next report.
    Report(Progress),
    /// The control side has every report before this number.
    ReportsTaken(u64),
    /// The control side has a step's output before this offset.
    OutputTaken(u32, u64),
    /// The sandbox stands, and this is what steps need to know of it.
    Stands(crate::spin_up::Stands),
    /// The job's range of ids and its address.
    Number(u32),
    /// The job asked to go no further.
    Halted,
}

/// What the entries of a journal add up to.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Memory {
    /// Every report made.
    pub reports: Vec<Progress>,
    /// How many of them were taken.
    pub reports_taken: u64,
    /// Output taken, by step.
    pub output_taken: BTreeMap<u32, u64>,
    /// The sandbox, once it stood.
    pub stands: Option<crate::spin_up::Stands>,
    /// The job's range of ids and its address.
    pub number: Option<u32>,
    /// The job was halted.
    pub halted: bool,
}

/// Entries that wait for a disk to take them; what the longest reports of a few steps need.
const OWED_MAX: usize = 16 << 20;

/// An open journal.
#[derive(Debug)]
pub(crate) struct Journal {
    path: PathBuf,
    file: File,
    /// What the disk did not take.
    owed: Vec<u8>,
    /// An entry found no place; none is taken any more.
    is_broken: bool,
}

impl Journal {
    /// Opens the journal at `path`, new or not, and reads what it holds.
    pub(crate) fn open(path: &Path) -> Result<(Self, Memory), JournalError> {
        let failed =
            |attempt| move |source| JournalError { attempt, path: path.to_owned(), source };
        let file = private(path).map_err(failed("open"))?;
        let (memory, torn) = read(path).map_err(failed("read"))?;
        let owed = if torn { b"\n".to_vec() } else { Vec::new() };
        Ok((Self { path: path.to_owned(), file, owed, is_broken: false }, memory))
    }

    /// Adds an entry. One that the disk does not take is owed, and remembered when a later one is taken.
    pub(crate) fn append(&mut self, entry: &Entry) -> Result<(), JournalError> {
        let path = self.path.clone();
        let failed = |source| JournalError { attempt: "append to", path, source };
        // There may be room again.
        let _or_owed_still = self.pay();
        self.owe(entry).and_then(|()| self.pay()).map_err(failed)
    }

    fn owe(&mut self, entry: &Entry) -> io::Result<()> {
        let line = serde_json::to_vec(entry)?;
        self.is_broken |= self.owed.len() + line.len() > OWED_MAX && !self.owed.is_empty();
        if self.is_broken {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.owed.extend(line);
        self.owed.push(b'\n');
        Ok(())
    }

    fn pay(&mut self) -> io::Result<()> {
        while !self.owed.is_empty() {
            let taken = rustix::io::retry_on_intr(|| rustix::io::write(&self.file, &self.owed))?;
            self.owed.drain(..taken);
        }
        Ok(())
    }
}

/// The sum of all whole lines, and whether the last line is torn.
fn read(path: &Path) -> io::Result<(Memory, bool)> {
    let mut reader = BufReader::new(File::open(path)?);
    let mut memory = Memory::default();
    let mut line = Vec::new();
    let mut torn = false;
    while reader.read_until(b'\n', &mut line)? > 0 {
        torn = line.last() != Some(&b'\n');
        if let Ok(entry) = serde_json::from_slice(&line) {
            memory.add(entry);
        }
        line.clear();
    }
    Ok((memory, torn))
}

impl Memory {
    fn add(&mut self, entry: Entry) {
        match entry {
            Entry::Report(progress) => self.reports.push(progress),
            Entry::ReportsTaken(count) => self.reports_taken = self.reports_taken.max(count),
            Entry::OutputTaken(step, offset) => {
                self.output_taken.insert(step, offset);
            }
            Entry::Stands(stands) => self.stands = Some(stands),
            Entry::Number(number) => self.number = Some(number),
            Entry::Halted => self.halted = true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use base::time::Timestamp;
    use std::fs;

    fn long(bytes: usize) -> Entry {
        Entry::Report(Progress::Artifact { path: "x".repeat(bytes), key: String::new(), size: 0 })
    }

    fn reopened(path: &Path) -> Memory {
        Journal::open(path).unwrap().1
    }

    #[test]
    fn a_cut_at_any_byte_leaves_the_entries_before_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        let (mut journal, empty) = Journal::open(&path).unwrap();
        assert_eq!(empty, Memory::default());
        let started = Progress::Started { at: Timestamp(5000) };
        journal.append(&Entry::Report(started.clone())).unwrap();
        let first = fs::read(&path).unwrap().len();
        journal.append(&Entry::OutputTaken(2, 100)).unwrap();
        let whole = fs::read(&path).unwrap();
        for cut in first..whole.len() {
            fs::write(&path, &whole[..cut]).unwrap();
            let (mut journal, memory) = Journal::open(&path).unwrap();
            assert_eq!(memory.reports, std::slice::from_ref(&started), "cut at {cut}");
            journal.append(&Entry::ReportsTaken(1)).unwrap();
            assert_eq!(reopened(&path).reports_taken, 1, "cut at {cut}");
        }
    }

    #[test]
    fn what_a_full_disk_did_not_take_is_written_when_there_is_room() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        let (mut journal, _) = Journal::open(&path).unwrap();
        journal.append(&Entry::OutputTaken(1, 1)).unwrap();
        let room = journal.file.try_clone().unwrap();
        journal.file = File::options().write(true).open("/dev/full").unwrap();
        let started = Progress::Started { at: Timestamp(5000) };
        journal.append(&Entry::Report(started.clone())).unwrap_err();
        assert_eq!(reopened(&path).reports, []);
        journal.file = room;
        journal.append(&Entry::ReportsTaken(1)).unwrap();
        let memory = reopened(&path);
        assert_eq!((memory.reports, memory.reports_taken), (vec![started], 1));
    }

    #[test]
    fn after_an_entry_that_found_no_place_there_is_no_later_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        let (mut journal, _) = Journal::open(&path).unwrap();
        let room = journal.file.try_clone().unwrap();
        journal.file = File::options().write(true).open("/dev/full").unwrap();
        journal.append(&long(OWED_MAX / 2)).unwrap_err();
        journal.append(&long(OWED_MAX / 2)).unwrap_err();
        journal.append(&Entry::ReportsTaken(1)).unwrap_err();
        journal.file = room;
        journal.append(&Entry::ReportsTaken(1)).unwrap_err();
        let memory = reopened(&path);
        assert_eq!((memory.reports.len(), memory.reports_taken), (1, 0));
    }

    #[test]
    fn room_that_is_there_again_is_used_before_an_entry_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        let (mut journal, _) = Journal::open(&path).unwrap();
        let room = journal.file.try_clone().unwrap();
        journal.file = File::options().write(true).open("/dev/full").unwrap();
        journal.append(&long(OWED_MAX / 2)).unwrap_err();
        journal.file = room;
        journal.append(&long(OWED_MAX / 2)).unwrap();
        assert_eq!(reopened(&path).reports.len(), 2);
    }

    #[test]
    fn a_torn_journal_on_a_full_disk_is_read_all_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        fs::write(&path, "{\"number\":7}\n{\"numb").unwrap();
        let (mut journal, memory) = Journal::open(&path).unwrap();
        assert_eq!(memory.number, Some(7));
        assert_eq!(fs::read(&path).unwrap().last(), Some(&b'b'), "nothing is written for a look");
        journal.append(&Entry::Halted).unwrap();
        assert!(reopened(&path).halted);
    }
}
