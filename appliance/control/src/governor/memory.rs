//! Memory: pressure first, free bytes second.
//!
//! ```text
//!  Free ──► Held (no new jobs) ──► shrinks by one slot each quarter of a minute
//!    ▲        │ a minute below half of every threshold
//!    └────────┘ one slot each quarter of a minute
//! ```
//!
//! Pressure counts only while memory is scarce: a job at its own limit, or a kernel that reclaims
//! ahead of need, stalls tasks with gigabytes to spare, and holding jobs back would not help them.
//!
//! Source of the thresholds: pressure stall information, averages of ten seconds.

use super::{
    Bound, Limiter,
    moment::{Moment, Presence},
};
use base::units::Bytes;

/// What is known of memory.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Memory {
    /// What could be used without swapping.
    pub available: Bytes,
    /// All there is.
    pub total: Bytes,
    /// Share of time (percent, over ten seconds) in which some task waited for memory; `None`
    /// on kernels without pressure stall information.
    pub some: Option<f64>,
    /// The same for all tasks at once.
    pub full: Option<f64>,
}

const SOME_HOLD: f64 = 10.0;
const FULL_HOLD: f64 = 1.0;
const SOME_SHRINK: f64 = 25.0;
const FULL_SHRINK: f64 = 5.0;
const SHRINK_SECONDS: f64 = 15.0;
const RECOVER_SECONDS: f64 = 60.0;
/// Half of every threshold.
const CALM: f64 = 0.5;
/// Below this no job starts, whatever the share is.
const AVAILABLE_MIN: Bytes = Bytes::mib(256);
/// Memory is scarce when less than one part in so many is available.
const SCARCE_PART: u64 = 4;

impl Memory {
    /// Bytes that no job may take: a tenth, at least 256 MiB, on small boxes at most a quarter.
    #[must_use]
    pub fn reserve(&self) -> Bytes {
        Bytes((self.total.0 / 10).max(AVAILABLE_MIN.0.min(self.total.0 / 4)))
    }

    fn is_scarce(&self) -> bool {
        self.available.0 < self.total.0 / SCARCE_PART
    }

    /// How bad it is: 1 at the threshold of holding; and the text for people.
    fn badness(&self) -> (f64, String) {
        let share = |value: Option<f64>, hold: f64| {
            value.filter(|one| one.is_finite() && self.is_scarce()).unwrap_or(0.0) / hold
        };
        let (some, full) = (share(self.some, SOME_HOLD), share(self.full, FULL_HOLD));
        #[expect(clippy::cast_precision_loss, reason = "a ratio")]
        let room = self.reserve().0 as f64 / (self.available.0 as f64).max(1.0);
        let text = if room >= some.max(full) {
            format!("{} available of at least {}", self.available, self.reserve())
        } else if some >= full {
            format!("memory pressure some {:.1} % of {SOME_HOLD}", some * SOME_HOLD)
        } else {
            format!("memory pressure full {:.1} % of {FULL_HOLD}", full * FULL_HOLD)
        };
        (some.max(full).max(room), text)
    }

    fn must_shrink(&self) -> bool {
        self.is_scarce()
            && (self.some.is_some_and(|one| one > SOME_SHRINK)
                || self.full.is_some_and(|one| one > FULL_SHRINK))
    }
}

/// The limiter's state.
#[derive(Debug, Clone, Default)]
pub(super) struct MemoryLimiter {
    /// `None` while nothing is held.
    slots: Option<u32>,
    shrink_seconds: f64,
    calm_seconds: f64,
    presence: Presence,
    last: Option<Memory>,
}

impl MemoryLimiter {
    pub(super) fn step(&mut self, memory: Option<Memory>, moment: &Moment<'_>) -> Bound {
        let lost = self.presence.is_lost(memory.is_some(), moment.seconds);
        self.last = memory.or(self.last);
        let pool = moment.pool();
        let Some(known) = self.last else {
            return Bound::free(Limiter::Memory, pool, "not measured");
        };
        let (badness, reading) = known.badness();
        self.hold(badness, known.must_shrink(), moment);
        let slots = self.slots.unwrap_or(pool).min(pool);
        if lost {
            return Bound::lost(Limiter::Memory, slots.min(moment.safe()), "memory");
        }
        Bound { limiter: Limiter::Memory, slots, reading: reading + &self.recovery(badness) }
    }

    /// Why less is allowed than the reading alone would tell; empty while it would not.
    fn recovery(&self, badness: f64) -> String {
        match self.slots {
            Some(_) if badness < CALM => {
                let left = RECOVER_SECONDS - self.calm_seconds;
                format!(", is well again, opens by one in {left:.0} s")
            }
            Some(_) if badness <= 1.0 => {
                ", opens at twice that room, or half of that pressure".into()
            }
            _ => String::new(),
        }
    }

    fn hold(&mut self, badness: f64, must_shrink: bool, moment: &Moment<'_>) {
        let pool = moment.pool();
        if badness > 1.0 {
            let now = self.slots.unwrap_or(pool);
            // No new jobs: not more than run now.
            self.slots = Some(now.min(moment.running));
            self.calm_seconds = 0.0;
        } else {
            self.calm_seconds =
                if badness < CALM { self.calm_seconds + moment.seconds } else { 0.0 };
        }
        self.shrink_seconds = if must_shrink { self.shrink_seconds + moment.seconds } else { 0.0 };
        if self.shrink_seconds >= SHRINK_SECONDS {
            self.shrink_seconds = 0.0;
            let now = self.slots.unwrap_or(pool);
            self.slots = Some(now.saturating_sub(1).max(1).min(now));
        }
        if self.calm_seconds >= RECOVER_SECONDS {
            self.calm_seconds = RECOVER_SECONDS - SHRINK_SECONDS;
            self.slots = self.slots.map(|slots| slots + 1).filter(|slots| *slots < pool);
        }
    }
}
