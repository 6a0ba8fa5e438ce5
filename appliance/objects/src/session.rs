//! Keys for a while: what a job signs its S3 requests with.
//!
//! Why a token: a key in the store would be a write for each job, most of which never ask. As on
//! S3, the token that comes with each request tells whose key it is and until when; the secret
//! half and the key's name follow from it and from a key of the house.
//! Form of a token: base64 of seconds since 1970, `:`, one letter for its scope, `:`, what it was made
//! for, `:`, the owner, and an HMAC-SHA256 of these.
//! Invariants: only the house can make a token; it acts as its owner does, as far as its scope goes,
//! nothing in the house's buckets; after its time it is refused, and as soon as that is over which it was made for. This room
//! does not know what that is: it asks [`crate::Config::session_stands`].

use crate::{
    cache::Weight,
    digest,
    error::Error,
    keys::{Owner, Scope},
    objects::Objects,
    seal::Key,
};
use base::{secret::Secret, time::Timestamp};
use std::sync::Arc;
use store::Reader;
use subtle::ConstantTimeEq;

/// Bytes of the HMAC at a token's end.
const MAC: usize = 32;

/// A key for a while, in the three parts that every S3 client knows.
#[derive(Debug, Clone)]
pub struct SessionKey {
    /// The public half.
    pub id: String,
    /// The secret half.
    pub secret: Secret,
    /// Sent with each request.
    pub token: Secret,
}

/// Why a token is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refused {
    /// The house did not make it, or not for this key.
    Unknown,
    /// Its time is over.
    Expired,
}

/// What a token says.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Claim {
    /// What it was made for.
    pub(crate) subject: String,
    pub(crate) owner: String,
    pub(crate) scope: SessionScope,
}

/// What of its owner's a key for a while may.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SessionScope {
    /// [`Scope::Owner`].
    Owner,
    /// [`Scope::Protected`].
    Protected,
    /// [`Scope::Unprotected`].
    Unprotected,
}

impl SessionScope {
    const ALL: [(Self, &str); 3] =
        [(Self::Owner, "o"), (Self::Protected, "p"), (Self::Unprotected, "u")];

    fn letter(self) -> &'static str {
        Self::ALL.iter().find(|(scope, _)| *scope == self).expect("the table names every scope").1
    }

    fn read(letter: &str) -> Option<Self> {
        Self::ALL.iter().find(|(_, known)| *known == letter).map(|(scope, _)| *scope)
    }
}

impl From<SessionScope> for Scope {
    fn from(scope: SessionScope) -> Self {
        match scope {
            SessionScope::Owner => Self::Owner,
            SessionScope::Protected => Self::Protected,
            SessionScope::Unprotected => Self::Unprotected,
        }
    }
}

impl Objects {
    /// A key with which `owner` acts until `expires`, rounded down to seconds, or until that is over
    /// which is called `subject`, without a colon.
    #[must_use]
    pub fn session_key(
        &self,
        subject: &str,
        owner: &str,
        scope: SessionScope,
        expires: Timestamp,
    ) -> SessionKey {
        make(&self.inner.site_key, subject, owner, scope, expires)
    }

    /// What a token says, and the secret half of its key.
    pub(crate) fn session_claim(
        &self,
        id: &str,
        token: &str,
        now: Timestamp,
    ) -> Result<(Claim, Secret), Refused> {
        let claim = claim(&self.inner.site_key, id, token, now)?;
        Ok((claim, secret(&self.inner.site_key, token)))
    }

    /// That goes on which keys were made for.
    pub(crate) async fn session_stands(&self, subject: &str) -> Result<bool, Error> {
        let stands = self.inner.config.session_stands;
        let work = move |reader: &Reader<'_>, subject: &str| Ok(stands(reader, subject)?);
        Ok(*self.recall(&self.inner.cache.sessions, subject, work).await?)
    }
}

impl Claim {
    /// On whose behalf it acts, and what it may.
    pub(crate) fn holder(self) -> (Owner, Scope) {
        let owner = Owner { id: self.owner.clone(), display: self.owner, email: String::new() };
        (owner, self.scope.into())
    }
}

impl Weight for bool {
    fn weight(&self) -> usize {
        size_of::<Arc<Self>>()
    }
}

fn make(
    key: &Key,
    subject: &str,
    owner: &str,
    scope: SessionScope,
    expires: Timestamp,
) -> SessionKey {
    let claim = format!("{}:{}:{subject}:{owner}", expires.0 / 1_000_000, scope.letter());
    let token = digest::base64(&[claim.as_bytes(), mac(key, claim.as_bytes()).expose()].concat());
    SessionKey { id: name(key, &token), secret: secret(key, &token), token: Secret::new(token) }
}

fn claim(key: &Key, id: &str, token: &str, now: Timestamp) -> Result<Claim, Refused> {
    let bytes = digest::unbase64(token).ok_or(Refused::Unknown)?;
    let at = bytes.len().checked_sub(MAC).ok_or(Refused::Unknown)?;
    let (claim, given) = bytes.split_at(at);
    let is_ours =
        mac(key, claim).expose().ct_eq(given) & name(key, token).as_bytes().ct_eq(id.as_bytes());
    if !bool::from(is_ours) {
        return Err(Refused::Unknown);
    }
    let claim = std::str::from_utf8(claim).map_err(|_| Refused::Unknown)?;
    let (expires, rest) = claim.split_once(':').ok_or(Refused::Unknown)?;
    let (letter, rest) = rest.split_once(':').ok_or(Refused::Unknown)?;
    let scope = SessionScope::read(letter).ok_or(Refused::Unknown)?;
    let (subject, owner) = rest.split_once(':').ok_or(Refused::Unknown)?;
    let expires: i64 = expires.parse().map_err(|_| Refused::Unknown)?;
    if expires <= now.0 / 1_000_000 {
        return Err(Refused::Expired);
    }
    Ok(Claim { subject: subject.to_owned(), owner: owner.to_owned(), scope })
}

fn mac(key: &Key, claim: &[u8]) -> Key {
    key.derive_bytes(&[b"session token ", claim].concat())
}

fn secret(key: &Key, token: &str) -> Secret {
    Secret::new(digest::base64(key.derive(&format!("session secret {token}")).expose()))
}

/// The name of a token's key: `AJ` and 18 hexadecimal digits.
fn name(key: &Key, token: &str) -> String {
    let derived = key.derive(&format!("session name {token}"));
    format!("AJ{}", digest::hex(&derived.expose()[..9]).to_uppercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    const THEN: Timestamp = Timestamp(2_000_000_000_000_000);
    const SCOPE: SessionScope = SessionScope::Unprotected;

    fn check(id: &str, token: &str, now: i64, expected: Result<&str, Refused>) {
        let found = claim(&Key::new([7; 32]), id, token, Timestamp(now * 1_000_000));
        let expected = expected.map(|owner| Claim {
            subject: "job".into(),
            owner: owner.into(),
            scope: SCOPE,
        });
        assert_eq!(found, expected, "{token} at {now}");
    }

    #[test]
    fn a_token_is_good_for_its_key_and_its_time() {
        let made = make(&Key::new([7; 32]), "job", "acme/relay: a", SCOPE, THEN);
        let (id, token) = (made.id.as_str(), made.token.expose());
        check(id, token, 1_999_999_999, Ok("acme/relay: a"));
        check(id, token, 2_000_000_000, Err(Refused::Expired));
        check("AJ000000000000000000", token, 0, Err(Refused::Unknown));
        let other = make(&Key::new([8; 32]), "job", "acme/relay: a", SCOPE, THEN);
        check(&other.id, other.token.expose(), 0, Err(Refused::Unknown));
        assert_ne!(
            made.secret.expose(),
            make(&Key::new([7; 32]), "job", "acme", SCOPE, THEN).secret.expose()
        );
    }

    #[test]
    fn what_the_house_did_not_say_is_refused() {
        let made = make(&Key::new([7; 32]), "job", "acme/relay", SCOPE, THEN);
        let mut bytes = digest::unbase64(made.token.expose()).unwrap();
        bytes[0] += 1;
        for token in ["", "AAAA", "?", &digest::base64(&bytes), &digest::base64(&[0; 32])] {
            check(&name(&Key::new([7; 32]), token), token, 0, Err(Refused::Unknown));
        }
    }
}
