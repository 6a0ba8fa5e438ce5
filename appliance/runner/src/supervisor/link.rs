//! The supervisor's end of its connection to the runner.
//!
//! Why not blocking: a runner that is stopped in mid-read must not stop the output of the job.
//! Invariants: progress of output is told only when all before it was written, so that what waits
//! is bounded by the number of runs and not by what they print; a runner that connects anew
//! replaces the one before.

use super::wire::{Event, Request, View};
use rustix::{
    event::PollFlags,
    io::Errno,
    net::{RecvFlags, SendFlags},
};
use std::{
    collections::BTreeMap,
    os::{fd::AsFd, fd::BorrowedFd, unix::net::UnixStream},
};

/// A request with a large environment stays far below.
const REQUEST_MAX: usize = 32 << 20;

/// One receive; most requests are smaller.
const PIECE: usize = 8 << 10;

/// A connection to a runner.
pub(super) struct Link {
    stream: UnixStream,
    incoming: Vec<u8>,
    outgoing: Vec<u8>,
    /// Lengths of output not told yet.
    grown: BTreeMap<u32, u64>,
}

impl Link {
    /// Greets whoever connected.
    pub(super) fn new(stream: UnixStream, view: &View) -> Self {
        let mut link =
            Self { stream, incoming: Vec::new(), outgoing: Vec::new(), grown: BTreeMap::new() };
        link.tell(&Event::Hello(view.clone()));
        link
    }

    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }

    /// What to wait for.
    pub(super) fn interest(&self) -> PollFlags {
        let writes = if self.outgoing.is_empty() { PollFlags::empty() } else { PollFlags::OUT };
        PollFlags::IN | writes
    }

    /// Tells an event, now or when the runner reads again.
    pub(super) fn tell(&mut self, event: &Event) {
        if let Event::Grown(step, length) = event {
            self.grown.insert(*step, *length);
        } else {
            self.tell_grown();
            self.append(event);
        }
        self.flush();
    }

    fn append(&mut self, event: &Event) {
        let line = serde_json::to_vec(event).expect("an event is plain data");
        self.outgoing.extend(line);
        self.outgoing.push(b'\n');
    }

    fn tell_grown(&mut self) {
        for (step, length) in std::mem::take(&mut self.grown) {
            self.append(&Event::Grown(step, length));
        }
    }

    /// Writes what can be written without waiting.
    pub(super) fn flush(&mut self) {
        if self.outgoing.is_empty() {
            self.tell_grown();
        }
        while !self.outgoing.is_empty() {
            match rustix::net::send(
                &self.stream,
                &self.outgoing,
                SendFlags::DONTWAIT | SendFlags::NOSIGNAL,
            ) {
                Ok(sent) => {
                    self.outgoing.drain(..sent);
                }
                Err(Errno::INTR) => {}
                // Full: the poll tells. Broken: the next receive tells.
                Err(_) => return,
            }
        }
    }

    /// The requests that have arrived whole; `None` when the runner is gone and has none left.
    pub(super) fn receive(&mut self) -> Option<Vec<Request>> {
        let is_gone = !self.read();
        if self.incoming.len() > REQUEST_MAX {
            return None;
        }
        let whole = self.incoming.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        if is_gone && whole == 0 {
            return None;
        }
        let rest = self.incoming.split_off(whole);
        let lines = std::mem::replace(&mut self.incoming, rest);
        let lines = lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        // A request that cannot be read comes from another build: the runner must be told.
        lines.map(|line| serde_json::from_slice(line).ok()).collect()
    }

    /// Reads what has arrived; false when nothing more will.
    fn read(&mut self) -> bool {
        let mut piece = [0; PIECE];
        while self.incoming.len() <= REQUEST_MAX {
            match rustix::net::recv(&self.stream, piece.as_mut_slice(), RecvFlags::DONTWAIT) {
                Ok((0, _)) => return false,
                Ok((count, _)) => self.incoming.extend_from_slice(&piece[..count]),
                Err(Errno::AGAIN) => return true,
                Err(Errno::INTR) => {}
                Err(_) => return false,
            }
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    #[test]
    fn the_last_requests_of_a_runner_that_ends_are_heard() {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let mut link = Link::new(ours, &View::default());
        theirs.write_all(b"\"thaw\"\n\"finish\"\n\"meas").unwrap();
        // Answers that nobody reads are no reason to hear less.
        drop(theirs);
        let heard = link.receive();
        assert!(matches!(heard.as_deref(), Some([Request::Thaw, Request::Finish])), "{heard:?}");
        assert!(link.receive().is_none());
    }
}
