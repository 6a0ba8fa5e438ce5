//! From the pipe of a run to the file of its step: masked, bounded, in large pieces.
//!
//! Why files: output survives the runner, and a link that is lost for a day costs disk, not
//! memory. Why the masking is here: nothing unmasked ever reaches the disk.
//! Invariants: a step's file only grows; beyond [`STEP_OUTPUT_MAX`] it says so once and the rest
//! is read and dropped, so that the job neither blocks nor dies of a broken pipe.
//! Cost: after a busy read the pipe is left alone for [`REST`], so that a flood of lines is read in
//! large pieces and not in one wake-up for each line; a pipe that fills the buffer is read on.

use crate::{
    folder::private,
    mask::{Patterns, Stream},
};
use base::{limits::STEP_OUTPUT_MAX, units::Bytes};
use rustix::{fs::Mode, io::Errno};
use std::{
    fs::File,
    io::{self, Write},
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::Path,
    time::{Duration, Instant},
};

/// A pipe this large holds what a fast program prints during a rest.
const PIPE_SIZE: usize = 1 << 20;

/// The job may open its output anew, by `/dev/stdout` say, though the pipe belongs to a user that it
/// does not know. It has no other name, so that nobody else comes to it; nor can the job read it.
const REOPENED: Mode = Mode::from_raw_mode(0o622);

/// How long a busy pipe is left alone.
const REST: Duration = Duration::from_millis(1);

/// Two reads closer than this mean a busy pipe.
const BUSY: Duration = Duration::from_millis(2);

/// What a poll brought.
pub(super) enum Read {
    /// The step's file is this long now.
    Grown(u64),
    /// Something was read and dropped, or held back.
    Quiet,
    /// There is nothing more for now.
    Empty,
    /// All writers are gone.
    Closed,
}

/// The output of one run.
pub(super) struct Spool {
    pipe: OwnedFd,
    file: File,
    length: u64,
    masking: Stream,
    masked: Vec<u8>,
    full: bool,
    last_read: Option<Instant>,
    rest_until: Option<Instant>,
    /// All writers are gone. A poll would tell it again and again, for as long as the run lives.
    closed: bool,
}

impl Spool {
    /// A pipe that ends in the file at `path`, and the end that the run writes to.
    pub(super) fn open(path: &Path, patterns: Patterns) -> io::Result<(Self, OwnedFd)> {
        let (pipe, writer) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
        rustix::fs::fcntl_setfl(&pipe, rustix::fs::OFlags::NONBLOCK)?;
        rustix::fs::fchmod(&writer, REOPENED)?;
        // Refused beyond the user's share of pipe memory: then it is smaller, and slower.
        let _ = rustix::pipe::fcntl_setpipe_size(&pipe, PIPE_SIZE);
        let file = private(path)?;
        let length = file.metadata()?.len();
        let spool = Self {
            pipe,
            file,
            length,
            masking: Stream::new(patterns),
            masked: Vec::new(),
            full: length >= STEP_OUTPUT_MAX,
            last_read: None,
            rest_until: None,
            closed: false,
        };
        Ok((spool, writer))
    }

    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.pipe.as_fd()
    }

    /// Until when the pipe is to be left alone.
    pub(super) const fn rests_until(&self) -> Option<Instant> {
        self.rest_until
    }

    /// Whether the pipe may have something to read and is not left alone.
    pub(super) fn is_due(&self, now: Instant) -> bool {
        !self.closed && self.rest_until.is_none_or(|until| until <= now)
    }

    /// When something was last read.
    pub(super) const fn last_read(&self) -> Option<Instant> {
        self.last_read
    }

    /// Reads once, into `buffer`.
    pub(super) fn read(&mut self, buffer: &mut [u8], now: Instant) -> Read {
        match rustix::io::read(&self.pipe, &mut *buffer) {
            Ok(0) => self.close(),
            Ok(count) => {
                let busy = self.last_read.is_some_and(|last| now.duration_since(last) < BUSY);
                // What fills the buffer comes faster than it is read: the writer waits already.
                self.rest_until = (busy && count < buffer.len()).then(|| now + REST);
                self.last_read = Some(now);
                self.pass(&buffer[..count])
            }
            Err(Errno::AGAIN) => {
                self.rest_until = None;
                Read::Empty
            }
            Err(Errno::INTR) => Read::Quiet,
            Err(_) => self.close(),
        }
    }

    const fn close(&mut self) -> Read {
        self.closed = true;
        self.rest_until = None;
        Read::Closed
    }

    fn pass(&mut self, bytes: &[u8]) -> Read {
        if self.masking.hides_nothing() {
            return self.keep(bytes);
        }
        if let Some(clean) = self.masking.clean(bytes) {
            return self.keep(clean);
        }
        let mut masked = std::mem::take(&mut self.masked);
        masked.clear();
        self.masking.feed(bytes, &mut masked);
        let read = self.keep(&masked);
        self.masked = masked;
        read
    }

    fn keep(&mut self, bytes: &[u8]) -> Read {
        if self.full || bytes.is_empty() {
            return Read::Quiet;
        }
        let room = usize::try_from(STEP_OUTPUT_MAX - self.length).unwrap_or(usize::MAX);
        let fits = &bytes[..bytes.len().min(room)];
        self.write(fits);
        if fits.len() < bytes.len() {
            self.full = true;
            let most = Bytes(STEP_OUTPUT_MAX);
            self.write(format!("\nOutput beyond {most} is not kept: redirect it to a file and store that as an artifact.\n").as_bytes());
        }
        Read::Grown(self.length)
    }

    /// Writes; a full disk ends the keeping, not the job.
    fn write(&mut self, bytes: &[u8]) {
        match self.file.write_all(bytes) {
            Ok(()) => self.length += bytes.len() as u64,
            Err(error) => {
                self.full = true;
                self.length = self.file.metadata().map_or(self.length, |file| file.len());
                tracing::error!(%error, "step output can no longer be kept");
            }
        }
    }

    /// Adds a line of our own between the run's; `Some` when the file grew.
    pub(super) fn say(&mut self, text: &str) -> Option<u64> {
        match self.keep(text.as_bytes()) {
            Read::Grown(length) => Some(length),
            _ => None,
        }
    }

    /// From here on, what is read is dropped.
    pub(super) const fn drop_further(&mut self) {
        self.full = true;
    }

    /// Writes what the masking held back; `Some` when the file grew.
    pub(super) fn finish(&mut self) -> Option<u64> {
        let mut rest = Vec::new();
        self.masking.finish(&mut rest);
        match self.keep(&rest) {
            Read::Grown(length) => Some(length),
            _ => None,
        }
    }
}
