//! Which projects may use a context.
//!
//! Invariants: a context without restrictions is open to every project of its organisation; one
//! restriction closes it to all others. Whoever hands out a context's values asks first. A
//! restriction is named by its project.

use crate::{Reader, Txn, error::Error};
use base::ids::{ContextId, ProjectId};
use rusqlite::{Row, params};

impl Reader<'_> {
    /// The projects that may use a context; none when all may.
    pub fn context_restriction_list(&self, id: ContextId) -> Result<Vec<ProjectId>, Error> {
        let mut list =
            self.statement("SELECT project FROM context_restrictions WHERE context = ?1")?;
        let read = |row: &Row<'_>| Ok(ProjectId(row.get(0)?));
        Ok(list.query_map([id.0], read)?.collect::<Result<_, _>>()?)
    }

    /// The project may use the context.
    pub fn context_allows(&self, id: ContextId, project: ProjectId) -> Result<bool, Error> {
        let all = self.context_restriction_list(id)?;
        Ok(all.is_empty() || all.contains(&project))
    }
}

impl Txn<'_> {
    /// Lets a project use a context, and no other that is not let, too; asking again changes
    /// nothing.
    pub fn context_restrict(&self, id: ContextId, project: ProjectId) -> Result<(), Error> {
        let insert =
            "INSERT OR IGNORE INTO context_restrictions (context, project) VALUES (?1, ?2)";
        self.statement(insert)?.execute(params![id.0, project.0])?;
        Ok(())
    }

    /// Takes a restriction away; `false` when there was none for that project.
    pub fn context_unrestrict(&self, id: ContextId, project: ProjectId) -> Result<bool, Error> {
        let remove = "DELETE FROM context_restrictions WHERE context = ?1 AND project = ?2";
        Ok(self.statement(remove)?.execute(params![id.0, project.0])? > 0)
    }
}
