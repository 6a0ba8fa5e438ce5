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

use std::{
    fs::{self, Permissions},
    io,
    os::unix::fs::PermissionsExt,
    path::Path,
};

mod base;
mod found;
mod group;
mod scope;
mod unified;

pub use base::{Base, Controller, Place, Version, separate};
pub(crate) use group::Group;
pub use scope::Scope;

/// A job that is shown its group reaches it from the root of the hierarchy as a user of the host.
const OPEN: u32 = 0o755;

/// Makes a group, whatever the mask of files is; one that is there is fine.
fn make(dir: &Path) -> io::Result<()> {
    match fs::create_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        made => made.and_then(|()| fs::set_permissions(dir, Permissions::from_mode(OPEN))),
    }
}
