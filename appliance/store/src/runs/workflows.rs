//! Workflows: one run of each; a rerun is a workflow of its own.

use crate::{Reader, Txn, error::Error, row};
use base::{
    ids::{PipelineId, ProjectId, WorkflowId},
    state::WorkflowState,
    time::Timestamp,
};
use rusqlite::{OptionalExtension, Row, params};

/// One run of a workflow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Workflow {
    /// Its identifier.
    pub id: WorkflowId,
    /// Of which pipeline.
    pub pipeline: PipelineId,
    /// Of which project.
    pub project: ProjectId,
    /// As configured.
    pub name: String,
    /// What it is now.
    pub state: WorkflowState,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it ended.
    pub stopped_at: Option<Timestamp>,
    /// Login of who triggered or reran it.
    pub started_by: String,
    /// Login of who asked for its stop; running jobs may still be stopping.
    pub canceled_by: Option<String>,
    /// Names the workspace: its own identifier, or that of the first run of a rerun from failed.
    pub workspace: WorkflowId,
    /// The workflow that it reruns.
    pub rerun_of: Option<WorkflowId>,
    /// Reruns of the first run before this one, this one included; 0 for a first run.
    pub reruns: u32,
    /// How many of these the service started by itself.
    pub auto_rerun: u8,
    /// How many it may start by itself.
    pub max_auto_reruns: u8,
}

pub(super) const COLUMNS: &str = "SELECT id, ref_a, project, name, state, at_a, at_d, text_a, text_b, ref_b, \
    ref_c, n_a, n_b, n_c FROM runs WHERE kind = 0 AND ";

impl Txn<'_> {
    /// Stores a new workflow.
    pub fn workflow_insert(&self, new: &Workflow) -> Result<(), Error> {
        self.live_add(new.id)?;
        self.statement(
            "INSERT INTO runs (id, part, kind, ref_a, project, name, state, at_a, at_d, text_a, text_b, \
             ref_b, ref_c, n_a, n_b, n_c) \
             VALUES (?1, 0, 0, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)",
        )?
        .execute(params![
            new.id.0,
            new.pipeline.0,
            new.project.0,
            new.name,
            new.state.as_str(),
            new.created_at.0,
            new.stopped_at.map(|at| at.0),
            new.started_by,
            new.canceled_by,
            (new.workspace != new.id).then_some(new.workspace.0),
            new.rerun_of.map(|id| id.0),
            new.reruns,
            new.auto_rerun,
            new.max_auto_reruns,
        ])?;
        Ok(())
    }

    /// Writes back state, end, who canceled it and the count of reruns.
    pub fn workflow_save(&self, changed: &Workflow) -> Result<(), Error> {
        self.statement(
            "UPDATE runs SET state = ?2, at_d = ?3, text_b = ?4, n_a = ?5 WHERE id = ?1 AND part = 0",
        )?
        .execute(params![
            changed.id.0,
            changed.state.as_str(),
            changed.stopped_at.map(|at| at.0),
            changed.canceled_by,
            changed.reruns,
        ])?;
        Ok(())
    }
}

impl Reader<'_> {
    /// One workflow.
    pub fn workflow_get(&self, id: WorkflowId) -> Result<Option<Workflow>, Error> {
        let mut find = self.statement(&format!("{COLUMNS} id = ?1 AND part = 0"))?;
        Ok(find.query_row(params![id.0], read).optional()?)
    }

    /// The workflows of a pipeline, in order of creation, reruns included.
    pub fn workflow_list(&self, pipeline: PipelineId) -> Result<Vec<Workflow>, Error> {
        let Some(pipeline) = self.pipeline_get(pipeline)? else { return Ok(Vec::new()) };
        let found = pipeline.workflows.iter().map(|id| self.workflow_get(*id));
        Ok(found.collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect())
    }
}

pub(super) fn read(row: &Row<'_>) -> rusqlite::Result<Workflow> {
    let id = WorkflowId(row.get(0)?);
    Ok(Workflow {
        id,
        pipeline: PipelineId(row.get(1)?),
        project: ProjectId(row.get(2)?),
        name: row.get(3)?,
        state: row::parsed(row, 4)?,
        created_at: Timestamp(row.get(5)?),
        stopped_at: row.get::<_, Option<_>>(6)?.map(Timestamp),
        started_by: row.get(7)?,
        canceled_by: row.get(8)?,
        workspace: row.get::<_, Option<_>>(9)?.map_or(id, WorkflowId),
        rerun_of: row.get::<_, Option<_>>(10)?.map(WorkflowId),
        reruns: row.get(11)?,
        auto_rerun: row.get(12)?,
        max_auto_reruns: row.get(13)?,
    })
}
