//! Heat: the hottest source, by its own limit, decides.
//!
//! Invariants: slots and quota are the minimum over all sources; the guard closes when that of any
//! source does; a source that was seen and is gone falls to safe values, unless another sensor of
//! the same chip still works. So does a processor's sensor that is found and has never told anything,
//! unless another of the processor or of its chip has: a restart must not loosen what a broken sensor
//! tightened. Other sources that never spoke are none: many a board and virtual machine shows zones
//! of its firmware that nothing is behind.
//! Limits: at most [`ZONES_MAX`] sources; further ones are not judged.

use super::{
    Bound, Limiter,
    moment::Moment,
    sensor::{self, Trust},
    zone::{Allowed, Told, Zone},
};
use base::reading::Quality;
use std::collections::BTreeMap;

/// A heat source's reading.
#[derive(Debug, Clone, PartialEq)]
pub struct Heat {
    /// Names it for people and over restarts: device and label, never a number that the kernel
    /// gives anew at each boot.
    pub name: String,
    /// The chip that the sensor belongs to; sensors of one chip stand in for each other.
    pub chip: String,
    /// Degrees Celsius; `None` when it could not be read.
    pub celsius: Option<f64>,
    /// What the room that read it thinks of it; said when there is no reading.
    pub quality: Quality,
    /// It is the processor's.
    pub is_processor: bool,
    /// The source's own highest temperature, where its maker tells one.
    pub own_limit: Option<f64>,
}

/// More sensors than a rack server shows.
pub(super) const ZONES_MAX: usize = 128;

/// So long a processor's sensor may take until it speaks for the first time.
const SILENT_SECONDS: f64 = 30.0;

/// A source that has been gone for so long was taken out, or is the business of a person.
const FORGET_SECONDS: f64 = 3600.0;

/// Chip and name: two disks may both call their sensor `Composite`.
type Key = (String, String);

struct Known {
    limit: f64,
    zone: Zone,
    gone_seconds: f64,
    quality: Quality,
}

fn key(heat: &Heat) -> Key {
    (heat.chip.clone(), heat.name.clone())
}

/// What heat allows.
pub(super) struct Verdict {
    pub(super) bound: Bound,
    pub(super) quota: f64,
    pub(super) guard: bool,
    /// Degrees that are left to the limit in half a minute, at the worst source.
    pub(super) headroom: Option<f64>,
}

/// The limiter's state.
#[derive(Default)]
pub(super) struct ThermalLimiter {
    zones: BTreeMap<Key, Known>,
    /// How long a sensor of the processor has been found and silent.
    silent_seconds: f64,
}

impl ThermalLimiter {
    pub(super) fn step(
        &mut self,
        heats: &[Heat],
        failed_fan: Option<&str>,
        load: f64,
        moment: &Moment<'_>,
    ) -> Verdict {
        self.meet(heats, moment);
        let allowed = self.allowed(heats, failed_fan.is_some(), load, moment);
        let good_chips: Vec<&str> = allowed
            .iter()
            .filter(|(_, allowed)| allowed.trust == Trust::Good)
            .map(|((chip, _), _)| chip.as_str())
            .collect();
        let any_good = !good_chips.is_empty();
        let counts = |(key, allowed): &&(Key, Allowed)| {
            let is_lost = allowed.trust == Trust::Lost;
            let stands_still = allowed.never_moved && any_good;
            !(is_lost && (good_chips.contains(&key.0.as_str()) || stands_still))
        };
        let mut verdict = Verdict {
            bound: Bound::free(Limiter::Thermal, moment.pool(), "no sensor"),
            quota: 1.0,
            guard: false,
            headroom: None,
        };
        let mut tightest = (u32::MAX, f64::MAX);
        for (key, allowed) in allowed.iter().filter(counts) {
            let known = &self.zones[key];
            verdict.quota = verdict.quota.min(allowed.quota);
            verdict.guard |= allowed.guard;
            let left = known.limit - allowed.predicted;
            verdict.headroom = Some(verdict.headroom.map_or(left, |least: f64| least.min(left)));
            if (allowed.slots, left) < tightest {
                tightest = (allowed.slots, left);
                let reading = told(&key.1, known, allowed, failed_fan, moment);
                verdict.bound = Bound { limiter: Limiter::Thermal, slots: allowed.slots, reading };
            }
        }
        self.silence(heats, &mut verdict, moment);
        self.forget(heats, moment);
        verdict
    }

    fn silence(&mut self, heats: &[Heat], verdict: &mut Verdict, moment: &Moment<'_>) {
        let Some(silent) = heats.iter().find(|heat| self.is_silent(heat, heats)) else {
            self.silent_seconds = 0.0;
            return;
        };
        self.silent_seconds += moment.seconds;
        if self.silent_seconds < SILENT_SECONDS {
            return;
        }
        verdict.quota = verdict.quota.min(moment.law.tuning.safe_quota);
        if moment.safe() <= verdict.bound.slots {
            let reading = format!("{} has never given a reading ({})", silent.name, silent.quality);
            verdict.bound = Bound { limiter: Limiter::Thermal, slots: moment.safe(), reading };
        }
    }

    /// A sensor of the processor that never spoke, and none that did stands in for it.
    fn is_silent(&self, heat: &Heat, heats: &[Heat]) -> bool {
        let stands_in = |other: &Heat| {
            (other.is_processor || other.chip == heat.chip) && self.zones.contains_key(&key(other))
        };
        let tries = matches!(heat.quality, Quality::Stale | Quality::Failed | Quality::Implausible);
        heat.is_processor && heat.celsius.is_none() && tries && !heats.iter().any(stands_in)
    }

    fn meet(&mut self, heats: &[Heat], moment: &Moment<'_>) {
        for heat in heats {
            let own = heat.own_limit.filter(|limit| limit.is_finite() && *limit > 0.0);
            let limit = own.map_or(moment.law.limit, |own| own.min(moment.law.limit));
            if let Some(known) = self.zones.get_mut(&key(heat)) {
                (known.limit, known.quality) = (limit, heat.quality);
            } else if self.zones.len() < ZONES_MAX && sensor::is_first(heat.celsius) {
                let zone = Zone::new(moment.pool());
                let quality = heat.quality;
                let known = Known { limit, zone, gone_seconds: 0.0, quality };
                self.zones.insert(key(heat), known);
            }
        }
    }

    fn allowed(
        &mut self,
        heats: &[Heat],
        fan_failed: bool,
        load: f64,
        moment: &Moment<'_>,
    ) -> Vec<(Key, Allowed)> {
        let step = |(name, known): (&Key, &mut Known)| {
            let heat = heats.iter().find(|heat| key(heat) == *name);
            let told = Told {
                reading: heat.and_then(|heat| heat.celsius),
                limit: known.limit,
                fan_failed,
                running: moment.running,
                load,
                pool: moment.pool(),
                safe: moment.safe(),
                seconds: moment.seconds,
                clock: moment.clock,
            };
            (name.clone(), known.zone.step(told, &moment.law.tuning))
        };
        self.zones.iter_mut().map(step).collect()
    }

    fn forget(&mut self, heats: &[Heat], moment: &Moment<'_>) {
        self.zones.retain(|name, known| {
            let is_there = heats.iter().any(|heat| key(heat) == *name);
            known.gone_seconds = if is_there { 0.0 } else { known.gone_seconds + moment.seconds };
            known.gone_seconds < FORGET_SECONDS
        });
    }
}

fn told(
    name: &str,
    known: &Known,
    allowed: &Allowed,
    failed_fan: Option<&str>,
    moment: &Moment<'_>,
) -> String {
    let fan = failed_fan.map_or(String::new(), |fan| format!(", fan {fan} stands still"));
    // Slots come back one by one; until then a cool reading beside few of them would be a riddle.
    let opens = allowed.slots < moment.pool()
        && !allowed.guard
        && known.limit - allowed.predicted > moment.law.tuning.slots_below;
    let fan = if opens { fan + ", opens one by one" } else { fan };
    match allowed.trust {
        Trust::Good => {
            format!("{name} {:.1} °C of {:.0}{fan}", known.zone.shown(), known.limit)
        }
        Trust::LastGood => {
            format!("{name} {:.1} °C of {:.0}, not fresh{fan}", known.zone.shown(), known.limit)
        }
        Trust::Lost if known.zone.is_stuck() => {
            format!("{name} stands at {:.1} °C whatever the load is", known.zone.shown())
        }
        Trust::Lost if known.quality.is_bad() => {
            format!("{name} gives no reading ({})", known.quality)
        }
        Trust::Lost => format!("{name} gives no reading"),
    }
}
