//! What a registry pass was given for, and what that is worth by now.
//!
//! Why: a pass lives for minutes, and a client shows it without its password or token. Who revokes a
//! token, locks an account out, or takes a role away expects the next request to be refused.
//! Form: JSON within the pass, which nobody but the appliance can write.
//! Invariants: one read of the database for each request with a pass; a proof that cannot be read is
//! worth nothing.

use crate::access::{OPERATOR, Role, User, Via};
use base::{
    ids::{ProjectId, SessionId, TokenId, UserId},
    time::Timestamp,
};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use store::{Error, Reader, access::User as Account};

/// What somebody proved themselves by.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Proof {
    /// An access key.
    Key(String),
    Token(TokenId),
    Session(SessionId),
    /// Login and password; with [`mark`] of the password's hash.
    Password(UserId, String),
    /// The control socket, whose user owns the files.
    Socket,
}

/// What an account, or its token, may do.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Reach {
    pub(super) role: Role,
    /// Names of the projects that it is bound to.
    pub(super) names: Option<Vec<String>>,
}

impl Proof {
    pub(super) fn of(user: &User, reader: &Reader<'_>) -> Result<Self, Error> {
        Ok(match user.via {
            Via::Token(id) => Self::Token(id),
            Via::Session(id) => Self::Session(id),
            Via::Password => Self::Password(user.id, mark(user.id, reader)?),
            Via::Socket => Self::Socket,
        })
    }

    pub(super) fn text(&self) -> String {
        serde_json::to_string(self).expect("names and ids are always JSON")
    }

    pub(super) fn read(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }

    /// Who it is of, for the audit log.
    pub(super) fn name(
        &self,
        reader: &Reader<'_>,
        now: Timestamp,
    ) -> Result<Option<String>, Error> {
        Ok(match self {
            Self::Key(id) => Some(id.clone()),
            Self::Socket => Some(OPERATOR.to_owned()),
            Self::Session(id) => reader.session_holder(*id, now)?.map(|account| account.login),
            Self::Password(id, _) => reader.user_get(*id)?.map(|account| account.login),
            Self::Token(id) => reader.token_holder(*id, now)?.map(|(_, account)| account.login),
        })
    }

    /// What it opens now; `None` when it is over. An access key's worth is known elsewhere.
    pub(super) fn reach(
        &self,
        reader: &Reader<'_>,
        now: Timestamp,
    ) -> Result<Option<Reach>, Error> {
        match self {
            Self::Key(_) => Ok(None),
            Self::Socket => Ok(Some(Reach { role: Role::Admin, names: None })),
            Self::Session(id) => Ok(reader.session_holder(*id, now)?.as_ref().and_then(whole)),
            Self::Password(id, mark_then) => {
                let same = mark(*id, reader)? == *mark_then;
                Ok(reader.user_get(*id)?.filter(|_| same).as_ref().and_then(whole))
            }
            Self::Token(id) => {
                let Some((token, account)) = reader.token_holder(*id, now)? else {
                    return Ok(None);
                };
                let names = names(token.scope.projects.as_deref(), reader)?;
                let most = token.scope.role;
                Ok(whole(&account).map(|all| Reach { role: all.role.min(most), names }))
            }
        }
    }
}

/// All that an account may, unless it is locked out or must change its password first.
fn whole(account: &Account) -> Option<Reach> {
    let open = !account.disabled && !account.one_time;
    open.then_some(Reach { role: account.role, names: None })
}

/// Tells a password from the next one; without the hash, whose salt is secret, it tells nothing of it.
fn mark(account: UserId, reader: &Reader<'_>) -> Result<String, Error> {
    let hash = reader.user_password(account)?.unwrap_or_default();
    Ok(BASE64_URL_SAFE_NO_PAD.encode(&Sha256::digest(hash)[..12]))
}

/// Names of projects, as repositories are named.
pub(crate) fn names(
    projects: Option<&[ProjectId]>,
    reader: &Reader<'_>,
) -> Result<Option<Vec<String>>, Error> {
    let Some(projects) = projects else { return Ok(None) };
    let found = projects.iter().map(|id| reader.project_get(*id));
    let found = found.collect::<Result<Vec<_>, _>>()?.into_iter().flatten();
    Ok(Some(found.map(|project| project.repo.to_string().to_lowercase()).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proof_is_read_as_it_was_written_and_nothing_else_is_one() {
        for proof in [
            Proof::Key("AK1".into()),
            Proof::Token(TokenId(uuid::Uuid::nil())),
            Proof::Password(UserId(uuid::Uuid::nil()), "m".into()),
            Proof::Socket,
        ] {
            assert_eq!(Proof::read(&proof.text()), Some(proof));
        }
        for bad in ["", "AK1", "{}", r#"{"root":1}"#] {
            assert_eq!(Proof::read(bad), None, "{bad}");
        }
    }
}
