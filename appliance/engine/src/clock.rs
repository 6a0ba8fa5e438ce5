//! The time for rows and leases, and a watch for jumps.
//!
//! Small machines start without a battery-backed clock and are set right later, by hours. Rows
//! carry the wall's time all the same; but a jump must not look like silence of every runner.

use base::time::Timestamp;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// A difference between wall and steady time that no slow machine explains.
const JUMP: Duration = Duration::from_secs(5);

/// The wall's time now.
pub(crate) fn wall() -> Timestamp {
    let micros = |span: Duration| i64::try_from(span.as_micros()).unwrap_or(i64::MAX);
    match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(since) => Timestamp(micros(since)),
        Err(before) => Timestamp(-micros(before.duration())),
    }
}

/// Compares wall and steady time from look to look.
#[derive(Debug)]
pub(crate) struct JumpWatch {
    wall: Timestamp,
    steady: Instant,
}

impl JumpWatch {
    pub(crate) fn new() -> Self {
        Self { wall: wall(), steady: Instant::now() }
    }

    /// Whether the wall's clock was set since the last look.
    pub(crate) fn look(&mut self, now: Timestamp) -> bool {
        let steady = Instant::now();
        let expected = self.wall.plus(steady - self.steady);
        (self.wall, self.steady) = (now, steady);
        now.since(expected) > JUMP || expected.since(now) > JUMP
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_clock_is_noticed_once() {
        let mut watch = JumpWatch::new();
        let now = wall();
        assert!(!watch.look(now));
        let set = now.plus(Duration::from_secs(7200));
        assert!(watch.look(set));
        assert!(!watch.look(set));
        assert!(watch.look(now), "also backwards");
    }
}
