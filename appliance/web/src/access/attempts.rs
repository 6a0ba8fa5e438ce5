//! Attempts to log in with a password, counted before they are checked.
//!
//! Why two tables: an address that guesses is soon slowed down, whoever it guesses at. A login has a
//! much larger bound of its own, for many addresses that guess at one: were it small, two of them could
//! keep a person out, whose own address has done nothing.
//! Invariants: pure, `now` is an argument; both tables are bounded ([`Limiter`]).

use super::limit::{Limiter, Rate};
use base::time::Timestamp;
use std::time::Duration;

/// Ten quick mistakes, then one attempt in six seconds: a person never notices, a guesser gets
/// 14,400 a day.
const OF_ADDRESS: Rate = Rate { burst: 10, every: Duration::from_secs(6) };

/// More than six addresses have to go on without pause to fill it.
const OF_LOGIN: Rate = Rate { burst: 500, every: Duration::from_secs(1) };

/// Characters of a login that count.
const LOGIN_MAX: usize = 64;

/// Both tables.
#[derive(Debug)]
pub(crate) struct Attempts {
    addresses: Limiter,
    logins: Limiter,
}

impl Default for Attempts {
    fn default() -> Self {
        Self { addresses: Limiter::new(OF_ADDRESS), logins: Limiter::new(OF_LOGIN) }
    }
}

impl Attempts {
    /// Counts an attempt, or tells how long to wait. The address first: one that is refused must not
    /// go on to fill the logins of others.
    pub(crate) fn count(
        &mut self,
        login: &str,
        address: &str,
        now: Timestamp,
    ) -> Result<(), Duration> {
        self.addresses.attempt(address, now)?;
        self.logins.attempt(&folded(login), now)
    }

    /// Takes an attempt back: it was a good one.
    pub(crate) fn take_back(&mut self, login: &str, address: &str) {
        self.addresses.take_back(address);
        self.logins.take_back(&folded(login));
    }
}

fn folded(login: &str) -> String {
    login.chars().take(LOGIN_MAX).flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(0);

    #[test]
    fn wrong_passwords_from_elsewhere_keep_nobody_out() {
        let mut attempts = Attempts::default();
        for address in ["10.0.0.1", "10.0.0.2"] {
            while attempts.count("admin", address, NOW).is_ok() {}
            assert!(attempts.count("mira", address, NOW).is_err(), "an address that guesses");
        }
        assert_eq!(attempts.count("admin", "10.0.0.3", NOW), Ok(()));
    }

    #[test]
    fn many_addresses_that_guess_at_one_login_are_slowed_down() {
        let mut attempts = Attempts::default();
        let passed = (0..1000).filter(|n| attempts.count("Admin", &n.to_string(), NOW).is_ok());
        assert_eq!(passed.count(), 500);
        assert!(attempts.count("admin", "x", NOW).is_err());
        assert!(attempts.count("mira", "x", NOW).is_ok());
    }
}
