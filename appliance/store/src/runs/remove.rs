//! Forgetting old pipelines, with all that belongs to them.
//!
//! Rows go first, in one transaction; the caller then deletes the objects that were named. A cut in
//! between leaves objects without a row, which [`super::leftovers`] tells from those in use.
//! Invariant: what goes on is not removed, whatever the caller saw before: a rerun may have begun
//! since.

use crate::{
    Reader, Txn,
    error::Error,
    runs::{Pipeline, family, pipelines::PAGE_MAX},
};
use base::{
    ids::{PipelineId, PipelineNumber, ProjectId, TaskId, WorkflowId},
    time::Timestamp,
};
use rusqlite::params;

/// What belonged to a removed pipeline outside of this database.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Removed {
    /// Tasks that stay, and whose logs are to go.
    pub tasks: Vec<TaskId>,
    /// Keys in the bucket of logs.
    pub logs: Vec<String>,
    /// Keys in the artifact bucket.
    pub artifacts: Vec<String>,
    /// Keys in the workspace bucket.
    pub layers: Vec<String>,
}

/// A pipeline, as far as retention is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Age {
    /// Which.
    pub pipeline: PipelineId,
    /// Of which project.
    pub project: ProjectId,
    /// Its number there.
    pub number: PipelineNumber,
    /// When it was made.
    pub created_at: Timestamp,
}

impl Txn<'_> {
    /// Removes a pipeline and all rows below it; `None` when it is not there, or goes on.
    pub fn pipeline_remove(&self, id: PipelineId) -> Result<Option<Removed>, Error> {
        let mut removed = Removed::default();
        let Some(pipeline) = self.pipeline_resting(id)? else { return Ok(None) };
        self.job_numbers_keep(pipeline.project)?;
        for workflow in pipeline.workflows {
            self.workflow_remove(workflow, &mut removed)?;
        }
        self.statement("DELETE FROM pipelines WHERE id = ?1")?.execute(params![id.0])?;
        Ok(Some(removed))
    }

    fn workflow_remove(&self, workflow: WorkflowId, removed: &mut Removed) -> Result<(), Error> {
        let (first, last) = family::jobs_range(workflow);
        let texts = |sql: &str| -> Result<Vec<String>, Error> {
            let mut list = self.statement(sql)?;
            let rows = list.query_map(params![first, last], |row| row.get(0))?;
            Ok(rows.collect::<Result<_, _>>()?)
        };
        removed
            .artifacts
            .extend(texts("SELECT object FROM artifacts WHERE task BETWEEN ?1 AND ?2")?);
        removed
            .layers
            .extend(texts("SELECT object FROM workspace_layers WHERE task BETWEEN ?1 AND ?2")?);
        removed.logs.extend(texts(
            "SELECT object FROM log_segments WHERE task BETWEEN ?1 AND ?2 AND object IS NOT NULL",
        )?);
        for table in ["artifacts", "workspace_layers", "log_segments", "tests"] {
            self.statement(&format!("DELETE FROM {table} WHERE task BETWEEN ?1 AND ?2"))?
                .execute(params![first, last])?;
        }
        self.statement("DELETE FROM runs WHERE id BETWEEN ?1 AND ?2")?
            .execute(params![workflow.0, last])?;
        Ok(())
    }
}

impl Reader<'_> {
    /// A pipeline of which no workflow goes on.
    pub(super) fn pipeline_resting(&self, id: PipelineId) -> Result<Option<Pipeline>, Error> {
        let Some(pipeline) = self.pipeline_get(id)? else { return Ok(None) };
        for workflow in &pipeline.workflows {
            if self.workflow_get(*workflow)?.is_some_and(|row| row.stopped_at.is_none()) {
                return Ok(None);
            }
        }
        Ok(Some(pipeline))
    }

    /// Pipelines by identifier, after `after`; at most [`PAGE_MAX`].
    pub fn pipeline_ages(&self, after: Option<PipelineId>) -> Result<Vec<Age>, Error> {
        let mut list = self.statement(
            "SELECT id, project, number, created_at FROM pipelines WHERE id > ?1 ORDER BY id LIMIT ?2",
        )?;
        let after = after.map_or(uuid::Uuid::nil(), |id| id.0);
        let rows = list.query_map(params![after, PAGE_MAX], |row| {
            Ok(Age {
                pipeline: PipelineId(row.get(0)?),
                project: ProjectId(row.get(1)?),
                number: PipelineNumber(row.get(2)?),
                created_at: Timestamp(row.get(3)?),
            })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }
}
