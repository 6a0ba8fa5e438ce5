//! The first start: an administrator with a one-time password, told once.
//!
//! Invariants: the password is random, kept as a hash, and good for nothing but choosing another;
//! a store that has an account is never touched.

use base::{secret::Secret, time::Timestamp};
use store::{
    Store,
    access::{NewAudit, NewUser, Role},
};

/// Characters that nobody mixes up when reading them from a screen.
const ALPHABET: &[u8] = b"abcdefghjkmnpqrstuvwxyz23456789";

/// Makes the administrator if there is no account yet; returns the password to show.
pub(crate) async fn administrator(store: &Store, now: Timestamp) -> anyhow::Result<Option<Secret>> {
    if !store.read(|reader| reader.user_list()).await?.is_empty() {
        return Ok(None);
    }
    let password = random_password()?;
    let hashed = Secret::new(password.expose());
    let phc = tokio::task::spawn_blocking(move || web::access::password::hash(&hashed)).await?;
    store
        .write(move |txn| {
            let new = NewUser {
                login: "admin".into(),
                name: "Administrator".into(),
                role: Role::Admin,
                password: Some(phc),
                one_time: true,
            };
            txn.user_create(&new, now)?;
            let deed = NewAudit {
                actor: "system".into(),
                action: "user.create".into(),
                subject: "admin".into(),
                ..NewAudit::default()
            };
            txn.audit_append(now, &deed)
        })
        .await?;
    Ok(Some(password))
}

/// Four groups of four: 79 bits, easy to read aloud.
fn random_password() -> anyhow::Result<Secret> {
    let mut bytes = [0; 64];
    getrandom::fill(&mut bytes)
        .map_err(|error| anyhow::anyhow!("no randomness from the system: {error}"))?;
    // Bytes at or above the largest multiple would favour the first letters.
    let fair = u8::MAX - u8::MAX % u8::try_from(ALPHABET.len())?;
    let letters = bytes
        .iter()
        .filter(|byte| **byte < fair)
        .map(|byte| ALPHABET[usize::from(*byte) % ALPHABET.len()] as char);
    let letters: Vec<char> = letters.take(16).collect();
    let groups: Vec<String> = letters.chunks(4).map(|group| group.iter().collect()).collect();
    Ok(Secret::new(groups.join("-")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_have_four_groups_and_differ() {
        let (one, two) = (random_password().unwrap(), random_password().unwrap());
        assert_eq!(one.expose().len(), 19);
        assert!(one != two);
    }
}
