//! What the governor sees: plain numbers out of a snapshot of readings.
//!
//! Why a step between: the law needs few numbers and its tests many; a snapshot has many numbers
//! and each with its quality. What is not good is missing here, and missing is bad.

use super::{Disk, Heat, Link, Memory, Network, Power, Supply};
use base::{
    reading::{self, Duplex, LinkState, Quality, Reading, Readings, ThermalKind, TroubleKind},
    units::{Celsius, Share},
};

/// Below the temperature at which the machine switches itself off.
const BELOW_CRITICAL: f64 = 10.0;

/// A device that tells a limit below this tells nonsense: many boards show 0 or 20 for "not set".
const OWN_LIMIT_MIN: f64 = 40.0;

/// What the governor sees: judged for its form, not yet for its truth.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Sight {
    /// Heat sources.
    pub heats: Vec<Heat>,
    /// A fan that should turn and does not.
    pub failed_fan: Option<String>,
    /// Memory and its pressure.
    pub memory: Option<Memory>,
    /// Milliseconds that a flush of our own database took lately; `None` when none was due.
    pub flush_millis: Option<f64>,
    /// Supply and draw.
    pub power: Power,
    /// File systems that jobs and store write to.
    pub disks: Vec<Disk>,
    /// Cards and connections.
    pub network: Network,
    /// Busy share of the processor.
    pub cpu_busy: Option<f64>,
    /// Jobs that run.
    pub running: u32,
}

impl Sight {
    /// Out of a snapshot; what the engine knows of itself is added by the caller.
    #[must_use]
    pub fn of(readings: &Readings) -> Self {
        Self {
            heats: readings.thermal.iter().filter(|one| counts(one)).map(heat).collect(),
            failed_fan: failed_fan(&readings.fans),
            memory: memory(readings),
            flush_millis: None,
            power: power(&readings.power),
            disks: readings.disks.iter().filter_map(disk).collect(),
            network: network(readings),
            cpu_busy: readings.busy.fresh().map(|busy| busy.0 / 100.0),
            running: 0,
        }
    }
}

/// The air around is no source of heat, and a battery's warmth is its charger's affair.
fn counts(thermal: &reading::Thermal) -> bool {
    !matches!(thermal.kind, ThermalKind::Ambient | ThermalKind::Battery)
        && thermal.temperature.quality != Quality::Absent
}

fn heat(thermal: &reading::Thermal) -> Heat {
    let source = &thermal.temperature.source;
    let above = |limit: Option<Celsius>, by: f64| {
        limit.map(|limit| limit.0 - by).filter(|limit| *limit >= OWN_LIMIT_MIN)
    };
    let own = [
        above(thermal.passive, 0.0),
        above(thermal.max, 0.0),
        above(thermal.critical, BELOW_CRITICAL),
    ];
    Heat {
        name: source.label.to_string(),
        chip: source.device.to_string(),
        celsius: thermal.temperature.fresh().map(|celsius| celsius.0),
        quality: thermal.temperature.quality,
        is_processor: thermal.kind == ThermalKind::Cpu,
        own_limit: own.into_iter().flatten().reduce(f64::min),
    }
}

fn failed_fan(fans: &[reading::Fan]) -> Option<String> {
    fans.iter().find(|fan| fan.failed).map(|fan| fan.speed.source.label.to_string())
}

fn memory(readings: &Readings) -> Option<Memory> {
    let available = *readings.memory.available.fresh()?;
    let stall = readings.pressure.memory.fresh();
    Some(Memory {
        available,
        total: readings.memory.total,
        some: stall.map(|stall| stall.some.avg10.0),
        full: stall.map(|stall| stall.full.avg10.0),
    })
}

fn power(power: &reading::Power) -> Power {
    let supply = power.supply.fresh().map(|supply| match supply {
        reading::Supply::Mains => Supply::Mains,
        reading::Supply::Battery => Supply::Battery,
        reading::Supply::BatteryLow => Supply::Low,
    });
    // Meters of one machine overlap (package within board): the largest speaks for it.
    let watts = power.draws.iter().filter_map(Reading::fresh).map(|watts| watts.0);
    let is_silent = matches!(power.supply.quality, Quality::Stale | Quality::Failed);
    Power { supply, is_silent, watts: watts.reduce(f64::max) }
}

fn disk(disk: &reading::Disk) -> Option<Disk> {
    let free = *disk.free.fresh()?;
    #[expect(clippy::cast_precision_loss, reason = "a ratio")]
    let inodes =
        (disk.inodes_total > 0).then(|| 100.0 * disk.inodes_free as f64 / disk.inodes_total as f64);
    let wear = disk.wear.as_ref().and_then(|wear| wear.used.fresh());
    Some(Disk {
        name: disk.mount.clone(),
        free,
        total: disk.total,
        inodes_free: inodes,
        read_only: disk.read_only || disk.went_read_only,
        wear: wear.map(|Share(used)| *used),
    })
}

fn network(readings: &Readings) -> Network {
    let link = |link: &reading::Link| Link {
        name: link.name.clone(),
        up: matches!(link.state.value, None | Some(LinkState::Up | LinkState::Unknown)),
        half_duplex: link.duplex == Some(Duplex::Half),
        flaps: link.flaps,
    };
    let black_hole = readings.troubles.iter().find(|one| one.kind == TroubleKind::PathMtu);
    Network {
        links: readings.links.iter().map(link).collect(),
        loss: readings.transport.loss.fresh().map(|loss| loss.0),
        timeouts: readings.transport.timeouts,
        trouble: black_hole.map(|trouble| trouble.words.clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use base::{
        reading::{Fan, Source, Thermal},
        time::Timestamp,
        units::{Bytes, Rpm, Watts},
    };

    fn thermal(
        kind: ThermalKind,
        celsius: f64,
        max: Option<f64>,
        critical: Option<f64>,
    ) -> Thermal {
        Thermal {
            kind,
            temperature: Reading::good(
                Source::new("devices/chip", "cpu-thermal"),
                Celsius(celsius),
            ),
            passive: None,
            max: max.map(Celsius),
            critical: critical.map(Celsius),
            alarm: false,
        }
    }

    fn check_limit(max: Option<f64>, critical: Option<f64>, expected: Option<f64>) {
        let mut readings = Readings::empty(Timestamp(0));
        readings.thermal = vec![thermal(ThermalKind::Cpu, 50.0, max, critical)];
        assert_eq!(Sight::of(&readings).heats[0].own_limit, expected);
    }

    #[test]
    fn a_devices_own_limit_counts_unless_it_is_nonsense() {
        check_limit(None, None, None);
        check_limit(Some(70.0), Some(85.0), Some(70.0));
        check_limit(None, Some(85.0), Some(75.0));
        check_limit(Some(0.0), Some(85.0), Some(75.0));
    }

    #[test]
    fn what_is_not_good_is_missing_and_the_air_is_no_source() {
        let mut readings = Readings::empty(Timestamp(0));
        let mut stuck = thermal(ThermalKind::Cpu, 50.0, None, None);
        stuck.temperature.quality = Quality::Stuck;
        readings.thermal = vec![stuck, thermal(ThermalKind::Ambient, 31.0, None, None)];
        readings.fans = vec![Fan {
            speed: Reading::good(Source::new("devices/chip", "fan1"), Rpm(0.0)),
            drive: None,
            failed: true,
        }];
        readings.memory.total = Bytes::gib(4);
        readings.power.draws = vec![
            Reading::good(Source::default(), Watts(9.0)),
            Reading::good(Source::default(), Watts(31.0)),
        ];
        let sight = Sight::of(&readings);
        assert_eq!(sight.heats.len(), 1);
        assert_eq!((sight.heats[0].celsius, sight.heats[0].quality), (None, Quality::Stuck));
        assert_eq!(sight.failed_fan.as_deref(), Some("fan1"));
        assert_eq!(sight.memory, None);
        assert_eq!(sight.power, Power { supply: None, is_silent: false, watts: Some(31.0) });
    }
}
