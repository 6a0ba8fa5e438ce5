//! The newest jobs of a project, each with its workflow and pipeline.

use super::{
    Job, Pipeline, Workflow,
    jobs::{COLUMNS, read},
};
use crate::{Reader, error::Error};
use base::{
    ids::{JobId, ProjectId},
    state::JobState,
};
use rusqlite::params;

/// Jobs that are looked at for one answer, however few of them are wanted.
pub const RECENT_MAX: u32 = 10_000;

/// Which jobs are asked for.
#[derive(Debug, Clone)]
pub struct RecentWanted {
    /// Of this project.
    pub project: ProjectId,
    /// Only of this branch.
    pub branch: Option<String>,
    /// Only those in such a state.
    pub states: fn(JobState) -> bool,
    /// So many are passed over first.
    pub skip: usize,
    /// At most so many.
    pub limit: usize,
}

/// A job and where it belongs.
pub type Around = (Job, Workflow, Pipeline);

impl Reader<'_> {
    /// Jobs that ran, or are to run, by their numbers from the newest back.
    pub fn job_list_recent(&self, wanted: &RecentWanted) -> Result<Vec<Around>, Error> {
        let mut list = self.statement(&format!(
            "{COLUMNS} project = ?1 AND number IS NOT NULL AND ref_b IS NULL \
             ORDER BY number DESC LIMIT ?2"
        ))?;
        let rows = list.query_map(params![wanted.project.0, RECENT_MAX], read)?;
        let (mut found, mut left) = (Vec::new(), wanted.skip);
        for job in rows {
            let job = job?;
            if found.len() == wanted.limit {
                break;
            }
            if !(wanted.states)(job.state) {
                continue;
            }
            let Some(around) = self.around(job)? else { continue };
            let branch = around.2.vcs.branch.as_deref();
            if wanted.branch.as_deref().is_some_and(|named| Some(named) != branch) {
                continue;
            }
            match left {
                0 => found.push(around),
                _ => left -= 1,
            }
        }
        Ok(found)
    }

    /// A job with its workflow and pipeline.
    pub fn job_around(&self, id: JobId) -> Result<Option<Around>, Error> {
        self.job_get(id)?.map_or(Ok(None), |job| self.around(job))
    }

    fn around(&self, job: Job) -> Result<Option<Around>, Error> {
        let Some(workflow) = self.workflow_get(job.workflow())? else { return Ok(None) };
        let pipeline = self.pipeline_get(workflow.pipeline)?;
        Ok(pipeline.map(|pipeline| (job, workflow, pipeline)))
    }
}
