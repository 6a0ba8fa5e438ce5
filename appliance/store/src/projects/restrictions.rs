//! Which projects may use a context, and what must hold of their jobs.
//!
//! Invariants: a context without restrictions is open to every project of its organisation; one
//! project closes it to all others, and each expression must hold besides. Whoever hands out a
//! context's values asks first; what an expression means is decided elsewhere. A restriction to a
//! project is named by it, an expression by an identifier of its own. That to a project which was deleted stays when
//! it is the only one to a project: the context stays closed.

use crate::{Reader, Txn, error::Error, row};
use base::{
    ids::{ContextId, ProjectId, RestrictionId},
    time::Timestamp,
};
use rusqlite::{Row, params};

/// What must hold of a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expression {
    /// Which.
    pub id: RestrictionId,
    /// As it was written.
    pub text: String,
}

impl Reader<'_> {
    /// The projects that may use a context; none when all may.
    pub fn context_restriction_list(&self, id: ContextId) -> Result<Vec<ProjectId>, Error> {
        let mut list =
            self.statement("SELECT project FROM context_restrictions WHERE context = ?1")?;
        let read = |row: &Row<'_>| Ok(ProjectId(row.get(0)?));
        Ok(list.query_map([id.0], read)?.collect::<Result<_, _>>()?)
    }

    /// The project may use the context, as far as projects go.
    pub fn context_allows(&self, id: ContextId, project: ProjectId) -> Result<bool, Error> {
        let all = self.context_restriction_list(id)?;
        Ok(all.is_empty() || all.contains(&project))
    }

    /// What must hold of a job that gets the context, oldest first.
    pub fn context_expression_list(&self, id: ContextId) -> Result<Vec<Expression>, Error> {
        let mut list = self.statement(
            "SELECT id, expression FROM context_expressions WHERE context = ?1 ORDER BY id",
        )?;
        let read =
            |row: &Row<'_>| Ok(Expression { id: RestrictionId(row.get(0)?), text: row.get(1)? });
        Ok(list.query_map([id.0], read)?.collect::<Result<_, _>>()?)
    }
}

impl Txn<'_> {
    /// Lets a project use a context, and no other that is not let, too; asking again changes
    /// nothing.
    pub fn context_restrict(&self, id: ContextId, project: ProjectId) -> Result<(), Error> {
        self.project_check(project)?;
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

    /// Gives a context to those jobs alone of which this holds, too.
    pub fn context_expression_add(
        &self,
        id: ContextId,
        text: &str,
        at: Timestamp,
    ) -> Result<Expression, Error> {
        let new = Expression { id: RestrictionId(row::new_id(at)), text: text.to_owned() };
        self.statement(
            "INSERT INTO context_expressions (context, id, expression) VALUES (?1, ?2, ?3)",
        )?
        .execute(params![id.0, new.id.0, new.text])?;
        Ok(new)
    }

    /// Takes an expression away; `false` when there was none of that name.
    pub fn context_expression_remove(
        &self,
        id: ContextId,
        expression: RestrictionId,
    ) -> Result<bool, Error> {
        let remove = "DELETE FROM context_expressions WHERE context = ?1 AND id = ?2";
        Ok(self.statement(remove)?.execute(params![id.0, expression.0])? > 0)
    }
}
