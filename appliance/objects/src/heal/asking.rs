//! When the peer is asked, and what is said of its answers: pure decisions.

use std::time::{Duration, Instant};

/// Between two rounds, at least.
const PAUSE: Duration = Duration::from_secs(60);

/// And at most, however often a peer had nothing.
const PAUSE_MAX: Duration = Duration::from_secs(6 * 3600);

/// What a round did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Asked {
    /// Blobs whose bytes came from the peer.
    pub healed: u64,
    /// Those of which it has other bytes.
    pub other: u64,
    /// Those that it does not have.
    pub absent: u64,
    /// Those that it cannot be asked for: sealed by a client's key, or named by no object.
    pub unasked: u64,
    /// Those for which it did not answer, or refused.
    pub failed: u64,
    /// Why it did, the last time.
    pub reason: Option<String>,
}

/// What is told of a round, without its numbers.
type Kinds = [bool; 4];

impl Asked {
    /// Blobs that stay damaged.
    pub(crate) fn left(&self) -> u64 {
        self.other + self.absent + self.unasked + self.failed
    }

    fn kinds(&self) -> Kinds {
        [self.other, self.absent, self.unasked, self.failed].map(|count| count > 0)
    }
}

/// The state between rounds.
#[derive(Debug)]
pub(super) struct Asking {
    /// When the next round begins; `None` while nothing is damaged.
    pub(super) next: Option<Instant>,
    /// Rounds in a row that healed nothing of what was left.
    fruitless: u32,
    /// The peer answered in the last round.
    answers: bool,
    said: Kinds,
}

impl Asking {
    /// A start asks at once for what earlier runs found.
    pub(super) fn new(now: Instant) -> Self {
        Self { next: Some(now), fruitless: 0, answers: true, said: Kinds::default() }
    }

    /// A round is over; `true` when it has something to be told that was not told before.
    pub(super) fn ended(&mut self, asked: &Asked, now: Instant) -> bool {
        self.answers = asked.failed == 0;
        self.fruitless = if asked.healed > 0 { 0 } else { self.fruitless.saturating_add(1) };
        self.next = (asked.left() > 0).then(|| now + pause(self.fruitless));
        let kinds = asked.kinds();
        std::mem::replace(&mut self.said, kinds) != kinds && asked.left() > 0
    }

    /// Something else was found damaged: a peer that answers is asked soon.
    pub(super) fn news(&mut self, now: Instant) {
        self.next = match self.next {
            None => Some(now),
            Some(next) if self.answers => Some(next.min(now + PAUSE)),
            later => later,
        };
    }
}

fn pause(fruitless: u32) -> Duration {
    (PAUSE * (1 << fruitless.saturating_sub(1).min(16))).min(PAUSE_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nothing() -> Asked {
        Asked::default()
    }

    fn failed() -> Asked {
        Asked { failed: 1, ..nothing() }
    }

    fn absent() -> Asked {
        Asked { absent: 2, ..nothing() }
    }

    /// The pauses in seconds after rounds that went like this; 0 when none follows.
    fn check(rounds: &[Asked], pauses: &[u64]) {
        let now = Instant::now();
        let mut asking = Asking::new(now);
        let pause = |asked| {
            asking.ended(asked, now);
            asking.next.map_or(0, |next| (next - now).as_secs())
        };
        assert_eq!(rounds.iter().map(pause).collect::<Vec<_>>(), pauses);
    }

    #[test]
    fn a_peer_that_does_not_help_is_asked_ever_later_and_one_that_helps_soon_again() {
        check(&[nothing()], &[0]);
        check(&[failed(), failed(), failed()], &[60, 120, 240]);
        check(&[absent(), Asked { healed: 1, ..absent() }, absent()], &[60, 60, 60]);
        check(
            &vec![absent(); 20][..],
            &[&[60, 120, 240, 480, 960, 1920, 3840, 7680, 15360][..], &[21600; 11]].concat(),
        );
    }

    #[test]
    fn news_are_heeded_soon_unless_the_peer_is_away() {
        let (now, minute) = (Instant::now(), Duration::from_secs(60));
        for (round, soonest) in
            [(nothing(), now), (absent(), now + minute), (failed(), now + 8 * minute)]
        {
            let mut asking = Asking::new(now);
            for _ in 0..4 {
                asking.ended(&round, now);
            }
            asking.news(now);
            assert_eq!(asking.next, Some(soonest), "{round:?}");
            asking.news(now + Duration::from_secs(1));
            assert_eq!(asking.next, Some(soonest), "later news put nothing off");
        }
    }

    #[test]
    fn what_stays_damaged_is_told_once_until_it_changes() {
        let now = Instant::now();
        let mut asking = Asking::new(now);
        let more = Asked { absent: 9, healed: 1, ..nothing() };
        let rounds = [nothing(), failed(), failed(), absent(), more, nothing(), absent()];
        let told = rounds.map(|round| asking.ended(&round, now));
        assert_eq!(told, [false, true, false, true, false, false, true]);
    }
}
