//! What jobs needed of memory at their peak, by project and name.
//!
//! Why apart from the runs: these go when they are old, and what a nightly job needs is known over
//! months. Why not each time: a job that needs what it always needs would cost a page of flash for
//! nothing; one run in [`REFRESH`] is kept all the same, so that old peaks leave. Names that a
//! configuration makes up for each pipeline would be kept for ever: of too many, those seen least go.

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

/// Names known of one project.
const NAMES_MAX: u32 = 1000;

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
        if known.is_empty() {
            self.peaks_make_room(project)?;
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

    /// Forgets the names seen least beyond the bound, one of which is about to come.
    fn peaks_make_room(&self, project: ProjectId) -> Result<(), Error> {
        self.statement(
            "DELETE FROM job_peaks WHERE project = ?1 AND name IN (SELECT name FROM job_peaks \
             WHERE project = ?1 ORDER BY length(peaks) DESC LIMIT -1 OFFSET ?2)",
        )?
        .execute(params![project.0, NAMES_MAX - 1])?;
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
    fn names_seen_once_make_room_and_those_seen_often_stay() {
        let (sql, key) = crate::migrate::in_memory();
        let txn = Txn::new(&sql, &key, base::ids::Cursor(0));
        let project = ProjectId(Uuid::from_u128(7));
        let learn = |name: &str, task: u128| {
            let task = TaskId(Uuid::from_u128(task << 32));
            txn.job_peak_learn((project, name), task, Bytes::mib(9), 8).unwrap();
        };
        learn("nightly", 1);
        learn("nightly", 2);
        for number in 0..u128::from(NAMES_MAX) + 5 {
            learn(&format!("z-build-{number}"), number);
        }
        let count =
            |sql: &str| txn.statement(sql).unwrap().query_row([], |row| row.get(0)).unwrap();
        let names: u32 = count("SELECT count(*) FROM job_peaks");
        assert_eq!(names, NAMES_MAX);
        assert_eq!(txn.peaks(project, "nightly").unwrap().len(), 2);
        let newest = format!("z-build-{}", NAMES_MAX + 4);
        assert_eq!(txn.peaks(project, &newest).unwrap().len(), 1);
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
