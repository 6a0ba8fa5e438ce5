//! The disk's patience: how long our own database waits for it.
//!
//! Why a gradient: what is slow depends on the disk. The long average is this disk's own habit,
//! the short one is now; when now is much slower than the habit, less jobs write at once.
//! Source: the form of gradient concurrency limits, but that the gradient shrinks the pull towards
//! more, too: on a small pool that pull alone would hold every slot open.
//! Units: milliseconds of one commit's flush, or of one that is still under way.
//! Invariants: at least one slot; a slower commit never gives more. No commit at all is no news.

use super::{
    Bound, Limiter,
    moment::{Moment, finite, slots, toward},
};

const SHORT_SECONDS: f64 = 10.0;
const LONG_SECONDS: f64 = 600.0;
/// How much slower than its habit a disk may be before it counts.
const TOLERANCE: f64 = 2.0;
/// Faster is never slow, whatever the habit is: nobody who waits for a commit feels it.
const FAST_MILLIS: f64 = 100.0;
/// A habit slower than this is not one to get used to.
const HABIT_MAX_MILLIS: f64 = 250.0;
const GRADIENT_MIN: f64 = 0.5;
/// The pull towards more, in slots.
const HEADROOM: f64 = 1.0;
const MOVE_SECONDS: f64 = 10.0;
/// A commit speaks for the time since the one before it, up to so long: after that nobody writes.
const SILENT_SECONDS: f64 = 10.0;
/// While nobody writes, what was seen fades so fast.
const FADE_SECONDS: f64 = 60.0;

/// The limiter's state.
#[derive(Debug, Clone, Default)]
pub(super) struct IoLimiter {
    /// Seconds since the last commit.
    silent: f64,
    short: Option<f64>,
    long: f64,
    limit: Option<f64>,
}

impl IoLimiter {
    pub(super) fn step(&mut self, flush_millis: Option<f64>, moment: &Moment<'_>) -> Bound {
        let pool = moment.pool();
        let all = f64::from(pool);
        self.silent += moment.seconds;
        if let Some(millis) = finite(flush_millis) {
            self.learn(millis.max(0.0), all);
        } else if self.silent > SILENT_SECONDS {
            // Nobody writes, so that nothing can be too slow.
            self.fade(moment.seconds, all);
        }
        let (Some(short), Some(limit)) = (self.short, self.limit) else {
            return Bound::free(Limiter::Io, pool, "no flush measured");
        };
        let slots = slots(limit - 0.5).clamp(1.min(pool), pool);
        let bound = bound_millis(self.long);
        let opens = if slots < pool && short <= bound { ", opens one by one" } else { "" };
        let reading = format!("flush {short:.0} ms of {bound:.0}, usually {:.0}{opens}", self.long);
        Bound { limiter: Limiter::Io, slots, reading }
    }

    fn learn(&mut self, millis: f64, all: f64) {
        let seconds = std::mem::take(&mut self.silent).min(SILENT_SECONDS);
        let habit = if self.short.is_some() { self.long } else { millis.min(HABIT_MAX_MILLIS) };
        let short = toward(self.short.unwrap_or(millis), millis, seconds, SHORT_SECONDS);
        let gradient = (bound_millis(habit) / short).clamp(GRADIENT_MIN, 1.0);
        let limit = self.limit.unwrap_or(all);
        let wanted = ((limit + HEADROOM) * gradient).clamp(1.0_f64.min(all), all);
        self.limit = Some(toward(limit, wanted, seconds, MOVE_SECONDS));
        self.short = Some(short);
        self.long = toward(habit, millis, seconds, LONG_SECONDS).min(HABIT_MAX_MILLIS);
    }

    fn fade(&mut self, seconds: f64, all: f64) {
        self.limit = self.limit.map(|limit| toward(limit, all, seconds, FADE_SECONDS));
        self.short = self.short.map(|short| toward(short, self.long, seconds, FADE_SECONDS));
    }
}

/// A flush is slow above this, for a disk with this habit.
fn bound_millis(habit: f64) -> f64 {
    (TOLERANCE * habit).max(FAST_MILLIS)
}
