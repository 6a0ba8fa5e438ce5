//! The last thing before a step's own shell: what the shell must find.

use super::AgentError;
use std::{fs::OpenOptions, os::unix::process::CommandExt, path::Path, process::Command};

/// The shells of the language, the second where there is no first.
const SHELLS: [&str; 2] = ["/bin/bash", "/bin/sh"];

/// Becomes the program that an image insists on; returns only when it cannot.
pub(super) fn entry(words: &[&str]) -> AgentError {
    match words {
        [program, args @ ..] => become_program(program, args),
        [] => AgentError::Refused("the image's entry point is empty".into()),
    }
}

#[expect(clippy::disallowed_methods, reason = "the runner's agent becomes the job's own program")]
fn become_program(program: &str, args: &[&str]) -> AgentError {
    AgentError::failed(format!("start `{program}`"))(Command::new(program).args(args).exec())
}

/// Becomes the shell that runs `script`; returns only when it cannot.
pub(super) fn launch(script: &str, shell: &[&str]) -> AgentError {
    if let Some(path) = std::env::var_os("BASH_ENV")
        && let Err(error) = OpenOptions::new().create(true).append(true).open(&path)
    {
        return AgentError::at("create the file of BASH_ENV", Path::new(&path))(error);
    }
    let chosen;
    let (program, args): (&str, &[&str]) = match shell {
        [program, args @ ..] => (program, args),
        [] => {
            chosen =
                SHELLS.into_iter().find(|shell| Path::new(shell).exists()).unwrap_or(SHELLS[1]);
            (chosen, &["-eo", "pipefail"])
        }
    };
    become_program(program, &[args, &[script]].concat())
}
