//! API and runner tokens, found by their hash.
//!
//! Why `last_used_at` is coarse: a write for each request would wear the disk; once in
//! [`TOUCH_EVERY`] tells an operator whether a token is still in use.

use super::users::{self, Role, User};
use crate::{Reader, Txn, error::Error, row};
use base::{
    ids::{ProjectId, TokenId, UserId},
    time::Timestamp,
};
use rusqlite::{OptionalExtension, Row, params};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Between two notes of a token's use.
const TOUCH_EVERY: Duration = Duration::from_secs(3600);

/// The bounds of a token, within those of its account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scope {
    /// At most this, even when the account may more.
    pub role: Role,
    /// Only these projects; `None` for all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub projects: Option<Vec<ProjectId>>,
}

/// A token without its secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// Which.
    pub id: TokenId,
    /// Whose.
    pub user: UserId,
    /// For people.
    pub label: String,
    /// What it may do.
    pub scope: Scope,
    /// When it was made.
    pub created_at: Timestamp,
    /// Not found from here on.
    pub expires_at: Option<Timestamp>,
    /// To the hour.
    pub last_used_at: Option<Timestamp>,
    /// Not found from here on.
    pub revoked_at: Option<Timestamp>,
}

impl Token {
    /// Is it time to note its use with [`Txn::token_touch`]?
    #[must_use]
    pub fn touch_due(&self, now: Timestamp) -> bool {
        self.last_used_at.is_none_or(|last| now.since(last) >= TOUCH_EVERY)
    }
}

/// A token to be made.
#[derive(Debug, Clone)]
pub struct NewToken {
    /// SHA-256 of its text.
    pub hash: [u8; 32],
    /// Whose.
    pub user: UserId,
    /// For people.
    pub label: String,
    /// What it may do.
    pub scope: Scope,
    /// Not found from here on.
    pub expires_at: Option<Timestamp>,
}

fn token(row: &Row<'_>) -> rusqlite::Result<Token> {
    let time = |column| row.get::<_, Option<_>>(column).map(|at| at.map(Timestamp));
    Ok(Token {
        id: TokenId(row.get(0)?),
        user: UserId(row.get(1)?),
        label: row.get(2)?,
        scope: row::json(row, 3)?,
        created_at: Timestamp(row.get(4)?),
        expires_at: time(5)?,
        last_used_at: time(6)?,
        revoked_at: time(7)?,
    })
}

/// Tokens that are not over, of accounts that are not locked out; reads as [`held`] expects.
const LIVE: &str = "SELECT t.id, t.user, t.label, t.scope, t.created_at, t.expires_at, \
    t.last_used_at, t.revoked_at, \
    u.id, u.login, u.name, u.role, u.one_time, u.disabled, u.created_at \
    FROM tokens t JOIN users u ON u.id = t.user \
    WHERE t.revoked_at IS NULL AND NOT u.disabled AND (t.expires_at IS NULL OR t.expires_at > ?1)";

fn held(row: &Row<'_>) -> rusqlite::Result<(Token, User)> {
    Ok((token(row)?, users::user(row, 8)?))
}

impl Reader<'_> {
    /// The token of that hash and its account, unless either is over.
    pub fn token_find(
        &self,
        hash: &[u8; 32],
        now: Timestamp,
    ) -> Result<Option<(Token, User)>, Error> {
        let sql = format!("{LIVE} AND t.hash = ?2");
        Ok(self.statement(&sql)?.query_row(params![now.0, hash], held).optional()?)
    }

    /// The same of a token that was shown a while ago: does it still open doors, and which?
    pub fn token_holder(
        &self,
        id: TokenId,
        now: Timestamp,
    ) -> Result<Option<(Token, User)>, Error> {
        let sql = format!("{LIVE} AND t.id = ?2");
        Ok(self.statement(&sql)?.query_row(params![now.0, id.0], held).optional()?)
    }

    /// An account's tokens, newest first, revoked ones too.
    pub fn token_list(&self, user: UserId) -> Result<Vec<Token>, Error> {
        let mut list = self.statement(
            "SELECT id, user, label, scope, created_at, expires_at, last_used_at, revoked_at \
             FROM tokens WHERE user = ?1 ORDER BY id DESC",
        )?;
        Ok(list.query_map([user.0], token)?.collect::<Result<_, _>>()?)
    }
}

impl Txn<'_> {
    /// Makes a token.
    pub fn token_create(&self, new: &NewToken, at: Timestamp) -> Result<TokenId, Error> {
        let id = TokenId(row::new_id(at));
        let scope = row::to_json("a token's scope", &new.scope)?;
        self.statement(
            "INSERT INTO tokens (hash, id, user, label, scope, created_at, expires_at) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        )?
        .execute(params![
            new.hash,
            id.0,
            new.user.0,
            new.label,
            scope,
            at.0,
            new.expires_at.map(|end| end.0)
        ])?;
        Ok(id)
    }

    /// Notes that a token was used; ask [`Token::touch_due`] first.
    pub fn token_touch(&self, id: TokenId, now: Timestamp) -> Result<(), Error> {
        self.statement("UPDATE tokens SET last_used_at = ?2 WHERE id = ?1")?
            .execute(params![id.0, now.0])?;
        Ok(())
    }

    /// Revokes a token of `user`, once and for all.
    pub fn token_revoke(&self, user: UserId, id: TokenId, at: Timestamp) -> Result<(), Error> {
        let changed = self
            .statement(
                "UPDATE tokens SET revoked_at = coalesce(revoked_at, ?3) WHERE id = ?1 AND user = ?2",
            )?
            .execute(params![id.0, user.0, at.0])?;
        if changed == 0 { Err(Error::Missing(format!("token {id}"))) } else { Ok(()) }
    }
}
