//! The program that an image insists on running beside the steps.

use super::AgentError;
use std::{os::unix::process::CommandExt, process::Command};

/// Becomes that program; returns only when it cannot.
#[expect(clippy::disallowed_methods, reason = "the runner's agent becomes the job's own program")]
pub(super) fn entry(words: &[&str]) -> AgentError {
    match words {
        [program, args @ ..] => AgentError::failed(format!("start `{program}`"))(
            Command::new(program).args(args).exec(),
        ),
        [] => AgentError::Refused("the image's entry point is empty".into()),
    }
}
