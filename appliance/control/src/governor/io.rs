//! The disk's patience: how long our own database waits for it.
//!
//! Why a gradient: what is slow depends on the disk. The long average is this disk's own habit,
//! the short one is now; when now is much slower than the habit, less jobs write at once.
//! Source: the form of gradient concurrency limits. Units: milliseconds of one commit's flush.
//! Invariants: at least one slot; a slower commit never gives more. No commit at all is no news.

use super::{
    Bound, Limiter,
    moment::{Moment, finite, slots, toward},
};

const SHORT_SECONDS: f64 = 10.0;
const LONG_SECONDS: f64 = 600.0;
/// How much slower than its habit a disk may be before it counts.
const TOLERANCE: f64 = 2.0;
/// Faster is never slow, whatever the habit is.
const FAST_MILLIS: f64 = 20.0;
/// A habit slower than this is not one to get used to.
const HABIT_MAX_MILLIS: f64 = 250.0;
const GRADIENT_MIN: f64 = 0.5;
/// The pull towards more, in slots.
const HEADROOM: f64 = 1.0;
const MOVE_SECONDS: f64 = 10.0;

/// The limiter's state.
#[derive(Debug, Clone, Default)]
pub(super) struct IoLimiter {
    short: Option<f64>,
    long: f64,
    limit: Option<f64>,
}

impl IoLimiter {
    pub(super) fn step(&mut self, flush_millis: Option<f64>, moment: &Moment<'_>) -> Bound {
        let pool = moment.pool();
        let all = f64::from(pool);
        if let Some(millis) = finite(flush_millis) {
            self.learn(millis.max(0.0), moment, all);
        } else if let Some(limit) = self.limit {
            // Nobody writes, so that nothing can be too slow.
            self.limit = Some(toward(limit, all, moment.seconds, 6.0 * MOVE_SECONDS));
        }
        let (Some(short), Some(limit)) = (self.short, self.limit) else {
            return Bound::free(Limiter::Io, pool, "no flush measured");
        };
        let reading = format!("flush {short:.0} ms, usually {:.0}", self.long);
        Bound { limiter: Limiter::Io, slots: slots(limit - 0.05).clamp(1.min(pool), pool), reading }
    }

    fn learn(&mut self, millis: f64, moment: &Moment<'_>, all: f64) {
        let habit = if self.short.is_some() { self.long } else { millis.min(HABIT_MAX_MILLIS) };
        let short = toward(self.short.unwrap_or(millis), millis, moment.seconds, SHORT_SECONDS);
        let gradient = if short <= FAST_MILLIS {
            1.0
        } else {
            (TOLERANCE * habit.max(FAST_MILLIS / TOLERANCE) / short).clamp(GRADIENT_MIN, 1.0)
        };
        let limit = self.limit.unwrap_or(all);
        let wanted = (limit * gradient + HEADROOM).clamp(1.0, all);
        self.limit = Some(toward(limit, wanted, moment.seconds, MOVE_SECONDS));
        self.short = Some(short);
        self.long = toward(habit, millis, moment.seconds, LONG_SECONDS).min(HABIT_MAX_MILLIS);
    }
}
