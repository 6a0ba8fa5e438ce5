//! What jobs needed of memory at their peak, by project and name.
//!
//! Why apart from the runs: these go when they are old, and what a nightly job needs is known over
//! months. Why not each time: a job that needs what it always needs would cost a page of flash for
//! nothing; one run in [`REFRESH`] is kept all the same, so that old peaks leave.

use crate::{Reader, Txn, error::Error, runs::family};
use base::{
    ids::{JobId, ProjectId, TaskId},
    units::Bytes,
};
use rusqlite::{OptionalExtension, params};

/// One run in so many is kept though it tells nothing new.
const REFRESH: u128 = 8;

/// Fewer are always added to.
const FEW: usize = 3;

/// A peak this near (in percent) to the largest known tells nothing new.
const NEAR: u64 = 10;

fn tells_something(known: &[Bytes], peak: Bytes, task: TaskId) -> bool {
    let most = known.iter().max().copied().unwrap_or_default();
    let near = most.0 / 100 * NEAR;
    known.len() < FEW || peak.0 > most.0.saturating_add(near) || family::is_one_in(task.0, REFRESH)
}

impl Txn<'_> {
    /// Learns the peak of one run; at most `keep` are known, the oldest leave.
    pub fn job_peak_learn(
        &self,
        (project, name): (ProjectId, &str),
        task: TaskId,
        peak: Bytes,
        keep: usize,
    ) -> Result<(), Error> {
        let mut known = self.peaks(project, name)?;
        if !tells_something(&known, peak, task) {
            return Ok(());
        }
        known.push(peak);
        let from = known.len().saturating_sub(keep);
        let bytes: Vec<u8> = known[from..].iter().flat_map(|peak| peak.0.to_be_bytes()).collect();
        self.statement(
            "INSERT OR REPLACE INTO job_peaks (project, name, peaks) VALUES (?1, ?2, ?3)",
        )?
        .execute(params![project.0, name, bytes])?;
        Ok(())
    }
}

impl Reader<'_> {
    /// Peaks of the last runs of this job's name in its project, oldest first.
    pub fn job_peaks(&self, job: JobId) -> Result<Vec<Bytes>, Error> {
        match self.job_get(job)? {
            Some(job) => self.peaks(job.project, &job.name),
            None => Ok(Vec::new()),
        }
    }

    fn peaks(&self, project: ProjectId, name: &str) -> Result<Vec<Bytes>, Error> {
        let mut find =
            self.statement("SELECT peaks FROM job_peaks WHERE project = ?1 AND name = ?2")?;
        let found = find.query_row(params![project.0, name], |row| row.get::<_, Vec<u8>>(0));
        let found = found.optional()?.unwrap_or_default();
        let peaks = found.as_chunks::<8>().0.iter();
        Ok(peaks.map(|bytes| Bytes(u64::from_be_bytes(*bytes))).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    fn check(known: &[u64], peak: u64, task: u128, expected: bool) {
        let known: Vec<Bytes> = known.iter().map(|peak| Bytes::mib(*peak)).collect();
        let task = TaskId(Uuid::from_u128(task << 32));
        assert_eq!(tells_something(&known, Bytes::mib(peak), task), expected);
    }

    #[test]
    fn a_peak_is_kept_when_it_tells_something_new() {
        check(&[], 10, 1, true);
        check(&[100, 100], 100, 1, true);
        check(&[100, 100, 100], 105, 1, false);
        check(&[100, 100, 100], 120, 1, true);
        check(&[100, 100, 100], 20, 1, false);
        check(&[100, 100, 100], 20, 8, true);
    }
}
