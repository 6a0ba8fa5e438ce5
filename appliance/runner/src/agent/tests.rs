//! `circleci tests glob|split|run`: which test files this node runs.
//!
//! Invariants: all nodes of a job come to shares that together are the whole list and do not
//! overlap, without talking to each other: the same list gives the same shares.

use super::{AgentError, say};
mod glob;
mod split;

/// Carries out what follows `tests`.
pub(super) fn run(args: &[&str]) -> Result<u8, AgentError> {
    match args {
        ["glob", patterns @ ..] => {
            let found = glob::find(patterns)?;
            say(&found.iter().map(|name| format!("{name}\n")).collect::<String>())?;
            Ok(0)
        }
        ["split", args @ ..] => split::print(args),
        ["run", args @ ..] => split::run(args),
        _ => {
            Err(AgentError::Refused("there are `tests glob`, `tests split` and `tests run`".into()))
        }
    }
}
