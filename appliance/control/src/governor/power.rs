//! Power: mains, battery, nearly empty, and a cap in watts.
//!
//! Invariants: on battery one job at once; nearly empty nothing runs, so that the last minutes
//! belong to an orderly stop; more watts never give more slots; a supply that is there and has never said
//! anything (a UPS that does not answer) is no good news.

use super::{
    Bound, Limiter,
    moment::{Moment, Presence, finite, slots, toward},
};

/// Where the power comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Supply {
    /// From outside.
    Mains,
    /// From a battery.
    Battery,
    /// From a battery that says it is nearly empty.
    Low,
}

/// What is known of power.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Power {
    /// `None` where nothing tells.
    pub supply: Option<Supply>,
    /// Something should tell and does not.
    pub is_silent: bool,
    /// Draw of the machine or its processor.
    pub watts: Option<f64>,
}

/// Mains that come and go do not start jobs each time.
const MAINS_DWELL_SECONDS: f64 = 60.0;
/// Slots a second for a draw that is wrong by all of its cap.
const WATTS_GAIN: f64 = 0.2;
const WATTS_SECONDS: f64 = 5.0;
/// A UPS has answered by then, after a start of everything.
const SILENT_SECONDS: f64 = 30.0;

/// The limiter's state.
#[derive(Debug, Clone, Default)]
pub(super) struct PowerLimiter {
    supply: Option<Supply>,
    presence: Presence,
    silent_seconds: f64,
    mains_seconds: Option<f64>,
    watts: Option<f64>,
    capped: Option<f64>,
}

impl PowerLimiter {
    /// Slots, and whether what runs must stand still.
    pub(super) fn step(&mut self, power: Power, moment: &Moment<'_>) -> (Bound, bool) {
        let lost = self.presence.is_lost(power.supply.is_some(), moment.seconds);
        self.silent_seconds =
            if power.is_silent { self.silent_seconds + moment.seconds } else { 0.0 };
        self.supply = power.supply.or(self.supply);
        let pool = moment.pool();
        let capped = self.cap(power.watts, moment);
        let settles = self.supply == Some(Supply::Mains) && self.is_settling(moment);
        let (slots, reading) = match self.supply {
            Some(Supply::Low) => (0, "the battery is nearly empty".to_owned()),
            Some(Supply::Battery) => (1, "on battery".to_owned()),
            Some(Supply::Mains) if settles => (1, "mains are just back".to_owned()),
            _ => (pool, self.told(moment)),
        };
        if matches!(self.supply, Some(Supply::Battery | Supply::Low)) {
            self.mains_seconds = Some(0.0);
        }
        let slots = slots.min(capped);
        if lost {
            let bound = Bound::lost(Limiter::Power, slots.min(moment.safe()), "power supply");
            return (bound, self.supply == Some(Supply::Low));
        }
        if self.supply.is_none() && self.silent_seconds >= SILENT_SECONDS {
            let reading = "the supply has never given a reading".to_owned();
            let slots = slots.min(moment.safe());
            return (Bound { limiter: Limiter::Power, slots, reading }, false);
        }
        (Bound { limiter: Limiter::Power, slots, reading }, self.supply == Some(Supply::Low))
    }

    fn is_settling(&mut self, moment: &Moment<'_>) -> bool {
        let Some(seconds) = &mut self.mains_seconds else { return false };
        *seconds += moment.seconds;
        if *seconds >= MAINS_DWELL_SECONDS {
            self.mains_seconds = None;
        }
        self.mains_seconds.is_some()
    }

    /// Slots under the cap in watts: an integral, clamped to the pool.
    fn cap(&mut self, watts: Option<f64>, moment: &Moment<'_>) -> u32 {
        let all = f64::from(moment.pool());
        let Some(cap) = moment.law.watts_max.filter(|cap| *cap > 0.0) else {
            return moment.pool();
        };
        if let Some(now) = finite(watts) {
            let mean = toward(self.watts.unwrap_or(now), now, moment.seconds, WATTS_SECONDS);
            self.watts = Some(mean);
            let step =
                WATTS_GAIN * (1.0 - mean / cap).clamp(-1.0, 1.0) * all * moment.seconds / 10.0;
            self.capped = Some((self.capped.unwrap_or(all) + step).clamp(1.0, all));
        }
        self.capped.map_or(moment.pool(), |capped| slots(capped - 0.5).max(1).min(moment.pool()))
    }

    fn told(&self, moment: &Moment<'_>) -> String {
        match (self.watts, moment.law.watts_max, self.supply) {
            (Some(watts), Some(cap), _) => format!("{watts:.1} W of {cap:.0}"),
            (_, _, Some(_)) => "on mains".to_owned(),
            _ => "not measured".to_owned(),
        }
    }
}
