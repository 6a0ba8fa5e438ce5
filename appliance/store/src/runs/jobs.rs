//! Jobs of a workflow.

use crate::{
    Reader, Txn,
    error::Error,
    row,
    runs::{family, pipelines::unless_empty, texts::Hash},
};
use base::{
    ids::{JobId, JobNumber, ProjectId, WorkflowId},
    plan::JobSpec,
    state::JobState,
    time::Timestamp,
};
use rusqlite::{OptionalExtension, Row, params, types::Type};
use serde::{Deserialize, Serialize};

/// `type` of a job in API v2.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum JobType {
    /// Runs steps on a runner.
    #[serde(rename = "build")]
    Build,
    /// Waits for a person.
    #[serde(rename = "approval")]
    Approval,
    /// Succeeds at once.
    #[serde(rename = "no-op")]
    NoOp,
}

impl JobType {
    /// In the database.
    const fn code(self) -> u8 {
        match self {
            Self::Build => 1,
            Self::Approval => 2,
            Self::NoOp => 3,
        }
    }

    /// The name on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Build => "build",
            Self::Approval => "approval",
            Self::NoOp => "no-op",
        }
    }
}

/// One requirement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Requires {
    /// The required job.
    pub on: JobId,
    /// Terminal states that satisfy it.
    pub any_of: Vec<JobState>,
}

/// One job of one workflow run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    /// Its identifier; carries that of its workflow and its place there.
    pub id: JobId,
    /// Of which project.
    pub project: ProjectId,
    /// Build jobs have one. A job whose result was taken over shows the number of the original.
    pub number: Option<JobNumber>,
    /// Unique within the workflow.
    pub name: String,
    /// What it does.
    pub kind: JobType,
    /// What it is now.
    pub state: JobState,
    /// Its number of nodes.
    pub parallelism: u32,
    /// What it waits for.
    pub requires: Vec<Requires>,
    /// Contexts it uses, in order.
    pub contexts: Vec<String>,
    /// Jobs of one group run one after another.
    pub serial_group: Option<String>,
    /// The job of its workflow whose end gives the group back; absent when its own does.
    pub serial_end: Option<JobId>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it became ready.
    pub queued_at: Option<Timestamp>,
    /// When a runner first took it.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub stopped_at: Option<Timestamp>,
    /// The job whose result a rerun took over: its tasks, artifacts and tests are found there.
    pub origin: Option<JobId>,
    /// Login of who approved or canceled it. Set while a running job is being stopped.
    pub decided_by: Option<String>,
    /// For people: why it failed or may not run.
    pub message: Option<String>,
}

impl Job {
    /// The workflow.
    #[must_use]
    pub fn workflow(&self) -> WorkflowId {
        family::workflow_of(self.id)
    }

    /// Whose end gives its serial group back: what holds the group, jobs with one lock together.
    #[must_use]
    pub fn lock(&self) -> JobId {
        self.serial_end.unwrap_or(self.id)
    }

    /// Where its tasks, artifacts, tests and layers are kept.
    #[must_use]
    pub fn source(&self) -> JobId {
        self.origin.unwrap_or(self.id)
    }
}

pub(super) const COLUMNS: &str = "SELECT id, project, number, name, kind, state, n_a, text_a, text_b, text_c, \
    at_a, at_b, at_c, at_d, ref_b, text_d, text_e, n_b FROM runs WHERE kind BETWEEN 1 AND 3 AND ";

/// Jobs of a project that are looked through for an earlier one.
const BACK_MAX: u64 = 2000;

impl Txn<'_> {
    /// Stores a new job; `spec` is that of a build job.
    pub fn job_insert(&self, new: &Job, spec: Option<&JobSpec>) -> Result<(), Error> {
        let text = spec.map(|spec| row::to_json("a job specification", spec)).transpose()?;
        let hash = text.map(|text| self.text_put(&text)).transpose()?;
        self.job_insert_with(new, hash)
    }

    /// Stores a new job with the specification of another.
    pub fn job_insert_like(&self, new: &Job, like: JobId) -> Result<(), Error> {
        let mut find = self.statement("SELECT ref_a FROM runs WHERE id = ?1 AND part = 0")?;
        let hash: Option<Hash> = find.query_row(params![like.0], |row| row.get(0))?;
        self.job_insert_with(new, hash)
    }

    fn job_insert_with(&self, new: &Job, spec: Option<Hash>) -> Result<(), Error> {
        let requires: Vec<(u16, &[JobState])> = new
            .requires
            .iter()
            .map(|edge| (family::ordinal_of(edge.on), edge.any_of.as_slice()))
            .collect();
        self.statement(
            "INSERT INTO runs (id, part, project, number, name, kind, state, n_a, text_a, text_b, text_c, \
             ref_a, at_a, at_b, at_c, at_d, ref_b, text_d, text_e, n_b) \
             VALUES (?1, 0, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19)",
        )?
        .execute(params![
            new.id.0,
            new.project.0,
            new.number.map(|number| number.0),
            new.name,
            new.kind.code(),
            new.state.as_str(),
            new.parallelism,
            unless_empty("requirements", &requires, requires.is_empty())?,
            unless_empty("context names", &new.contexts, new.contexts.is_empty())?,
            new.serial_group,
            spec,
            new.created_at.0,
            new.queued_at.map(|at| at.0),
            new.started_at.map(|at| at.0),
            new.stopped_at.map(|at| at.0),
            new.origin.map(|id| id.0),
            new.decided_by,
            new.message,
            new.serial_end.map(family::ordinal_of),
        ])?;
        Ok(())
    }

    /// Writes back state, times, who decided and the message.
    pub fn job_save(&self, changed: &Job) -> Result<(), Error> {
        self.statement(
            "UPDATE runs SET state = ?2, at_b = ?3, at_c = ?4, at_d = ?5, text_d = ?6, text_e = ?7 \
             WHERE id = ?1 AND part = 0",
        )?
        .execute(params![
            changed.id.0,
            changed.state.as_str(),
            changed.queued_at.map(|at| at.0),
            changed.started_at.map(|at| at.0),
            changed.stopped_at.map(|at| at.0),
            changed.decided_by,
            changed.message,
        ])?;
        Ok(())
    }

    /// Jobs of the project are about to go: the last number stays known.
    pub(super) fn job_numbers_keep(&self, project: ProjectId) -> Result<(), Error> {
        let last = self.job_greatest_number(project)?;
        self.statement("UPDATE projects SET last_job = ?2 WHERE id = ?1 AND last_job < ?2")?
            .execute(params![project.0, last.0])?;
        Ok(())
    }
}

impl Reader<'_> {
    /// One job.
    pub fn job_get(&self, id: JobId) -> Result<Option<Job>, Error> {
        let mut find = self.statement(&format!("{COLUMNS} id = ?1 AND part = 0"))?;
        Ok(find.query_row(params![id.0], read).optional()?)
    }

    /// One job by its number in the project.
    pub fn job_by_number(
        &self,
        project: ProjectId,
        number: JobNumber,
    ) -> Result<Option<Job>, Error> {
        let mut find =
            self.statement(&format!("{COLUMNS} project = ?1 AND number = ?2 AND ref_b IS NULL"))?;
        Ok(find.query_row(params![project.0, number.0], read).optional()?)
    }

    /// The greatest number that was given in a project, also to a job that is gone; 0 before the first.
    pub fn job_last_number(&self, project: ProjectId) -> Result<JobNumber, Error> {
        let mut find = self.statement("SELECT last_job FROM projects WHERE id = ?1")?;
        let gone = find.query_row([project.0], |row| row.get(0)).optional()?;
        let there = self.job_greatest_number(project)?;
        Ok(there.max(JobNumber(gone.unwrap_or(0))))
    }

    /// The greatest number in use in a project.
    fn job_greatest_number(&self, project: ProjectId) -> Result<JobNumber, Error> {
        let mut find = self.statement(
            "SELECT number FROM runs WHERE project = ?1 AND number IS NOT NULL AND ref_b IS NULL \
             ORDER BY number DESC LIMIT 1",
        )?;
        let last: Option<u64> = find.query_row(params![project.0], |row| row.get(0)).optional()?;
        Ok(JobNumber(last.unwrap_or(0)))
    }

    /// Jobs of the same project and name that had succeeded when `of` was made, newest first; at
    /// most `limit`, and none from further back than [`BACK_MAX`] jobs.
    pub(super) fn job_list_succeeded_before(
        &self,
        of: &Job,
        limit: u32,
    ) -> Result<Vec<Job>, Error> {
        let Some(number) = of.number else { return Ok(Vec::new()) };
        let mut list = self.statement(&format!(
            "{COLUMNS} project = ?1 AND number < ?2 AND number >= ?3 AND ref_b IS NULL \
             AND name = ?4 AND state = ?5 AND at_d <= ?6 ORDER BY number DESC LIMIT ?7"
        ))?;
        let rows = list.query_map(
            params![
                of.project.0,
                number.0,
                number.0.saturating_sub(BACK_MAX),
                of.name,
                JobState::Success.as_str(),
                of.created_at.0,
                limit
            ],
            read,
        )?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// The jobs of a workflow, in the order of the configuration.
    pub fn job_list(&self, workflow: WorkflowId) -> Result<Vec<Job>, Error> {
        // One look for each: tasks and steps stand in between, and may be many.
        let mut find = self.statement(&format!("{COLUMNS} id = ?1 AND part = 0"))?;
        let mut jobs = Vec::new();
        for ordinal in 1..=u16::MAX {
            let id = family::job(workflow, ordinal);
            let Some(job) = find.query_row(params![id.0], read).optional()? else { break };
            jobs.push(job);
        }
        Ok(jobs)
    }

    /// What a build job runs.
    pub fn job_spec(&self, id: JobId) -> Result<Option<JobSpec>, Error> {
        let mut find = self.statement(
            "SELECT t.body FROM runs r JOIN texts t ON t.hash = r.ref_a WHERE r.id = ?1 AND r.part = 0",
        )?;
        Ok(find.query_row(params![id.0], |row| row::json(row, 0)).optional()?)
    }
}

pub(super) fn read(row: &Row<'_>) -> rusqlite::Result<Job> {
    let id = JobId(row.get(0)?);
    let has = |column| row.get_ref(column).map(|value| value != rusqlite::types::ValueRef::Null);
    let requires: Vec<(u16, Vec<JobState>)> = if has(7)? { row::json(row, 7)? } else { Vec::new() };
    let workflow = family::workflow_of(id);
    let edge = |(on, any_of)| Requires { on: family::job(workflow, on), any_of };
    Ok(Job {
        id,
        project: ProjectId(row.get(1)?),
        number: row.get::<_, Option<_>>(2)?.map(JobNumber),
        name: row.get(3)?,
        kind: read_kind(row, 4)?,
        state: row::parsed(row, 5)?,
        parallelism: row.get(6)?,
        requires: requires.into_iter().map(edge).collect(),
        contexts: if has(8)? { row::json(row, 8)? } else { Vec::new() },
        serial_group: row.get(9)?,
        created_at: Timestamp(row.get(10)?),
        queued_at: row.get::<_, Option<_>>(11)?.map(Timestamp),
        started_at: row.get::<_, Option<_>>(12)?.map(Timestamp),
        stopped_at: row.get::<_, Option<_>>(13)?.map(Timestamp),
        origin: row.get::<_, Option<_>>(14)?.map(JobId),
        decided_by: row.get(15)?,
        message: row.get(16)?,
        serial_end: row.get::<_, Option<_>>(17)?.map(|ordinal| family::job(workflow, ordinal)),
    })
}

fn read_kind(row: &Row<'_>, column: usize) -> rusqlite::Result<JobType> {
    let code: u8 = row.get(column)?;
    let all = [JobType::Build, JobType::Approval, JobType::NoOp];
    all.into_iter().find(|kind| kind.code() == code).ok_or_else(|| {
        let unknown = format!("{code} is not a known job type");
        rusqlite::Error::FromSqlConversionFailure(column, Type::Integer, unknown.into())
    })
}
