//! People and machine accounts.

use crate::{Reader, Txn, error::Error, row};
use base::{ids::UserId, time::Timestamp};
use rusqlite::{OptionalExtension, Row, params};
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// What an account may do; a later one may all that an earlier one may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Looks.
    Viewer,
    /// Pushes, triggers, cancels, approves, sets variables.
    Member,
    /// Also accounts, runners, settings, deletion.
    Admin,
}

/// A text that is no role.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a role: expected viewer, member or admin")]
pub struct RoleError(String);

impl Role {
    /// The name in the database and on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Member => "member",
            Self::Admin => "admin",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Role {
    type Err = RoleError;
    fn from_str(text: &str) -> Result<Self, RoleError> {
        [Self::Viewer, Self::Member, Self::Admin]
            .into_iter()
            .find(|role| role.as_str() == text)
            .ok_or_else(|| RoleError(text.chars().take(64).collect()))
    }
}

/// An account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// Which.
    pub id: UserId,
    /// Unique, upper and lower case alike.
    pub login: String,
    /// For people.
    pub name: String,
    /// What it may do.
    pub role: Role,
    /// The password must be changed at the next log-in.
    pub one_time: bool,
    /// May do nothing.
    pub disabled: bool,
    /// When it was made.
    pub created_at: Timestamp,
}

/// An account to be made.
#[derive(Debug, Clone)]
pub struct NewUser {
    /// Unique.
    pub login: String,
    /// For people.
    pub name: String,
    /// What it may do.
    pub role: Role,
    /// Argon2id in PHC form; `None` for an account that only has tokens.
    pub password: Option<String>,
    /// The password must be changed at the first log-in.
    pub one_time: bool,
}

/// Reads as [`user`] expects.
const SELECT: &str = "SELECT id, login, name, role, one_time, disabled, created_at FROM users";

/// Reads the columns of [`SELECT`], the first of which is `first`.
pub(super) fn user(row: &Row<'_>, first: usize) -> rusqlite::Result<User> {
    Ok(User {
        id: UserId(row.get(first)?),
        login: row.get(first + 1)?,
        name: row.get(first + 2)?,
        role: row::parsed(row, first + 3)?,
        one_time: row.get(first + 4)?,
        disabled: row.get(first + 5)?,
        created_at: Timestamp(row.get(first + 6)?),
    })
}

impl Reader<'_> {
    /// The account, if there is one.
    pub fn user_get(&self, id: UserId) -> Result<Option<User>, Error> {
        let mut get = self.statement(&format!("{SELECT} WHERE id = ?1"))?;
        Ok(get.query_row([id.0], |row| user(row, 0)).optional()?)
    }

    /// The account of that login, upper and lower case alike.
    pub fn user_by_login(&self, login: &str) -> Result<Option<User>, Error> {
        let mut get = self.statement(&format!("{SELECT} WHERE login = ?1"))?;
        Ok(get.query_row([login], |row| user(row, 0)).optional()?)
    }

    /// The PHC text to check a password against.
    pub fn user_password(&self, id: UserId) -> Result<Option<String>, Error> {
        let mut get = self.statement("SELECT password FROM users WHERE id = ?1")?;
        Ok(get.query_row([id.0], |row| row.get(0)).optional()?.flatten())
    }

    /// Every account, by login.
    pub fn user_list(&self) -> Result<Vec<User>, Error> {
        let mut list = self.statement(&format!("{SELECT} ORDER BY login"))?;
        Ok(list.query_map([], |row| user(row, 0))?.collect::<Result<_, _>>()?)
    }
}

impl Txn<'_> {
    /// Makes an account; a taken login is a [`Error::Conflict`].
    pub fn user_create(&self, new: &NewUser, at: Timestamp) -> Result<User, Error> {
        if self.user_by_login(&new.login)?.is_some() {
            return Err(Error::Conflict(format!("there already is an account `{}`", new.login)));
        }
        let id = UserId(row::new_id(at));
        self.statement(
            "INSERT INTO users (id, login, name, role, password, one_time, disabled, created_at) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, FALSE, ?7)",
        )?
        .execute(params![
            id.0,
            new.login,
            new.name,
            new.role.as_str(),
            new.password,
            new.one_time,
            at.0
        ])?;
        self.user_get(id)?.ok_or_else(|| missing(id))
    }

    /// Sets a new password and ends the account's sessions.
    pub fn user_password_set(&self, id: UserId, phc: &str, one_time: bool) -> Result<(), Error> {
        let changed = self
            .statement("UPDATE users SET password = ?2, one_time = ?3 WHERE id = ?1")?
            .execute(params![id.0, phc, one_time])?;
        self.session_remove_all(id)?;
        if changed == 0 { Err(missing(id)) } else { Ok(()) }
    }

    /// Changes what an account may do; the last administrator stays one.
    pub fn user_role_set(&self, id: UserId, role: Role) -> Result<(), Error> {
        let changed = self
            .statement("UPDATE users SET role = ?2 WHERE id = ?1")?
            .execute(params![id.0, role.as_str()])?;
        if changed == 0 { Err(missing(id)) } else { self.keep_an_admin() }
    }

    /// Locks an account out, or lets it in again.
    pub fn user_disabled_set(&self, id: UserId, disabled: bool) -> Result<(), Error> {
        let changed = self
            .statement("UPDATE users SET disabled = ?2 WHERE id = ?1")?
            .execute(params![id.0, disabled])?;
        if changed == 0 { Err(missing(id)) } else { self.keep_an_admin() }
    }

    fn keep_an_admin(&self) -> Result<(), Error> {
        let left: bool = self
            .statement("SELECT EXISTS (SELECT 1 FROM users WHERE role = 'admin' AND NOT disabled)")?
            .query_row([], |row| row.get(0))?;
        if left {
            return Ok(());
        }
        Err(Error::Conflict("this is the last administrator: make another one first".into()))
    }
}

fn missing(id: UserId) -> Error {
    Error::Missing(format!("account {id}"))
}
