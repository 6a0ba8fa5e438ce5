//! Where programs inside the job may ring: the socket behind `circleci-agent step halt`.
//!
//! Why a socket and not a file: the job gets no host directory that it can write to.
//! Invariants: what rings is not trusted; a ring is one of a few known words, a ringer that says
//! nothing is dropped when others come, and the job can do no more than halt itself.

use rustix::{
    event::PollFlags,
    net::{RecvFlags, SendFlags},
};
use std::{
    collections::VecDeque,
    fs, io,
    os::{
        fd::{AsFd, BorrowedFd},
        unix::{
            fs::PermissionsExt,
            net::{UnixListener, UnixStream},
        },
    },
    path::Path,
};

/// The word for: this job goes no further.
pub(crate) const HALT: &[u8] = b"halt\n";

/// The answer to a word that was understood.
pub(crate) const HEARD: &[u8] = b"ok\n";

/// Ringers that may stand at the door at one time.
const RINGERS_MAX: usize = 8;

/// The socket inside the job.
pub(super) struct Doorbell {
    listener: UnixListener,
    ringers: VecDeque<UnixStream>,
}

impl Doorbell {
    /// Listens at `path`, for everybody inside the job.
    pub(super) fn hang(path: &Path) -> io::Result<Self> {
        let listener = UnixListener::bind(path)?;
        listener.set_nonblocking(true)?;
        fs::set_permissions(path, fs::Permissions::from_mode(0o666))?;
        Ok(Self { listener, ringers: VecDeque::new() })
    }

    /// What to wait for.
    pub(super) fn fds(&self) -> impl Iterator<Item = (BorrowedFd<'_>, PollFlags)> {
        let listener = std::iter::once(self.listener.as_fd());
        listener.chain(self.ringers.iter().map(AsFd::as_fd)).map(|fd| (fd, PollFlags::IN))
    }

    /// Lets in some of those who came and hears them; true when the job is to halt.
    pub(super) fn answer(&mut self) -> bool {
        // No more than can be heard in this turn: a job can ring without end.
        for _ in 0..RINGERS_MAX {
            let Ok((ringer, _)) = self.listener.accept() else { break };
            if self.ringers.len() == RINGERS_MAX {
                self.ringers.pop_front();
            }
            self.ringers.push_back(ringer);
        }
        let mut halted = false;
        self.ringers.retain(|ringer| {
            let mut word = [0; 16];
            match rustix::net::recv(ringer, word.as_mut_slice(), RecvFlags::DONTWAIT) {
                Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => true,
                Ok((count, _)) if word[..count.min(word.len())] == *HALT => {
                    halted = true;
                    // One that does not wait for the answer has still been heard.
                    let _ =
                        rustix::net::send(ringer, HEARD, SendFlags::DONTWAIT | SendFlags::NOSIGNAL);
                    false
                }
                _ => false,
            }
        });
        halted
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};

    fn check(word: &[u8], halts: bool) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("bell");
        let mut bell = Doorbell::hang(&path).unwrap();
        let mut ringer = UnixStream::connect(&path).unwrap();
        ringer.write_all(word).unwrap();
        assert_eq!(bell.answer(), halts, "{word:?}");
        drop(bell);
        let mut answer = Vec::new();
        let _ = ringer.read_to_end(&mut answer);
        assert_eq!(answer == HEARD, halts, "{word:?}");
    }

    #[test]
    fn only_known_words_are_heard() {
        check(b"halt\n", true);
        check(b"halt", false);
        check(b"halt\nhalt\nhalt\nhalt\n", false);
        check(b"\0\xff", false);
    }

    #[test]
    fn a_crowd_is_let_in_a_few_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("bell");
        let mut bell = Doorbell::hang(&path).unwrap();
        let crowd: Vec<_> =
            (0..RINGERS_MAX + 1).map(|_| UnixStream::connect(&path).unwrap()).collect();
        let mut last = crowd.last().unwrap();
        last.write_all(HALT).unwrap();
        assert!(!bell.answer(), "the last still stands outside");
        assert!(bell.answer());
    }

    #[test]
    fn many_silent_ringers_do_not_close_the_door() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("bell");
        let mut bell = Doorbell::hang(&path).unwrap();
        let silent: Vec<_> = (0..20).map(|_| UnixStream::connect(&path).unwrap()).collect();
        assert!(!bell.answer());
        UnixStream::connect(&path).unwrap().write_all(HALT).unwrap();
        assert!((0..3).any(|_| bell.answer()), "three turns let in all");
        drop(silent);
    }
}
