//! How often somebody may try: a bounded table of leaky buckets.
//!
//! Why: a password is guessed by trying often. Each key (an address, a login) has a bucket that
//! every attempt fills by one and time empties; a full bucket refuses and says for how long.
//! Invariants: pure, `now` is an argument; at most [`KEYS_MAX`] keys. When the table is full the
//! emptiest bucket goes first: one that an attacker filled stays.
//! Units: seconds in the answers, microseconds inside.

use base::time::Timestamp;
use std::{collections::HashMap, time::Duration};

/// Keys remembered at once: about 400 KiB at the worst, more addresses than a site has machines.
pub(crate) const KEYS_MAX: usize = 4096;

/// How a bucket behaves.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rate {
    /// Attempts at once.
    pub burst: u32,
    /// Time in which one attempt is forgotten.
    pub every: Duration,
}

#[derive(Debug, Clone, Copy)]
struct Bucket {
    /// When the bucket will be empty.
    empty_at: Timestamp,
}

/// The table.
#[derive(Debug)]
pub(crate) struct Limiter {
    rate: Rate,
    buckets: HashMap<String, Bucket>,
}

impl Limiter {
    /// An empty table.
    #[must_use]
    pub(crate) fn new(rate: Rate) -> Self {
        Self { rate, buckets: HashMap::new() }
    }

    /// Counts an attempt, or tells how long to wait.
    pub(crate) fn attempt(&mut self, key: &str, now: Timestamp) -> Result<(), Duration> {
        // A bucket that is twice as full as can be was filled before the clock was set back.
        let brim = now.plus(self.rate.every * self.rate.burst * 2);
        let known = self.buckets.get(key).filter(|bucket| bucket.empty_at <= brim);
        let start = known.map_or(now, |bucket| bucket.empty_at.max(now));
        let fill = start.since(now);
        let room = self.rate.every * self.rate.burst.saturating_sub(1);
        if fill > room {
            return Err(fill.saturating_sub(room));
        }
        self.make_room(key, now);
        let bucket = Bucket { empty_at: start.plus(self.rate.every) };
        self.buckets.insert(key.to_owned(), bucket);
        Ok(())
    }

    /// Takes an attempt back: it was a good one. Earlier bad ones stay counted, so that somebody
    /// with one account cannot guess at another without end.
    pub(crate) fn take_back(&mut self, key: &str) {
        if let Some(bucket) = self.buckets.get_mut(key) {
            let every = i64::try_from(self.rate.every.as_micros()).unwrap_or(i64::MAX);
            bucket.empty_at = Timestamp(bucket.empty_at.0.saturating_sub(every));
        }
    }

    fn make_room(&mut self, key: &str, now: Timestamp) {
        if self.buckets.len() < KEYS_MAX || self.buckets.contains_key(key) {
            return;
        }
        self.buckets.retain(|_, bucket| bucket.empty_at > now);
        if self.buckets.len() < KEYS_MAX {
            return;
        }
        let emptiest = self.buckets.iter().min_by_key(|(_, bucket)| bucket.empty_at);
        if let Some(key) = emptiest.map(|(key, _)| key.clone()) {
            self.buckets.remove(&key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: Rate = Rate { burst: 3, every: Duration::from_secs(10) };

    fn at(seconds: i64) -> Timestamp {
        Timestamp(seconds * 1_000_000)
    }

    /// Attempts of one key at these seconds; `.` passes, `x` is refused.
    fn check(attempts: &[i64], expected: &str) {
        let mut limiter = Limiter::new(RATE);
        let seen: String = attempts
            .iter()
            .map(|&second| if limiter.attempt("a", at(second)).is_ok() { '.' } else { 'x' })
            .collect();
        assert_eq!(seen, expected, "{attempts:?}");
    }

    #[test]
    fn a_burst_passes_and_then_one_per_interval() {
        check(&[0, 0, 0, 0], "...x");
        check(&[0, 0, 0, 9, 10, 11], "...x.x");
        check(&[0, 0, 0, 60, 60, 60, 60], "......x");
    }

    #[test]
    fn a_clock_that_is_set_back_locks_nobody_out_for_long() {
        check(&[9000, 9000, 9000, 0, 0, 0, 0], "......x");
        check(&[9, 9, 9, 8], "...x");
    }

    #[test]
    fn the_refusal_says_how_long_to_wait() {
        let mut limiter = Limiter::new(RATE);
        for _ in 0..3 {
            limiter.attempt("a", at(0)).unwrap();
        }
        assert_eq!(limiter.attempt("a", at(4)), Err(Duration::from_secs(6)));
        limiter.attempt("a", at(10)).unwrap();
    }

    #[test]
    fn keys_are_counted_apart_and_a_good_attempt_is_taken_back() {
        let mut limiter = Limiter::new(RATE);
        for _ in 0..3 {
            limiter.attempt("a", at(0)).unwrap();
        }
        limiter.attempt("b", at(0)).unwrap();
        limiter.take_back("a");
        limiter.attempt("a", at(0)).unwrap();
        assert!(limiter.attempt("a", at(0)).is_err());
    }

    #[test]
    fn the_table_is_bounded_and_keeps_the_fullest() {
        let mut limiter = Limiter::new(RATE);
        for _ in 0..3 {
            limiter.attempt("attacker", at(0)).unwrap();
        }
        for n in 0..2 * KEYS_MAX {
            limiter.attempt(&n.to_string(), at(0)).unwrap();
        }
        assert!(limiter.buckets.len() <= KEYS_MAX);
        assert!(limiter.attempt("attacker", at(0)).is_err());
    }
}
