//! Tasks (one node of one attempt of a job) and their steps.

use crate::{Reader, Txn, error::Error, row, runs::family};
use base::{
    ids::{Attempt, Fence, JobId, RunnerId, TaskId},
    state::{StepState, TaskOutcome},
    time::Timestamp,
};
use rusqlite::{OptionalExtension, Row, params};

/// One node of one attempt of a job. It has a row from its first lease on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Task {
    /// Its identifier; carries that of its job.
    pub id: TaskId,
    /// Node index, from 0.
    pub node: u32,
    /// The try.
    pub attempt: Attempt,
    /// Who holds or held it; `None` when the runner never received it and it waits again.
    pub runner: Option<RunnerId>,
    /// Of the last lease.
    pub fence: Fence,
    /// Number of the report that is expected next.
    pub next_report: u64,
    /// When it was leased last.
    pub leased_at: Timestamp,
    /// When its sandbox stood.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub stopped_at: Option<Timestamp>,
    /// How it ended.
    pub outcome: Option<TaskOutcome>,
    /// For people: why it failed.
    pub message: Option<String>,
    /// Highest memory use seen, in bytes.
    pub peak_memory: Option<u64>,
}

impl Task {
    /// The job.
    #[must_use]
    pub fn job(&self) -> JobId {
        family::job_of(self.id)
    }
}

/// One step of a task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// Of which task.
    pub task: TaskId,
    /// Its number, from 0.
    pub step: u32,
    /// Its name.
    pub name: String,
    /// Runs beside later steps.
    pub background: bool,
    /// What it is now.
    pub state: StepState,
    /// Of its last process.
    pub exit_code: Option<i32>,
    /// When it began.
    pub started_at: Timestamp,
    /// When it ended.
    pub stopped_at: Option<Timestamp>,
    /// Length of its output; 0 until it has ended.
    pub output_bytes: u64,
}

const TASKS: &str = "SELECT id, n_a, n_b, ref_a, n_c, n_d, at_a, at_c, at_d, state, text_e, n_e \
    FROM runs WHERE kind = 4 AND ";
const STEPS: &str = "SELECT id, part, name, n_a, state, n_b, at_a, at_d, n_c \
    FROM runs WHERE kind = 5 AND ";

impl Txn<'_> {
    /// Writes a task, new or not.
    pub fn task_save(&self, task: &Task) -> Result<(), Error> {
        self.statement(
            "INSERT INTO runs (id, part, kind, n_a, n_b, ref_a, n_c, n_d, at_a, at_c, at_d, state, text_e, n_e) \
             VALUES (?1, 0, 4, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12) \
             ON CONFLICT (id, part) DO UPDATE SET ref_a = ?4, n_c = ?5, n_d = ?6, at_a = ?7, \
             at_c = ?8, at_d = ?9, state = ?10, text_e = ?11, n_e = ?12",
        )?
        .execute(params![
            task.id.0,
            task.node,
            task.attempt.0,
            task.runner.map(|id| id.0),
            task.fence.0,
            task.next_report,
            task.leased_at.0,
            task.started_at.map(|at| at.0),
            task.stopped_at.map(|at| at.0),
            task.outcome.map(TaskOutcome::as_str),
            task.message,
            task.peak_memory,
        ])?;
        Ok(())
    }

    /// Writes a step, new or not.
    pub fn step_save(&self, step: &Step) -> Result<(), Error> {
        self.statement(
            "INSERT INTO runs (id, part, kind, name, n_a, state, n_b, at_a, at_d, n_c) \
             VALUES (?1, ?2 + 1, 5, ?3, ?4, ?5, ?6, ?7, ?8, ?9) \
             ON CONFLICT (id, part) DO UPDATE SET state = ?5, n_b = ?6, at_d = ?8, n_c = ?9",
        )?
        .execute(params![
            step.task.0,
            step.step,
            step.name,
            step.background,
            step.state.as_str(),
            step.exit_code,
            step.started_at.0,
            step.stopped_at.map(|at| at.0),
            step.output_bytes,
        ])?;
        Ok(())
    }
}

impl Reader<'_> {
    /// One task.
    pub fn task_get(&self, id: TaskId) -> Result<Option<Task>, Error> {
        let mut find = self.statement(&format!("{TASKS} id = ?1 AND part = 0"))?;
        Ok(find.query_row(params![id.0], read_task).optional()?)
    }

    /// All tasks of a job that were ever leased, older attempts first. Ask with [`super::Job::source`].
    pub fn task_list(&self, job: JobId) -> Result<Vec<Task>, Error> {
        let (first, last) = family::tasks_range(job);
        let mut list = self.statement(&format!("{TASKS} id BETWEEN ?1 AND ?2 ORDER BY id"))?;
        let rows = list.query_map(params![first, last], read_task)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// The newest attempt of each node, by node. Ask with [`super::Job::source`].
    pub fn task_list_newest(&self, job: JobId) -> Result<Vec<Task>, Error> {
        let mut newest = std::collections::BTreeMap::new();
        for task in self.task_list(job)? {
            newest.insert(task.node, task);
        }
        Ok(newest.into_values().collect())
    }

    /// One step.
    pub fn step_get(&self, task: TaskId, step: u32) -> Result<Option<Step>, Error> {
        let mut find = self.statement(&format!("{STEPS} id = ?1 AND part = ?2 + 1"))?;
        Ok(find.query_row(params![task.0, step], read_step).optional()?)
    }

    /// The steps of a task, in order.
    pub fn step_list(&self, task: TaskId) -> Result<Vec<Step>, Error> {
        let mut list = self.statement(&format!("{STEPS} id = ?1 ORDER BY part"))?;
        let rows = list.query_map(params![task.0], read_step)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }
}

fn read_task(row: &Row<'_>) -> rusqlite::Result<Task> {
    let outcome = match row.get_ref(9)? {
        rusqlite::types::ValueRef::Null => None,
        _ => Some(row::parsed(row, 9)?),
    };
    Ok(Task {
        id: TaskId(row.get(0)?),
        node: row.get(1)?,
        attempt: Attempt(row.get(2)?),
        runner: row.get::<_, Option<_>>(3)?.map(RunnerId),
        fence: Fence(row.get(4)?),
        next_report: row.get(5)?,
        leased_at: Timestamp(row.get(6)?),
        started_at: row.get::<_, Option<_>>(7)?.map(Timestamp),
        stopped_at: row.get::<_, Option<_>>(8)?.map(Timestamp),
        outcome,
        message: row.get(10)?,
        peak_memory: row.get(11)?,
    })
}

fn read_step(row: &Row<'_>) -> rusqlite::Result<Step> {
    Ok(Step {
        task: TaskId(row.get(0)?),
        step: row.get::<_, u32>(1)? - 1,
        name: row.get(2)?,
        background: row.get(3)?,
        state: row::parsed(row, 4)?,
        exit_code: row.get(5)?,
        started_at: Timestamp(row.get(6)?),
        stopped_at: row.get::<_, Option<_>>(7)?.map(Timestamp),
        output_bytes: row.get(8)?,
    })
}
