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
mod event;
mod folder;
mod run;

pub use event::{Event, Happening, UnknownEvent};
pub use folder::{Hook, Hooks, Refusal};
pub use run::{Outcome, Verdict};

use std::{
    io,
    sync::mpsc::{SyncSender, TrySendError, sync_channel},
    thread,
};

/// Happenings that wait while a hook runs. More than this in a row means that a hook hangs at every
/// event; then the newest are dropped and that is said.
const QUEUE: usize = 64;

/// Runs hooks in a thread of its own.
#[derive(Debug, Clone)]
pub struct Bell(SyncSender<Happening>);

impl Bell {
    /// Starts the thread; it ends when the last bell is dropped.
    ///
    /// # Errors
    /// The system has no thread left.
    pub fn start(hooks: Hooks) -> io::Result<Self> {
        let (sender, happenings) = sync_channel::<Happening>(QUEUE);
        thread::Builder::new().name("hooks".into()).spawn(move || {
            for happening in happenings {
                for outcome in hooks.fire(&happening) {
                    outcome.log();
                }
            }
        })?;
        Ok(Self(sender))
    }

    /// Tells that something happened. Never waits.
    pub fn ring(&self, happening: Happening) {
        match self.0.try_send(happening) {
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
}
