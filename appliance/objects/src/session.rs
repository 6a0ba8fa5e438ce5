//! Keys for a while: what a job signs its S3 requests with.
//!
//! Why a token: a key in the store would be a write for each job, most of which never ask. As on
//! S3, the token that comes with each request tells whose key it is and until when; the secret
//! half and the key's name follow from it and from a key of the house.
//! Form of a token: base64 of seconds since 1970, `:`, the owner, and an HMAC-SHA256 of these.
//! Invariants: only the house can make a token; it acts as its owner does, nothing in the house's
//! buckets; after its time it is refused.
//! Limits: it cannot be revoked, so its time is that of the job.

use crate::{
    digest,
    keys::{Owner, Scope},
    objects::Objects,
    seal::Key,
};
use base::{secret::Secret, time::Timestamp};
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

impl Objects {
    /// A key with which `owner` acts until `expires`, rounded down to seconds.
    #[must_use]
    pub fn session_key(&self, owner: &str, expires: Timestamp) -> SessionKey {
        make(&self.inner.site_key, owner, expires)
    }

    /// Who acts with a token, and the secret half of its key.
    pub(crate) fn session_holder(
        &self,
        id: &str,
        token: &str,
        now: Timestamp,
    ) -> Result<(Owner, Scope, Secret), Refused> {
        let owner = owner(&self.inner.site_key, id, token, now)?;
        let secret = secret(&self.inner.site_key, token);
        Ok((
            Owner { id: owner.clone(), display: owner, email: String::new() },
            Scope::Owner,
            secret,
        ))
    }
}

fn make(key: &Key, owner: &str, expires: Timestamp) -> SessionKey {
    let claim = format!("{}:{owner}", expires.0 / 1_000_000);
    let token = digest::base64(&[claim.as_bytes(), mac(key, claim.as_bytes()).expose()].concat());
    SessionKey { id: name(key, &token), secret: secret(key, &token), token: Secret::new(token) }
}

fn owner(key: &Key, id: &str, token: &str, now: Timestamp) -> Result<String, Refused> {
    let bytes = digest::unbase64(token).ok_or(Refused::Unknown)?;
    let at = bytes.len().checked_sub(MAC).ok_or(Refused::Unknown)?;
    let (claim, given) = bytes.split_at(at);
    let is_ours =
        mac(key, claim).expose().ct_eq(given) & name(key, token).as_bytes().ct_eq(id.as_bytes());
    if !bool::from(is_ours) {
        return Err(Refused::Unknown);
    }
    let claim = std::str::from_utf8(claim).map_err(|_| Refused::Unknown)?;
    let (expires, owner) = claim.split_once(':').ok_or(Refused::Unknown)?;
    let expires: i64 = expires.parse().map_err(|_| Refused::Unknown)?;
    if expires <= now.0 / 1_000_000 { Err(Refused::Expired) } else { Ok(owner.to_owned()) }
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

    fn check(id: &str, token: &str, now: i64, expected: Result<&str, Refused>) {
        let found = owner(&Key::new([7; 32]), id, token, Timestamp(now * 1_000_000));
        assert_eq!(found.as_deref().map_err(|refused| *refused), expected, "{token} at {now}");
    }

    #[test]
    fn a_token_is_good_for_its_key_and_its_time() {
        let made = make(&Key::new([7; 32]), "acme/relay: a", THEN);
        let (id, token) = (made.id.as_str(), made.token.expose());
        check(id, token, 1_999_999_999, Ok("acme/relay: a"));
        check(id, token, 2_000_000_000, Err(Refused::Expired));
        check("AJ000000000000000000", token, 0, Err(Refused::Unknown));
        let other = make(&Key::new([8; 32]), "acme/relay: a", THEN);
        check(&other.id, other.token.expose(), 0, Err(Refused::Unknown));
        assert_ne!(made.secret.expose(), make(&Key::new([7; 32]), "acme", THEN).secret.expose());
    }

    #[test]
    fn what_the_house_did_not_say_is_refused() {
        let made = make(&Key::new([7; 32]), "acme/relay", THEN);
        let mut bytes = digest::unbase64(made.token.expose()).unwrap();
        bytes[0] += 1;
        for token in ["", "AAAA", "?", &digest::base64(&bytes), &digest::base64(&[0; 32])] {
            check(&name(&Key::new([7; 32]), token), token, 0, Err(Refused::Unknown));
        }
    }
}
