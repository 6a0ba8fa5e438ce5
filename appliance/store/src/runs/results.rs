//! What tasks leave for people: artifacts and test results.
//!
//! Lists show the newest attempt of each node only; what a lost attempt left is not shown.

use crate::{
    Reader, Txn,
    error::Error,
    row,
    runs::{Job, Task},
};
use base::{ids::TaskId, protocol::TestResult};
use rusqlite::params;

/// Artifacts, or test results, that one list returns at most. A job with more of either is
/// searched by name, not paged through.
pub const LIST_MAX: usize = 10_000;

/// Earlier jobs that are asked for test results.
const BEFORE_MAX: u32 = 3;

/// A kept file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Artifact {
    /// Who kept it.
    pub task: TaskId,
    /// Node index of that task.
    pub node: u32,
    /// Path in the artifact list.
    pub path: String,
    /// Key in the artifact bucket.
    pub object: String,
    /// Size in bytes.
    pub size: u64,
}

impl Txn<'_> {
    /// Notes an artifact; the same path again replaces it.
    pub fn artifact_save(
        &self,
        task: TaskId,
        path: &str,
        object: &str,
        size: u64,
    ) -> Result<(), Error> {
        self.statement(
            "INSERT INTO artifacts (task, path, object, size) VALUES (?1, ?2, ?3, ?4) \
             ON CONFLICT (task, path) DO UPDATE SET object = ?3, size = ?4",
        )?
        .execute(params![task.0, path, object, size])?;
        Ok(())
    }

    /// Notes the test results of one report; `part` is the report's number.
    pub fn tests_save(&self, task: TaskId, part: u64, tests: &[TestResult]) -> Result<(), Error> {
        let body = row::to_json("test results", &tests)?;
        self.statement("INSERT OR REPLACE INTO tests (task, part, body) VALUES (?1, ?2, ?3)")?
            .execute(params![task.0, part, body])?;
        Ok(())
    }
}

impl Reader<'_> {
    /// The artifacts of a job, by node and path; at most [`LIST_MAX`].
    pub fn artifact_list(&self, job: &Job) -> Result<Vec<Artifact>, Error> {
        let mut all = Vec::new();
        for task in self.task_list_newest(job.source())? {
            self.artifacts_of(&task, &mut all)?;
        }
        Ok(all)
    }

    fn artifacts_of(&self, task: &Task, all: &mut Vec<Artifact>) -> Result<(), Error> {
        let mut list = self.statement(
            "SELECT path, object, size FROM artifacts WHERE task = ?1 ORDER BY path LIMIT ?2",
        )?;
        let rows = list.query_map(params![task.id.0, LIST_MAX - all.len()], |row| {
            Ok(Artifact {
                task: task.id,
                node: task.node,
                path: row.get(0)?,
                object: row.get(1)?,
                size: row.get(2)?,
            })
        })?;
        for artifact in rows {
            all.push(artifact?);
        }
        Ok(())
    }

    /// The test results of a job, by node and in file order; at most [`LIST_MAX`].
    pub fn test_list(&self, job: &Job) -> Result<Vec<TestResult>, Error> {
        let mut all = Vec::new();
        for task in self.task_list_newest(job.source())? {
            let mut list =
                self.statement("SELECT body FROM tests WHERE task = ?1 ORDER BY part")?;
            let parts =
                list.query_map(params![task.id.0], |row| row::json::<Vec<TestResult>>(row, 0))?;
            for part in parts {
                all.extend(part?);
            }
        }
        all.truncate(LIST_MAX);
        Ok(all)
    }

    /// The test results of the newest job of that name which had succeeded, with results, when
    /// `of` was made: the same at whatever time it is asked, because all copies of a job must
    /// split their tests alike.
    pub fn test_list_before(&self, of: &Job) -> Result<Vec<TestResult>, Error> {
        for job in self.job_list_succeeded_before(of, BEFORE_MAX)? {
            let found = self.test_list(&job)?;
            if !found.is_empty() {
                return Ok(found);
            }
        }
        Ok(Vec::new())
    }
}
