//! Thermal zones and cooling devices of `/sys/class/thermal`.
//!
//! Units: thousandths of a degree. Source: kernel documentation, `driver-api/thermal/sysfs-api`.

use crate::{
    Root, kind,
    track::{Miss, Raw},
};
use base::{
    reading::{Source, ThermalKind},
    units::Celsius,
};

const CLASS: &str = "sys/class/thermal";
/// The kernel allows 12 trip points on most zones; more is a broken table.
const TRIPS_MAX: usize = 64;

/// A zone as it was found.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Zone {
    pub(crate) folder: String,
    pub(crate) source: Source,
    pub(crate) kind: ThermalKind,
    pub(crate) passive: Option<Celsius>,
    pub(crate) hot: Option<Celsius>,
    pub(crate) critical: Option<Celsius>,
}

/// A cooling device as it was found.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Cooler {
    pub(crate) folder: String,
    pub(crate) source: Source,
    pub(crate) kind: String,
    pub(crate) max: u64,
}

/// Finds every zone that is switched on. May block in a driver.
pub(crate) fn find(root: &Root) -> Vec<Zone> {
    let names = root.names(CLASS);
    let zones = names.iter().filter(|name| name.starts_with("thermal_zone"));
    let mut found: Vec<Zone> = zones.map(|name| find_zone(root, name)).collect();
    name_twins(&mut found);
    found
}

fn find_zone(root: &Root, name: &str) -> Zone {
    let folder = format!("{CLASS}/{name}");
    let kind_text = root.text(format!("{folder}/type")).unwrap_or_else(|_| name.to_owned());
    // The lowest of several trip points of one type counts.
    let trip = |wanted: &str| {
        let trips = (0..TRIPS_MAX).map_while(|n| {
            root.text(format!("{folder}/trip_point_{n}_type")).ok().map(|kind| (n, kind))
        });
        trips
            .filter(|(_, kind)| kind == wanted)
            .filter_map(|(n, _)| root.value(format!("{folder}/trip_point_{n}_temp")).ok())
            .filter_map(kind::limit)
            .min_by(|a, b| a.0.total_cmp(&b.0))
    };
    Zone {
        kind: kind::of(&kind_text, &kind_text),
        source: Source::new("thermal", kind_text),
        passive: trip("passive"),
        hot: trip("hot"),
        critical: trip("critical"),
        folder,
    }
}

/// Zones of one type are told apart by their order, which the firmware's tables fix.
fn name_twins(zones: &mut [Zone]) {
    for at in 1..zones.len() {
        let (before, rest) = zones.split_at_mut(at);
        let twins = before.iter().filter(|zone| zone.kind_text() == rest[0].kind_text()).count();
        if twins > 0 {
            let label = format!("{} #{}", rest[0].source.label, twins + 1);
            rest[0].source = Source::new("thermal", label);
        }
    }
}

impl Zone {
    fn kind_text(&self) -> &str {
        self.source.label.split(" #").next().unwrap_or_default()
    }

    /// Reads the temperature. May block in a driver.
    pub(crate) fn read(&self, root: &Root) -> Raw<i64> {
        root.value(format!("{}/temp", self.folder)).map_err(Miss::from)
    }
}

/// Finds every cooling device.
pub(crate) fn find_coolers(root: &Root) -> Vec<Cooler> {
    let names = root.names(CLASS);
    let devices = names.iter().filter(|name| name.starts_with("cooling_device"));
    devices
        .map(|name| {
            let folder = format!("{CLASS}/{name}");
            let kind = root.text(format!("{folder}/type")).unwrap_or_default();
            let max = root.value(format!("{folder}/max_state")).unwrap_or(0);
            Cooler { source: Source::new(name.as_str(), kind.as_str()), folder, kind, max }
        })
        .collect()
}

impl Cooler {
    /// Reads the steps in use. May block in a driver.
    pub(crate) fn read(&self, root: &Root) -> Raw<u64> {
        root.value(format!("{}/cur_state", self.folder)).map_err(Miss::from)
    }
}
