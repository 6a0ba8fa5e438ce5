//! What a hook says, until it ends.
//!
//! Why by `poll`: a hook may leave a daemon behind that keeps its outputs open for ever. Nobody waits
//! for it, and no thread and no descriptor stays with it: when the ears are dropped, its outputs are
//! closed on this side.
//! Invariants: of each output [`OUTPUT_MAX`] is kept and the rest read and thrown away, so that a
//! chatty hook neither blocks nor fills memory; every wait has a deadline.

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::{Errno, read},
};
use std::{
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    process::Child,
    time::Instant,
};

const OUTPUT_MAX: usize = 64 << 10;

/// One output that is still open, and how much of it may still be kept.
struct Output {
    pipe: OwnedFd,
    left: usize,
}

/// Both outputs of a process.
pub(super) struct Ears {
    open: Vec<Output>,
    said: Vec<u8>,
}

impl Ears {
    /// Takes the outputs of `child`, as far as they are piped.
    pub(super) fn of(child: &mut Child) -> Self {
        let out = child.stdout.take().map(OwnedFd::from);
        let err = child.stderr.take().map(OwnedFd::from);
        let open = out.into_iter().chain(err).map(|pipe| Output { pipe, left: OUTPUT_MAX });
        Self { open: open.collect(), said: Vec::new() }
    }

    /// Hears until the process behind the descriptor has ended; whether it has, by `until`.
    pub(super) fn hear_out(&mut self, process: BorrowedFd<'_>, until: Instant) -> bool {
        loop {
            match self.hear(Some(process), until) {
                Some(true) => return true,
                Some(false) => {}
                None => return false,
            }
        }
    }

    /// Everything that was said, once all outputs are closed, or by `until`.
    pub(super) fn rest(mut self, until: Instant) -> String {
        while !self.open.is_empty() && self.hear(None, until).is_some() {}
        String::from_utf8_lossy(&self.said).into_owned()
    }

    /// One wait for an output or the end of `process`; whether that has ended. `None` when the time is
    /// over or nothing can be waited for.
    fn hear(&mut self, process: Option<BorrowedFd<'_>>, until: Instant) -> Option<bool> {
        let left = until.saturating_duration_since(Instant::now());
        let outputs = self.open.iter().map(|output| output.pipe.as_fd());
        let mut all: Vec<PollFd<'_>> =
            outputs.chain(process).map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)).collect();
        match poll(&mut all, Timespec::try_from(left).ok().as_ref()) {
            Ok(0) => return None,
            Ok(_) => {}
            Err(Errno::INTR) => return Some(false),
            Err(_) => return None,
        }
        let mut ready = all.iter().map(|fd| !fd.revents().is_empty()).collect::<Vec<_>>();
        let has_ended = process.is_some() && ready.pop() == Some(true);
        let mut ready = ready.into_iter();
        let said = &mut self.said;
        self.open.retain_mut(|output| ready.next() != Some(true) || output.take(said));
        Some(has_ended)
    }
}

impl Output {
    /// Reads what is there; `false` at the end.
    fn take(&mut self, said: &mut Vec<u8>) -> bool {
        let mut buffer = [0; 4096];
        match read(&self.pipe, &mut buffer) {
            Ok(0) => false,
            Ok(count) => {
                let kept = count.min(self.left);
                self.left -= kept;
                said.extend_from_slice(&buffer[..kept]);
                true
            }
            Err(error) => error == Errno::INTR,
        }
    }
}
