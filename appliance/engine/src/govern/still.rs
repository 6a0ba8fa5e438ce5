//! How often the machine must be looked at.
//!
//! Why: reading every sensor and deciding costs a small box more than all else that it does while
//! nobody asks for anything. Nothing can become too hot, too full or too slow by itself in a few
//! seconds when no job runs and everything is far from its bound, and little in half a minute when
//! that has been so for long. What ends it is not waited for: a trigger or a reader brings the next
//! look at once, news of a network card as well.
//! Invariants: with a job that runs or waits, somebody who looks, traffic, trouble, a battery in use,
//! a limiter that binds or heat within [`HEADROOM_MIN`] of its limit it is every second; it is less
//! only [`CALM`] after the last of them, and least only [`LONG_CALM`] after it, where no mains can be
//! seen to fail.
//! Units: degrees Celsius, bytes a second.

use super::{Governed, STEP};
use base::reading::{Readings, Supply};
use std::time::{Duration, Instant};

/// So long without any reason to look, and looks are [`SELDOM`].
const CALM: Duration = Duration::from_secs(3);

/// The longest time that one step of the law stands for
/// ([`control::governor::STEP_MAX_SECONDS`]).
const SELDOM: Duration = Duration::from_secs(5);

/// So long without any reason to look, and looks are [`RARELY`].
const LONG_CALM: Duration = Duration::from_secs(60);

/// A case heats up by some tenths of a degree in this time.
const RARELY: Duration = Duration::from_secs(30);

/// A case that heats up without jobs takes minutes for this.
const HEADROOM_MIN: f64 = 10.0;

/// Chatter of a network at rest; a clone or an upload is far above it.
const TRAFFIC_MAX: u64 = 64 << 10;

/// Since when there was no reason to look.
#[derive(Debug, Default)]
pub(super) struct Stillness {
    since: Option<Instant>,
}

impl Stillness {
    /// Takes what was decided and how many look at it; the time until the next look.
    pub(super) fn take(&mut self, governed: &Governed, lookers: usize, now: Instant) -> Duration {
        if lookers > 0 || !is_calm(governed) {
            self.since = None;
            return STEP;
        }
        match now.duration_since(*self.since.get_or_insert(now)) {
            long if long >= LONG_CALM && !has_supply(governed) => RARELY,
            calm if calm >= CALM => SELDOM,
            _ => STEP,
        }
    }
}

/// Whether something would tell when the mains fail.
fn has_supply(governed: &Governed) -> bool {
    governed.readings.as_deref().is_some_and(|readings| readings.power.supply.fresh().is_some())
}

fn is_calm(governed: &Governed) -> bool {
    let decision = &governed.decision;
    let is_idle = governed.running == 0 && governed.waiting == 0;
    let is_free = decision.slots == decision.pool
        && decision.network().is_none()
        && decision.quota >= 1.0
        && !decision.pause
        && decision.headroom.is_none_or(|left| left >= HEADROOM_MIN);
    is_idle && is_free && governed.readings.as_deref().is_some_and(is_quiet)
}

fn is_quiet(readings: &Readings) -> bool {
    let traffic = readings.links.iter().map(|link| link.traffic);
    let bytes: u64 = traffic.map(|one| one.rx_bytes_per_s.max(one.tx_bytes_per_s)).sum();
    let on_battery = readings.power.supply.fresh().is_some_and(|supply| *supply != Supply::Mains);
    readings.troubles.is_empty() && bytes <= TRAFFIC_MAX && !on_battery
}

#[cfg(test)]
mod tests {
    use super::*;
    use base::{
        reading::{Reading, Source, Trouble, TroubleKind},
        time::Timestamp,
    };
    use control::governor::Decision;
    use std::sync::Arc;

    fn governed() -> Governed {
        Governed {
            readings: Some(Arc::new(Readings::empty(Timestamp(0)))),
            limit: 80.0,
            decision: Decision::open(4),
            running: 0,
            waiting: 0,
        }
    }

    fn check(reason: &str, change: impl FnOnce(&mut Governed), lookers: usize) {
        let begun = Instant::now();
        let mut stillness = Stillness::default();
        assert_eq!(stillness.take(&governed(), 0, begun), STEP, "{reason}: too early");
        assert_eq!(stillness.take(&governed(), 0, begun + CALM), SELDOM, "{reason}: still");
        let end = begun + LONG_CALM;
        assert_eq!(stillness.take(&governed(), 0, end), RARELY, "{reason}: still for long");
        let mut other = governed();
        change(&mut other);
        assert_eq!(stillness.take(&other, lookers, end), STEP, "{reason}");
        assert_eq!(stillness.take(&governed(), 0, end), STEP, "{reason}: too early after it");
    }

    #[test]
    fn where_the_mains_can_be_seen_to_fail_looks_are_never_rare() {
        let (begun, mut stillness, mut mains) = (Instant::now(), Stillness::default(), governed());
        readings(|one| {
            one.power.supply = Reading::good(Source::new("ups", "supply"), Supply::Mains);
        })(&mut mains);
        assert_eq!(stillness.take(&mains, 0, begun), STEP);
        assert_eq!(stillness.take(&mains, 0, begun + LONG_CALM * 2), SELDOM);
    }

    fn readings(change: impl FnOnce(&mut Readings)) -> impl FnOnce(&mut Governed) {
        move |governed| {
            let mut readings = Readings::empty(Timestamp(0));
            change(&mut readings);
            governed.readings = Some(Arc::new(readings));
        }
    }

    #[test]
    fn every_reason_to_look_ends_stillness() {
        check("a job runs", |one| one.running = 1, 0);
        check("a job waits", |one| one.waiting = 1, 0);
        check("somebody looks", |_| {}, 1);
        check("heat", |one| one.decision.headroom = Some(9.0), 0);
        check("fewer slots", |one| one.decision.slots = 3, 0);
        check("a quota", |one| one.decision.quota = 0.9, 0);
        check("a pause", |one| one.decision.pause = true, 0);
        check("no readings", |one| one.readings = None, 0);
        let battery = |one: &mut Readings| {
            one.power.supply = Reading::good(Source::new("ups", "supply"), Supply::Battery);
        };
        check("a battery", readings(battery), 0);
        let trouble = |one: &mut Readings| {
            one.troubles.push(Trouble {
                kind: TroubleKind::PacketLoss,
                place: "eth0".into(),
                lasted: Duration::ZERO,
                words: "loss".into(),
            });
        };
        check("trouble", readings(trouble), 0);
    }
}
