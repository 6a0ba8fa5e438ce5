//! The commands inside a job: `circleci`, `circleci-agent`, `sudo`, and what our own steps do there.
//!
//! Why the same binary: it is static, so it runs in any image, and it is already on the machine.
//! Invariants: this code runs inside the sandbox with the rights of the job; it trusts nothing it
//! finds there and the runner trusts nothing that it answers.
//! On failure: the cause on standard error, which is the step's log, and a code other than zero.

use serde::{Deserialize, Serialize};
use std::{
    ffi::{OsStr, OsString},
    io::{self, Write},
    path::{Path, PathBuf},
};

mod answers;
mod archive;
mod checkout;
mod cucumber;
mod encoding;
mod entries;
mod extract;
mod halt;
mod index;
mod junit;
mod keys;
mod launch;
mod substitute;
mod sudo;
mod tally;
mod tests;
mod walk;

pub(crate) use answers::{Bundled, bundle_of, keys_of, manifest_of, results_of};
pub(crate) use substitute::substitute;

/// What a step asks the agent to do, as one JSON argument. It holds no secret: those are in the
/// environment.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Asked {
    /// Print the keys that these templates stand for.
    Keys { templates: Vec<String>, values: KeyValues },
    /// Print a manifest and a compressed archive of these paths below `root`.
    Pack {
        root: String,
        paths: Vec<String>,
        globs: bool,
        /// Otherwise it fails when there is nothing to archive.
        #[serde(default)]
        may_be_empty: bool,
    },
    /// Unpack the compressed archive on standard input.
    Unpack {
        into: String,
        /// `cache` or `workspace`, for messages.
        what: String,
    },
    /// Unpack the plain archive of a commit on standard input.
    Checkout { into: String },
    /// Print a manifest and the contents of a file, or of all files in a folder.
    Bundle {
        path: String,
        /// Refused when they are longer together.
        #[serde(default)]
        most: Option<base::units::Bytes>,
    },
    /// Print the test results that a file, or all files in a folder, tell.
    Results { path: String },
}

/// What cache-key templates may ask for that the job's machine does not know.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct KeyValues {
    pub(crate) branch: String,
    pub(crate) revision: String,
    pub(crate) build_num: u64,
    /// Seconds since 1970.
    pub(crate) epoch: i64,
}

/// Why a command of the agent failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AgentError {
    /// What was asked cannot be done; the text says what to do instead.
    #[error("{0}")]
    Refused(String),
    /// The machine said no.
    #[error("could not {attempt}: {source}")]
    Failed { attempt: String, source: io::Error },
}

impl AgentError {
    /// For `map_err`.
    pub(crate) fn failed(attempt: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let attempt = attempt.into();
        move |source| Self::Failed { attempt, source }
    }

    /// For `map_err`, with the path that was touched.
    pub(crate) fn at(attempt: &str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        Self::failed(format!("{attempt} {}", path.display()))
    }
}

/// Whether the program was called by one of the agent's names.
#[must_use]
pub fn is_called(argv0: &OsStr) -> bool {
    matches!(name_of(argv0).as_str(), "circleci" | "circleci-agent" | "sudo")
}

fn name_of(argv0: &OsStr) -> String {
    PathBuf::from(argv0).file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// Runs the command that `args` name; the first is the program's own name.
#[must_use]
pub fn main(args: impl IntoIterator<Item = OsString>) -> u8 {
    let mut args = args.into_iter();
    let name = args.next().map(|argv0| name_of(&argv0)).unwrap_or_default();
    let args: Vec<String> = args.map(|arg| arg.to_string_lossy().into_owned()).collect();
    let done = if name == "sudo" { sudo::run(&args) } else { command(&args) };
    match done {
        Ok(code) => code,
        Err(error) => {
            // With no standard error there is nobody left to tell.
            let _ = writeln!(io::stderr(), "{error}");
            1
        }
    }
}

fn command(args: &[String]) -> Result<u8, AgentError> {
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["internal-entry", words @ ..] => return Err(launch::entry(words)),
        ["internal", json] => internal(json)?,
        ["step", "halt"] => halt::halt()?,
        ["step", "halt", "--help" | "-h"] => say(&format!("{}\n", halt::USAGE))?,
        ["step", "halt", ..] => return Err(AgentError::Refused(halt::USAGE.into())),
        ["env", "subst", text @ ..] => substitute::run(text)?,
        ["tests", rest @ ..] => return tests::run(rest),
        ["run", "oidc", ..] => {
            return Err(AgentError::Refused("OpenID Connect tokens are not supported yet: keep the credential in a context instead".into()));
        }
        ["run", "testsuite", ..] => {
            return Err(AgentError::Refused(
                "`run testsuite` needs a service that is not supported: use `circleci tests run`"
                    .into(),
            ));
        }
        ["version" | "--version", ..] => {
            say(concat!(env!("CARGO_PKG_VERSION"), " (appliance)\n"))?;
        }
        other => {
            let asked = other.join(" ");
            return Err(AgentError::Refused(format!(
                "`circleci {asked}` is not supported inside jobs: there are `tests glob`, `tests split`, `tests run`, `step halt` and `env subst`"
            )));
        }
    }
    Ok(0)
}

fn internal(json: &str) -> Result<(), AgentError> {
    let asked =
        serde_json::from_str(json).map_err(|error| AgentError::Refused(error.to_string()))?;
    match asked {
        Asked::Keys { templates, values } => keys::print(&templates, &values),
        Asked::Pack { root, paths, globs, may_be_empty } => {
            archive::pack(Path::new(&root), &paths, globs, may_be_empty)
        }
        Asked::Unpack { into, what } => archive::unpack(Path::new(&into), &what),
        Asked::Checkout { into } => checkout::checkout(Path::new(&into)),
        Asked::Bundle { path, most } => archive::bundle(Path::new(&path), most),
        Asked::Results { path } => junit::print(Path::new(&path)),
    }
}

/// Writes to standard output.
fn say(text: &str) -> Result<(), AgentError> {
    let mut out = io::stdout();
    out.write_all(text.as_bytes())
        .and_then(|()| out.flush())
        .map_err(AgentError::failed("write the answer"))
}

#[cfg(test)]
mod questions {
    use super::*;

    /// Without a job around it, a halt fails.
    #[test]
    fn only_the_whole_command_halts() {
        let asked =
            |words: &[&str]| command(&words.iter().map(|word| (*word).into()).collect::<Vec<_>>());
        assert_eq!(asked(&["step", "halt", "--help"]).unwrap(), 0);
        for wrong in ["now", "--force"] {
            let error = asked(&["step", "halt", wrong]).unwrap_err().to_string();
            assert!(error.starts_with("usage: "), "{error}");
        }
        assert!(asked(&["step", "halt"]).unwrap_err().to_string().starts_with("could not halt"));
    }
}
