//! A group that the service manager keeps for jobs, beside that of the service.
//!
//! Why: jobs outlive the control plane. A service whose group has handed limits of memory down to jobs
//! that still run could not be started anew in that group (`unified.rs`), and the group of a shell's
//! session is not ours to rearrange. What systemd has for it is a scope that is delegated
//! (<https://systemd.io/CGROUP_DELEGATION>).
//! Invariants: one scope for each folder of data. It is there as long as a process is in it, and who
//! comes later joins it, so that the groups of jobs are found again where they were.
//! On failure: without systemd, or where it leaves our limits to version 1, there is no scope, and
//! groups are made below this process's own.

use super::{found::unified_root, unified};
use sha2::{Digest, Sha256};
use std::{
    env,
    ffi::OsString,
    fmt::Write,
    fs,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
};

/// There where systemd is the service manager (sd_booted(3)).
const BOOTED: &str = "/run/systemd/system";

/// The slice of services.
const SLICE: &str = "system.slice";

/// Its program that starts another one in a scope, with the same process id.
const PROGRAM: &str = "systemd-run";

/// A scope of systemd's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scope {
    program: PathBuf,
    unit: String,
    dir: PathBuf,
}

impl Scope {
    /// That of the jobs whose data are in `folder`; `None` where groups are made without one. Only
    /// root may ask for it.
    #[must_use]
    pub fn of(folder: &Path) -> Option<Self> {
        let root = unified_root(&fs::read_to_string("/proc/self/mountinfo").ok()?)?;
        let controllers = fs::read_to_string(root.join("cgroup.controllers")).ok()?;
        let manages = rustix::process::geteuid().is_root()
            && Path::new(BOOTED).is_dir()
            && unified::has_any(&controllers);
        let path = env::var_os("PATH").filter(|_| manages)?;
        let program =
            env::split_paths(&path).map(|dir| dir.join(PROGRAM)).find(|file| file.is_file())?;
        let unit = unit(folder);
        Some(Self { program, dir: root.join(SLICE).join(&unit), unit })
    }

    /// Its group, while it is there.
    #[must_use]
    pub fn dir(&self) -> Option<&Path> {
        Some(&*self.dir).filter(|dir| dir.is_dir())
    }

    /// This process is in it.
    #[must_use]
    pub fn holds_this_process(&self) -> bool {
        let own = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        own.contains(&format!("/{}", self.unit))
    }

    /// The program that starts another one in a new scope.
    #[must_use]
    pub fn program(&self) -> &Path {
        &self.program
    }

    /// What that program is told before the words of the other one. Everything in the scope together
    /// has `weight` hundredths of what the service has of a busy CPU.
    #[must_use]
    pub fn words(&self, weight: u32) -> Vec<OsString> {
        let words = [
            "--scope".to_owned(),
            "--quiet".to_owned(),
            "--collect".to_owned(),
            format!("--slice={SLICE}"),
            format!("--unit={}", self.unit),
            "--description=Jobs of the appliance".to_owned(),
            "--property=Delegate=yes".to_owned(),
            format!("--property=CPUWeight={weight}"),
            // Each job has a limit of processes of its own.
            "--property=TasksMax=infinity".to_owned(),
            // Jobs have nothing to say at a shutdown.
            "--property=TimeoutStopSec=10s".to_owned(),
            "--".to_owned(),
        ];
        words.map(OsString::from).into()
    }
}

/// The same for a folder whenever it is asked for.
fn unit(folder: &Path) -> String {
    let hash = Sha256::digest(folder.as_os_str().as_bytes());
    let mut name = "appliance-jobs-".to_owned();
    hash.iter().take(6).for_each(|byte| write!(name, "{byte:02x}").unwrap_or_default());
    name + ".scope"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_folder_has_a_scope_of_its_own_and_keeps_it() {
        let first = unit(Path::new("/var/lib/appliance"));
        assert_eq!(first, "appliance-jobs-8174a82f9c68.scope");
        assert_ne!(first, unit(Path::new("/srv/appliance")));
    }

    #[test]
    fn a_program_begins_behind_the_words_of_its_scope() {
        let scope = Scope {
            program: "/bin/systemd-run".into(),
            unit: "a.scope".into(),
            dir: "/nowhere/a.scope".into(),
        };
        let words = scope.words(25);
        let words: Vec<_> = words.iter().filter_map(|word| word.to_str()).collect();
        assert_eq!(words.last(), Some(&"--"));
        for word in ["--scope", "--unit=a.scope", "--property=Delegate=yes"] {
            assert!(words.contains(&word), "{words:?}");
        }
        assert_eq!(scope.dir(), None);
        assert!(!scope.holds_this_process());
    }
}
