//! Where a process that runs jobs begins, and how it gives way to the control plane.
//!
//! Why: a build can neither starve nor kill the control plane, and jobs that go on must not be in the
//! way when the service is started anew.
//! On failure: what the host refuses is told; jobs run all the same.

use crate::supervisor::chain;
use sandbox::cgroup::Scope;
use std::{
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
};

/// The group of the runner, its supervisors and its jobs.
const RUNNER_GROUP: &str = "appliance-runner";

/// Hundredths of the CPU time that the control plane gets when there is not enough for both.
const RUNNER_WEIGHT: u32 = 25;

/// Added to the kernel's wish to end this process when the machine is out of memory: after jobs,
/// which have more, and before the control plane, which has none.
const RUNNER_OOM_SCORE: &str = "250";

/// Where a process that runs jobs begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Beginning {
    /// Anywhere: it makes groups below its own.
    Here,
    /// By a program that brings it into a new group: its own words stand behind these.
    Behind {
        /// The program.
        program: PathBuf,
        /// What it is told.
        words: Vec<OsString>,
    },
    /// Anywhere, but it is to move into this group, where jobs of an earlier life may go on.
    Join(PathBuf),
}

impl Beginning {
    /// That of the process which runs jobs whose data are in `data`.
    #[must_use]
    pub fn of(data: &Path) -> Self {
        let Some(scope) = Scope::of(data).filter(|scope| !scope.holds_this_process()) else {
            return Self::Here;
        };
        match scope.dir() {
            Some(dir) => Self::Join(dir.to_owned()),
            None => Self::Behind {
                program: scope.program().to_owned(),
                words: scope.words(RUNNER_WEIGHT),
            },
        }
    }
}

/// Makes this process, and all that it will start, give way to the control plane: a build can
/// neither starve nor kill it. `group` is the one to join. What the host refuses is told. To be
/// called before [`crate::Host::prepare`].
pub fn give_way(group: Option<&Path>) {
    if let Err(error) = sandbox::cgroup::separate(group, RUNNER_GROUP, RUNNER_WEIGHT) {
        tracing::warn!(
            error = chain(&error),
            "jobs may take CPU time from the control plane: no control group could be made for the runner"
        );
    }
    if let Err(error) = fs::write("/proc/self/oom_score_adj", RUNNER_OOM_SCORE) {
        tracing::warn!(%error, "the runner could not be made the first to go when memory is short");
    }
}
