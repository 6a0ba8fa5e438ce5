//! Outbound webhooks of projects; their secrets are sealed.

mod deliveries;

pub use deliveries::{Delivery, Went};

use super::variables::masked;
use crate::{Reader, Txn, error::Error, row};
use base::{
    ids::{Cursor, ProjectId, WebhookId},
    secret::Secret,
    time::Timestamp,
};
use rusqlite::{OptionalExtension, Row, params};
use serde::{Deserialize, Serialize};

/// Webhooks of one project, as on the original.
pub const WEBHOOKS_MAX: usize = 5;

/// What a webhook may be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WebhookEvent {
    /// A workflow ended.
    WorkflowCompleted,
    /// A job ended.
    JobCompleted,
}

impl WebhookEvent {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::WorkflowCompleted, Self::JobCompleted];

    /// As it is written.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::WorkflowCompleted => "workflow-completed",
            Self::JobCompleted => "job-completed",
        }
    }
}

/// An address that is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Webhook {
    /// Which.
    pub id: WebhookId,
    /// Of which project.
    pub project: ProjectId,
    /// For people.
    pub name: String,
    /// The address.
    pub url: String,
    /// What it is told.
    pub events: Vec<WebhookEvent>,
    /// What may be shown of its secret.
    pub masked: String,
    /// The last event that was looked at for it.
    pub seen: Cursor,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was changed last.
    pub updated_at: Timestamp,
}

/// A webhook to be made, or what it is to become.
#[derive(Debug, Clone)]
pub struct NewWebhook {
    /// For people.
    pub name: String,
    /// The address.
    pub url: String,
    /// What it is told.
    pub events: Vec<WebhookEvent>,
    /// Signs what is told; empty for no signature. `None` keeps the one that it has.
    pub secret: Option<Secret>,
}

const COLUMNS: &str =
    "SELECT id, project, name, url, events, secret, seen, created_at, updated_at FROM webhooks";

fn place(id: WebhookId) -> String {
    format!("webhooks:{id}")
}

impl Reader<'_> {
    fn webhook(&self, row: &Row<'_>) -> Result<Webhook, Error> {
        let id = WebhookId(row.get(0)?);
        let sealed: Vec<u8> = row.get(5)?;
        Ok(Webhook {
            id,
            project: ProjectId(row.get(1)?),
            name: row.get(2)?,
            url: row.get(3)?,
            events: row::json(row, 4)?,
            masked: masked(&self.key().open_text(&place(id), &sealed)?),
            seen: Cursor(row.get(6)?),
            created_at: Timestamp(row.get(7)?),
            updated_at: Timestamp(row.get(8)?),
        })
    }

    /// One webhook.
    pub fn webhook_get(&self, id: WebhookId) -> Result<Option<Webhook>, Error> {
        let mut get = self.statement(&format!("{COLUMNS} WHERE id = ?1"))?;
        let mut rows = get.query([id.0])?;
        rows.next()?.map(|row| self.webhook(row)).transpose()
    }

    /// Webhooks of a project, oldest first.
    pub fn webhook_list(&self, project: ProjectId) -> Result<Vec<Webhook>, Error> {
        let mut list = self.statement(&format!("{COLUMNS} WHERE project = ?1 ORDER BY id"))?;
        let mut rows = list.query([project.0])?;
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            found.push(self.webhook(row)?);
        }
        Ok(found)
    }

    /// Projects that have webhooks.
    pub fn webhook_projects(&self) -> Result<Vec<ProjectId>, Error> {
        let mut list = self.statement("SELECT DISTINCT project FROM webhooks")?;
        let rows = list.query_map([], |row| row.get(0).map(ProjectId))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Signs what is told to a webhook; `None` when it is gone.
    pub fn webhook_secret(&self, id: WebhookId) -> Result<Option<Secret>, Error> {
        let mut get = self.statement("SELECT secret FROM webhooks WHERE id = ?1")?;
        let sealed: Option<Vec<u8>> = get.query_row([id.0], |row| row.get(0)).optional()?;
        sealed.map(|sealed| self.key().open_text(&place(id), &sealed)).transpose()
    }

    /// The event after which something may have to be told; `None` where there is no webhook.
    pub fn webhook_seen(&self) -> Result<Option<Cursor>, Error> {
        let mut get = self.statement("SELECT MIN(seen) FROM webhooks")?;
        let seen: Option<u64> = get.query_row([], |row| row.get(0))?;
        Ok(seen.map(Cursor))
    }
}

impl Txn<'_> {
    /// Makes a webhook, which is told of what happens from now on.
    pub fn webhook_create(
        &self,
        project: ProjectId,
        new: &NewWebhook,
        at: Timestamp,
    ) -> Result<WebhookId, Error> {
        self.project_check(project)?;
        if self.webhook_list(project)?.len() >= WEBHOOKS_MAX {
            let told = format!("a project has at most {WEBHOOKS_MAX} webhooks: remove one first");
            return Err(Error::Conflict(told));
        }
        let id = WebhookId(row::new_id(at));
        let secret = new.secret.as_ref().map_or("", Secret::expose);
        self.statement(
            "INSERT INTO webhooks (id, project, name, url, events, secret, seen, created_at, updated_at) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?8)",
        )?
        .execute(params![
            id.0,
            project.0,
            new.name,
            new.url,
            row::to_json("a webhook's events", &new.events)?,
            self.key().seal(&place(id), secret.as_bytes())?,
            self.last_event.0,
            at.0
        ])?;
        Ok(id)
    }

    /// Changes a webhook; what waits is told to its new address at once.
    pub fn webhook_change(
        &self,
        id: WebhookId,
        to: &NewWebhook,
        at: Timestamp,
    ) -> Result<(), Error> {
        let sealed = to.secret.as_ref();
        let sealed = sealed.map(|secret| self.key().seal(&place(id), secret.expose().as_bytes()));
        let changed = self
            .statement(
                "UPDATE webhooks SET name = ?2, url = ?3, events = ?4, \
                 secret = coalesce(?5, secret), updated_at = ?6 WHERE id = ?1",
            )?
            .execute(params![
                id.0,
                to.name,
                to.url,
                row::to_json("a webhook's events", &to.events)?,
                sealed.transpose()?,
                at.0
            ])?;
        if changed == 0 {
            return Err(Error::Missing("Webhook".into()));
        }
        self.statement("UPDATE deliveries SET due = ?2 WHERE webhook = ?1 AND due > ?2")?
            .execute(params![id.0, at.0])?;
        Ok(())
    }

    /// Removes a webhook with what waits for it; `false` when it was not there.
    pub fn webhook_remove(&self, id: WebhookId) -> Result<bool, Error> {
        let mut remove = self.statement("DELETE FROM webhooks WHERE id = ?1")?;
        Ok(remove.execute([id.0])? > 0)
    }

    /// All webhooks have what they are to be told of events up to this one.
    pub fn webhook_seen_set(&self, seen: Cursor) -> Result<(), Error> {
        self.statement("UPDATE webhooks SET seen = ?1 WHERE seen < ?1")?.execute([seen.0])?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{migrate, projects::Settings};

    pub(super) const NOW: Timestamp = Timestamp(1_000_000);

    pub(super) fn new(secret: Option<&str>) -> NewWebhook {
        NewWebhook {
            name: "hook".into(),
            url: "http://10.0.0.7/h".into(),
            events: vec![WebhookEvent::JobCompleted],
            secret: secret.map(Secret::new),
        }
    }

    pub(super) fn check(test: impl FnOnce(&mut Txn<'_>, ProjectId) -> Result<(), Error>) {
        let (sql, key) = migrate::in_memory();
        let mut txn = Txn::new(&sql, &key, Cursor(7));
        let repo = "acme/relay".parse().unwrap();
        let project = txn.project_ensure(&repo, &Settings::default(), NOW).unwrap().0.id;
        test(&mut txn, project).unwrap();
    }

    #[test]
    fn a_webhook_keeps_its_secret_until_it_is_given_another_and_goes_with_its_project() {
        check(|txn, project| {
            let id = txn.webhook_create(project, &new(Some("a long secret")), NOW)?;
            assert_eq!(txn.webhook_seen()?, Some(Cursor(7)), "what was before is not told");
            txn.webhook_change(id, &NewWebhook { name: "other".into(), ..new(None) }, NOW)?;
            let found = txn.webhook_get(id)?.unwrap();
            assert_eq!((found.name.as_str(), found.masked.as_str()), ("other", "xxxxcret"));
            txn.webhook_change(id, &new(Some("b")), NOW)?;
            assert_eq!(txn.webhook_secret(id)?.unwrap().expose(), "b");
            for _ in 1..WEBHOOKS_MAX {
                txn.webhook_create(project, &new(None), NOW)?;
            }
            let one_more = txn.webhook_create(project, &new(None), NOW);
            assert!(matches!(one_more, Err(Error::Conflict(_))));
            txn.delivery_insert(id, WebhookEvent::JobCompleted, "{}", NOW)?;
            txn.project_remove(project, NOW)?;
            assert_eq!((txn.webhook_get(id)?, txn.delivery_next()?), (None, None));
            Ok(())
        });
    }
}
