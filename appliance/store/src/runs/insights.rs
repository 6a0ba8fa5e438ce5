//! Runs of workflows over a time, for those who measure how a project goes.
//!
//! Why no table of sums: the rows are there, found by the numbers of a project's pipelines from the
//! newest back, and what one answer looks at is bounded: [`LOOKED_AT`], and what the caller says.

use super::{
    Workflow,
    pipelines::{of_branch, split},
    texts::Hash,
};
use crate::{Reader, error::Error};
use base::{
    ids::{PipelineNumber, ProjectId},
    time::Timestamp,
};
use rusqlite::params;
use std::ops::Range;

/// Pipelines that one answer looks at, also where few of them have a run that is asked for.
const LOOKED_AT: u32 = 20_000;

/// Pipelines in a row that came before the time that is asked about, until nothing later is expected
/// behind them: some came by a clock that stood behind.
const OLDER: u32 = 1000;

/// Which runs are asked for.
#[derive(Debug, Clone)]
pub struct RunsWanted {
    /// Of this project.
    pub project: ProjectId,
    /// Only of this branch.
    pub branch: Option<String>,
    /// Only of the workflow of this name.
    pub workflow: Option<String>,
    /// Of pipelines that came then.
    pub within: Range<Timestamp>,
    /// Of pipelines before this one.
    pub before: Option<PipelineNumber>,
}

/// One run of a workflow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ran {
    /// The run.
    pub workflow: Workflow,
    /// Number of its pipeline.
    pub number: PipelineNumber,
    /// Its branch.
    pub branch: Option<String>,
    /// The same for runs of the same commit.
    pub commit: Vec<u8>,
}

impl Reader<'_> {
    /// Runs of a project, of the newest pipelines first: whole pipelines, until there are `most` or more.
    pub fn run_list(&self, wanted: &RunsWanted, most: usize) -> Result<Vec<Ran>, Error> {
        let of_branch = of_branch(wanted.branch.as_deref());
        let mut list = self.statement(&format!(
            "SELECT number, branch, vcs, workflows, created_at FROM pipelines \
             WHERE project = ?1 AND number < ?2 AND {of_branch} \
             ORDER BY number DESC LIMIT ?4"
        ))?;
        let before = wanted.before.map_or(i64::MAX as u64, |number| number.0);
        let mut rows = list.query(params![wanted.project.0, before, wanted.branch, LOOKED_AT])?;
        let (mut found, mut older) = (Vec::new(), 0);
        while let Some(row) = rows.next()? {
            let at = Timestamp(row.get(4)?);
            older = if at < wanted.within.start { older + 1 } else { 0 };
            if found.len() >= most || older > OLDER {
                break;
            }
            if !wanted.within.contains(&at) {
                continue;
            }
            let (number, branch) = (PipelineNumber(row.get(0)?), row.get(1)?);
            let commit: Hash = row.get(2)?;
            let made: Vec<u8> = row.get(3)?;
            let ran = |workflow| Ran {
                workflow,
                number,
                branch: Option::clone(&branch),
                commit: commit.to_vec(),
            };
            found.extend(self.named(&made, wanted.workflow.as_deref())?.into_iter().map(ran));
        }
        Ok(found)
    }

    /// The newest run first.
    fn named(&self, joined: &[u8], name: Option<&str>) -> Result<Vec<Workflow>, Error> {
        let mut found = Vec::new();
        for id in split(joined).into_iter().rev() {
            let workflow = self.workflow_get(id)?;
            found.extend(workflow.filter(|one| name.is_none_or(|name| one.name == name)));
        }
        Ok(found)
    }

    /// Branches that pipelines of a project came from, by name, at most `most`.
    pub fn branch_list(&self, project: ProjectId, most: u32) -> Result<Vec<String>, Error> {
        let mut list = self.statement(
            "SELECT DISTINCT branch FROM pipelines WHERE project = ?1 AND branch IS NOT NULL \
             ORDER BY branch LIMIT ?2",
        )?;
        let rows = list.query_map(params![project.0, most], |row| row.get(0))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }
}
