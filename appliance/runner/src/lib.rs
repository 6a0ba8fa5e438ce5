//! Runs jobs from their plans: steps, output, caches, artifacts, results.
//!
//! The parts: [`run`] is the runner process, which claims work and drives jobs; [`supervisor`] is
//! one process for each job, which owns the sandbox and outlives the runner; [`agent`] is this
//! program inside the job. They share [`folder`], the job's files.
//! Invariants: nothing unmasked leaves the supervisor; a path that a job could have prepared is
//! touched only inside its sandbox; a job goes on when runner or server restart.
//! On failure: a lost supervisor is an infrastructure failure and makes a new attempt; a lost
//! lease kills the job without a word.

pub mod agent;
mod beginning;
mod client;
mod config;
pub mod control_plane;
mod environment;
#[cfg(test)]
mod examples;
pub mod folder;
mod host;
mod job;
mod journal;
mod launcher;
pub mod local;
mod mask;
mod outbox;
mod reach;
mod resources;
mod runner;
mod spin_up;
mod steps;
mod supervised;
pub mod supervisor;
mod walk;

pub use beginning::{Beginning, give_way};
pub use config::{Config, HostConfig, SiteNetwork};
pub use host::{Host, HostError, undumpable};
pub use runner::{RunError, run};
pub use sandbox::{Destination, NoDestination, clock, memory};

use std::ffi::OsString;

/// What the program does when it was called as a job's agent, or to launch supervisors; the code to
/// exit with.
///
/// To be called first of all, with the program's arguments: neither may have a second thread.
#[must_use]
pub fn before_threads(arguments: &[OsString]) -> Option<u8> {
    match arguments {
        [name, ..] if agent::is_called(name) => Some(agent::main(arguments.iter().cloned())),
        [_, word, ..] if word == launcher::LAUNCH => Some(launcher::main()),
        _ => None,
    }
}
