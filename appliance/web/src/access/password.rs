//! Passwords: made, hashed and checked with Argon2id.
//!
//! Why off the async threads: one check takes some tens of milliseconds of a core and 19 MiB, so
//! at most [`CHECKS_AT_ONCE`] run, on the blocking pool; the rest wait in line.
//! Source: OWASP's first Argon2id setting (19 MiB, 2 passes, 1 lane).

use argon2::{
    Argon2,
    password_hash::{PasswordHasher, PasswordVerifier, phc::PasswordHash},
};
use base::secret::Secret;
use tokio::sync::Semaphore;

/// 38 MiB for an instant is what a small machine can spare.
const CHECKS_AT_ONCE: usize = 2;

/// Shorter ones are guessed offline from a stolen hash.
pub const LENGTH_MIN: usize = 10;

/// Longer ones only cost time.
pub const LENGTH_MAX: usize = 256;

/// Characters that nobody mixes up when reading them from a screen.
const ALPHABET: &[u8] = b"abcdefghjkmnpqrstuvwxyz23456789";
const GROUPS: usize = 4;
const GROUP: usize = 4;

/// A new password was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Weak {
    /// Too short.
    #[error("the password is too short: use at least {LENGTH_MIN} characters")]
    Short,
    /// Too long.
    #[error("the password is too long: use at most {LENGTH_MAX} characters")]
    Long,
    /// The old one again, or the login.
    #[error("the new password must differ from the old one and from the login")]
    Same,
}

/// Is `new` good enough for `login`, whose password is `old`?
pub fn judge(login: &str, old: &Secret, new: &Secret) -> Result<(), Weak> {
    match new.expose() {
        text if text.chars().count() < LENGTH_MIN => Err(Weak::Short),
        text if text.len() > LENGTH_MAX => Err(Weak::Long),
        text if text == old.expose() || text.eq_ignore_ascii_case(login) => Err(Weak::Same),
        _ => Ok(()),
    }
}

/// A password for one time: four groups of four, 79 bits, easy to read aloud.
///
/// # Errors
/// The kernel gave no randomness.
pub fn one_time() -> Result<Secret, getrandom::Error> {
    // Bytes at or above the largest multiple would favour the first letters.
    let fair = usize::from(u8::MAX) / ALPHABET.len() * ALPHABET.len();
    let mut letters = Vec::with_capacity(GROUPS * GROUP);
    while letters.len() < GROUPS * GROUP {
        let mut bytes = [0; 2 * GROUPS * GROUP];
        getrandom::fill(&mut bytes)?;
        let drawn = bytes.iter().map(|byte| usize::from(*byte)).filter(|byte| *byte < fair);
        letters.extend(drawn.map(|byte| char::from(ALPHABET[byte % ALPHABET.len()])));
    }
    let groups = letters[..GROUPS * GROUP].chunks(GROUP).map(String::from_iter);
    Ok(Secret::new(groups.collect::<Vec<_>>().join("-")))
}

/// A PHC text with its own salt. Takes tens of milliseconds: call it off the async threads.
///
/// # Panics
/// Never in practice: the setting is valid and the kernel gives randomness.
#[must_use]
pub fn hash(password: &Secret) -> String {
    Argon2::default()
        .hash_password(password.expose().as_bytes())
        .expect("the default setting is valid and randomness is there")
        .to_string()
}

/// Does `password` fit the PHC text? Takes tens of milliseconds.
#[must_use]
pub fn fits(password: &Secret, phc: &str) -> bool {
    PasswordHash::new(phc).is_ok_and(|parsed| {
        Argon2::default().verify_password(password.expose().as_bytes(), &parsed).is_ok()
    })
}

/// Checked against when a login does not exist, so that the answer takes as long. Nobody knows a
/// password for these bytes.
const DECOY: &str = "$argon2id$v=19$m=19456,t=2,p=1$bm9ib2R5IGtub3dzIGl0$\
ZGVjb3lkZWNveWRlY295ZGVjb3lkZWNveWRlY295ISE";

/// Hashes and checks in a bounded number of blocking threads.
#[derive(Debug)]
pub struct Checker {
    at_once: Semaphore,
}

impl Default for Checker {
    fn default() -> Self {
        Self { at_once: Semaphore::new(CHECKS_AT_ONCE) }
    }
}

impl Checker {
    /// Does `password` fit `phc`? `None` takes as long and never fits.
    pub async fn fits(&self, password: Secret, phc: Option<String>) -> bool {
        let known = phc.is_some();
        let phc = phc.unwrap_or_else(|| DECOY.to_owned());
        self.run(move || fits(&password, &phc)).await && known
    }

    /// Hashes a new password.
    pub async fn hash(&self, password: Secret) -> String {
        self.run(move || hash(&password)).await
    }

    async fn run<R: Send + 'static>(&self, work: impl FnOnce() -> R + Send + 'static) -> R {
        let _permit = self.at_once.acquire().await.expect("never closed");
        tokio::task::spawn_blocking(work).await.expect("hashing does not panic")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(new: &str, expected: &Result<(), Weak>) {
        let old = Secret::new("one-time-word");
        assert_eq!(&judge("field-engineer", &old, &Secret::new(new)), expected, "{new}");
    }

    #[test]
    fn passwords_for_one_time_have_four_groups_and_differ() {
        let (one, two) = (one_time().unwrap(), one_time().unwrap());
        assert!(one.expose().split('-').all(|group| group.len() == GROUP), "{}", one.expose());
        assert_eq!(one.expose().len(), 19);
        assert!(one != two);
    }

    #[test]
    fn weak_passwords_are_refused_with_the_reason() {
        check("correct horse battery", &Ok(()));
        check("ürgüßlich!", &Ok(()));
        check("123456789", &Err(Weak::Short));
        check(&"x".repeat(257), &Err(Weak::Long));
        check("one-time-word", &Err(Weak::Same));
        check("Field-Engineer", &Err(Weak::Same));
    }

    #[tokio::test]
    async fn only_the_right_password_fits() {
        let checker = Checker::default();
        let phc = checker.hash(Secret::new("correct horse")).await;
        assert!(phc.starts_with("$argon2id$"));
        assert!(checker.fits(Secret::new("correct horse"), Some(phc.clone())).await);
        assert!(!checker.fits(Secret::new("wrong horse"), Some(phc)).await);
        assert!(!checker.fits(Secret::new("x"), Some("not a hash".into())).await);
        assert!(!checker.fits(Secret::new("correct horse"), None).await);
    }

    #[test]
    fn the_decoy_costs_as_much_as_a_real_hash() {
        let decoy = PasswordHash::new(DECOY).expect("a valid PHC text");
        let real = hash(&Secret::new("correct horse"));
        let real = PasswordHash::new(&real).expect("just made");
        assert_eq!(decoy.params, real.params);
        assert_eq!(decoy.hash.map(|h| h.len()), real.hash.map(|h| h.len()));
    }
}
