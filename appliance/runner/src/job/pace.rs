//! Keeping one job to the pace of its host.
//!
//! Why by demand: a share of the processor means nothing to a job that uses half of it anyway; what
//! is shared out is what the job uses when nobody limits it. That is learned while it runs free.
//! Invariants: a job that is to stop is never held still; a pause that is asked for before the
//! sandbox stands begins with it. Units: thousandths of a core.

use super::{Job, Order};
use crate::{control_plane::ControlPlane, supervised::Gone, supervisor::wire::Request};
use base::protocol::Pace;
use std::time::Duration;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};

/// How often a job's use is measured.
const MEASURE: Duration = Duration::from_secs(2);

/// A job that is just beginning is taken to want so much of a core.
const DEMAND_MIN: f64 = 0.3;

/// Less would not let a job answer.
const QUOTA_MIN_MILLIS: u32 = 20;

/// A quota of which less is used does not bind.
const BINDS: f64 = 0.8;

/// Part of the way to the newest measure.
const LEARN: f64 = 0.5;

/// What a job asks of the processor, in cores.
#[derive(Debug, Clone, Default)]
struct Demand {
    cores: f64,
    before: Option<(Duration, Instant)>,
    limit: Option<f64>,
}

impl Demand {
    /// Learns from the CPU time used by `at`, unless a limit was in the way.
    fn learn(&mut self, used: Duration, at: Instant) {
        let Some((before, then)) = self.before.replace((used, at)) else { return };
        let span = at.saturating_duration_since(then).as_secs_f64();
        if span <= 0.0 {
            return;
        }
        let cores = used.saturating_sub(before).as_secs_f64() / span;
        match self.limit {
            Some(limit) if cores >= BINDS * limit => {}
            _ => self.cores += LEARN * (cores - self.cores),
        }
    }

    /// A view that changed for another reason repeats an old measure, which tells nothing.
    fn learn_new(&mut self, used: Duration) {
        if self.before.is_none_or(|(before, _)| before != used) {
            self.learn(used, Instant::now());
        }
    }

    /// The limit for a share of it, in thousandths of a core.
    fn limit(&mut self, quota: u32) -> Option<u32> {
        if quota >= Pace::FULL {
            self.limit = None;
            return None;
        }
        let cores = self.cores.max(DEMAND_MIN) * f64::from(quota) / f64::from(Pace::FULL);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "few cores")]
        let millis = ((cores * 1000.0) as u32).max(QUOTA_MIN_MILLIS);
        self.limit = Some(f64::from(millis) / 1000.0);
        Some(millis)
    }
}

impl<C: ControlPlane> Job<C> {
    /// Follows the pace of the host; ends with the supervisor.
    pub(super) async fn keep_pace(&self) {
        let mut pace = self.host.pace.subscribe();
        let mut orders = self.orders.clone();
        let mut view = self.supervised.changes();
        let mut ticks = interval(MEASURE);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut demand = Demand::default();
        let mut set = None;
        loop {
            let now = pace.borrow_and_update().clone();
            if self.apply_pace(&now, &mut demand, &mut set).await.is_err() {
                return;
            }
            tokio::select! {
                changed = pace.changed() => if changed.is_err() { return },
                _ = orders.changed() => {}
                changed = view.changed() => if changed.is_err() { return },
                _ = ticks.tick() => if self.supervised.ask(&Request::Measure).await.is_err() { return },
            }
        }
    }

    /// Completes after `span`, in which time that the job stands still does not count.
    pub(super) async fn unpaused(&self, span: Duration) {
        let mut view = self.supervised.changes();
        let mut left = span;
        loop {
            let begun = Instant::now();
            if view.borrow_and_update().frozen {
                if view.changed().await.is_err() {
                    return;
                }
                continue;
            }
            tokio::select! {
                () = sleep(left) => return,
                changed = view.changed() => {
                    left = left.saturating_sub(begun.elapsed());
                    if changed.is_err() {
                        return sleep(left).await;
                    }
                }
            }
        }
    }

    async fn apply_pace(
        &self,
        pace: &Pace,
        demand: &mut Demand,
        set: &mut Option<u32>,
    ) -> Result<(), Gone> {
        let view = self.supervised.view();
        let pause = pace.pause && *self.orders.borrow() == Order::Run;
        if pause && !view.frozen {
            let why = pace.why.clone();
            self.supervised.ask(&Request::Freeze { why }).await?;
        } else if !pause && view.frozen {
            self.supervised.ask(&Request::Thaw).await?;
        }
        if view.frozen {
            // Standing still is no wish of the job's.
            demand.before = None;
        } else if let Some(used) = view.used.and_then(|used| used.cpu) {
            demand.learn_new(used);
        }
        let limit = demand.limit(pace.quota);
        if limit != *set {
            *set = limit;
            self.supervised.ask(&Request::Cpu { millis: limit }).await?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(steps: &[(u64, u32)]) -> Option<u32> {
        let (mut demand, begun) = (Demand::default(), Instant::now());
        let mut limit = None;
        for (second, (millis, quota)) in (1_u64..).zip(steps) {
            demand.learn(Duration::from_millis(*millis), begun + Duration::from_secs(second));
            limit = demand.limit(*quota);
        }
        limit
    }

    fn check(steps: &[(u64, u32)], expected: Option<u32>) {
        assert_eq!(after(steps), expected);
    }

    #[test]
    fn a_share_is_of_what_a_job_uses_when_it_is_free() {
        let free: Vec<(u64, u32)> = (0..20).map(|second| (second * 2000, 1000)).collect();
        check(&free, None);
        let mut throttled = free;
        throttled.push((40_000, 500));
        let limit = after(&throttled).expect("limited");
        assert!((995..=1000).contains(&limit), "half of two cores, not {limit}");
        // Bound by the limit, it uses less; that is not taken for its wish.
        throttled.extend((1..10).map(|second| (40_000 + second * 1000, 500)));
        assert_eq!(after(&throttled), Some(limit));
    }

    #[test]
    fn a_job_that_begins_gets_something() {
        check(&[(0, 100)], Some(30));
        check(&[(0, 1)], Some(QUOTA_MIN_MILLIS));
    }
}
