//! A plan: the jobs of a pipeline's workflows as a directed acyclic graph, with everything a
//! runner needs to run each.
//!
//! Why: deciding what will run ends here; from here on nobody reads configuration again. A plan
//! is stored with its pipeline, printed, compared and replayed.
//! Invariants: job names are unique within their workflow; `requires` names jobs of the same
//! workflow and forms no cycle; parameters, commands, orbs, matrices and conditions are gone;
//! the same configuration and values give the same bytes.
//! Source: `.circleci/config.yml` reference; `reference` marks what the original leaves open.

use crate::{state::JobState, time::millis};
use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use std::{sync::Arc, time::Duration};

/// What one pipeline will run. No workflow is a valid plan: nothing matched.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// In the order of the configuration.
    pub workflows: Vec<WorkflowPlan>,
    /// A setup configuration: its one workflow continues the pipeline.
    #[serde(default)]
    pub setup: bool,
}

/// One workflow and its jobs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkflowPlan {
    /// The key under `workflows:`.
    pub name: String,
    /// In the order of the configuration, filtered-out jobs left out.
    pub jobs: Vec<PlannedJob>,
    /// How often the workflow is rerun from failed by itself, 0 to 5.
    #[serde(default)]
    pub max_auto_reruns: u8,
}

/// One node of the graph.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedJob {
    /// Unique within the workflow.
    pub name: String,
    /// What happens when it is reached.
    pub kind: JobKind,
    /// Empty for a root.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub requires: Vec<Requirement>,
    /// Names of contexts, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub contexts: Vec<String>,
    /// Jobs of one group run one after another, over all pipelines.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub serial_group: Option<String>,
    /// The job of the workflow whose end gives the group back; absent when this one's does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub serial_end: Option<String>,
}

/// What a job does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "type")]
pub enum JobKind {
    /// Runs steps on a runner.
    Build {
        /// Shared, because copies of a job often differ in their name alone.
        spec: Arc<JobSpec>,
    },
    /// Waits for a person.
    Approval,
    /// Succeeds at once.
    NoOp,
}

/// One entry of `requires`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Requirement {
    /// Name of the required job.
    pub job: String,
    /// Terminal states that satisfy it; `[Success]` when the configuration names none.
    pub any_of: Vec<JobState>,
}

/// Everything a runner needs to run one job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobSpec {
    /// Where it runs.
    pub executor: Executor,
    /// `small`, `medium`, `arm.large`, `acme/relay-lab` … ; `None` is the executor's default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource_class: Option<String>,
    /// Copies run side by side, each with its node index; at least 1.
    pub parallelism: u32,
    /// The job's own `environment`; booleans are already `1` and `0`.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub environment: IndexMap<String, String>,
    /// As written; `~` is the user's home. Default `~/project`.
    pub working_directory: String,
    /// Shell for every step that names none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shell: Option<String>,
    /// In order.
    pub steps: Vec<Step>,
    /// Days that this job's caches are kept, 1 to 30.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_retention_days: Option<u8>,
}

/// Where a job runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Executor {
    /// Images from the local store; the first runs the steps, the others beside it.
    Docker {
        /// At least one.
        images: Vec<DockerImage>,
    },
    /// The host's root, or a configured root file system, under an overlay.
    Machine {
        /// As written; `None` for `machine: true`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        image: Option<String>,
    },
    /// Known to the language and impossible here (`macos`, Windows images): the job fails with this text.
    Unsupported {
        /// What to do instead.
        message: String,
    },
}

/// One entry of `docker:`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DockerImage {
    /// Reference as written, for example `cimg/base:2024.01`.
    pub image: String,
    /// Host name for the others; without it all share `localhost`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Overrides the image's entry point.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entrypoint: Option<Vec<String>>,
    /// Overrides the image's command.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<Vec<String>>,
    /// Name or number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// For this container alone.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub environment: IndexMap<String, String>,
}

/// When a step runs, given what became of those before it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum When {
    /// While nothing has failed.
    #[default]
    OnSuccess,
    /// Only after a failure.
    OnFail,
    /// In both cases.
    Always,
}

/// One step, free of parameters. Names shown to people are fixed here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// Shown in the log: the step's `name`, the command's text, or the built-in title
    /// (`Checkout code`, `Restoring cache` …).
    pub name: String,
    /// When it runs.
    #[serde(default)]
    pub when: When,
    /// What it does.
    #[serde(flatten)]
    pub action: Action,
}

/// What a step does. Paths are as written, relative to the working directory, `~` allowed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "action")]
pub enum Action {
    /// Runs a command in a new shell.
    Run(RunCommand),
    /// Puts the commit's files, with their history, into `path`.
    Checkout {
        /// Default `.`.
        path: String,
    },
    /// Keeps `paths` under `key`, unless that key is taken.
    SaveCache {
        /// A cache-key template.
        key: String,
        /// No globs.
        paths: Vec<String>,
    },
    /// Unpacks the newest cache whose key starts with one of `keys`, the first that matches.
    RestoreCache {
        /// Cache-key templates, in order.
        keys: Vec<String>,
    },
    /// Adds a layer to the workflow's workspace.
    PersistToWorkspace {
        /// The layer's root.
        root: String,
        /// Globs or folders, relative to `root`.
        paths: Vec<String>,
    },
    /// Unpacks the workspace layers of all upstream jobs.
    AttachWorkspace {
        /// Target folder.
        at: String,
    },
    /// Keeps a file or folder for people; runs after a failure, too.
    StoreArtifacts {
        /// File or folder, no globs.
        path: String,
        /// Prefix in the artifact list.
        destination: Option<String>,
    },
    /// Reads JUnit XML (file or folder); runs after a failure, too.
    StoreTestResults {
        /// File or folder.
        path: String,
    },
    /// Valid in the language, not built yet: the job fails here with this text.
    Unsupported {
        /// Names the step and what to do instead.
        message: String,
    },
    /// Valid in the language, without effect here: the log says so.
    Ignored {
        /// Names the step and why it is not needed.
        message: String,
    },
}

/// The `run` step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunCommand {
    /// Script text, written to a file and given to the shell.
    pub command: String,
    /// Overrides the job's shell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shell: Option<String>,
    /// For this step alone; booleans are already `1` and `0`.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub environment: IndexMap<String, String>,
    /// Does not hold up later steps; killed at the job's end, its result ignored.
    #[serde(default)]
    pub background: bool,
    /// Overrides the job's working directory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub working_directory: Option<String>,
    /// Stopped after this long without output.
    #[serde(with = "millis", rename = "no_output_timeout_ms")]
    pub no_output_timeout: Duration,
    /// Repeated after failure, 0 to 5 times.
    #[serde(default)]
    pub max_auto_reruns: u8,
    /// Wait between repeats, at most ten minutes.
    #[serde(default, with = "millis", rename = "auto_rerun_delay_ms")]
    pub auto_rerun_delay: Duration,
}
