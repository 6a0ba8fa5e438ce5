//! New identifiers: version 7, from the time and a seeded generator.
//!
//! The seed is the only randomness of the engine: given the same seed, times and requests it makes
//! the same rows, which is what the simulation replays. Clones share the sequence.

use base::time::Timestamp;
use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};
use uuid::{Builder, Uuid};

/// A source of identifiers.
#[derive(Debug, Clone)]
pub(crate) struct Ids {
    seed: u64,
    count: Arc<AtomicU64>,
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
        Self { seed, count: Arc::default() }
    }

    pub(crate) fn next(&self, now: Timestamp) -> Uuid {
        let count = self.count.fetch_add(1, Ordering::Relaxed);
        let (high, low) =
            (mix(self.seed ^ mix(count)), mix(self.seed.rotate_left(32) ^ mix(!count)));
        let mut random = [0; 10];
        random[..8].copy_from_slice(&high.to_le_bytes());
        random[8..].copy_from_slice(&low.to_le_bytes()[..2]);
        let millis = u64::try_from(now.0 / 1000).unwrap_or(0);
        Builder::from_unix_timestamp_millis(millis, &random).into_uuid()
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
}
