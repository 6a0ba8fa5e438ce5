//! What pipelines keep outside of their own rows, by class, and letting one class go before the
//! pipeline itself.
//!
//! As in [`super::remove`], rows go first; the caller then deletes the objects that were named.

use crate::{
    Reader, Txn,
    error::Error,
    runs::{family, remove::Removed},
};
use base::ids::{PipelineId, TaskId};
use rusqlite::params;

/// A class of what runs leave behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// Files kept for people.
    Artifacts,
    /// Layers handed from job to job.
    Workspaces,
    /// Output of steps.
    Logs,
}

impl Class {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Artifacts, Self::Workspaces, Self::Logs];

    const fn table(self) -> &'static str {
        match self {
            Self::Artifacts => "artifacts",
            Self::Workspaces => "workspace_layers",
            Self::Logs => "log_segments",
        }
    }
}

/// How much a pipeline keeps of a class.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Holding {
    /// Files, layers, or segments of output.
    pub count: u64,
    /// Their sizes; of output before it was compressed.
    pub bytes: u64,
}

impl Reader<'_> {
    /// How much a pipeline keeps of a class.
    pub fn pipeline_holds(&self, id: PipelineId, class: Class) -> Result<Holding, Error> {
        let mut holding = Holding::default();
        let workflows = self.pipeline_get(id)?.map(|pipeline| pipeline.workflows);
        for workflow in workflows.unwrap_or_default() {
            let (first, last) = family::jobs_range(workflow);
            let sql = format!(
                "SELECT count(*), coalesce(sum(size), 0) FROM {} WHERE task BETWEEN ?1 AND ?2",
                class.table()
            );
            let (count, bytes): (u64, u64) = self
                .statement(&sql)?
                .query_row(params![first, last], |row| Ok((row.get(0)?, row.get(1)?)))?;
            holding.count += count;
            holding.bytes += bytes;
        }
        Ok(holding)
    }
}

impl Txn<'_> {
    /// Lets go what a pipeline keeps of a class; the pipeline stays, and one that goes on keeps all.
    /// Logs go when the caller removes those of the tasks that are told.
    pub fn pipeline_release(&self, id: PipelineId, class: Class) -> Result<Removed, Error> {
        let mut removed = Removed::default();
        let workflows = self.pipeline_resting(id)?.map(|pipeline| pipeline.workflows);
        for workflow in workflows.unwrap_or_default() {
            let (first, last) = family::jobs_range(workflow);
            if class == Class::Logs {
                let mut list = self.statement(
                    "SELECT DISTINCT task FROM log_segments WHERE task BETWEEN ?1 AND ?2",
                )?;
                for task in list.query_map(params![first, last], |row| row.get(0))? {
                    removed.tasks.push(TaskId(task?));
                }
                continue;
            }
            let table = class.table();
            let sql = format!("DELETE FROM {table} WHERE task BETWEEN ?1 AND ?2 RETURNING object");
            let mut list = self.statement(&sql)?;
            let keys = list.query_map(params![first, last], |row| row.get(0))?;
            let keys = keys.collect::<Result<Vec<String>, _>>()?;
            match class {
                Class::Artifacts => removed.artifacts.extend(keys),
                _ => removed.layers.extend(keys),
            }
        }
        Ok(removed)
    }
}
