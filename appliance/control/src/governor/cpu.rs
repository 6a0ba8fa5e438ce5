//! The processor's share that the box may be busy with.
//!
//! Why: the box has its real work to do; 70 % leaves room for it. An integral over minutes, so
//! that a burst is not punished, clamped to the pool, so that an idle week does not wind it up.
//! Invariants: at least one slot; a busier processor never gives more. Units: shares of 1.

use super::{
    Bound, Limiter,
    moment::{Moment, Presence, finite, slots, toward},
};

/// Slots of the pool a second, for an error of the whole processor: half a minute a slot on a
/// small box that is a third too busy.
const GAIN: f64 = 0.04;
const MEAN_SECONDS: f64 = 10.0;

/// The limiter's state.
#[derive(Debug, Clone, Default)]
pub(super) struct CpuLimiter {
    busy: Option<f64>,
    allowed: Option<f64>,
    presence: Presence,
}

impl CpuLimiter {
    pub(super) fn step(&mut self, busy: Option<f64>, moment: &Moment<'_>) -> Bound {
        let pool = moment.pool();
        let target = moment.law.cpu_target;
        let busy = finite(busy).map(|busy| busy.clamp(0.0, 1.0));
        let lost = self.presence.is_lost(busy.is_some(), moment.seconds);
        let all = f64::from(pool);
        if let Some(now) = busy {
            let mean = toward(self.busy.unwrap_or(now), now, moment.seconds, MEAN_SECONDS);
            self.busy = Some(mean);
            let step = GAIN * all * (target - mean) * moment.seconds;
            self.allowed = Some((self.allowed.unwrap_or(all) + step).clamp(1.0_f64.min(all), all));
        }
        let Some(mean) = self.busy else {
            return Bound::free(Limiter::Cpu, pool, "not measured");
        };
        if target >= 1.0 {
            return Bound::free(Limiter::Cpu, pool, "no target");
        }
        let allowed = self.allowed.map_or(pool, |allowed| slots(allowed - 0.5).max(1).min(pool));
        if lost {
            return Bound::lost(Limiter::Cpu, allowed.min(moment.safe()), "processor load");
        }
        let reading = format!("processor {:.0} % of {:.0}", mean * 100.0, target * 100.0);
        Bound { limiter: Limiter::Cpu, slots: allowed, reading }
    }
}
