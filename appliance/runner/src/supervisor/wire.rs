//! What a runner and a supervisor say to each other: lines of JSON over a Unix socket.
//!
//! Why a view: a runner that attaches late is told everything that is known, once, and then only
//! changes. It cannot tell whether it was there all the time.
//! Invariants: both ends are of one build or neighbouring ones (a job outlives an upgrade): new
//! fields have defaults, unknown events are ignored.

use base::{secret::Secret, time::millis, units::Bytes};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, path::PathBuf, time::Duration};

/// Names one process tree of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct RunId {
    /// The step it belongs to.
    pub step: u32,
    /// The how-many-th of this step, from 0.
    pub nth: u32,
}

impl From<RunId> for String {
    fn from(run: RunId) -> Self {
        format!("{}.{}", run.step, run.nth)
    }
}

impl TryFrom<String> for RunId {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        let parts = text
            .split_once('.')
            .and_then(|(step, nth)| Some((step.parse().ok()?, nth.parse().ok()?)));
        parts
            .map(|(step, nth)| Self { step, nth })
            .ok_or_else(|| format!("`{text}` does not name a run"))
    }
}

/// What a runner asks for.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Request {
    /// Makes the sandbox; may come before the job is known.
    Create(Box<Create>),
    /// The job begins: from here its time counts and its secrets are hidden.
    Begin(Begin),
    /// Starts a program.
    Exec(Box<Exec>),
    /// Ends a run: asks it to, and kills it after the grace.
    Stop {
        /// Which.
        run: RunId,
        /// How long it may take to end by itself.
        #[serde(with = "millis", rename = "grace_ms")]
        grace: Duration,
    },
    /// Holds all processes still, and says in the log why. Programs that are asked for meanwhile
    /// start when it is over.
    Freeze {
        /// For people.
        why: String,
    },
    /// Lets them go on.
    Thaw,
    /// Limits the job's CPU time, in thousandths of a core; `None` is its class's own limit.
    Cpu {
        /// Never above the class's own limit.
        millis: Option<u32>,
    },
    /// Asks what was used; answered by [`Event::Used`].
    Measure,
    /// Kills what still runs, removes the sandbox, ends the supervisor.
    Finish,
}

/// How to make the sandbox.
#[derive(Debug, Serialize, Deserialize)]
pub struct Create {
    /// The sandbox.
    pub spec: sandbox::Spec,
    /// The account to look up in the job's own files: `name`, `uid`, `name:group`; empty is root.
    pub account: String,
    /// The same for each companion, in its files.
    #[serde(default)]
    pub accounts: Vec<String>,
    /// Certificates by which the job knows the appliance.
    #[serde(default)]
    pub trust: Option<Trust>,
}

/// Certificates that a job trusts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trust {
    /// The appliance's own authority, in PEM.
    pub authority: PathBuf,
    /// Where they are kept with those of the job's root; written by the first job that needs it.
    pub bundle: PathBuf,
}

/// What holds for the whole job.
#[derive(Debug, Serialize, Deserialize)]
pub struct Begin {
    /// Values that no output may show.
    pub secrets: Vec<Secret>,
    /// All runs are killed after this long.
    #[serde(with = "millis", rename = "runtime_max_ms")]
    pub runtime_max: Duration,
    /// The job ends when its runner is gone, because no other will take it up.
    #[serde(default)]
    pub ends_with_runner: bool,
}

/// A program to start.
#[derive(Debug, Serialize, Deserialize)]
pub struct Exec {
    /// Its name in later requests.
    pub run: RunId,
    /// Where it runs: 0 is the sandbox itself, 1 its first companion.
    #[serde(default)]
    pub container: usize,
    /// Path inside, or a name to look for in `PATH`.
    pub program: String,
    /// Started in its place where it is not there.
    #[serde(default)]
    pub otherwise: Option<String>,
    /// Arguments.
    pub args: Vec<String>,
    /// The whole environment.
    pub env: Vec<(String, Secret)>,
    /// Working directory inside; made when it is missing.
    pub cwd: String,
    /// File inside that is made empty when it is missing, where that can be.
    #[serde(default)]
    pub create_file: Option<String>,
    /// Who runs it.
    pub user: sandbox::User,
    /// File of the host to read from; nothing when absent.
    pub stdin: Option<PathBuf>,
    /// File of the host to write to; the step's output when absent.
    pub stdout: Option<PathBuf>,
    /// Killed after this long without output.
    #[serde(default)]
    pub idle_ms: Option<u64>,
}

/// What a supervisor tells.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    /// Everything that is known; the first event of each connection.
    Hello(View),
    /// The sandbox changed.
    Sandbox(Sandbox),
    /// A run was started.
    Begun(RunId),
    /// A run ended; its output before this is in the step's file.
    Ended(RunId, End),
    /// A step's output has become this long.
    Grown(u32, u64),
    /// The job asked to go no further.
    Halted,
    /// The answer to [`Request::Measure`].
    Used(sandbox::Usage),
    /// Everything stands still, or goes on.
    Frozen(bool),
}

/// What a supervisor knows.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct View {
    /// The sandbox.
    pub sandbox: Sandbox,
    /// Every run so far; without an end it still runs.
    pub runs: BTreeMap<RunId, Option<End>>,
    /// The length of each step's output, where a run wrote some.
    pub outputs: BTreeMap<u32, u64>,
    /// The job asked to go no further.
    pub halted: bool,
    /// What was used when last asked.
    pub used: Option<sandbox::Usage>,
    /// Everything stands still.
    #[serde(default)]
    pub frozen: bool,
}

impl View {
    /// Learns what an event tells.
    pub fn learn(&mut self, event: Event) {
        match event {
            Event::Hello(view) => *self = view,
            Event::Sandbox(state) => self.sandbox = state,
            Event::Begun(run) => {
                self.runs.entry(run).or_insert(None);
            }
            Event::Ended(run, end) => {
                self.runs.insert(run, Some(end));
            }
            Event::Grown(step, length) => {
                self.outputs.insert(step, length);
            }
            Event::Halted => self.halted = true,
            Event::Used(usage) => self.used = Some(usage),
            Event::Frozen(frozen) => self.frozen = frozen,
        }
    }
}

/// The state of the sandbox.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sandbox {
    /// Not asked for yet.
    #[default]
    Absent,
    /// Stands.
    Stands {
        /// Bounds that this host cannot enforce.
        warnings: Vec<String>,
        /// The account that was looked up.
        user: sandbox::User,
        /// Those of the companions.
        #[serde(default)]
        users: Vec<sandbox::User>,
    },
    /// Cannot be made of what the configuration asks for.
    Unfit {
        /// Why, and what would do.
        message: String,
    },
    /// Could not be made.
    Failed {
        /// Why.
        message: String,
    },
    /// Was lost with all that ran in it.
    Lost,
}

/// The end of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct End {
    /// How.
    pub how: How,
    /// Processes killed for want of memory while it ran.
    pub oom_kills: u64,
    /// What the job had used by then.
    pub used: sandbox::Usage,
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum How {
    /// By itself.
    Code(i32),
    /// By a signal that was not ours.
    Signal(i32),
    /// Killed for printing nothing for too long.
    Idle,
    /// Killed because the job ran too long.
    Overtime,
    /// Killed because the job kept too much on disk.
    DiskFull {
        /// What it kept, at least.
        used: Bytes,
        /// What it may keep.
        limit: Bytes,
    },
    /// Killed because the machine's disk is nearly full.
    DiskShort {
        /// What was left.
        free: Bytes,
    },
    /// Killed because the machine's file system takes hardly any more files.
    FilesShort {
        /// How many it took.
        free: u64,
    },
    /// Stopped on request.
    Stopped,
    /// It could not be started.
    NotStarted {
        /// Why.
        message: String,
    },
    /// Lost with its sandbox.
    Lost,
}

impl How {
    /// For want of disk, which another try would want as well.
    pub(crate) const fn is_for_disk(&self) -> bool {
        matches!(self, Self::DiskFull { .. } | Self::DiskShort { .. } | Self::FilesShort { .. })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_late_view_equals_one_that_saw_every_event() {
        let run = RunId { step: 2, nth: 1 };
        let end = End { how: How::Code(0), oom_kills: 0, used: sandbox::Usage::default() };
        let events = [
            Event::Sandbox(Sandbox::Stands {
                warnings: Vec::new(),
                user: sandbox::User::default(),
                users: Vec::new(),
            }),
            Event::Begun(run),
            Event::Grown(2, 17),
            Event::Ended(run, end),
            Event::Halted,
        ];
        let mut early = View::default();
        events.iter().for_each(|event| early.learn(event.clone()));
        let line = serde_json::to_string(&Event::Hello(early.clone())).unwrap();
        let mut late = View::default();
        late.learn(serde_json::from_str(&line).unwrap());
        assert_eq!(late, early);
    }
}
