//! The one loop that moves pipelines from trigger to settled.
//!
//! Why: one place owns the order of things. Everybody else holds a [`Handle`], which is cheap to
//! clone and answers when what it promised is on disk.
//! The way: requests queue at the loop ([`command::Command`] is the closed list of what can
//! happen); all that wait are applied in one transaction, together with the hand-out of work, and
//! answered after its commit. Decisions are made by `control`, rows and events kept by `store`.
//! Invariants: the board in memory is derived from the store and thrown away when a write fails;
//! a start needs nothing but the store. A lease's end is kept in memory only: after a restart
//! every running task gets a full lease, so that a runner which was cut off can come back.
//! Limits: see the constants of [`config`]; without work there is no timer and no write.

mod clock;
pub mod command;
mod compile;
pub mod config;
mod core;
mod engine;
mod error;
pub mod govern;
mod handle;
pub mod housekeeping;
mod ids;
pub mod leftovers;
pub mod logs;
pub mod removal;
pub mod retention;

pub use self::core::continued_setup;
pub use command::{By, RerunWanted, Triggered};
pub use compile::values_of;
pub use config::Config;
pub use engine::Engine;
pub use error::Error;
pub use handle::{Handle, RunnerStatus, Status};

#[cfg(test)]
mod simulation;
