//! The token of a project's status badge, which stands in addresses of images.
//!
//! Why kept, and not its hash alone: the page that offers the address shows it again and again.

use crate::{Reader, Txn, error::Error};
use base::{ids::ProjectId, secret::Secret};
use rusqlite::{OptionalExtension, params};

fn place(project: ProjectId) -> String {
    format!("badges:{project}")
}

impl Reader<'_> {
    /// The token that opens the project's badge, if one was made.
    pub fn badge_token(&self, project: ProjectId) -> Result<Option<Secret>, Error> {
        let mut get = self.statement("SELECT token FROM badges WHERE project = ?1")?;
        let sealed: Option<Vec<u8>> = get.query_row([project.0], |row| row.get(0)).optional()?;
        sealed.map(|sealed| self.key().open_text(&place(project), &sealed)).transpose()
    }
}

impl Txn<'_> {
    /// Gives the project's badge a token; an earlier one opens nothing any more.
    pub fn badge_token_set(&self, project: ProjectId, token: &Secret) -> Result<(), Error> {
        self.project_check(project)?;
        let sealed = self.key().seal(&place(project), token.expose().as_bytes())?;
        self.statement("INSERT OR REPLACE INTO badges (project, token) VALUES (?1, ?2)")?
            .execute(params![project.0, sealed])?;
        Ok(())
    }

    /// Takes the token away; `false` when there was none.
    pub fn badge_token_remove(&self, project: ProjectId) -> Result<bool, Error> {
        let mut remove = self.statement("DELETE FROM badges WHERE project = ?1")?;
        Ok(remove.execute([project.0])? > 0)
    }
}
