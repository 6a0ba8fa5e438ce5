//! Contexts: an organisation's named sets of variables.

use super::variables::{VariableInfo, masked};
use crate::{Reader, Txn, error::Error, row};
use base::{
    ids::{ContextId, OrgId},
    protocol::Variable,
    secret::Secret,
    time::Timestamp,
};
use rusqlite::{OptionalExtension, Row, params};

/// A named set of variables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Context {
    /// Which.
    pub id: ContextId,
    /// Its owner.
    pub org: OrgId,
    /// Unique within its owner.
    pub name: String,
    /// When it was made.
    pub created_at: Timestamp,
}

const SELECT: &str = "SELECT id, org, name, created_at FROM contexts";

pub(super) fn context(row: &Row<'_>) -> rusqlite::Result<Context> {
    Ok(Context {
        id: ContextId(row.get(0)?),
        org: OrgId(row.get(1)?),
        name: row.get(2)?,
        created_at: Timestamp(row.get(3)?),
    })
}

pub(super) fn place(context: ContextId, name: &str) -> String {
    format!("context_variables:{context}:{name}")
}

impl Reader<'_> {
    /// The context, if there is one.
    pub fn context_get(&self, id: ContextId) -> Result<Option<Context>, Error> {
        let mut get = self.statement(&format!("{SELECT} WHERE id = ?1"))?;
        Ok(get.query_row([id.0], context).optional()?)
    }

    /// The context of that name.
    pub fn context_by_name(&self, org: OrgId, name: &str) -> Result<Option<Context>, Error> {
        let mut get = self.statement(&format!("{SELECT} WHERE org = ?1 AND name = ?2"))?;
        Ok(get.query_row(params![org.0, name], context).optional()?)
    }

    /// An organisation's contexts, by name.
    pub fn context_list(&self, org: OrgId) -> Result<Vec<Context>, Error> {
        let mut list = self.statement(&format!("{SELECT} WHERE org = ?1 ORDER BY name"))?;
        Ok(list.query_map([org.0], context)?.collect::<Result<_, _>>()?)
    }

    /// What may be shown of a context's variables, by name.
    pub fn context_variable_list(&self, id: ContextId) -> Result<Vec<VariableInfo>, Error> {
        let rows = self.context_rows(id)?;
        let info = |(variable, created_at, updated_at): (Variable, _, _)| {
            let masked = masked(&variable.value);
            VariableInfo { name: variable.name, masked, created_at, updated_at }
        };
        Ok(rows.into_iter().map(info).collect())
    }

    /// A context's variables with their values.
    pub(super) fn context_values(&self, id: ContextId) -> Result<Vec<Variable>, Error> {
        Ok(self.context_rows(id)?.into_iter().map(|(variable, ..)| variable).collect())
    }

    fn context_rows(&self, id: ContextId) -> Result<Vec<(Variable, Timestamp, Timestamp)>, Error> {
        let mut list = self.statement(
            "SELECT name, value, created_at, updated_at FROM context_variables \
             WHERE context = ?1 ORDER BY name",
        )?;
        let mut rows = list.query([id.0])?;
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            let name: String = row.get(0)?;
            let sealed: Vec<u8> = row.get(1)?;
            let value = self.key().open_text(&place(id, &name), &sealed)?;
            found.push((Variable { name, value }, Timestamp(row.get(2)?), Timestamp(row.get(3)?)));
        }
        Ok(found)
    }
}

impl Txn<'_> {
    /// Makes a context; a taken name is a [`Error::Conflict`].
    pub fn context_create(&self, org: OrgId, name: &str, at: Timestamp) -> Result<Context, Error> {
        if self.context_by_name(org, name)?.is_some() {
            return Err(Error::Conflict(format!("there already is a context `{name}`")));
        }
        let id = ContextId(row::new_id(at));
        self.statement("INSERT INTO contexts (id, org, name, created_at) VALUES (?1, ?2, ?3, ?4)")?
            .execute(params![id.0, org.0, name, at.0])?;
        Ok(Context { id, org, name: name.to_owned(), created_at: at })
    }

    /// Removes a context with its variables; `false` when there was none.
    pub fn context_remove(&self, id: ContextId) -> Result<bool, Error> {
        Ok(self.statement("DELETE FROM contexts WHERE id = ?1")?.execute([id.0])? > 0)
    }

    /// Sets a variable; returns when it was first set.
    pub fn context_variable_set(
        &self,
        id: ContextId,
        name: &str,
        value: &Secret,
        at: Timestamp,
    ) -> Result<Timestamp, Error> {
        let sealed = self.key().seal(&place(id, name), value.expose().as_bytes())?;
        let first = self
            .statement(
                "INSERT INTO context_variables (context, name, value, created_at, updated_at) \
                 VALUES (?1, ?2, ?3, ?4, ?4) ON CONFLICT (context, name) \
                 DO UPDATE SET value = excluded.value, updated_at = excluded.updated_at \
                 RETURNING created_at",
            )?
            .query_row(params![id.0, name, sealed, at.0], |row| row.get(0))?;
        Ok(Timestamp(first))
    }

    /// Removes a variable; `false` when there was none.
    pub fn context_variable_remove(&self, id: ContextId, name: &str) -> Result<bool, Error> {
        let removed = self
            .statement("DELETE FROM context_variables WHERE context = ?1 AND name = ?2")?
            .execute(params![id.0, name])?;
        Ok(removed > 0)
    }
}
