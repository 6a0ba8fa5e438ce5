//! How far a job is trusted: as its pipeline.

use super::family;
use crate::{Reader, error::Error};
use base::{ids::JobId, trust::Trust};
use rusqlite::{OptionalExtension, params};

impl Reader<'_> {
    /// The level of a job's pipeline; of one that is gone, the lower.
    pub fn job_trust(&self, job: JobId) -> Result<Trust, Error> {
        let mut find = self.statement(
            "SELECT p.protected FROM runs w JOIN pipelines p ON p.id = w.ref_a \
             WHERE w.id = ?1 AND w.part = 0",
        )?;
        let workflow = family::workflow_of(job);
        let found = find.query_row(params![workflow.0], |row| row.get(0)).optional()?;
        Ok(found.map(Trust::of).unwrap_or_default())
    }
}
