//! Power drawn by the processor, from its energy counters (RAPL).
//!
//! Units: microjoules, wrapping at `max_energy_range_uj`; told in watts over one round. Readable
//! by root alone. Source: kernel documentation, `power/powercap`.

use crate::{Root, track::Track};
use base::{
    reading::{Quality, Reading, Source},
    units::Watts,
};
use std::time::Duration;

const CLASS: &str = "sys/class/powercap";
/// Packages of one machine.
const METERS_MAX: usize = 16;
/// No package draws more; beyond, the counter was reset.
const WATTS_MAX: f64 = 2000.0;

/// One package's counter.
struct Meter {
    folder: String,
    range: u64,
    last: Option<(u64, Duration)>,
    track: Track<Watts>,
}

/// All packages.
pub(crate) struct Meters {
    root: Root,
    meters: Vec<Meter>,
}

impl Meters {
    pub(crate) fn new(root: &Root) -> Self {
        let names = root.names(CLASS);
        // Subzones (`intel-rapl:0:1`) are parts of their package.
        let packages = names.iter().filter(|name| name.matches(':').count() == 1);
        let meters = packages.take(METERS_MAX).filter_map(|name| {
            let folder = format!("{CLASS}/{name}");
            let label = root.text(format!("{folder}/name")).ok()?;
            let range = root.value(format!("{folder}/max_energy_range_uj")).ok()?;
            let track = Track::new(Source::new(name.as_str(), label));
            Some(Meter { folder, range, last: None, track })
        });
        Self { meters: meters.collect(), root: root.clone() }
    }

    pub(crate) fn draws(&mut self, now: Duration) -> Vec<Reading<Watts>> {
        let Self { root, meters } = self;
        let read = meters.iter_mut().map(|meter| {
            let energy = root.value::<u64>(format!("{}/energy_uj", meter.folder)).ok();
            let before = std::mem::replace(&mut meter.last, energy.map(|energy| (energy, now)));
            let watts = match (energy, before) {
                (None, _) => Err(Quality::Failed),
                (Some(_), None) => Err(Quality::Stale),
                (Some(energy), Some((before, at))) => {
                    watts(before, energy, meter.range, now.saturating_sub(at))
                        .ok_or(Quality::Implausible)
                }
            };
            meter.track.take(watts, now)
        });
        read.collect()
    }
}

/// Mean power between two readings of a counter that wraps at `range`.
fn watts(before: u64, after: u64, range: u64, span: Duration) -> Option<Watts> {
    let energy =
        after.checked_sub(before).or_else(|| (range.checked_sub(before)?).checked_add(after));
    #[expect(clippy::cast_precision_loss, reason = "the energy of one round is small")]
    let joules = energy? as f64 / 1e6;
    let watts = joules / span.as_secs_f64();
    (watts.is_finite() && watts <= WATTS_MAX).then_some(Watts(watts))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(before: u64, after: u64, seconds: u64, expected: Option<f64>) {
        let got = watts(before, after, 1_000_000_000, Duration::from_secs(seconds));
        assert_eq!(got.map(|watts| watts.0), expected, "{before} {after}");
    }

    #[test]
    fn energy_becomes_power_also_over_the_wrap() {
        check(5_000_000, 25_000_000, 2, Some(10.0));
        check(990_000_000, 10_000_000, 1, Some(20.0));
        check(5, 5, 0, None);
        check(2_000_000_000, 1, 1, None);
    }
}
