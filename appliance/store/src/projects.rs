//! Organisations and projects, with what they keep for their jobs.
//!
//! Invariants: names are unique, upper and lower case alike, since they become folders and
//! addresses; values of variables are sealed under the site key, bound to their row, and leave
//! only as [`base::secret::Secret`].

mod badges;
mod context_pages;
mod contexts;
mod pushes;
mod removals;
mod restrictions;
mod schedules;
mod settings;
mod variables;
mod webhooks;

pub use context_pages::ContextLine;
pub use contexts::Context;
pub use pushes::{Push, PushedRef};
pub use removals::Removal;
pub use restrictions::Expression;
pub use schedules::{Schedule, Timer};
pub use settings::Settings;
pub use variables::VariableInfo;
pub use webhooks::{Delivery, NewWebhook, WEBHOOKS_MAX, Webhook, WebhookEvent, Went};

use crate::{Reader, Txn, error::Error, row};
use base::{
    ids::{OrgId, ProjectId, RepoName},
    time::Timestamp,
};
use rusqlite::{OptionalExtension, Row, params};

/// The owner of projects and contexts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Org {
    /// Which.
    pub id: OrgId,
    /// The first half of its repositories' names.
    pub name: String,
    /// When it was made.
    pub created_at: Timestamp,
}

/// A repository and its settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Project {
    /// Which.
    pub id: ProjectId,
    /// Its owner.
    pub org: OrgId,
    /// Its name with its owner's.
    pub repo: RepoName,
    /// As last set.
    pub settings: Settings,
    /// When it was made.
    pub created_at: Timestamp,
}

const SELECT: &str = "SELECT p.id, p.org, o.name || '/' || p.name, p.settings, p.created_at \
                      FROM projects p JOIN orgs o ON o.id = p.org";

fn project(row: &Row<'_>) -> rusqlite::Result<Project> {
    Ok(Project {
        id: ProjectId(row.get(0)?),
        org: OrgId(row.get(1)?),
        repo: row::parsed(row, 2)?,
        settings: row::json(row, 3)?,
        created_at: Timestamp(row.get(4)?),
    })
}

fn org(row: &Row<'_>) -> rusqlite::Result<Org> {
    Ok(Org { id: OrgId(row.get(0)?), name: row.get(1)?, created_at: Timestamp(row.get(2)?) })
}

impl Reader<'_> {
    /// The organisation, if there is one.
    pub fn org_get(&self, id: OrgId) -> Result<Option<Org>, Error> {
        let mut get = self.statement("SELECT id, name, created_at FROM orgs WHERE id = ?1")?;
        Ok(get.query_row([id.0], org).optional()?)
    }

    /// The organisation of that name.
    pub fn org_by_name(&self, name: &str) -> Result<Option<Org>, Error> {
        let mut get = self.statement("SELECT id, name, created_at FROM orgs WHERE name = ?1")?;
        Ok(get.query_row([name], org).optional()?)
    }

    /// Every organisation, by name.
    pub fn org_list(&self) -> Result<Vec<Org>, Error> {
        let mut list = self.statement("SELECT id, name, created_at FROM orgs ORDER BY name")?;
        Ok(list.query_map([], org)?.collect::<Result<_, _>>()?)
    }

    /// The project, if there is one.
    pub fn project_get(&self, id: ProjectId) -> Result<Option<Project>, Error> {
        let mut get = self.statement(&format!("{SELECT} WHERE p.id = ?1"))?;
        Ok(get.query_row([id.0], project).optional()?)
    }

    /// The project of that repository.
    pub fn project_by_repo(&self, repo: &RepoName) -> Result<Option<Project>, Error> {
        let mut get = self.statement(&format!("{SELECT} WHERE o.name = ?1 AND p.name = ?2"))?;
        Ok(get.query_row([repo.org(), repo.name()], project).optional()?)
    }

    /// Every project, by name.
    pub fn project_list(&self) -> Result<Vec<Project>, Error> {
        let mut list = self.statement(&format!("{SELECT} ORDER BY o.name, p.name"))?;
        Ok(list.query_map([], project)?.collect::<Result<_, _>>()?)
    }
}

impl Txn<'_> {
    /// The organisation of that name, made when absent.
    pub fn org_ensure(&self, name: &str, at: Timestamp) -> Result<Org, Error> {
        if let Some(org) = self.org_by_name(name)? {
            return Ok(org);
        }
        let org = Org { id: OrgId(row::new_id(at)), name: name.to_owned(), created_at: at };
        self.statement("INSERT INTO orgs (id, name, created_at) VALUES (?1, ?2, ?3)")?
            .execute(params![org.id.0, org.name, at.0])?;
        Ok(org)
    }

    /// The project of that repository, made with `settings` when absent; `true` when made now. A
    /// name whose last project is still in the way is a [`Error::Conflict`].
    pub fn project_ensure(
        &self,
        repo: &RepoName,
        settings: &Settings,
        at: Timestamp,
    ) -> Result<(Project, bool), Error> {
        if let Some(project) = self.project_by_repo(repo)? {
            return Ok((project, false));
        }
        self.removal_check_name(repo)?;
        let org = self.org_ensure(repo.org(), at)?;
        let id = ProjectId(row::new_id(at));
        let text = row::to_json("a project's settings", settings)?;
        self.statement(
            "INSERT INTO projects (id, org, name, settings, created_at) VALUES (?1, ?2, ?3, ?4, ?5)",
        )?
        .execute(params![id.0, org.id.0, repo.name(), text, at.0])?;
        let made = self.project_get(id)?.ok_or_else(|| missing(id))?;
        Ok((made, true))
    }

    /// Changes a project's settings as they are now, so that nobody else's change is undone.
    pub fn project_settings_change(
        &self,
        id: ProjectId,
        change: impl FnOnce(&mut Settings),
    ) -> Result<(), Error> {
        let mut settings = self.project_get(id)?.ok_or_else(|| missing(id))?.settings;
        change(&mut settings);
        self.project_settings_set(id, &settings)
    }

    /// Refuses to write what belongs to a project that is not there any more.
    pub(crate) fn project_check(&self, id: ProjectId) -> Result<(), Error> {
        let mut find = self.statement("SELECT 1 FROM projects WHERE id = ?1")?;
        if find.exists([id.0])? { Ok(()) } else { Err(Error::Missing("Project".into())) }
    }

    /// Replaces a project's settings.
    pub fn project_settings_set(&self, id: ProjectId, settings: &Settings) -> Result<(), Error> {
        let text = row::to_json("a project's settings", settings)?;
        let changed = self
            .statement("UPDATE projects SET settings = ?2 WHERE id = ?1")?
            .execute(params![id.0, text])?;
        if changed == 0 { Err(missing(id)) } else { Ok(()) }
    }
}

fn missing(id: ProjectId) -> Error {
    Error::Missing(format!("project {id}"))
}

#[cfg(test)]
mod tests;
