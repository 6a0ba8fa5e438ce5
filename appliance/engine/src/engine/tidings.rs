//! When the governor's word is worth an event.
//!
//! Why not each step: an event is a durable commit, and slots may move with each second of a busy
//! processor. Told are: another limiter binds, none binds any more, jobs stand still or go on, the
//! door is shut or open; within [`SPACING`] only what concerns running jobs.

use base::{event::Event, time::Timestamp};
use control::governor::{Decision, Limiter};
use std::time::Duration;

/// Between two events, unless jobs stop or go on.
const SPACING: Duration = Duration::from_secs(30);

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Word {
    limiter: Option<Limiter>,
    shut: bool,
    paused: bool,
}

/// What was told last.
#[derive(Debug, Default)]
pub(super) struct Tidings {
    told: Word,
    at: Option<Timestamp>,
}

impl Tidings {
    /// The event that this decision deserves.
    pub(super) fn of(&mut self, decision: &Decision, now: Timestamp) -> Option<Event> {
        let bound = decision.binding();
        let word = Word {
            limiter: bound.map(|bound| bound.limiter),
            shut: decision.slots == 0,
            paused: decision.pause,
        };
        let early = self.at.is_some_and(|at| at <= now && now.since(at) < SPACING);
        if word == self.told || (early && word.paused == self.told.paused) {
            return None;
        }
        (self.told, self.at) = (word, Some(now));
        let why = bound.map(|bound| format!("{}, {}", bound.limiter, bound.reading));
        Some(Event::Governed {
            slots: decision.slots,
            pool: decision.pool,
            paused: decision.pause,
            why: why.unwrap_or_default(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use control::governor::Bound;

    #[test]
    fn a_change_is_told_once_and_a_pause_at_once() {
        let bound = |slots| Bound {
            limiter: Limiter::Thermal,
            slots,
            reading: "cpu-thermal 81.2 °C of 80".into(),
        };
        let hot = |slots, pause| Decision {
            slots,
            pause,
            bounds: vec![bound(slots)],
            ..Decision::open(4)
        };
        let at = |second: i64| Timestamp(second * 1_000_000);
        let mut tidings = Tidings::default();
        assert_eq!(tidings.of(&Decision::open(4), at(0)), None, "nothing to tell");
        let Some(Event::Governed { slots: 3, pool: 4, paused: false, why }) =
            tidings.of(&hot(3, false), at(1))
        else {
            panic!("told");
        };
        assert_eq!(why, "thermal, cpu-thermal 81.2 °C of 80");
        assert_eq!(tidings.of(&hot(2, false), at(2)), None, "the same limiter");
        assert!(tidings.of(&hot(0, true), at(3)).is_some(), "a pause is told at once");
        assert!(tidings.of(&hot(1, false), at(4)).is_some(), "and its end");
        assert_eq!(tidings.of(&Decision::open(4), at(5)), None, "too early");
        assert!(tidings.of(&Decision::open(4), at(40)).is_some());
        assert!(tidings.of(&hot(3, false), at(1)).is_some(), "the clock was set back");
    }
}
