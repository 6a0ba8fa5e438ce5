//! Why a program was not started, for the people whose job it is.
//!
//! Why: the kernel's own words name no remedy, and in a job it is the image, or the configuration, that
//! is to be changed.

use super::chain;
use rustix::io::Errno;
use sandbox::Error;
use std::io;

/// What an error of the sandbox means for `program`, which was to be started in the job.
pub(super) fn not_started(program: &str, error: &Error) -> String {
    let Error::Start { stage, source, .. } = error else {
        return format!("could not start `{program}`: {}", chain(error));
    };
    let stage = if stage == "exec" { String::new() } else { format!("{stage}: ") };
    let hint = if stage.is_empty() { hint(source) } else { "" };
    format!("could not start `{program}`: {stage}{source}{hint}")
}

fn hint(source: &io::Error) -> &'static str {
    match Errno::from_io_error(source) {
        Some(Errno::NOENT) => {
            ". There is no such program in the job's files, or not the one that runs it: use an image that has it (for a step, or another `shell:`)"
        }
        Some(Errno::NOEXEC) => {
            ". It is no program for this machine's kind of processor: use an image that is made for it"
        }
        Some(Errno::TOOBIG) => {
            ". Its environment is too large: one variable takes at most 128 KiB, all of them together 2 MiB; put what is large into a file"
        }
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(stage: &str, errno: Errno, expected: &[&str]) {
        let (program, stage, source) = ("sh".to_owned(), stage.to_owned(), errno.into());
        let told = not_started("sh", &Error::Start { program, stage, source });
        assert!(told.starts_with("could not start `sh`: "), "{told}");
        assert!(expected.iter().all(|part| told.contains(part)), "{told}");
        assert_eq!(told.matches("`sh`").count(), 1, "{told}");
    }

    #[test]
    fn what_a_person_can_change_is_named() {
        check("exec", Errno::NOENT, &["No such file", "in the job's files", "`shell:`"]);
        check("exec", Errno::NOEXEC, &["Exec format error", "kind of processor"]);
        check("exec", Errno::TOOBIG, &["Argument list too long", "128 KiB"]);
        check("exec", Errno::ACCESS, &["Permission denied"]);
        check("working directory", Errno::NOTDIR, &["working directory: Not a directory"]);
        assert_eq!(not_started("sh", &Error::Frozen).matches("frozen").count(), 1);
    }
}
