//! A source that may block, in a thread of its own.
//!
//! Why: a driver that waits for a dead bus holds its reader for seconds, and a reader in the kernel
//! cannot be interrupted. Such a thread is left alone until it answers; the round goes on.
//! Invariants: one question is in flight at most, so a blocked source costs one thread and no
//! queue; an answer that came late counts for the round in which it is found. The thread ends when
//! its owner is dropped, as soon as its read returns.
//! Units: [`STACK`] is what one such thread may use.

use std::{
    io,
    sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TryRecvError, sync_channel},
    thread,
    time::Instant,
};

/// Reading small files needs little; the default of 8 MiB would only frighten who looks at the map.
const STACK: usize = 128 << 10;

/// The owner's side.
pub(crate) struct Slow<T> {
    questions: SyncSender<()>,
    answers: Receiver<T>,
    found: Option<T>,
    in_flight: bool,
}

impl<T: Send + 'static> Slow<T> {
    /// Starts the thread.
    ///
    /// # Errors
    /// The system has no thread left.
    pub(crate) fn start(
        name: &str,
        mut read: impl FnMut() -> T + Send + 'static,
    ) -> io::Result<Self> {
        let (questions, asked) = sync_channel::<()>(1);
        let (answer, answers) = sync_channel(1);
        // Thread names are cut at 15 bytes by the kernel.
        let name = format!("hw-{}", name.chars().take(12).collect::<String>());
        thread::Builder::new().name(name).stack_size(STACK).spawn(move || {
            while asked.recv().is_ok() {
                if answer.send(read()).is_err() {
                    return;
                }
            }
        })?;
        Ok(Self { questions, answers, found: None, in_flight: false })
    }

    /// Asks for a new value, unless the last question is still open.
    pub(crate) fn ask(&mut self) {
        if self.in_flight {
            match self.answers.try_recv() {
                Ok(late) => {
                    self.found = Some(late);
                    self.in_flight = false;
                }
                Err(TryRecvError::Empty | TryRecvError::Disconnected) => return,
            }
        }
        self.in_flight = self.questions.try_send(()).is_ok();
    }

    /// The newest answer, waited for until `deadline`; `None` when there is none.
    pub(crate) fn take(&mut self, deadline: Instant) -> Option<T> {
        let wait = deadline.saturating_duration_since(Instant::now());
        match self.answers.recv_timeout(wait) {
            Ok(answer) => {
                self.in_flight = false;
                self.found = None;
                Some(answer)
            }
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => self.found.take(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{sync::mpsc::channel, time::Duration};

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(20)
    }

    #[test]
    fn a_blocked_source_is_late_and_answers_later() {
        let (let_go, gate) = channel::<u32>();
        let mut slow = Slow::start("test", move || gate.recv().unwrap_or(0)).unwrap();
        slow.ask();
        assert_eq!(slow.take(Instant::now()), None);
        slow.ask();
        assert_eq!(slow.take(Instant::now()), None);
        let_go.send(7).unwrap();
        assert_eq!(slow.take(soon()), Some(7));
        slow.ask();
        let_go.send(8).unwrap();
        assert_eq!(slow.take(soon()), Some(8));
    }
}
