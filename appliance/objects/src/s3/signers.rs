//! Signing keys that were made lately.
//!
//! Why: a signing key is the same for a day, and making it costs more than checking a signature.
//! Invariants: a key is given out only for the very secret that it was made of; that the access key
//! works is asked anew for each request, elsewhere.
//! Bounds: [`KEPT_MAX`] keys; when it is full it is emptied.

use crate::sigv4::SigningKey;
use base::secret::Secret;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

/// Access keys that sign requests within a short time.
const KEPT_MAX: usize = 256;

/// By access key.
#[derive(Default)]
pub(crate) struct Signers(Mutex<HashMap<String, Signer>>);

struct Signer {
    secret: Arc<Secret>,
    scope: String,
    key: SigningKey,
}

impl Signers {
    /// The signing key of a secret.
    pub(crate) fn key(&self, id: &str, secret: &Arc<Secret>, scope: &str) -> SigningKey {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = kept.get(id)
            && known.scope == scope
            && known.secret == *secret
        {
            return known.key.clone();
        }
        let key = SigningKey::new(secret.expose(), scope);
        if kept.len() >= KEPT_MAX {
            kept.clear();
        }
        let signer =
            Signer { secret: Arc::clone(secret), scope: scope.to_owned(), key: key.clone() };
        kept.insert(id.to_owned(), signer);
        key
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(signers: &Signers, id: &str, secret: &str, date: &str) {
        let scope = crate::sigv4::scope(date, "here");
        let found = signers.key(id, &Arc::new(Secret::new(secret)), &scope).sign("text");
        assert_eq!(found, SigningKey::new(secret, &scope).sign("text"), "{id} {secret} {date}");
    }

    #[test]
    fn a_key_is_that_of_its_secret_and_day_whatever_was_kept() {
        let signers = Signers::default();
        for (secret, date) in [("a", "20261128"), ("a", "20261129"), ("b", "20261129")] {
            check(&signers, "AK", secret, date);
            check(&signers, "AK", secret, date);
        }
        for number in 0..2 * KEPT_MAX {
            check(&signers, &number.to_string(), "a", "20261129");
            assert!(signers.0.lock().unwrap().len() <= KEPT_MAX);
        }
    }
}
