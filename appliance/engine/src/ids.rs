//! New identifiers: version 7, from the time and a seeded generator.
//!
//! The seed is the only randomness of the engine: given the same seed, times and requests it makes
//! the same rows, which is what the simulation replays. Clones share the sequence.
//! Invariant: each is greater than all before it, so that what was made later sorts as newer within one
//! millisecond, too, and when the clock goes back, also from one start to the next ([`Ids::follow`]).
//! Twelve bits behind the time count (RFC 9562, 6.2, method 1); who makes more in one millisecond borrows
//! from the next.

use base::time::Timestamp;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use uuid::{Builder, Uuid};

/// Identifiers that are counted within one millisecond.
const COUNTED: u16 = 1 << 12;

/// A source of identifiers.
#[derive(Debug, Clone)]
pub(crate) struct Ids {
    seed: u64,
    last: Arc<Mutex<Last>>,
}

/// What was given out last.
#[derive(Debug, Default)]
struct Last {
    count: u64,
    millis: u64,
    nth: u16,
}

impl Last {
    /// Goes on behind this place, if it is further.
    fn follow(&mut self, millis: u64, nth: u16) {
        (self.millis, self.nth) = (self.millis, self.nth).max((millis, nth));
    }

    /// The place of the next one at this time.
    fn advance(&mut self, millis: u64) -> (u64, u64, u16) {
        if millis > self.millis {
            (self.millis, self.nth) = (millis, 0);
        } else if self.nth + 1 < COUNTED {
            self.nth += 1;
        } else {
            (self.millis, self.nth) = (self.millis + 1, 0);
        }
        self.count += 1;
        (self.count, self.millis, self.nth)
    }
}

/// SplitMix64: every input has its own, well-mixed output. Identifiers are no secrets.
fn mix(value: u64) -> u64 {
    let value = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

impl Ids {
    pub(crate) fn new(seed: u64) -> Self {
        Self { seed, last: Arc::default() }
    }

    fn last(&self) -> MutexGuard<'_, Last> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All that are made from here on are greater than this one, of an earlier run.
    pub(crate) fn follow(&self, known: Uuid) {
        let (high, low, nth, _) = known.as_fields();
        self.last().follow(u64::from(high) << 16 | u64::from(low), nth & (COUNTED - 1));
    }

    pub(crate) fn next(&self, now: Timestamp) -> Uuid {
        let millis = u64::try_from(now.0 / 1000).unwrap_or(0);
        let (count, millis, nth) = self.last().advance(millis);
        let random = mix(self.seed ^ mix(count));
        let mut rest = [0; 10];
        rest[..2].copy_from_slice(&nth.to_be_bytes());
        rest[2..].copy_from_slice(&random.to_le_bytes());
        Builder::from_unix_timestamp_millis(millis, &rest).into_uuid()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_differ_sort_by_time_and_follow_the_seed() {
        let (one, same, other) = (Ids::new(1), Ids::new(1), Ids::new(2));
        let early = one.next(Timestamp(1_000_000));
        let late = one.next(Timestamp(2_000_000));
        assert!(early < late);
        assert_eq!(early, same.next(Timestamp(1_000_000)));
        assert_ne!(early, other.next(Timestamp(1_000_000)));
        assert_eq!(early.get_version_num(), 7);
    }

    /// More than one millisecond counts, at times that stand, go on and go back.
    #[test]
    fn what_is_made_later_is_greater() {
        let ids = Ids::new(7);
        let times = (0..5000).map(|_| 5_000_000).chain([5_001_000, 4_000_000, 9_000_000]);
        let made: Vec<Uuid> = times.map(|at| ids.next(Timestamp(at))).collect();
        assert!(made.is_sorted_by(|a, b| a < b));
        let families: Vec<_> = made.into_iter().map(store::runs::family::workflow).collect();
        assert!(families.is_sorted_by(|a, b| a.0 < b.0), "those of workflows, too");
        let (millis, _) = families.last().unwrap().0.get_timestamp().unwrap().to_unix();
        assert_eq!(millis, 9);
    }

    #[test]
    fn what_is_made_after_a_restart_is_greater_though_the_clock_begins_in_1970() {
        let (before, after) = (Ids::new(7), Ids::new(8));
        let at = Timestamp(1_800_000_000_123_000);
        let made: Vec<Uuid> = (0..3).map(|_| before.next(at)).collect();
        after.follow(made[2]);
        after.follow(made[0]);
        let next = after.next(Timestamp(60_000_000));
        assert!(next > made[2], "{next}");
        assert!(after.next(Timestamp(1_900_000_000_000_000)) > next);
    }
}
