//! Why a program was not started, or a sandbox not made, for the people whose job it is.
//!
//! Why: the kernel's own words name no remedy, and in a job it is the image, or the configuration, that
//! is to be changed.

use super::{chain, wire};
use rustix::io::Errno;
use sandbox::Error;
use std::io;

/// What an error of the sandbox means for `program`, which was to be started in the job.
pub(super) fn not_started(program: &str, error: &Error) -> String {
    let Error::Start { stage, source, .. } = error else {
        return format!("could not start `{program}`: {}", chain(error));
    };
    let stage = if stage == "exec" { String::new() } else { format!("{stage}: ") };
    let hint = if ["", "start: "].contains(&stage.as_str()) { hint(source) } else { "" };
    format!("could not start `{program}`: {stage}{source}{hint}")
}

/// What an error of the sandbox means for the job that it was for: in every attempt the same, where its
/// root has no place for what jobs are given.
pub(super) fn not_made(error: &Error) -> wire::Sandbox {
    let message = chain(error);
    match error {
        Error::Invalid { .. } => wire::Sandbox::Unfit { message },
        Error::Inside { stage, source } if stage.starts_with("place ") && is_of_root(source) => {
            let hint = ". A folder of that path is a file in the job's root, or a link to nowhere: use an image in which it is a folder";
            wire::Sandbox::Unfit { message: message + hint }
        }
        _ => wire::Sandbox::Failed { message },
    }
}

fn is_of_root(source: &io::Error) -> bool {
    matches!(Errno::from_io_error(source), Some(Errno::EXIST | Errno::LOOP | Errno::NOTDIR))
}

fn hint(source: &io::Error) -> &'static str {
    match Errno::from_io_error(source) {
        Some(Errno::NOENT) => {
            ". There is no such program in the job's files, or not the one that runs it: use an image that has it (for a step, or another `shell:`)"
        }
        Some(Errno::NOEXEC) => {
            ". It is no program for this machine's kind of processor: use an image that is made for it"
        }
        Some(Errno::TIMEDOUT) => {
            ". It did not come to run for a long time: something in the job holds new processes up"
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
    fn a_root_without_a_place_for_what_jobs_are_given_is_no_fault_of_the_machine() {
        let made = |stage: &str, errno: Errno| {
            not_made(&Error::Inside { stage: stage.into(), source: errno.into() })
        };
        let at = "place /usr/local/bin/circleci-agent";
        for errno in [Errno::NOTDIR, Errno::EXIST, Errno::LOOP] {
            let told = made(at, errno);
            let names_it = |message: &str| message.contains(at) && message.contains("use an image");
            assert!(
                matches!(&told, wire::Sandbox::Unfit { message } if names_it(message)),
                "{told:?}"
            );
        }
        for (stage, errno) in [(at, Errno::NOSPC), ("mount sysfs", Errno::NOTDIR)] {
            assert!(matches!(made(stage, errno), wire::Sandbox::Failed { .. }), "{stage}");
        }
    }

    #[test]
    fn what_a_person_can_change_is_named() {
        check("exec", Errno::NOENT, &["No such file", "in the job's files", "`shell:`"]);
        check("exec", Errno::NOEXEC, &["Exec format error", "kind of processor"]);
        check("exec", Errno::TOOBIG, &["Argument list too long", "128 KiB"]);
        check("exec", Errno::ACCESS, &["Permission denied"]);
        check("working directory", Errno::NOTDIR, &["working directory: Not a directory"]);
        check("start", Errno::TIMEDOUT, &["holds new processes up"]);
        assert_eq!(not_started("sh", &Error::Frozen).matches("frozen").count(), 1);
    }
}
