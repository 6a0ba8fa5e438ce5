//! From snapshots to happenings: what has begun or ended since the last one.
//!
//! Pure. Invariants: each happening is told once; a state is left only well on the other side of
//! its bound, so that a value on the bound does not ring all night; what cannot be read changes
//! nothing, because a lost sensor is not a cool one. The first snapshot tells what is wrong, never
//! what is well.
//! Units: [`Limits`] in degrees.

use crate::hooks::{Event, Happening};
use base::{
    reading::{Disk, Readings, Supply, Thermal, ThermalKind, TroubleKind},
    units::Celsius,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

/// When heat is told.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Limits {
    /// The site's limit for processor and board.
    pub warning: Celsius,
    /// The guard.
    pub critical: Celsius,
    /// Below this all is well again.
    pub clear: Celsius,
    /// For this long.
    pub clear_after: Duration,
}

impl Limits {
    /// The usual distances from a limit: the guard five degrees above, well five below.
    #[must_use]
    pub const fn around(limit: Celsius) -> Self {
        Self {
            warning: limit,
            critical: Celsius(limit.0 + 5.0),
            clear: Celsius(limit.0 - 5.0),
            clear_after: Duration::from_secs(30),
        }
    }
}

/// Used life of a disk, in percent, from which it is told.
const WEAR_BOUND: f64 = 80.0;
/// A disk tells its own limit; this close to it is as bad as the guard.
const CRITICAL_MARGIN: f64 = 3.0;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Heat {
    Well,
    Warning,
    Critical,
}

/// What was told before.
#[derive(Debug)]
pub struct Watch {
    limits: Limits,
    heat: Heat,
    cool_since: Option<Duration>,
    supply: Option<Supply>,
    down: BTreeMap<String, String>,
    /// Mount points that were told, and whether as read-only or as worn.
    bad_disks: BTreeSet<String>,
}

impl Watch {
    /// Nothing is told yet.
    #[must_use]
    pub const fn new(limits: Limits) -> Self {
        Self {
            limits,
            heat: Heat::Well,
            cool_since: None,
            supply: None,
            down: BTreeMap::new(),
            bad_disks: BTreeSet::new(),
        }
    }

    /// What this snapshot has brought.
    pub fn take(&mut self, readings: &Readings) -> Vec<Happening> {
        let mut told = Vec::new();
        self.heat(readings, &mut told);
        self.links(readings, &mut told);
        self.power(readings, &mut told);
        for disk in &readings.disks {
            self.disk(disk, readings, &mut told);
        }
        told
    }

    fn heat(&mut self, readings: &Readings, told: &mut Vec<Happening>) {
        let judged = readings.thermal.iter().filter_map(|sensor| {
            let value = *sensor.temperature.fresh()?;
            Some((self.level(sensor, value), value, sensor))
        });
        let hottest = judged.max_by(|a, b| a.0.cmp(&b.0).then(a.1.0.total_cmp(&b.1.0)));
        let Some((level, value, sensor)) = hottest else { return };
        let cool = readings.thermal.iter().all(|s| self.is_cool(s));
        self.cool_since = cool.then(|| self.cool_since.unwrap_or(readings.uptime));
        let rested = self
            .cool_since
            .is_some_and(|since| readings.uptime.saturating_sub(since) >= self.limits.clear_after);
        let (event, bound) = match (self.heat, level) {
            (Heat::Well | Heat::Warning, Heat::Critical) => {
                (Event::ThermalCritical, self.limits.critical)
            }
            (Heat::Well, Heat::Warning) => (Event::ThermalWarning, self.limits.warning),
            (Heat::Warning | Heat::Critical, _) if rested => {
                (Event::ThermalClear, self.limits.clear)
            }
            _ => return,
        };
        self.heat = if event == Event::ThermalClear { Heat::Well } else { level };
        let label = &sensor.temperature.source.label;
        let words = format!("{label} {value}, bound {bound}");
        told.push(Happening {
            value: Some(value.0),
            bound: Some(bound.0),
            unit: "°C",
            ..Happening::plain(event, readings.at, label, &words)
        });
    }

    /// A disk or a card has its own limits; the site's is for processor and board.
    fn level(&self, sensor: &Thermal, value: Celsius) -> Heat {
        let own = sensor.critical.is_some_and(|limit| value.0 >= limit.0 - CRITICAL_MARGIN);
        let site = has_site_limit(sensor.kind);
        if sensor.alarm || own || site && value >= self.limits.critical {
            Heat::Critical
        } else if site && value >= self.limits.warning {
            Heat::Warning
        } else {
            Heat::Well
        }
    }

    /// A sensor that cannot be read is not cool; one that was never there does not count.
    fn is_cool(&self, sensor: &Thermal) -> bool {
        match sensor.temperature.fresh() {
            Some(value) => {
                let below = !has_site_limit(sensor.kind) || *value < self.limits.clear;
                below && self.level(sensor, *value) == Heat::Well
            }
            None => !has_site_limit(sensor.kind) || sensor.temperature.value.is_none(),
        }
    }

    fn links(&mut self, readings: &Readings, told: &mut Vec<Happening>) {
        let troubles = readings.troubles.iter().filter(|t| t.kind == TroubleKind::LinkDown);
        let down: BTreeMap<String, String> =
            troubles.map(|trouble| (trouble.place.clone(), trouble.words.clone())).collect();
        for (place, words) in down.iter().filter(|(place, _)| !self.down.contains_key(*place)) {
            told.push(Happening::plain(Event::LinkDown, readings.at, place, words));
        }
        for place in self.down.keys().filter(|place| !down.contains_key(*place)) {
            let words = format!("{place} carries again");
            told.push(Happening::plain(Event::LinkUp, readings.at, place, &words));
        }
        self.down = down;
    }

    fn power(&mut self, readings: &Readings, told: &mut Vec<Happening>) {
        let Some(supply) = readings.power.supply.fresh().copied() else { return };
        let before = self.supply.replace(supply);
        let (event, words) = match (before, supply) {
            (before, now) if before == Some(now) => return,
            (None, Supply::Mains) => return,
            (_, Supply::Mains) => (Event::PowerMains, "the mains are back"),
            (_, Supply::Battery) => (Event::PowerBattery, "the machine runs on its battery"),
            (_, Supply::BatteryLow) => (Event::PowerLow, "the battery is nearly empty"),
        };
        let charge = readings.power.charge.fresh().map(|charge| charge.0);
        told.push(Happening {
            value: charge,
            unit: if charge.is_some() { "%" } else { "" },
            ..Happening::plain(event, readings.at, "power", words)
        });
    }

    fn disk(&mut self, disk: &Disk, readings: &Readings, told: &mut Vec<Happening>) {
        let used = disk.wear.as_ref().and_then(|wear| wear.used.fresh().copied());
        let warns = disk.wear.as_ref().and_then(|wear| wear.warnings.first());
        let worn = used.is_some_and(|used| used.0 >= WEAR_BOUND);
        let mount = &disk.mount;
        let is_dead = disk.controller.as_deref() == Some("dead");
        let words = match (disk.went_read_only, warns) {
            _ if is_dead => format!("the disk below {mount} is dead: the kernel has given it up"),
            (true, _) => format!(
                "{mount} became read-only: the disk is failing, or its file system is damaged"
            ),
            (_, Some(warning)) => {
                format!("the disk below {mount} gives warning: {}; replace it", warning.words())
            }
            _ if worn => format!("the flash below {mount} is near its end: replace it"),
            _ => return,
        };
        if self.bad_disks.insert(words.clone()) {
            told.push(Happening {
                value: used.map(|used| used.0),
                bound: Some(WEAR_BOUND),
                unit: "%",
                ..Happening::plain(Event::DiskWear, readings.at, &disk.mount, &words)
            });
        }
    }
}

const fn has_site_limit(kind: ThermalKind) -> bool {
    matches!(kind, ThermalKind::Cpu | ThermalKind::Board | ThermalKind::Other)
}

#[cfg(test)]
mod tests {
    use super::*;
    use base::{
        reading::{Quality, Reading, Source, Trouble},
        time::Timestamp,
    };

    fn snapshot(second: u64) -> Readings {
        Readings { uptime: Duration::from_secs(second), ..Readings::empty(Timestamp(0)) }
    }

    fn hot(second: u64, value: f64, quality: Quality) -> Readings {
        let source = Source::new("devices/platform/coretemp.0", "Package id 0");
        let temperature = Reading { quality, ..Reading::good(source, Celsius(value)) };
        let thermal = Thermal {
            kind: ThermalKind::Cpu,
            temperature,
            passive: None,
            max: None,
            critical: None,
            alarm: false,
        };
        Readings { thermal: vec![thermal], ..snapshot(second) }
    }

    #[expect(clippy::needless_pass_by_value, reason = "the rows are made where they are told")]
    fn check(rounds: Vec<Readings>, expected: &[Event]) {
        let mut watch = Watch::new(Limits::around(Celsius(80.0)));
        let told: Vec<Event> =
            rounds.iter().flat_map(|round| watch.take(round)).map(|told| told.event).collect();
        assert_eq!(told, expected);
    }

    #[test]
    fn heat_is_told_once_and_cleared_well_below_and_after_a_rest() {
        use Quality::{Good, Lost};
        let values = [79.0, 80.0, 81.0, 79.0, 86.0, 79.0, 74.0];
        let mut rounds: Vec<_> = (0..).zip(values).map(|(at, v)| hot(at, v, Good)).collect();
        rounds.push(hot(36, 74.0, Good));
        rounds.push(hot(40, 70.0, Good));
        check(rounds, &[Event::ThermalWarning, Event::ThermalCritical, Event::ThermalClear]);
        // A sensor that is lost while it is hot never clears anything.
        check(
            vec![hot(0, 81.0, Good), hot(5, 20.0, Lost), hot(100, 20.0, Lost)],
            &[Event::ThermalWarning],
        );
    }

    #[test]
    fn links_go_down_and_come_back() {
        let down = |second| Readings {
            troubles: vec![Trouble {
                kind: TroubleKind::LinkDown,
                place: "wan0".into(),
                lasted: Duration::ZERO,
                words: "wan0 is down".into(),
            }],
            ..snapshot(second)
        };
        check(vec![snapshot(0), down(1), down(2), snapshot(3)], &[Event::LinkDown, Event::LinkUp]);
    }

    #[test]
    fn power_is_told_when_it_changes() {
        let on = |supply| {
            let mut round = snapshot(0);
            round.power.supply = Reading::good(Source::default(), supply);
            round
        };
        check(
            vec![
                on(Supply::Mains),
                on(Supply::Battery),
                on(Supply::Battery),
                snapshot(1),
                on(Supply::BatteryLow),
                on(Supply::Mains),
            ],
            &[Event::PowerBattery, Event::PowerLow, Event::PowerMains],
        );
        check(vec![on(Supply::Battery)], &[Event::PowerBattery]);
    }
}
