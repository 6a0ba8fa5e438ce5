//! What a runner and the control plane say to each other, over a Unix socket or HTTPS alike.
//!
//! Why: the local and the remote runner are one program; only their connection differs.
//! The way: `register` once, `claim` (long poll) for work, `heartbeat` every
//! [`crate::limits::HEARTBEAT`], `report` for steps, raw `output` bytes, `report` of the end.
//! Invariants: every write names its task and fence; a write with an older fence is refused with
//! [`Refusal::Fenced`] and the runner drops the task. Every write may be repeated: reports are
//! numbered from 0 without gaps, output carries its offset.
//! Units: sizes in bytes, spans in milliseconds.

mod image;
mod pace;
mod report;

pub use image::{ImageSource, LayerSource};
pub use pace::{Pace, PaceAsk};
pub use report::{Progress, Report, Reported, TestResult};

use crate::{
    ids::{
        Attempt, Fence, JobId, JobNumber, OrgId, PipelineId, PipelineNumber, ProjectId, RepoName,
        RunnerId, TaskId, WorkflowId,
    },
    plan::JobSpec,
    secret::Secret,
    time::millis,
    trigger::Vcs,
    workspace::{Conflict, Names},
};
use serde::{Deserialize, Serialize};
use std::{sync::Arc, time::Duration};

/// A runner introduces itself.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Register {
    /// Stable name; a restart under the same name is the same runner.
    pub name: String,
    /// Host name of the machine.
    pub hostname: String,
    /// Version of the program.
    pub version: String,
    /// Jobs it runs side by side.
    pub slots: u32,
    /// Runner classes (`acme/relay-lab`) it serves; the local runner also serves all plain classes.
    pub resource_classes: Vec<String>,
    /// Serves jobs without a runner class (`medium`, `large` …).
    pub serves_plain_classes: bool,
}

/// The answer to [`Register`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Registered {
    /// To be named in every later request.
    pub runner: RunnerId,
}

/// A runner asks for work.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Claim {
    /// Who asks.
    pub runner: RunnerId,
    /// Slots that are free now.
    pub free_slots: u32,
    /// How long to wait for work, at most [`crate::limits::CLAIM_WAIT`].
    #[serde(with = "millis", rename = "wait_ms")]
    pub wait: Duration,
}

/// The answer to [`Claim`]; empty when nothing came in time.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Claimed {
    /// At most as many as slots were free.
    pub assignments: Vec<Assignment>,
}

/// One task, leased to one runner.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Assignment {
    /// The task, and with `fence` the right to write about it.
    pub task: TaskId,
    /// Older fences are refused.
    pub fence: Fence,
    /// The try that this is.
    pub attempt: Attempt,
    /// Which of the job's copies this is, from 0.
    pub node_index: u32,
    /// The job's number of copies.
    pub node_total: u32,
    /// The job.
    pub job: JobId,
    /// The job's name in its workflow.
    pub job_name: String,
    /// The job's number in its project.
    pub job_number: JobNumber,
    /// The workflow.
    pub workflow: WorkflowId,
    /// Names the workspace: reruns from failed share that of the first run.
    pub workspace: WorkflowId,
    /// The pipeline.
    pub pipeline: PipelineId,
    /// The pipeline's number in its project.
    pub pipeline_number: PipelineNumber,
    /// The organisation; a run without a server has none.
    #[serde(default)]
    pub organization: Option<OrgId>,
    /// The project.
    pub project: ProjectId,
    /// Its name.
    pub repo: RepoName,
    /// The commit.
    pub vcs: Vcs,
    /// Login of the one who triggered.
    pub actor: String,
    /// Address of the job's page.
    pub build_url: String,
    /// What to run.
    pub spec: Arc<JobSpec>,
    /// Project and context variables, lowest precedence first; masked in all output.
    pub secrets: Vec<Variable>,
    /// What the job's network reaches.
    pub network: NetworkPolicy,
    /// The job is stopped when it runs longer.
    #[serde(with = "millis", rename = "runtime_max_ms")]
    pub runtime_max: Duration,
}

/// A secret environment variable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Variable {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: Secret,
}

/// What a job's network reaches.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "reach")]
pub enum NetworkPolicy {
    /// Loopback alone.
    #[default]
    Off,
    /// The appliance's own services (Git, registry, S3, API), nothing else.
    Site,
    /// Also what the operator allows.
    Full {
        /// Networks in CIDR form; empty means nothing beyond `Site`.
        allow: Vec<String>,
    },
}

/// The runner is alive and holds these tasks.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Heartbeat {
    /// Who.
    pub runner: RunnerId,
    /// Every task that it believes to hold.
    pub held: Vec<Held>,
}

/// A task that a runner believes to hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    /// The task.
    pub task: TaskId,
    /// The lease's fence.
    pub fence: Fence,
}

/// The answer to [`Heartbeat`], one verdict for each held task.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Verdicts {
    /// In the order asked.
    pub verdicts: Vec<(TaskId, Verdict)>,
}

/// What to do with a held task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The lease is renewed.
    Keep,
    /// Stop the job and report it as canceled.
    Cancel,
    /// Somebody else holds it, or nobody: kill it and forget it.
    Lost,
}

/// Where to put or get the bytes of a cache, workspace layer or artifact: a presigned S3 URL.
/// A URL that starts with `/` is on the connection that the runner already has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Presigned {
    /// Carries its own signature and expiry.
    pub url: Secret,
}

/// Asks for a place to store one object of a task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "class")]
pub enum StoreRequest {
    /// An artifact; answered with its key.
    Artifact {
        /// Path in the artifact list.
        path: String,
    },
    /// A cache under its evaluated key.
    Cache {
        /// At most 900 characters.
        key: String,
    },
    /// A workspace layer.
    Workspace,
}

/// The answer to [`StoreRequest`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "answer")]
pub enum StoreTarget {
    /// Put the bytes there, then confirm with the same key.
    Put {
        /// Where.
        to: Presigned,
        /// Key within the bucket.
        key: String,
    },
    /// A cache of that key exists: keys are never overwritten.
    Exists,
}

/// The bytes are stored; makes the cache or layer visible.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoreConfirm {
    /// What was asked for.
    pub request: StoreRequest,
    /// The key that was given.
    pub key: String,
    /// Its size.
    pub size: u64,
    /// For a cache: the paths that it was stored of.
    #[serde(default)]
    pub paths: Vec<String>,
    /// For a workspace layer: the files in it, so that conflicts can be told at attach.
    #[serde(default)]
    pub names: Names,
}

/// A cache that matched one of the keys asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CacheHit {
    /// Its full key.
    pub key: String,
    /// Job that stored it.
    pub build: JobNumber,
    /// Its size.
    pub size: u64,
    /// The paths that it was stored of, as its configuration names them.
    #[serde(default)]
    pub paths: Vec<String>,
    /// Where to get it.
    pub from: Presigned,
}

/// What a job attaches.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Workspace {
    /// In the order to unpack.
    pub layers: Vec<WorkspaceLayer>,
    /// Why they must not be.
    pub conflict: Option<Conflict>,
}

/// One workspace layer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkspaceLayer {
    /// Job that persisted it.
    pub job_name: String,
    /// Number of that job among those that the asking one has upstream; all layers upstream of it
    /// come before it.
    pub job: u32,
    /// Numbers of the jobs upstream of that job which persisted layers; all others ran beside it.
    pub upstream: Vec<u32>,
    /// Where to get it.
    pub from: Presigned,
}

/// Why a runner's write was refused; the runner must not repeat it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "refusal")]
pub enum Refusal {
    /// The lease is not this runner's any more.
    #[error("the lease of this task was lost")]
    Fenced,
    /// Bytes or reports are missing in between: continue from there.
    #[error("out of order: continue from {expected}")]
    Gap {
        /// Offset or number that is wanted next.
        expected: u64,
    },
    /// A step's end was reported, but its output was lost with a restart: send it again from there,
    /// then repeat the report.
    #[error("output of step {step} is wanted again from {expected}")]
    OutputMissing {
        /// Which step.
        step: u32,
        /// Offset that is wanted next.
        expected: u64,
    },
    /// The runner is not known: register again.
    #[error("the runner is not registered")]
    UnknownRunner,
}
