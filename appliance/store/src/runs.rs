//! Pipelines, workflows, jobs, tasks and what they leave behind.
//!
//! Why: this is the record that everything else is read from: the engine decides on it, the API
//! and the dashboard show it, a restart continues from it.
//! The rows of this topic: [`Pipeline`] › [`Workflow`] › [`Job`] › [`Task`] › [`Step`]; beside
//! tasks [`Artifact`], tests and [`Layer`]; beside projects [`Cache`]; and [`RunnerRow`].
//! Invariants: identifiers below a workflow share its prefix ([`family`]); numbers of pipelines and
//! of jobs are unique within their project; a cache key is never overwritten.
//! Writing: `*_insert` makes a row, `*_save` writes back the columns that can change. The caller
//! (the engine) appends the events of a change in the same transaction.

pub mod caches;
mod continuations;
pub mod family;
pub mod holdings;
mod insights;
pub mod job_keys;
pub mod jobs;
pub mod leftovers;
mod live;
mod peaks;
pub mod pipelines;
mod recent;
pub mod remove;
pub mod results;
pub mod runners;
pub mod tasks;
mod texts;
mod trust;
pub mod workflows;
pub mod workspaces;

pub use caches::Cache;
pub use insights::{Ran, RunsWanted};
pub use job_keys::KeyHolder;
pub use jobs::{Job, JobType, Requires};
pub(crate) use pipelines::due_text;
pub use pipelines::{ConfigTexts, Pipeline, PipelineError, PipelineFilter};
pub use recent::{Around, RECENT_MAX, RecentWanted};
pub use results::{Artifact, Mark, PAGE as RESULTS_PAGE, TestTally};
pub use runners::RunnerRow;
pub use tasks::{Step, Task};
pub use texts::UnusedTexts;
pub use workflows::Workflow;
pub use workspaces::Layer;

#[cfg(test)]
mod tests;
