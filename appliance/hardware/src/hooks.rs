//! Firmware hooks: executables of the site that run when something happens to the machine.
//!
//! Why: every box has its own fan, relay, lamp and board controller; who installs it knows them and
//! this program does not. The contract is in `firmware-hooks/README.md`.
//! Shape: `FOLDER/EVENT/NN-name` runs at that event, `FOLDER/any/NN-name` at every one, in the
//! order of their names, one after the other. `NN-name.conf` beside a hook may say `user=` and
//! `seconds=`.
//! Invariants: a hook that others could have written is not run; a hook runs as an ordinary user
//! unless its `.conf` names another, cannot gain privileges, gets an empty environment with a few
//! plain values, no descriptor but its three, and no secret; it is ended after its seconds; it can
//! fail in every way without stopping the appliance. Happenings wait in a queue of [`QUEUE`].
//! On failure: the journal tells which hook, how it ended, and what it said.

mod conf;
mod ears;
mod event;
mod folder;
mod run;

pub use event::{Event, Happening, UnknownEvent};
pub use folder::{Hook, Hooks, Refusal};
pub(crate) use run::ask;
pub use run::{Outcome, Verdict};

use std::{
    io,
    sync::{
        Mutex, PoisonError,
        mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel},
    },
    thread,
    time::Duration,
};

/// Happenings that wait while a hook runs. More than this in a row means that a hook hangs at every
/// event; then the newest are dropped and that is said.
const QUEUE: usize = 64;

/// Runs hooks in a thread of its own.
#[derive(Debug)]
pub struct Bell {
    happenings: SyncSender<Happening>,
    /// Nothing is ever sent: the sender is gone when the thread is.
    ended: Mutex<Receiver<()>>,
}

impl Bell {
    /// Starts the thread; it ends with the bell, when all that was rung is done.
    ///
    /// # Errors
    /// The system has no thread left.
    pub fn start(hooks: Hooks) -> io::Result<Self> {
        let (sender, happenings) = sync_channel::<Happening>(QUEUE);
        let (end, ended) = sync_channel::<()>(1);
        thread::Builder::new().name("hooks".into()).spawn(move || {
            let _told_when_dropped = end;
            for happening in happenings {
                for outcome in hooks.fire(&happening) {
                    outcome.log();
                }
            }
        })?;
        Ok(Self { happenings: sender, ended: Mutex::new(ended) })
    }

    /// Tells that something happened. Never waits.
    pub fn ring(&self, happening: Happening) {
        match self.happenings.try_send(happening) {
            Ok(()) => {}
            Err(TrySendError::Full(lost)) => {
                tracing::warn!(
                    event = lost.event.as_str(),
                    "hooks are behind; this event is not told to them"
                );
            }
            Err(TrySendError::Disconnected(_)) => {}
        }
    }

    /// Waits until all that was rung is done, `within` at most; whether it was. A hook that still
    /// runs after that is left to itself.
    #[must_use]
    pub fn end(self, within: Duration) -> bool {
        drop(self.happenings);
        let ended = self.ended.into_inner().unwrap_or_else(PoisonError::into_inner);
        ended.recv_timeout(within) != Err(RecvTimeoutError::Timeout)
    }
}
