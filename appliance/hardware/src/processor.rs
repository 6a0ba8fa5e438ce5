//! How busy the processor is, and what the hardware did against its heat.
//!
//! Units: ticks in `/proc/stat`, kilohertz in cpufreq. Sources: kernel documentation, `filesystems/proc`
//! and `admin-guide/pm/cpufreq`; throttle counters exist on Intel alone, the flags of `get_throttled`
//! on the Raspberry Pi alone.

use crate::{
    Root,
    track::{Miss, Track},
};
use base::{
    reading::{Frequency, Quality, Reading, Source, Throttle},
    units::{Megahertz, Share},
};
use std::{collections::BTreeSet, time::Duration};

const CPUS: &str = "sys/devices/system/cpu";
const PI_FLAGS: &str = "sys/devices/platform/soc/soc:firmware/get_throttled";
/// The Pi's flags of the present: under-voltage, capped, throttled, soft limit.
const PI_NOW: u64 = 0xf;
/// A ceiling below this share of the full frequency is a slowed processor, not rounding.
const CEILING_FULL: f64 = 0.95;
/// The many counters of a large machine are read every few rounds.
const COUNTERS_EVERY: u32 = 5;

/// What is remembered between two rounds.
pub(crate) struct Processor {
    root: Root,
    busy: Track<Share>,
    ticks: Option<(u64, u64)>,
    counters: Vec<String>,
    events: Track<u64>,
    rounds: u32,
    policies: Vec<(String, f64)>,
    has_flags: bool,
}

impl Processor {
    pub(crate) fn new(root: &Root) -> Self {
        Self {
            busy: Track::new(Source::new("proc/stat", "cpu")),
            ticks: None,
            counters: counters(root),
            events: Track::new(Source::new("cpu", "thermal_throttle")),
            rounds: 0,
            policies: policies(root),
            has_flags: root.join(PI_FLAGS).exists(),
            root: root.clone(),
        }
    }

    /// Share of all processors that worked since the round before.
    pub(crate) fn busy(&mut self, now: Duration) -> Reading<Share> {
        let ticks = self.root.text("proc/stat").map_err(|error| Quality::from(Miss::from(error)));
        let ticks = ticks.and_then(|text| ticks_of(&text).ok_or(Quality::Implausible));
        let share = ticks.and_then(|(busy, all)| {
            let before = self.ticks.replace((busy, all));
            let (busy_before, all_before) = before.ok_or(Quality::Stale)?;
            let all = all.checked_sub(all_before).filter(|all| *all > 0).ok_or(Quality::Stale)?;
            let busy = busy.saturating_sub(busy_before).min(all);
            #[expect(clippy::cast_precision_loss, reason = "ticks of one round are few")]
            Ok(Share(busy as f64 * 100.0 / all as f64))
        });
        self.busy.take(share, now)
    }

    pub(crate) fn throttle(&mut self, now: Duration) -> Throttle {
        let before = self.events.last().copied();
        let due = self.rounds.is_multiple_of(COUNTERS_EVERY);
        self.rounds = self.rounds.wrapping_add(1);
        let sum = match (self.counters.is_empty(), due) {
            (true, _) => Err(Quality::Absent),
            // Between two reads of the counters the last sum still holds.
            (_, false) => before.ok_or(Quality::Stale),
            (_, true) => self.sum().map_err(Quality::from),
        };
        let events = self.events.take(sum, now);
        let recent = match (before, events.value) {
            (Some(before), Some(after)) => after.saturating_sub(before),
            _ => 0,
        };
        let frequency = self.frequency();
        let capped = frequency.as_ref().is_some_and(|f| f.ceiling.0 < f.full.0 * CEILING_FULL);
        Throttle { events, recent, active: recent > 0 || capped || self.pi_is_slowed(), frequency }
    }

    fn sum(&self) -> Result<u64, Miss> {
        self.counters.iter().try_fold(0_u64, |sum, file| {
            Ok(sum.saturating_add(self.root.value::<u64>(file).map_err(Miss::from)?))
        })
    }

    fn pi_is_slowed(&self) -> bool {
        if !self.has_flags {
            return false;
        }
        let flags = self.root.text(PI_FLAGS).ok();
        let flags =
            flags.and_then(|text| u64::from_str_radix(text.trim_start_matches("0x"), 16).ok());
        flags.is_some_and(|flags| flags & PI_NOW != 0)
    }

    fn frequency(&self) -> Option<Frequency> {
        let ceilings = self.policies.iter().filter_map(|(folder, full)| {
            let khz: u32 = self.root.value(format!("{folder}/scaling_max_freq")).ok()?;
            Some((folder, f64::from(khz) / 1e3, *full))
        });
        let (folder, ceiling, full) =
            ceilings.min_by(|a, b| (a.1 / a.2).total_cmp(&(b.1 / b.2)))?;
        let name = folder.rsplit('/').next().unwrap_or_default();
        Some(Frequency {
            source: Source::new(name, "scaling_max_freq"),
            ceiling: Megahertz(ceiling),
            full: Megahertz(full),
        })
    }
}

/// Busy and all ticks of the first line of `/proc/stat`: user nice system idle iowait irq softirq
/// steal. Guest time is within user.
fn ticks_of(text: &str) -> Option<(u64, u64)> {
    let line = text.lines().next()?.strip_prefix("cpu ")?;
    let fields: Vec<u64> = line.split_whitespace().take(8).map_while(|t| t.parse().ok()).collect();
    let all: u64 = fields.iter().fold(0, |sum, n| sum.saturating_add(*n));
    let idle = fields.get(3)?.saturating_add(*fields.get(4).unwrap_or(&0));
    Some((all.saturating_sub(idle), all))
}

/// Each core's counter, and each package's once: every core of a package shows the same.
fn counters(root: &Root) -> Vec<String> {
    let mut packages = BTreeSet::new();
    let mut files = Vec::new();
    for cpu in root.names(CPUS).iter().filter(|name| is_cpu(name)) {
        let folder = format!("{CPUS}/{cpu}");
        let core = format!("{folder}/thermal_throttle/core_throttle_count");
        if !root.join(&core).exists() {
            continue;
        }
        files.push(core);
        let package = root.text(format!("{folder}/topology/physical_package_id"));
        if packages.insert(package.unwrap_or_default()) {
            files.push(format!("{folder}/thermal_throttle/package_throttle_count"));
        }
    }
    files.retain(|file| root.join(file).exists());
    files
}

fn is_cpu(name: &str) -> bool {
    name.strip_prefix("cpu").is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()))
}

/// Folders of cpufreq with the full frequency in megahertz.
fn policies(root: &Root) -> Vec<(String, f64)> {
    let names = root.names(format!("{CPUS}/cpufreq"));
    let policies = names.iter().filter(|name| name.starts_with("policy"));
    policies
        .filter_map(|name| {
            let folder = format!("{CPUS}/cpufreq/{name}");
            let khz: u32 = root.value(format!("{folder}/cpuinfo_max_freq")).ok()?;
            (khz > 0).then(|| (folder, f64::from(khz) / 1e3))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_summed_without_guests() {
        assert_eq!(ticks_of("cpu  10 1 5 80 4 0 0 0 9 9\ncpu0 1"), Some((16, 100)));
        assert_eq!(ticks_of("intr 5"), None);
    }

    #[test]
    fn only_processors_are_counted() {
        assert!(is_cpu("cpu12"));
        assert!(!is_cpu("cpufreq"));
        assert!(!is_cpu("cpu"));
    }
}
