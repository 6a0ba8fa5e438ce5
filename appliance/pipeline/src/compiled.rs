//! A configuration that compiled: jobs and workflows with nothing left to interpret.
//!
//! Invariants: every call of kind build names a job that was checked; `requires` names calls of
//! the same workflow, without a cycle.

use crate::{
    expand::workflow::Workflow,
    report::Calls,
    syntax::{Node, Span},
};
use base::plan::JobSpec;
use indexmap::IndexMap;
use std::{collections::HashMap, sync::Arc};

/// The result of compiling.
#[derive(Debug)]
pub struct Compiled {
    pub(crate) setup: bool,
    pub(crate) jobs: IndexMap<String, CompiledJob>,
    pub(crate) workflows: Vec<CompiledWorkflow>,
    /// Comment lines of the processed form, without `# `.
    pub(crate) header: Vec<String>,
    /// `workflows.version` stood before the workflow of this index.
    pub(crate) version_place: Option<usize>,
    /// The processed form, made once: its size is a limit, too.
    pub(crate) processed: String,
    /// Names of the texts by their number, for [`crate::explain`].
    pub(crate) files: Vec<String>,
    /// Which parameter the value written at a place was bound to, for [`crate::explain`].
    pub(crate) parameters: HashMap<Span, Arc<str>>,
}

/// One job of the processed form.
#[derive(Debug)]
pub(crate) struct CompiledJob {
    pub node: Node,
    /// For each of its steps the commands through which it came.
    pub calls: Vec<Calls>,
    pub spec: Arc<JobSpec>,
}

/// One workflow whose condition holds.
#[derive(Debug)]
pub(crate) struct CompiledWorkflow {
    pub workflow: Workflow,
    /// For each call the key of its job in `jobs`.
    pub keys: Vec<Option<String>>,
}

impl Compiled {
    /// Whether this configuration continues its pipeline with another (`setup: true`).
    #[must_use]
    pub fn is_setup(&self) -> bool {
        self.setup
    }

    /// Names of the workflows whose conditions hold, in order.
    pub fn workflow_names(&self) -> impl Iterator<Item = &str> {
        self.workflows.iter().map(|workflow| workflow.workflow.name.as_str())
    }

    /// Names of the jobs of the processed form, in order.
    pub fn job_names(&self) -> impl Iterator<Item = &str> {
        self.jobs.keys().map(String::as_str)
    }
}
