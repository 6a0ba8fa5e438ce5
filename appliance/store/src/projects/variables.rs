//! A project's environment variables, and how a job's secrets come together.

use crate::{Reader, Txn, error::Error};
use base::{ids::ProjectId, protocol::Variable, secret::Secret, time::Timestamp};
use rusqlite::params;

/// What may be shown of a variable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VariableInfo {
    /// Its name.
    pub name: String,
    /// `xxxx` and the last four characters, or fewer of a short value; as API v2 shows it.
    pub masked: String,
    /// When it was first set.
    pub created_at: Timestamp,
    /// When it was last set.
    pub updated_at: Timestamp,
}

/// Shows no more than the last four characters, and at most half of a short value.
pub(super) fn masked(value: &Secret) -> String {
    let text = value.expose();
    let shown = (text.chars().count() / 2).min(4);
    let tail: String = text.chars().skip(text.chars().count() - shown).collect();
    format!("xxxx{tail}")
}

fn place(project: ProjectId, name: &str) -> String {
    format!("project_variables:{project}:{name}")
}

impl Reader<'_> {
    /// What may be shown of a project's variables, by name.
    pub fn project_variable_list(&self, project: ProjectId) -> Result<Vec<VariableInfo>, Error> {
        self.project_variable_rows(project)?
            .into_iter()
            .map(|(variable, created_at, updated_at)| {
                let masked = masked(&variable.value);
                Ok(VariableInfo { name: variable.name, masked, created_at, updated_at })
            })
            .collect()
    }

    /// The secrets of one job: the project's variables, then each context's in order, so that a
    /// later one of the same name wins. A context that does not exist is [`Error::Missing`].
    pub fn project_secrets(
        &self,
        project: ProjectId,
        contexts: &[String],
    ) -> Result<Vec<Variable>, Error> {
        let mut secrets: Vec<Variable> = self
            .project_variable_rows(project)?
            .into_iter()
            .map(|(variable, ..)| variable)
            .collect();
        if contexts.is_empty() {
            return Ok(secrets);
        }
        let missing = || Error::Missing(format!("project {project}"));
        let org = self.project_get(project)?.ok_or_else(missing)?.org;
        for name in contexts {
            let found = self.context_by_name(org, name)?;
            let context = found.ok_or_else(|| Error::Missing(format!("context `{name}`")))?;
            if !self.context_allows(context.id, project)? {
                return Err(Error::Missing(format!("context `{name}` for this project")));
            }
            secrets.extend(self.context_values(context.id)?);
        }
        Ok(secrets)
    }

    fn project_variable_rows(
        &self,
        project: ProjectId,
    ) -> Result<Vec<(Variable, Timestamp, Timestamp)>, Error> {
        let mut list = self.statement(
            "SELECT name, value, created_at, updated_at FROM project_variables \
             WHERE project = ?1 ORDER BY name",
        )?;
        let mut rows = list.query([project.0])?;
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            let name: String = row.get(0)?;
            let sealed: Vec<u8> = row.get(1)?;
            let value = self.key().open_text(&place(project, &name), &sealed)?;
            let times = (Timestamp(row.get(2)?), Timestamp(row.get(3)?));
            found.push((Variable { name, value }, times.0, times.1));
        }
        Ok(found)
    }
}

impl Txn<'_> {
    /// Sets a variable; the name was checked by the caller.
    pub fn project_variable_set(
        &self,
        project: ProjectId,
        name: &str,
        value: &Secret,
        at: Timestamp,
    ) -> Result<(), Error> {
        self.project_check(project)?;
        let sealed = self.key().seal(&place(project, name), value.expose().as_bytes())?;
        self.statement(
            "INSERT INTO project_variables (project, name, value, created_at, updated_at) \
             VALUES (?1, ?2, ?3, ?4, ?4) ON CONFLICT (project, name) \
             DO UPDATE SET value = excluded.value, updated_at = excluded.updated_at",
        )?
        .execute(params![project.0, name, sealed, at.0])?;
        Ok(())
    }

    /// Removes a variable; `false` when there was none.
    pub fn project_variable_remove(&self, project: ProjectId, name: &str) -> Result<bool, Error> {
        let removed = self
            .statement("DELETE FROM project_variables WHERE project = ?1 AND name = ?2")?
            .execute(params![project.0, name])?;
        Ok(removed > 0)
    }
}
