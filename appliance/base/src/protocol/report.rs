//! What a runner tells of a task, and what it is told.

use super::{Assignment, Verdict};
use crate::{
    ids::{Fence, TaskId},
    state::{StepState, TaskOutcome},
    time::Timestamp,
};
use serde::{Deserialize, Serialize};

/// Progress of one task; may be sent again, and is then ignored.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Report {
    /// The task.
    pub task: TaskId,
    /// The lease's fence.
    pub fence: Fence,
    /// Number of the first of `progress`, from 0 for a task's first.
    pub first: u64,
    /// In order.
    pub progress: Vec<Progress>,
    /// If this ends the task, the runner takes another in its place: one commit tells of the end and
    /// leases the next.
    #[serde(default)]
    pub wants_next: bool,
}

/// The answer to [`Report`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Reported {
    /// What to do with the task.
    pub verdict: Verdict,
    /// Another task, if one was wanted and waits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<Box<Assignment>>,
}

/// One thing that happened to a task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "what")]
pub enum Progress {
    /// The sandbox stands and steps begin.
    Started {
        /// When.
        at: Timestamp,
    },
    /// A step began. Steps are numbered from 0 in the order they run: 0 is `Spin up environment`.
    StepStarted {
        /// Its number.
        step: u32,
        /// Its name, masked.
        name: String,
        /// When.
        at: Timestamp,
        /// Runs beside later steps.
        background: bool,
    },
    /// A step ended; all its output has been sent before, but for the rest that is here.
    StepEnded {
        /// Its number.
        step: u32,
        /// What became of it.
        state: StepState,
        /// Of the last process, if there was one.
        exit_code: Option<i32>,
        /// When.
        at: Timestamp,
        /// Length of its output.
        output_bytes: u64,
        /// Its last bytes, if few were left: a short step is told in one request.
        #[serde(default, skip_serializing_if = "Vec::is_empty", with = "packed")]
        rest: Vec<u8>,
    },
    /// A file was kept for people.
    Artifact {
        /// Path in the artifact list.
        path: String,
        /// Key in the artifact bucket.
        key: String,
        /// Its size.
        size: u64,
    },
    /// Test results were read.
    Tests {
        /// In file order.
        tests: Vec<TestResult>,
    },
    /// The task is over; nothing follows.
    Ended {
        /// How.
        outcome: TaskOutcome,
        /// For people: why it failed, for example the memory limit and the peak.
        message: Option<String>,
        /// Highest memory use seen.
        peak_memory: Option<u64>,
        /// When.
        at: Timestamp,
    },
}

/// Bytes as text.
mod packed {
    use base64::{Engine, prelude::BASE64_STANDARD};
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&BASE64_STANDARD.encode(bytes))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<u8>, D::Error> {
        BASE64_STANDARD.decode(String::deserialize(from)?).map_err(D::Error::custom)
    }
}

/// One test case of API v2's `/tests`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TestResult {
    /// `classname` of the JUnit case.
    pub classname: String,
    /// `name` of the JUnit case.
    pub name: String,
    /// `file` of the JUnit case.
    pub file: Option<String>,
    /// `success`, `failure`, `skipped` or `error`.
    pub result: String,
    /// What the failure said.
    pub message: String,
    /// Milliseconds.
    pub run_time_ms: u64,
    /// File that it was read from.
    pub source: String,
}
