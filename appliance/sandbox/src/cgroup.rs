//! Control groups of jobs, on version 1, version 2 and hosts that split controllers between both.
//!
//! Why: which version a host uses is a property of each controller, not of the host; runtimes
//! that ask once for all refuse real machines. Version 2 lets a process be born in its group;
//! joining a version 1 group costs up to 10 ms after idle (a grace period of the kernel), so that
//! the sandbox overlaps it with other work.
//! Invariants: each controller has at most one place; a job's group carries the job's id in every
//! place; nothing outside of the base is written, but for delegation of the own group.
//! Units: memory in bytes, CPU in thousandths of a core, CPU time as `Duration`.
//! On failure: a limit whose controller is missing is a warning, a refused write an error.

mod base;
mod group;

pub use base::{Base, Controller, Place, Version, separate};
pub(crate) use group::Group;
