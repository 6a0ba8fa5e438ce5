//! Browser sessions, found by the hash of their cookie.

use super::users::{self, User};
use crate::{Reader, Txn, error::Error, row};
use base::{
    ids::{SessionId, UserId},
    time::Timestamp,
};
use rusqlite::{OptionalExtension, params};

/// A browser that is logged in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// Which.
    pub id: SessionId,
    /// The browser's own name for itself.
    pub agent: String,
    /// When it logged in.
    pub created_at: Timestamp,
    /// Not found from here on.
    pub expires_at: Timestamp,
}

/// A session to be made.
#[derive(Debug, Clone)]
pub struct NewSession {
    /// SHA-256 of the cookie's value.
    pub hash: [u8; 32],
    /// Who logged in.
    pub user: UserId,
    /// The browser's own name for itself.
    pub agent: String,
    /// Not found from here on.
    pub expires_at: Timestamp,
}

impl Reader<'_> {
    /// The session of that hash and its account, unless either is over.
    pub fn session_find(
        &self,
        hash: &[u8; 32],
        now: Timestamp,
    ) -> Result<Option<(Session, User)>, Error> {
        let found = self
            .statement(
                "SELECT s.id, s.agent, s.created_at, s.expires_at, \
                 u.id, u.login, u.name, u.role, u.one_time, u.disabled, u.created_at \
                 FROM sessions s JOIN users u ON u.id = s.user \
                 WHERE s.hash = ?1 AND s.expires_at > ?2 AND NOT u.disabled",
            )?
            .query_row(params![hash, now.0], |row| {
                let session = Session {
                    id: SessionId(row.get(0)?),
                    agent: row.get(1)?,
                    created_at: Timestamp(row.get(2)?),
                    expires_at: Timestamp(row.get(3)?),
                };
                Ok((session, users::user(row, 4)?))
            })
            .optional()?;
        Ok(found)
    }

    /// The account of a session that was shown a while ago, unless either is over.
    pub fn session_holder(&self, id: SessionId, now: Timestamp) -> Result<Option<User>, Error> {
        let mut find = self.statement(
            "SELECT u.id, u.login, u.name, u.role, u.one_time, u.disabled, u.created_at \
             FROM sessions s JOIN users u ON u.id = s.user \
             WHERE s.id = ?1 AND s.expires_at > ?2 AND NOT u.disabled",
        )?;
        Ok(find.query_row(params![id.0, now.0], |row| users::user(row, 0)).optional()?)
    }
}

impl Txn<'_> {
    /// Begins a session; those that are over go, so that the table stays small.
    pub fn session_create(&self, new: &NewSession, at: Timestamp) -> Result<SessionId, Error> {
        self.statement("DELETE FROM sessions WHERE expires_at <= ?1")?.execute([at.0])?;
        let id = SessionId(row::new_id(at));
        self.statement(
            "INSERT INTO sessions (hash, id, user, agent, created_at, expires_at) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )?
        .execute(params![
            new.hash,
            id.0,
            new.user.0,
            new.agent,
            at.0,
            new.expires_at.0
        ])?;
        Ok(id)
    }

    /// Ends a session; an absent one is ended already.
    pub fn session_remove(&self, id: SessionId) -> Result<(), Error> {
        self.statement("DELETE FROM sessions WHERE id = ?1")?.execute([id.0])?;
        Ok(())
    }

    /// Ends all sessions of an account.
    pub fn session_remove_all(&self, user: UserId) -> Result<(), Error> {
        self.statement("DELETE FROM sessions WHERE user = ?1")?.execute([user.0])?;
        Ok(())
    }
}
