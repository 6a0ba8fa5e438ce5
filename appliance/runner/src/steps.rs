//! The steps that the language has, each in a file of its own.
//!
//! Why inside: whatever touches a path that the job could have prepared (a link in place of a
//! folder, a name that leads upwards) happens in the job's own sandbox, by this same program run
//! as `circleci-agent`. Out here only bytes are moved.
//! Invariants: a step may be done again from its start at any time; nothing that a step leaves
//! outside of the sandbox is larger than its bound.

use crate::agent::Asked;
use std::fs;
use std::io;
use std::path::Path;

mod artifacts;
mod cache;
mod checkout;
mod results;
mod run;
mod workspace;

/// The arguments with which the agent does `asked`.
fn asking(asked: &Asked) -> Vec<String> {
    let json = serde_json::to_string(asked).expect("a request to the agent is plain data");
    vec!["internal".into(), json]
}

/// Removes a file that may be there.
pub(crate) fn discard(path: &Path) {
    if let Err(error) = fs::remove_file(path)
        && error.kind() != io::ErrorKind::NotFound
    {
        tracing::warn!(path = %path.display(), %error, "a spent file stays until the job's end");
    }
}
