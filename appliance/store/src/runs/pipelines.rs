//! Pipelines: what one trigger brought forth.

use crate::{Reader, Txn, error::Error, row, runs::texts::Hash};
use base::{
    ids::{OrgId, PipelineId, PipelineNumber, ProjectId, WorkflowId},
    state::PipelineState,
    time::Timestamp,
    trigger::{Due, ParameterValue, TriggerKind, Vcs},
    trust::Trust,
};
use indexmap::IndexMap;
use rusqlite::{OptionalExtension, Row, params, types::Type};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The longest page of any list in this topic.
pub const PAGE_MAX: u32 = 250;

/// A pipeline and the commit it builds.
#[derive(Debug, Clone, PartialEq)]
pub struct Pipeline {
    /// Its identifier.
    pub id: PipelineId,
    /// Of which project.
    pub project: ProjectId,
    /// Unique within the project.
    pub number: PipelineNumber,
    /// `created` or `errored`.
    pub state: PipelineState,
    /// How it was triggered.
    pub kind: TriggerKind,
    /// By whom.
    pub actor: String,
    /// When the trigger came.
    pub received_at: Timestamp,
    /// When it was stored.
    pub created_at: Timestamp,
    /// When its state, or its list of workflows, changed last.
    pub updated_at: Timestamp,
    /// The commit.
    pub vcs: Vcs,
    /// Given by the caller.
    pub parameters: IndexMap<String, ParameterValue>,
    /// Why it is `errored`.
    pub errors: Vec<PipelineError>,
    /// In order of creation, reruns included.
    pub workflows: Vec<WorkflowId>,
    /// The schedule whose time it was.
    pub due: Option<Due>,
    /// Decided when it was triggered.
    pub trust: Trust,
}

/// One entry of a pipeline's `errors`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PipelineError {
    /// `config`, `config-fetch`, `timeout`, `permission`, `other` or `plan`.
    #[serde(rename = "type")]
    pub kind: String,
    /// For people, with file, line and column.
    pub message: String,
}

/// A pipeline's configuration.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ConfigTexts {
    /// As found at the commit; `None` when it was missing.
    pub source: Option<String>,
    /// As processed; `None` when it could not be.
    pub compiled: Option<String>,
    /// The setup configuration, when `source` continued one.
    pub setup: Option<String>,
    /// The same as processed.
    pub compiled_setup: Option<String>,
}

/// Which pipelines to list.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PipelineFilter<'a> {
    /// Only of this branch.
    pub branch: Option<&'a str>,
    /// Only by this login.
    pub actor: Option<&'a str>,
    /// Only of projects of this organisation.
    pub org: Option<OrgId>,
}

const COLUMNS: &str = "SELECT p.id, p.project, p.number, p.state, p.kind, p.actor, p.received_at, \
    p.created_at, p.updated_at, t.body, p.parameters, p.errors, p.workflows, p.due, p.protected \
    FROM pipelines p JOIN texts t ON t.hash = p.vcs ";

/// The organisation of a pipeline's project.
const OF_ORG: &str = "(SELECT org FROM projects WHERE projects.id = p.project)";

impl Txn<'_> {
    /// Stores a new pipeline with its configuration.
    pub fn pipeline_insert(&self, new: &Pipeline, texts: &ConfigTexts) -> Result<(), Error> {
        let vcs = self.text_put(&row::to_json("a commit", &new.vcs)?)?;
        let put =
            |text: &Option<String>| text.as_deref().map(|text| self.text_put(text)).transpose();
        let (config, compiled) = (put(&texts.source)?, put(&texts.compiled)?);
        let parameters =
            unless_empty("pipeline parameters", &new.parameters, new.parameters.is_empty())?;
        let errors = unless_empty("pipeline errors", &new.errors, new.errors.is_empty())?;
        self.statement(
            "INSERT INTO pipelines (id, project, number, state, kind, actor, received_at, created_at, \
             updated_at, branch, vcs, config, compiled, workflows, parameters, errors, due, protected) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18)",
        )?
        .execute(params![
            new.id.0,
            new.project.0,
            new.number.0,
            new.state.as_str(),
            kind_name(new.kind),
            new.actor,
            new.received_at.0,
            new.created_at.0,
            new.updated_at.0,
            new.vcs.branch,
            vcs,
            config,
            compiled,
            join(&new.workflows),
            parameters,
            errors,
            due_text(new.due.as_ref())?,
            new.trust.is_protected(),
        ])?;
        Ok(())
    }

    /// Adds a workflow that a rerun made.
    pub fn pipeline_workflow_add(
        &self,
        pipeline: PipelineId,
        workflow: WorkflowId,
        now: Timestamp,
    ) -> Result<(), Error> {
        self.statement("UPDATE pipelines SET workflows = CAST(workflows || ?2 AS BLOB), updated_at = ?3 WHERE id = ?1")?
            .execute(params![pipeline.0, workflow.0, now.0])?;
        Ok(())
    }
}

impl Reader<'_> {
    /// One pipeline.
    pub fn pipeline_get(&self, id: PipelineId) -> Result<Option<Pipeline>, Error> {
        let mut find = self.statement(&format!("{COLUMNS} WHERE p.id = ?1"))?;
        Ok(find.query_row(params![id.0], read).optional()?)
    }

    /// One pipeline by its number in the project.
    pub fn pipeline_by_number(
        &self,
        project: ProjectId,
        number: PipelineNumber,
    ) -> Result<Option<Pipeline>, Error> {
        let mut find =
            self.statement(&format!("{COLUMNS} WHERE p.project = ?1 AND p.number = ?2"))?;
        Ok(find.query_row(params![project.0, number.0], read).optional()?)
    }

    /// The greatest number in use in a project; 0 before the first.
    pub fn pipeline_last_number(&self, project: ProjectId) -> Result<PipelineNumber, Error> {
        let mut find = self.statement("SELECT MAX(number) FROM pipelines WHERE project = ?1")?;
        let last: Option<u64> = find.query_row(params![project.0], |row| row.get(0))?;
        Ok(PipelineNumber(last.unwrap_or(0)))
    }

    /// Pipelines of a project, newest first, with numbers below `before`; at most [`PAGE_MAX`].
    pub fn pipeline_list(
        &self,
        project: ProjectId,
        filter: PipelineFilter<'_>,
        before: Option<PipelineNumber>,
        limit: u32,
    ) -> Result<Vec<Pipeline>, Error> {
        let of_branch = of_branch(filter.branch);
        let mut list = self.statement(&format!(
            "{COLUMNS} WHERE p.project = ?1 AND p.number < ?2 AND {of_branch} \
             AND (?4 IS NULL OR p.actor = ?4) AND (?5 IS NULL OR {OF_ORG} = ?5) \
             ORDER BY p.number DESC LIMIT ?6"
        ))?;
        let before = before.map_or(i64::MAX as u64, |number| number.0);
        let rows = list.query_map(
            params![
                project.0,
                before,
                filter.branch,
                filter.actor,
                filter.org.map(|org| org.0),
                limit.min(PAGE_MAX)
            ],
            read,
        )?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Pipelines of all projects, newest first, older than `before`; at most [`PAGE_MAX`].
    pub fn pipeline_list_all(
        &self,
        filter: PipelineFilter<'_>,
        before: Option<PipelineId>,
        limit: u32,
    ) -> Result<Vec<Pipeline>, Error> {
        let mut list = self.statement(&format!(
            "{COLUMNS} WHERE p.id < ?1 AND (?2 IS NULL OR p.branch = ?2) \
             AND (?3 IS NULL OR p.actor = ?3) AND (?4 IS NULL OR {OF_ORG} = ?4) \
             ORDER BY p.id DESC LIMIT ?5"
        ))?;
        let before = before.map_or(Uuid::max(), |id| id.0);
        let org = filter.org.map(|org| org.0);
        let rows = list.query_map(
            params![before, filter.branch, filter.actor, org, limit.min(PAGE_MAX)],
            read,
        )?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// A pipeline's configuration, as found and as processed, and the setup's that it continued.
    pub fn pipeline_config(&self, id: PipelineId) -> Result<Option<ConfigTexts>, Error> {
        let mut find = self.statement(
            "SELECT config, compiled, setup, compiled_setup FROM pipelines WHERE id = ?1",
        )?;
        let four = |row: &Row<'_>| -> rusqlite::Result<[Option<Hash>; 4]> {
            Ok([row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?])
        };
        let hashes = find.query_row(params![id.0], four).optional()?;
        let Some([config, compiled, setup, compiled_setup]) = hashes else { return Ok(None) };
        let text = |hash: Option<Hash>| hash.map_or(Ok(None), |hash| self.text_get(&hash));
        Ok(Some(ConfigTexts {
            source: text(config)?,
            compiled: text(compiled)?,
            setup: text(setup)?,
            compiled_setup: text(compiled_setup)?,
        }))
    }
}

/// The condition on `?3`, in the words by which its index is found.
pub(super) const fn of_branch(branch: Option<&str>) -> &'static str {
    match branch {
        Some(_) => "branch = ?3",
        None => "?3 IS NULL",
    }
}

fn read(row: &Row<'_>) -> rusqlite::Result<Pipeline> {
    let optional =
        |column| row.get_ref(column).map(|value| value != rusqlite::types::ValueRef::Null);
    Ok(Pipeline {
        id: PipelineId(row.get(0)?),
        project: ProjectId(row.get(1)?),
        number: PipelineNumber(row.get(2)?),
        state: row::parsed(row, 3)?,
        kind: kind_read(row, 4)?,
        actor: row.get(5)?,
        received_at: Timestamp(row.get(6)?),
        created_at: Timestamp(row.get(7)?),
        updated_at: Timestamp(row.get(8)?),
        vcs: row::json(row, 9)?,
        parameters: if optional(10)? { row::json(row, 10)? } else { IndexMap::new() },
        errors: if optional(11)? { row::json(row, 11)? } else { Vec::new() },
        workflows: split(row.get_ref(12)?.as_blob()?),
        due: if optional(13)? { Some(row::json(row, 13)?) } else { None },
        trust: Trust::of(row.get(14)?),
    })
}

/// As the column holds it, and as it is looked for.
pub(crate) fn due_text(due: Option<&Due>) -> Result<Option<String>, Error> {
    due.map(|due| row::to_json("a schedule", due)).transpose()
}

/// `None` spares a column that is nearly always empty.
pub(super) fn unless_empty<T: Serialize>(
    what: &'static str,
    value: &T,
    is_empty: bool,
) -> Result<Option<String>, Error> {
    if is_empty { Ok(None) } else { row::to_json(what, value).map(Some) }
}

pub(super) fn join(workflows: &[WorkflowId]) -> Vec<u8> {
    workflows.iter().flat_map(|id| *id.0.as_bytes()).collect()
}

pub(super) fn split(joined: &[u8]) -> Vec<WorkflowId> {
    let (ids, _) = joined.as_chunks::<16>();
    ids.iter().map(|bytes| WorkflowId(Uuid::from_bytes(*bytes))).collect()
}

const KINDS: [(TriggerKind, &str); 4] = [
    (TriggerKind::Webhook, "webhook"),
    (TriggerKind::Api, "api"),
    (TriggerKind::Explicit, "explicit"),
    (TriggerKind::ScheduledPipeline, "scheduled_pipeline"),
];

fn kind_name(kind: TriggerKind) -> &'static str {
    KINDS.iter().find(|(known, _)| *known == kind).expect("the table names every kind").1
}

fn kind_read(row: &Row<'_>, column: usize) -> rusqlite::Result<TriggerKind> {
    let name = row.get_ref(column)?.as_str()?;
    let found = KINDS.iter().find(|(_, known)| *known == name);
    found.map(|(kind, _)| *kind).ok_or_else(|| {
        let unknown = format!("`{name}` is not a known trigger");
        rusqlite::Error::FromSqlConversionFailure(column, Type::Text, unknown.into())
    })
}
