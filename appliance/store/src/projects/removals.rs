//! Deleting a project: gone for everybody in one transaction, its runs and bytes by and by.
//!
//! Why two steps: a project may have left a hundred thousand runs, and nobody else may wait for
//! them. [`Txn::project_remove`] takes what is small; runs and caches are found by the project's
//! identifier, which no other ever has, and go in pieces that bound their transactions.
//! Invariants: a row of `removals` stands until nothing is left, so that a cut at any moment goes
//! on where it was. A context that was closed to all other projects is opened to nobody. What is written for
//! a project is refused when it is gone ([`Txn::project_check`]), so that nothing comes after.

use super::missing;
use crate::{Reader, Txn, access::Scope, error::Error, row, runs::pipelines::PAGE_MAX};
use base::{
    ids::{PipelineId, PipelineNumber, ProjectId, RepoName},
    time::Timestamp,
};
use rusqlite::{Row, params};
use uuid::Uuid;

/// A project that was deleted and of which something is left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Removal {
    /// Which.
    pub project: ProjectId,
    /// Its name, until its Git folder is out of the way.
    pub repo: Option<RepoName>,
    /// When.
    pub at: Timestamp,
}

/// What is small and belongs to one project alone; variables and pushes go with its own row.
const SMALL: [&str; 3] = ["schedules", "timers", "job_peaks"];

impl Txn<'_> {
    /// Deletes a project for everybody who looks for it, and notes what is left to be done. Whether
    /// it may go is the caller's to know.
    pub fn project_remove(&self, id: ProjectId, at: Timestamp) -> Result<(), Error> {
        let repo = self.project_get(id)?.ok_or_else(|| missing(id))?.repo;
        self.statement("INSERT INTO removals (project, repo, at) VALUES (?1, ?2, ?3)")?
            .execute(params![id.0, repo.to_string(), at.0])?;
        for table in SMALL {
            self.statement(&format!("DELETE FROM {table} WHERE project = ?1"))?.execute([id.0])?;
        }
        self.restrictions_remove(id)?;
        self.tokens_unbind(id, at)?;
        self.statement("DELETE FROM projects WHERE id = ?1")?.execute([id.0])?;
        Ok(())
    }

    /// The last project of a context stays named: without any, the context would be open to all.
    fn restrictions_remove(&self, id: ProjectId) -> Result<(), Error> {
        self.statement(
            "DELETE FROM context_restrictions WHERE project = ?1 AND context IN \
             (SELECT context FROM context_restrictions WHERE project <> ?1)",
        )?
        .execute([id.0])?;
        Ok(())
    }

    /// Tokens bound to this project alone are revoked; others are bound to one less.
    fn tokens_unbind(&self, id: ProjectId, at: Timestamp) -> Result<(), Error> {
        for (token, mut scope) in self.tokens_bound(id)? {
            let Some(projects) = &mut scope.projects else { continue };
            projects.retain(|bound| *bound != id);
            if projects.is_empty() {
                self.statement("UPDATE tokens SET revoked_at = ?2 WHERE id = ?1")?
                    .execute(params![token, at.0])?;
                continue;
            }
            let scope = row::to_json("a token's scope", &scope)?;
            self.statement("UPDATE tokens SET scope = ?2 WHERE id = ?1")?
                .execute(params![token, scope])?;
        }
        Ok(())
    }

    fn tokens_bound(&self, id: ProjectId) -> Result<Vec<(Uuid, Scope)>, Error> {
        let mut list = self.statement(
            "SELECT id, scope FROM tokens WHERE revoked_at IS NULL AND instr(scope, ?1)",
        )?;
        let rows = list.query_map([id.to_string()], |row| Ok((row.get(0)?, row::json(row, 1)?)))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// The Git folder is out of the way: the name is free.
    pub fn removal_name_free(&self, project: ProjectId) -> Result<(), Error> {
        self.statement("UPDATE removals SET repo = NULL WHERE project = ?1")?
            .execute([project.0])?;
        Ok(())
    }

    /// Forgets some caches of a deleted project, at most `limit`; returns their keys in the bucket
    /// of caches.
    pub fn removal_caches(&self, project: ProjectId, limit: u32) -> Result<Vec<String>, Error> {
        let mut remove = self.statement(
            "DELETE FROM caches WHERE project = ?1 AND (key, protected) IN \
             (SELECT key, protected FROM caches WHERE project = ?1 LIMIT ?2) RETURNING object",
        )?;
        let rows = remove.query_map(params![project.0, limit], |row| row.get(0))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Nothing is left of the project.
    pub fn removal_done(&self, project: ProjectId) -> Result<(), Error> {
        self.statement("DELETE FROM removals WHERE project = ?1")?.execute([project.0])?;
        Ok(())
    }
}

impl Reader<'_> {
    /// A name whose last project is still in the way is an [`Error::Conflict`].
    pub fn removal_check_name(&self, repo: &RepoName) -> Result<(), Error> {
        let mut find = self.statement("SELECT 1 FROM removals WHERE repo = ?1")?;
        if find.exists([repo.to_string()])? {
            return Err(Error::Conflict(format!(
                "the project {repo} that was deleted is still in the way: try again in a minute, and see the log if that does not help"
            )));
        }
        Ok(())
    }

    /// Deleted projects of which something is left, oldest first.
    pub fn removal_list(&self) -> Result<Vec<Removal>, Error> {
        let mut list = self.statement("SELECT project, repo, at FROM removals ORDER BY at")?;
        Ok(list.query_map([], removal)?.collect::<Result<_, _>>()?)
    }

    /// Pipelines of a deleted project with greater numbers than `after`; at most [`PAGE_MAX`].
    pub fn removal_pipelines(
        &self,
        project: ProjectId,
        after: PipelineNumber,
    ) -> Result<Vec<(PipelineNumber, PipelineId)>, Error> {
        let mut list = self.statement(
            "SELECT number, id FROM pipelines WHERE project = ?1 AND number > ?2 \
             ORDER BY number LIMIT ?3",
        )?;
        let rows = list.query_map(params![project.0, after.0, PAGE_MAX], |row| {
            Ok((PipelineNumber(row.get(0)?), PipelineId(row.get(1)?)))
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }
}

fn removal(row: &Row<'_>) -> rusqlite::Result<Removal> {
    let named: Option<String> = row.get(1)?;
    Ok(Removal {
        project: ProjectId(row.get(0)?),
        repo: named.map(|_| row::parsed(row, 1)).transpose()?,
        at: Timestamp(row.get(2)?),
    })
}
