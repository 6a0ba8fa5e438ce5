//! The time for rows and leases, and a watch for a wall's clock that is set, stands or lags.
//!
//! Small machines start without a battery-backed clock and are set right later, by hours. Rows
//! carry the wall's time all the same; but a jump must not look like silence of every runner, and one that
//! stands still must not keep the leases of runners that are gone.

use base::time::Timestamp;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// A difference between wall and steady time that no slow machine explains.
const JUMP: Duration = Duration::from_secs(5);

/// The wall's clock is this far behind before that counts.
const LAG: Duration = Duration::from_secs(1);

/// The wall's time now.
pub(crate) fn wall() -> Timestamp {
    let micros = |span: Duration| i64::try_from(span.as_micros()).unwrap_or(i64::MAX);
    match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(since) => Timestamp(micros(since)),
        Err(before) => Timestamp(-micros(before.duration())),
    }
}

/// How the wall's clock went since the last looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Course {
    /// As the steady one.
    Steady,
    /// It was set ahead, or the machine slept.
    Ahead,
    /// It was set back, stood or went too slowly: so much less than the steady one.
    Behind(Duration),
}

/// Compares wall and steady time from look to look.
#[derive(Debug)]
pub(crate) struct ClockWatch {
    wall: Timestamp,
    steady: Instant,
}

impl ClockWatch {
    pub(crate) fn new() -> Self {
        Self { wall: wall(), steady: Instant::now() }
    }

    /// How the wall's clock went, which shows `now`.
    pub(crate) fn look(&mut self, now: Timestamp) -> Course {
        self.judge(now, Instant::now())
    }

    /// A small lag stays in sight: looks come often, and each sees only a little of a clock that stands.
    fn judge(&mut self, now: Timestamp, steady: Instant) -> Course {
        let expected = self.wall.plus(steady - self.steady);
        let (ahead, behind) = (now.since(expected), expected.since(now));
        if behind.is_zero() || behind > LAG {
            (self.wall, self.steady) = (now, steady);
        }
        match () {
            () if ahead > JUMP => Course::Ahead,
            () if behind > LAG => Course::Behind(behind),
            () => Course::Steady,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_clock_is_noticed_once() {
        let mut watch = ClockWatch::new();
        let (start, hours) = (watch.steady, Duration::from_secs(7200));
        let (now, set) = (watch.wall, watch.wall.plus(hours));
        assert_eq!(watch.judge(now, start), Course::Steady);
        assert_eq!(watch.judge(set, start), Course::Ahead);
        assert_eq!(watch.judge(set, start), Course::Steady);
        assert_eq!(watch.judge(now, start), Course::Behind(hours), "also backwards");
        assert_eq!(watch.judge(now, start), Course::Steady);
    }

    #[test]
    fn a_clock_that_stands_is_noticed_however_often_it_is_looked_at() {
        let mut watch = ClockWatch::new();
        let (now, start) = (watch.wall, watch.steady);
        let lost = (1..=60_000).filter_map(|millis| {
            match watch.judge(now, start + Duration::from_millis(millis)) {
                Course::Behind(lost) => Some(lost),
                Course::Steady => None,
                Course::Ahead => panic!("it stands"),
            }
        });
        let lost: Duration = lost.sum();
        assert!(lost > Duration::from_secs(58) && lost <= Duration::from_secs(60), "{lost:?}");
    }
}
