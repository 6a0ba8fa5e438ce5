//! Tokens and session secrets: random texts of which only a hash is kept.
//!
//! Why one hash round is enough: 256 random bits cannot be guessed, unlike a password, so looking
//! the hash up is both fast and safe, and needs no comparison in constant time.
//! Form: `apl_` and 43 characters of base64url; the prefix lets scanners find a leaked one.

use base::secret::Secret;
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use sha2::{Digest, Sha256};

/// Starts every API and runner token.
pub const PREFIX: &str = "apl_";

/// What the store keeps of a token.
pub type TokenHash = [u8; 32];

/// The kernel gave no randomness.
#[derive(Debug, thiserror::Error)]
#[error("the kernel gave no randomness")]
pub struct NoRandomness(#[from] getrandom::Error);

fn random_text() -> Result<String, NoRandomness> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes)?;
    Ok(BASE64_URL_SAFE_NO_PAD.encode(bytes))
}

/// A new API or runner token and its hash; the text is shown once.
pub fn new_token() -> Result<(Secret, TokenHash), NoRandomness> {
    let text = Secret::new(format!("{PREFIX}{}", random_text()?));
    let hash = hash(text.expose());
    Ok((text, hash))
}

/// A new session secret and its hash.
pub fn new_session() -> Result<(Secret, TokenHash), NoRandomness> {
    let text = Secret::new(random_text()?);
    let hash = hash(text.expose());
    Ok((text, hash))
}

/// What the store keeps of a token or session secret.
#[must_use]
pub fn hash(text: &str) -> TokenHash {
    Sha256::digest(text.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_long_recognisable_and_different() {
        let (one, one_hash) = new_token().unwrap();
        let (two, two_hash) = new_token().unwrap();
        assert!(one.expose().starts_with(PREFIX) && one.expose().len() == 47);
        assert!(one != two && one_hash != two_hash);
        assert_eq!(hash(one.expose()), one_hash);
    }
}
