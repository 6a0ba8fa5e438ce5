//! Points in time, and spans on the wire.
//!
//! Why: ring 1 has no clock; it is handed a [`Timestamp`] and compares.
//! Units: microseconds since 1970-01-01T00:00:00Z, so that two events of one millisecond keep
//! their order; printed as ISO 8601 with milliseconds, as API v2 does.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::{fmt, str::FromStr, time::Duration};

/// A point in time, UTC, in microseconds since the epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(pub i64);

/// When this code was written, 2026-11-30: a clock that stands before was not set yet. A board without
/// a battery begins in 1970 until somebody sets its clock.
pub const EARLIEST: Timestamp = Timestamp(1_795_996_800_000_000);

/// A text that is not an ISO 8601 time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a time such as 2026-11-23T19:14:26.000Z")]
pub struct TimeError(String);

impl Timestamp {
    /// The time `span` later; stays at the latest time instead of overflowing.
    #[must_use]
    pub fn plus(self, span: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(span.as_micros()).unwrap_or(i64::MAX)))
    }

    /// The span since `earlier`; zero when the clock ran backwards.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// Whether this may be the time of something past, if it is `now`: not that of a clock which was
    /// ahead, nor, unless the clock is not set now either, of one which was not set.
    #[must_use]
    pub fn is_credible(self, now: Self) -> bool {
        self <= now && (self >= EARLIEST || now < EARLIEST)
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_microsecond(self.0) {
            Ok(at) => write!(f, "{at:.3}"),
            Err(_) => write!(f, "{} µs", self.0),
        }
    }
}

impl FromStr for Timestamp {
    type Err = TimeError;
    fn from_str(text: &str) -> Result<Self, TimeError> {
        text.parse::<jiff::Timestamp>()
            .map(|at| Self(at.as_microsecond()))
            .map_err(|_| TimeError(text.chars().take(64).collect()))
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from)?.parse().map_err(serde::de::Error::custom)
    }
}

/// `#[serde(with = "base::time::millis")]` for a `Duration` in whole milliseconds.
pub mod millis {
    use super::{Deserialize, Deserializer, Duration, Serializer};

    /// Writes whole milliseconds.
    pub fn serialize<S: Serializer>(span: &Duration, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_u64(u64::try_from(span.as_millis()).unwrap_or(u64::MAX))
    }

    /// Reads whole milliseconds.
    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
        u64::deserialize(from).map(Duration::from_millis)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_and_reads_iso_8601_with_milliseconds() {
        let at: Timestamp = "2026-11-23T19:14:26.123Z".parse().unwrap();
        assert_eq!(at.to_string(), "2026-11-23T19:14:26.123Z");
    }

    fn check(at: Timestamp, now: Timestamp, expected: bool) {
        assert_eq!(at.is_credible(now), expected, "{at} at {now}");
    }

    #[test]
    fn times_of_a_clock_that_was_ahead_or_not_set_are_not_believed() {
        let (now, day) =
            (EARLIEST.plus(Duration::from_secs(9 * 86_400)), Timestamp(86_400_000_000));
        check(EARLIEST, now, true);
        check(now, now, true);
        check(now.plus(Duration::from_secs(1)), now, false);
        check(day, now, false);
        check(day, Timestamp(2 * day.0), true);
        check(Timestamp(2 * day.0), day, false);
    }

    #[test]
    fn a_clock_that_ran_backwards_gives_no_span() {
        assert_eq!(Timestamp(5).since(Timestamp(9)), Duration::ZERO);
    }
}
