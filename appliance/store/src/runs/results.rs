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
use rusqlite::{OptionalExtension, params};

/// Artifacts, or test results, of one page; of the latter a few more, because reports stay whole.
pub const PAGE: usize = 10_000;

/// Earlier jobs that are asked for test results.
const BEFORE_MAX: u32 = 3;

/// Up to where something was read: a node, and what was the last of it.
pub type Mark<T> = (u32, T);

/// What all test results of a job come to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TestTally {
    /// How many there are.
    pub count: u64,
    /// Those that failed or could not be run.
    pub failed: u64,
}

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
    /// The artifacts of a job behind a mark, by node and path; at most [`PAGE`].
    pub fn artifact_page(
        &self,
        job: &Job,
        after: Option<&Mark<String>>,
    ) -> Result<Vec<Artifact>, Error> {
        let mut all = Vec::new();
        for task in self.task_list_newest(job.source())? {
            if let Some(behind) = rest_of(&task, after) {
                self.artifacts_of(&task, behind.map_or("", String::as_str), &mut all)?;
            }
        }
        Ok(all)
    }

    fn artifacts_of(
        &self,
        task: &Task,
        behind: &str,
        all: &mut Vec<Artifact>,
    ) -> Result<(), Error> {
        let mut list = self.statement(
            "SELECT path, object, size FROM artifacts \
             WHERE task = ?1 AND path > ?2 ORDER BY path LIMIT ?3",
        )?;
        let rows = list.query_map(params![task.id.0, behind, PAGE - all.len()], |row| {
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

    /// How many artifacts a job has.
    pub fn artifact_count(&self, job: &Job) -> Result<u64, Error> {
        let mut count = 0;
        for task in self.task_list_newest(job.source())? {
            let mut of = self.statement("SELECT count(*) FROM artifacts WHERE task = ?1")?;
            count += of.query_row([task.id.0], |row| row.get::<_, u64>(0))?;
        }
        Ok(count)
    }

    /// The artifact of a job that the newest attempt of a node kept under that path.
    pub fn artifact_get(
        &self,
        job: &Job,
        task: TaskId,
        path: &str,
    ) -> Result<Option<Artifact>, Error> {
        let newest = self.task_list_newest(job.source())?;
        let Some(node) = newest.iter().find(|one| one.id == task).map(|one| one.node) else {
            return Ok(None);
        };
        let mut find = self
            .statement("SELECT path, object, size FROM artifacts WHERE task = ?1 AND path = ?2")?;
        let found = find.query_row(params![task.0, path], |row| {
            Ok(Artifact { task, node, path: row.get(0)?, object: row.get(1)?, size: row.get(2)? })
        });
        Ok(found.optional()?)
    }

    /// The test results of a job behind a mark, by node and in file order; with the mark behind which
    /// there may be more, as soon as there are [`PAGE`].
    pub fn test_page(
        &self,
        job: &Job,
        after: Option<&Mark<u64>>,
    ) -> Result<(Vec<TestResult>, Option<Mark<u64>>), Error> {
        let mut all = Vec::new();
        for task in self.task_list_newest(job.source())? {
            let Some(behind) = rest_of(&task, after) else { continue };
            if let Some(part) = self.tests_of(&task, behind.copied(), PAGE, &mut all)? {
                return Ok((all, Some((task.node, part))));
            }
        }
        Ok((all, None))
    }

    /// Adds reports until there are `most` results; then the part of the last.
    fn tests_of(
        &self,
        task: &Task,
        behind: Option<u64>,
        most: usize,
        all: &mut Vec<TestResult>,
    ) -> Result<Option<u64>, Error> {
        let mut list = self.statement(
            "SELECT part, body FROM tests WHERE task = ?1 AND part >= ?2 ORDER BY part",
        )?;
        let from = behind.map_or(0, |part| part.saturating_add(1));
        let parts = list.query_map(params![task.id.0, from], |row| {
            Ok((row.get::<_, u64>(0)?, row::json::<Vec<TestResult>>(row, 1)?))
        })?;
        for part in parts {
            let (part, tests) = part?;
            all.extend(tests);
            if all.len() >= most {
                return Ok(Some(part));
            }
        }
        Ok(None)
    }

    /// What all test results of a job come to, counted one by one.
    pub fn test_tally(&self, job: &Job) -> Result<TestTally, Error> {
        let mut tally = TestTally::default();
        for task in self.task_list_newest(job.source())? {
            let mut count = self.statement(
                "SELECT count(*), count(*) FILTER (WHERE each.value ->> 'result' IN ('failure', 'error')) \
                 FROM tests, json_each(tests.body) AS each WHERE task = ?1",
            )?;
            let (all, failed) = count
                .query_row([task.id.0], |row| Ok((row.get::<_, u64>(0)?, row.get::<_, u64>(1)?)))?;
            tally.count += all;
            tally.failed += failed;
        }
        Ok(tally)
    }

    /// All test results of the newest job of that name which had succeeded, with results, when
    /// `of` was made: the same at whatever time it is asked, because all copies of a job must
    /// split their tests alike.
    pub fn test_list_before(&self, of: &Job) -> Result<Vec<TestResult>, Error> {
        for job in self.job_list_succeeded_before(of, BEFORE_MAX)? {
            let mut found = Vec::new();
            for task in self.task_list_newest(job.source())? {
                self.tests_of(&task, None, usize::MAX, &mut found)?;
            }
            if !found.is_empty() {
                return Ok(found);
            }
        }
        Ok(Vec::new())
    }
}

/// What of a task is behind a mark: nothing, all (`Some(None)`), or what follows the last that was
/// read.
fn rest_of<'a, T>(task: &Task, after: Option<&'a Mark<T>>) -> Option<Option<&'a T>> {
    match after {
        Some((node, _)) if task.node < *node => None,
        Some((node, last)) if task.node == *node => Some(Some(last)),
        _ => Some(None),
    }
}
