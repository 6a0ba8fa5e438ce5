//! When an address was fetched and what came: beside the copy, so that a later compilation knows
//! whether to ask again.
//!
//! A copy without a record was brought by hand, and is never fetched. Units: microseconds since
//! 1970, SHA-256 in hexadecimal.

use base::time::Timestamp;
use sha2::{Digest, Sha256};
use std::{fmt, fmt::Write as _, str::FromStr, time::Duration};

/// How long a copy is used without asking again, as on the original service.
const FRESH: Duration = Duration::from_secs(300);

/// One line: time and digest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Record {
    at: Timestamp,
    digest: String,
}

impl Record {
    pub(crate) fn new(text: &str, now: Timestamp) -> Self {
        let mut digest = String::with_capacity(64);
        for byte in Sha256::digest(text.as_bytes()) {
            let _ = write!(digest, "{byte:02x}");
        }
        Self { at: now, digest }
    }

    /// Whether the copy is the one that was fetched, and less than five minutes old. A clock that
    /// went back makes it old.
    pub(crate) fn is_fresh(&self, text: &str, now: Timestamp) -> bool {
        let is_young = now >= self.at && now.since(self.at) < FRESH;
        is_young && Self::new(text, self.at) == *self
    }
}

impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} sha256:{}", self.at.0, self.digest)
    }
}

impl FromStr for Record {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (at, digest) = text.trim().split_once(" sha256:").ok_or(())?;
        Ok(Self { at: Timestamp(at.parse().map_err(|_| ())?), digest: digest.into() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, after: i64, fresh: bool) {
        let start = 1_700_000_000_000_000;
        let record: Record = Record::new("a", Timestamp(start)).to_string().parse().unwrap();
        let now = Timestamp(start + after * 1_000_000);
        assert_eq!(record.is_fresh(text, now), fresh, "{text} after {after} s");
    }

    #[test]
    fn a_copy_is_fresh_for_five_minutes() {
        check("a", 0, true);
        check("a", 299, true);
        check("a", 300, false);
        check("a", -1, false);
        check("b", 1, false);
    }

    #[test]
    fn a_record_that_was_cut_is_none() {
        assert!("".parse::<Record>().is_err() && "17 sha256".parse::<Record>().is_err());
    }
}
