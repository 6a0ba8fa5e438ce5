//! Access keys of the S3 face, sealed, and the keys that the room makes for itself.

use crate::{Reader, Txn, error::Error};
use base::{secret::Secret, time::Timestamp};
use rusqlite::{OptionalExtension, Row, params};

/// A stored access key; its secret half is opened only where a signature is checked.
#[derive(Debug, Clone)]
pub struct AccessKeyRow {
    /// The public half.
    pub id: String,
    /// The secret half.
    pub secret: Secret,
    /// Who acts with it.
    pub owner: String,
    /// The owner's name for people.
    pub display: String,
    /// The owner's address; empty when there is none.
    pub email: String,
    /// What it may do, as JSON.
    pub scope: String,
    /// When it was made.
    pub created: Timestamp,
    /// When it stops to work.
    pub expires: Option<Timestamp>,
    /// When it was revoked.
    pub revoked: Option<Timestamp>,
    /// Its owner is an account that is locked out.
    pub locked_out: bool,
}

/// An access key to be stored.
#[derive(Debug, Clone, Copy)]
pub struct NewAccessKey<'a> {
    /// The public half.
    pub id: &'a str,
    /// The secret half.
    pub secret: &'a Secret,
    /// Who acts with it.
    pub owner: &'a str,
    /// The owner's name for people.
    pub display: &'a str,
    /// The owner's address; empty when there is none.
    pub email: &'a str,
    /// What it may do, as JSON.
    pub scope: &'a str,
    /// Now.
    pub created: Timestamp,
    /// When it stops to work.
    pub expires: Option<Timestamp>,
}

/// Reads as [`sealed`] expects. An owner may be no account: a machine, the jobs of a project.
const COLUMNS: &str = "id, sealed, owner, display, email, scope, created, expires, revoked,
    EXISTS (SELECT 1 FROM users WHERE login = owner AND disabled)";

fn place(id: &str) -> String {
    format!("access_key:{id}")
}

fn secret_place(name: &str) -> String {
    format!("object_secret:{name}")
}

/// The columns as they are read: the secret is still sealed.
struct Sealed(Vec<u8>, AccessKeyRow);

fn sealed(row: &Row<'_>) -> rusqlite::Result<Sealed> {
    let key = AccessKeyRow {
        id: row.get(0)?,
        secret: Secret::new(""),
        owner: row.get(2)?,
        display: row.get(3)?,
        email: row.get(4)?,
        scope: row.get(5)?,
        created: Timestamp(row.get(6)?),
        expires: row.get::<_, Option<i64>>(7)?.map(Timestamp),
        revoked: row.get::<_, Option<i64>>(8)?.map(Timestamp),
        locked_out: row.get(9)?,
    };
    Ok(Sealed(row.get(1)?, key))
}

impl Reader<'_> {
    /// The access key of that id.
    pub fn access_key_get(&self, id: &str) -> Result<Option<AccessKeyRow>, Error> {
        let sql = format!("SELECT {COLUMNS} FROM access_keys WHERE id = ?1");
        let found = self.statement(&sql)?.query_row([id], sealed).optional()?;
        found.map(|Sealed(bytes, key)| self.opened(&bytes, key)).transpose()
    }

    fn opened(&self, sealed: &[u8], key: AccessKeyRow) -> Result<AccessKeyRow, Error> {
        let secret = self.key().open_text(&place(&key.id), sealed)?;
        Ok(AccessKeyRow { secret, ..key })
    }

    /// All access keys, or those of one owner, by id; their secrets stay sealed.
    pub fn access_key_list(&self, owner: Option<&str>) -> Result<Vec<AccessKeyRow>, Error> {
        let sql =
            format!("SELECT {COLUMNS} FROM access_keys WHERE ?1 IS NULL OR owner = ?1 ORDER BY id");
        let mut list = self.statement(&sql)?;
        let rows = list.query_map([owner], sealed)?;
        Ok(rows.map(|row| row.map(|Sealed(_, key)| key)).collect::<Result<_, _>>()?)
    }

    /// Name and address of an owner, found by id or by address.
    pub fn access_owner_get(&self, id_or_email: &str) -> Result<Option<(String, String)>, Error> {
        Ok(self
            .statement(
                "SELECT owner, display FROM access_keys WHERE owner = ?1 OR (email <> '' AND email = ?1) LIMIT 1",
            )?
            .query_row([id_or_email], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?)
    }

    /// A key that the room made for itself.
    pub fn object_secret_get(&self, name: &str) -> Result<Option<Secret>, Error> {
        let found: Option<Vec<u8>> = self
            .statement("SELECT sealed FROM object_secrets WHERE name = ?1")?
            .query_row([name], |row| row.get(0))
            .optional()?;
        found.map(|bytes| self.key().open_text(&secret_place(name), &bytes)).transpose()
    }
}

impl Txn<'_> {
    /// Stores an access key.
    pub fn access_key_insert(&mut self, new: &NewAccessKey<'_>) -> Result<(), Error> {
        let sealed = self.key().seal(&place(new.id), new.secret.expose().as_bytes())?;
        self.statement(
            "INSERT INTO access_keys (id, sealed, owner, display, email, scope, created, expires)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        )?
        .execute(params![
            new.id,
            sealed,
            new.owner,
            new.display,
            new.email,
            new.scope,
            new.created.0,
            new.expires.map(|at| at.0)
        ])?;
        Ok(())
    }

    /// Revokes a key; `false` when there is no such key.
    pub fn access_key_revoke(&mut self, id: &str, at: Timestamp) -> Result<bool, Error> {
        let changed = self
            .statement("UPDATE access_keys SET revoked = coalesce(revoked, ?2) WHERE id = ?1")?
            .execute(params![id, at.0])?;
        Ok(changed > 0)
    }

    /// Stores a key that the room made for itself, unless it has one: the first one stays.
    pub fn object_secret_insert(&mut self, name: &str, secret: &Secret) -> Result<(), Error> {
        let sealed = self.key().seal(&secret_place(name), secret.expose().as_bytes())?;
        self.statement("INSERT OR IGNORE INTO object_secrets (name, sealed) VALUES (?1, ?2)")?
            .execute(params![name, sealed])?;
        Ok(())
    }
}
