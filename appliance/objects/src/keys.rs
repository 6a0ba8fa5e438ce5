//! Access keys of the S3 face: made, shown once, listed, revoked at once.
//!
//! Invariants: the secret half is sealed in the store; every request looks the key up, so that one
//! that is revoked or expired, or whose owner's account is locked out, is refused from the next
//! request on; there is no default key. An account that is let in again has its keys again.

use crate::{
    cache::Weight,
    digest,
    error::Error,
    objects::{Objects, now},
    seal,
};
use base::{secret::Secret, time::Timestamp};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use store::{
    Reader, Txn,
    objects::{AccessKeyRow, NewAccessKey},
};
use subtle::ConstantTimeEq;

/// On whose behalf a key acts: a user or a job.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Owner {
    /// Stable name; buckets and objects belong to it.
    pub id: String,
    /// For people.
    pub display: String,
    /// Address by which others may grant to it; may be empty.
    pub email: String,
}

/// What keys begin with that those of [`Scope::Unprotected`] put.
pub const UNPROTECTED: &str = "unprotected/";

/// What a key may do at most.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// All that its owner may; nothing in the house's buckets.
    Owner,
    /// Everything everywhere: for operators.
    Site,
    /// As [`Scope::Owner`], but it gets nothing below [`UNPROTECTED`]: what others left there.
    Protected,
    /// Of what its owner may: it gets and lists all, puts and deletes below [`UNPROTECTED`] alone,
    /// and sets no bucket.
    Unprotected,
    /// Only what a rule names. In the house's buckets a rule is also the permission.
    Rules(Vec<Rule>),
}

/// One permission of a scope.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rule {
    /// A bucket's name.
    pub bucket: String,
    /// What keys begin with; empty for all. A listing must name it as its prefix.
    pub prefix: String,
    /// What may be done.
    pub verbs: Vec<Verb>,
}

/// A kind of operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verb {
    /// Get objects and what is known of them.
    Read,
    /// Put objects.
    Write,
    /// Delete objects.
    Delete,
    /// List keys.
    List,
    /// Make, set and delete buckets.
    Manage,
}

impl Scope {
    /// A rule names the operation.
    #[must_use]
    pub fn covers(&self, bucket: &str, key: &str, verb: Verb) -> bool {
        match self {
            Self::Owner | Self::Site => true,
            Self::Protected => verb != Verb::Read || !key.starts_with(UNPROTECTED),
            Self::Unprotected => match verb {
                Verb::Read | Verb::List => true,
                Verb::Write | Verb::Delete => key.starts_with(UNPROTECTED),
                Verb::Manage => false,
            },
            Self::Rules(rules) => rules.iter().any(|rule| {
                rule.bucket == bucket && key.starts_with(&rule.prefix) && rule.verbs.contains(&verb)
            }),
        }
    }
}

/// A key as it is shown once.
#[derive(Debug, Clone)]
pub struct NewKey {
    /// The public half.
    pub id: String,
    /// The secret half.
    pub secret: Secret,
}

/// A key as it is listed.
#[derive(Debug, Clone)]
pub struct KeyInfo {
    /// The public half.
    pub id: String,
    /// Who acts with it.
    pub owner: Owner,
    /// What it may do.
    pub scope: Scope,
    /// When it was made.
    pub created: Timestamp,
    /// When it stops to work.
    pub expires: Option<Timestamp>,
    /// When it was revoked.
    pub revoked: Option<Timestamp>,
    /// Its owner is an account that is locked out.
    pub locked_out: bool,
}

impl KeyInfo {
    fn works(&self, now: Timestamp) -> bool {
        works(self.revoked, self.locked_out, self.expires, now)
    }
}

fn works(
    revoked: Option<Timestamp>,
    locked_out: bool,
    expires: Option<Timestamp>,
    now: Timestamp,
) -> bool {
    revoked.is_none() && !locked_out && expires.is_none_or(|at| at > now)
}

/// An access key as a signature is checked with it; requests share its parts.
pub(crate) struct Holder {
    pub(crate) owner: Arc<Owner>,
    pub(crate) scope: Arc<Scope>,
    pub(crate) expires: Option<Timestamp>,
    pub(crate) revoked: Option<Timestamp>,
    pub(crate) locked_out: bool,
    pub(crate) secret: Arc<Secret>,
}

impl Holder {
    fn new((key, secret): (KeyInfo, Secret)) -> Self {
        Self {
            owner: Arc::new(key.owner),
            scope: Arc::new(key.scope),
            expires: key.expires,
            revoked: key.revoked,
            locked_out: key.locked_out,
            secret: Arc::new(secret),
        }
    }

    fn works(&self, now: Timestamp) -> bool {
        works(self.revoked, self.locked_out, self.expires, now)
    }
}

impl Weight for Option<Holder> {
    fn weight(&self) -> usize {
        let rules = match self.as_ref().map(|holder| &*holder.scope) {
            Some(Scope::Rules(rules)) => rules.len(),
            _ => 0,
        };
        size_of::<Self>() + 512 + 256 * rules
    }
}

/// Splits a row; a scope that cannot be read allows nothing.
pub(crate) fn info(row: AccessKeyRow) -> (KeyInfo, Secret) {
    let scope = serde_json::from_str(&row.scope).unwrap_or(Scope::Rules(Vec::new()));
    let owner = Owner { id: row.owner, display: row.display, email: row.email };
    let key = KeyInfo {
        id: row.id,
        owner,
        scope,
        created: row.created,
        expires: row.expires,
        revoked: row.revoked,
        locked_out: row.locked_out,
    };
    (key, row.secret)
}

fn insert(
    txn: &mut Txn<'_>,
    (id, secret): (&str, &Secret),
    owner: &Owner,
    scope: &Scope,
    expires: Option<Timestamp>,
) -> Result<(), store::Error> {
    txn.access_key_insert(&NewAccessKey {
        id,
        secret,
        owner: &owner.id,
        display: &owner.display,
        email: &owner.email,
        scope: &crate::details::text(scope),
        created: now(),
        expires,
    })
}

impl Objects {
    /// Makes a key for `owner`; `beside` is told its id and writes in the same transaction.
    ///
    /// # Errors
    /// [`Error::Index`].
    pub async fn key_create(
        &self,
        owner: Owner,
        scope: Scope,
        expires: Option<Timestamp>,
        beside: impl FnOnce(&Txn<'_>, &str) -> Result<(), store::Error> + Send + 'static,
    ) -> Result<NewKey, Error> {
        let id = format!("AK{}", digest::hex(&seal::random::<9>()).to_uppercase());
        let secret = Secret::new(digest::base64(&seal::random::<30>()));
        let made = NewKey { id, secret };
        let new = made.clone();
        self.write(move |txn| {
            insert(txn, (&new.id, &new.secret), &owner, &scope, expires)?;
            Ok::<_, Error>(beside(txn, &new.id)?)
        })
        .await?;
        Ok(made)
    }

    /// Stores a key whose halves are given, for tools that bring their own.
    ///
    /// # Errors
    /// [`Error::Index`], also when the id is in use.
    pub async fn key_import(
        &self,
        id: &str,
        secret: &Secret,
        owner: Owner,
        scope: Scope,
        expires: Option<Timestamp>,
    ) -> Result<(), Error> {
        let (id, secret) = (id.to_owned(), secret.clone());
        self.write(move |txn| Ok(insert(txn, (&id, &secret), &owner, &scope, expires)?)).await
    }

    /// The key of that id, if the secret is its own and it is good now.
    ///
    /// # Errors
    /// [`Error::Index`].
    pub async fn key_login(&self, id: &str, secret: &str) -> Result<Option<KeyInfo>, Error> {
        let id = id.to_owned();
        let row = self.read(move |reader| Ok(reader.access_key_get(&id)?)).await?;
        let Some((key, own)) = row.map(info) else { return Ok(None) };
        let fits = own.expose().as_bytes().ct_eq(secret.as_bytes()).into();
        Ok((fits && key.works(now())).then_some(key))
    }

    /// The holder of the key of that id, if there is one, whatever became of it.
    pub(crate) async fn holder(&self, id: &str) -> Result<Arc<Option<Holder>>, Error> {
        let work = |reader: &Reader<'_>, id: &str| {
            Ok(reader.access_key_get(id)?.map(info).map(Holder::new))
        };
        self.recall(&self.inner.cache.keys, id, work).await
    }

    /// What the key of that id may do, as long as it works.
    ///
    /// # Errors
    /// [`Error::Index`].
    pub async fn key_scope(&self, id: &str) -> Result<Option<Arc<Scope>>, Error> {
        let holder = self.holder(id).await?;
        let good = holder.as_ref().as_ref().filter(|key| key.works(now()));
        Ok(good.map(|key| Arc::clone(&key.scope)))
    }

    /// Revokes a key at once; `false` when there is none of that id. `beside` is written in the same
    /// transaction.
    ///
    /// # Errors
    /// [`Error::Index`].
    pub async fn key_revoke(
        &self,
        id: &str,
        beside: impl FnOnce(&Txn<'_>) -> Result<(), store::Error> + Send + 'static,
    ) -> Result<bool, Error> {
        let id = id.to_owned();
        self.write(move |txn| {
            let revoked = txn.access_key_revoke(&id, now())?;
            if revoked {
                beside(txn)?;
            }
            Ok(revoked)
        })
        .await
    }

    /// Keys of one owner, or all of them.
    ///
    /// # Errors
    /// [`Error::Index`].
    pub async fn key_list(&self, owner: Option<&str>) -> Result<Vec<KeyInfo>, Error> {
        let owner = owner.map(str::to_owned);
        let rows = self.read(move |reader| Ok(reader.access_key_list(owner.as_deref())?)).await?;
        Ok(rows.into_iter().map(|row| info(row).0).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const VERBS: [Verb; 5] = [Verb::Read, Verb::Write, Verb::Delete, Verb::List, Verb::Manage];

    fn check(scope: &Scope, key: &str, expected: [bool; 5]) {
        let found = VERBS.map(|verb| scope.covers("results", key, verb));
        assert_eq!(found, expected, "{scope:?} on {key}");
    }

    #[test]
    fn of_two_levels_none_gets_at_what_the_other_trusts() {
        //                                          read   write  delete list  manage
        check(&Scope::Owner, "unprotected/a", [true, true, true, true, true]);
        check(&Scope::Protected, "a", [true, true, true, true, true]);
        check(&Scope::Protected, "unprotected/a", [false, true, true, true, true]);
        check(&Scope::Protected, "unprotected", [true, true, true, true, true]);
        check(&Scope::Unprotected, "a", [true, false, false, true, false]);
        check(&Scope::Unprotected, "unprotected/a", [true, true, true, true, false]);
        check(&Scope::Unprotected, "unprotected", [true, false, false, true, false]);
        check(&Scope::Unprotected, "Unprotected/a", [true, false, false, true, false]);
        check(&Scope::Unprotected, "", [true, false, false, true, false]);
    }
}
