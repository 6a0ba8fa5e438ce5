//! Mains, batteries and UPS, told as one: what feeds the machine now.
//!
//! Invariants: the worst word of any device counts. That the machine runs on a battery counts whatever
//! another device does not say; that it runs on mains only when none is silent, because a UPS that is may be
//! empty. Peripherals (a mouse has a battery, too) do not
//! count. Adapters are taken together: one that is plugged in feeds the machine, and when all say that
//! they are not, a battery does that does not say that it charges or is full. Whether a battery is
//! low holds until it tells of its charge again.
//! Units: percent, seconds. Source: kernel documentation, `ABI/testing/sysfs-class-power`.

use crate::{
    Root, nut,
    slow::Slow,
    track::{Miss, Raw, Track},
};
use base::{
    reading::{Power, Quality, Reading, Source, Supply, SupplyDevice},
    units::{Share, Span},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    time::{Duration, Instant},
};

const CLASS: &str = "sys/class/power_supply";
/// Below this a battery is as good as empty when it does not say itself what low means.
const LOW_PERCENT: f64 = 15.0;
/// A UPS is asked this often; the protocol is a conversation and its daemon polls no faster.
const NUT_EVERY: Duration = Duration::from_secs(5);
/// An answer of a UPS stands for two polls and a half.
const NUT_STANDS: Duration = Duration::from_secs(13);
/// Adapters and batteries of one machine.
const ENTRIES_MAX: usize = 32;

/// One folder of the class.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Entry {
    name: String,
    is_battery: bool,
    online: Option<bool>,
    /// What it says that it does; a miss when it cannot be asked.
    status: Raw<String>,
    level: String,
    charge: Option<f64>,
    runtime: Option<u64>,
}

/// What the adapters say together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Adapters {
    Plugged,
    Unplugged,
    /// There is none, or not all can be read.
    Unknown,
}

/// All that tells of the supply.
pub(crate) struct Supplies {
    class: Slow<Vec<Entry>>,
    last: Vec<Entry>,
    /// Batteries that were nearly empty when they last told.
    low: BTreeSet<String>,
    ups: Option<Ups>,
    tracks: BTreeMap<Source, Track<Supply>>,
    whole: Whole,
}

struct Ups {
    slow: Slow<Result<Vec<nut::Answer>, nut::Error>>,
    asked: Option<Duration>,
    heard: Option<(Vec<nut::Answer>, Duration)>,
    failed: bool,
}

struct Whole {
    supply: Track<Supply>,
    charge: Track<Share>,
    runtime: Track<Span>,
}

impl Supplies {
    pub(crate) fn start(root: &Root, nut: Option<nut::Address>) -> io::Result<Self> {
        let place = root.clone();
        let ups = match nut {
            None => None,
            Some(address) => {
                let mut client = nut::Client::new(address);
                let slow = Slow::start("nut", move || client.poll())?;
                Some(Ups { slow, asked: None, heard: None, failed: false })
            }
        };
        let source = |label: &str| Source::new("power", label);
        Ok(Self {
            class: Slow::start("power", move || read(&place))?,
            last: Vec::new(),
            low: BTreeSet::new(),
            ups,
            tracks: BTreeMap::new(),
            whole: Whole {
                supply: Track::new(source("supply")),
                charge: Track::new(source("charge")),
                runtime: Track::new(source("runtime")),
            },
        })
    }

    pub(crate) fn ask(&mut self, now: Duration) {
        self.class.ask();
        if let Some(ups) = &mut self.ups
            && ups.asked.is_none_or(|asked| now.saturating_sub(asked) >= NUT_EVERY)
        {
            ups.slow.ask();
            ups.asked = Some(now);
        }
    }

    pub(crate) fn take(&mut self, now: Duration, deadline: Instant) -> Power {
        let answer = self.class.take(deadline);
        let late = answer.is_none();
        if let Some(entries) = answer {
            entries.iter().for_each(|entry| entry.note_low(&mut self.low));
            self.last = entries;
        }
        let mut heard: Vec<Heard> = class_devices(&self.last, &self.low);
        if late {
            heard.iter_mut().for_each(|heard| heard.supply = Err(Quality::Stale));
        }
        if let Some(ups) = &mut self.ups {
            heard.extend(ups.take(now));
        }
        let devices = heard.into_iter().map(|heard| self.tell(heard, now)).collect::<Vec<_>>();
        self.whole.tell(devices, now)
    }

    fn tell(&mut self, heard: Heard, now: Duration) -> SupplyDevice {
        let source = heard.source;
        let track = self.tracks.entry(source.clone()).or_insert_with(|| Track::new(source));
        SupplyDevice {
            supply: track.take(heard.supply, now),
            charge: heard.charge,
            runtime: heard.runtime,
            status: heard.status,
        }
    }
}

/// What one device said in this round.
struct Heard {
    source: Source,
    supply: Result<Supply, Quality>,
    charge: Option<Share>,
    runtime: Option<Span>,
    status: String,
}

impl Ups {
    fn take(&mut self, now: Duration) -> Vec<Heard> {
        // Never waited for: a round does not depend on the network.
        match self.slow.take(Instant::now()) {
            Some(Ok(answers)) => {
                self.heard = Some((answers, now));
                self.failed = false;
            }
            Some(Err(error)) => {
                if !self.failed {
                    tracing::warn!(%error, "the UPS does not answer");
                }
                self.failed = true;
            }
            None => {}
        }
        let Some((answers, at)) = &self.heard else {
            let quality = if self.failed { Quality::Failed } else { Quality::Stale };
            return vec![Heard {
                source: Source::new("nut", "ups"),
                supply: Err(quality),
                charge: None,
                runtime: None,
                status: String::new(),
            }];
        };
        let stands = now.saturating_sub(*at) <= NUT_STANDS;
        let lost = if self.failed { Quality::Failed } else { Quality::Stale };
        let told = answers.iter().map(|answer| Heard {
            source: Source::new("nut", answer.name.as_str()),
            supply: if stands { answer.supply() } else { Err(lost) },
            charge: answer.charge,
            runtime: answer.runtime,
            status: answer.status.clone(),
        });
        told.collect()
    }
}

impl Whole {
    fn tell(&mut self, devices: Vec<SupplyDevice>, now: Duration) -> Power {
        let bad = devices.iter().map(|d| d.supply.quality).filter(|q| q.is_bad()).max();
        let good = devices.iter().filter(|device| !device.supply.quality.is_bad());
        let worst = good.filter_map(|device| device.supply.value).max();
        let supply = match (bad, worst) {
            (Some(_), Some(worst)) if worst != Supply::Mains => Ok(worst),
            (Some(quality), _) => Err(quality),
            (None, Some(worst)) => Ok(worst),
            (None, None) if self.supply.last().is_some() => Err(Quality::Lost),
            (None, None) => Err(Quality::Absent),
        };
        let charge = devices.iter().filter_map(|d| d.charge).min_by(|a, b| a.0.total_cmp(&b.0));
        let runtime = devices.iter().filter_map(|device| device.runtime).min();
        Power {
            supply: self.supply.take(supply, now),
            charge: option(&mut self.charge, charge, now),
            runtime: option(&mut self.runtime, runtime, now),
            devices,
            draws: Vec::new(),
        }
    }
}

fn option<T: Clone>(track: &mut Track<T>, value: Option<T>, now: Duration) -> Reading<T> {
    let missing = if track.last().is_some() { Quality::Lost } else { Quality::Absent };
    track.take(value.ok_or(missing), now)
}

/// Reads the class. May block: a board's controller answers over a slow bus.
fn read(root: &Root) -> Vec<Entry> {
    let names = root.names(CLASS);
    names.iter().take(ENTRIES_MAX).filter_map(|name| read_entry(root, name)).collect()
}

fn read_entry(root: &Root, name: &str) -> Option<Entry> {
    let ask = |file: &str| root.text(format!("{CLASS}/{name}/{file}"));
    let text = |file: &str| ask(file).unwrap_or_default();
    if text("scope") == "Device" || text("present") == "0" {
        return None;
    }
    let charge = root.value::<f64>(format!("{CLASS}/{name}/capacity")).ok();
    // What cannot even say what it is may be the battery; a driver need not tell a status.
    let kind = match ask("type") {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
        kind => kind.map_err(Miss::from),
    };
    let is_battery = kind.as_ref().map_or(true, |kind| kind == "Battery" || kind == "UPS");
    let status = match ask("status") {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
        status => status.map_err(Miss::from),
    };
    Some(Entry {
        name: name.to_owned(),
        is_battery,
        online: root.value::<u8>(format!("{CLASS}/{name}/online")).ok().map(|on| on != 0),
        status: kind.and(status),
        level: text("capacity_level"),
        charge: charge.filter(|charge| (0.0..=100.0).contains(charge)),
        runtime: root.value(format!("{CLASS}/{name}/time_to_empty_now")).ok(),
    })
}

impl Entry {
    /// Whether the charge is nearly at its end; `None` when it does not tell.
    fn is_low(&self) -> Option<bool> {
        match (self.charge, self.level.as_str()) {
            (_, "Low" | "Critical") => Some(true),
            (Some(charge), _) => Some(charge <= LOW_PERCENT),
            (None, "" | "Unknown") => None,
            (None, _) => Some(false),
        }
    }

    fn note_low(&self, low: &mut BTreeSet<String>) {
        match self.is_low() {
            Some(true) => drop(low.insert(self.name.clone())),
            Some(false) => drop(low.remove(&self.name)),
            None => {}
        }
    }
}

fn adapters(entries: &[Entry]) -> Adapters {
    let adapters = || entries.iter().filter(|entry| !entry.is_battery);
    if adapters().any(|entry| entry.online == Some(true)) {
        return Adapters::Plugged;
    }
    let all_say_no = adapters().count() > 0 && adapters().all(|entry| entry.online.is_some());
    if all_say_no { Adapters::Unplugged } else { Adapters::Unknown }
}

/// The devices of the class: each battery, or the adapters where there is none.
fn class_devices(entries: &[Entry], low: &BTreeSet<String>) -> Vec<Heard> {
    let adapters = adapters(entries);
    let batteries: Vec<Heard> = entries
        .iter()
        .filter(|entry| entry.is_battery)
        .map(|entry| Heard {
            source: Source::new("power_supply", entry.name.as_str()),
            supply: battery_supply(entry, adapters, low.contains(&entry.name))
                .map_err(Quality::from),
            charge: entry.charge.map(Share),
            runtime: entry.runtime.map(|seconds| Span(Duration::from_secs(seconds))),
            status: entry.status.clone().unwrap_or_default(),
        })
        .collect();
    if !batteries.is_empty() || adapters != Adapters::Plugged {
        return batteries;
    }
    vec![Heard {
        source: Source::new("power_supply", "adapter"),
        supply: Ok(Supply::Mains),
        charge: None,
        runtime: None,
        status: "online".into(),
    }]
}

/// A battery that empties while an adapter is plugged in is still emptying: the adapter is too weak
/// or its socket is dead.
fn battery_supply(entry: &Entry, adapters: Adapters, is_low: bool) -> Raw<Supply> {
    let feeds = match (entry.status.as_ref().map_err(|miss| *miss)?.as_str(), adapters) {
        ("Discharging", _) => true,
        ("Charging" | "Full", _) | (_, Adapters::Plugged) => false,
        (_, Adapters::Unplugged) => true,
        ("Unknown" | "", Adapters::Unknown) => entry.online == Some(false),
        (_, Adapters::Unknown) => false,
    };
    Ok(match (feeds, is_low) {
        (true, true) => Supply::BatteryLow,
        (true, false) => Supply::Battery,
        (false, _) => Supply::Mains,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(status: &str, charge: f64, adapters: Adapters, expected: Supply) {
        let entry = Entry {
            name: "BAT0".into(),
            is_battery: true,
            online: None,
            status: Ok(status.into()),
            level: String::new(),
            charge: Some(charge),
            runtime: None,
        };
        let supply = battery_supply(&entry, adapters, entry.is_low() == Some(true));
        assert_eq!(supply, Ok(expected), "{status} {charge} {adapters:?}");
    }

    #[test]
    fn a_battery_tells_what_feeds_the_machine() {
        check("Charging", 5.0, Adapters::Plugged, Supply::Mains);
        check("Full", 100.0, Adapters::Plugged, Supply::Mains);
        check("Not charging", 80.0, Adapters::Plugged, Supply::Mains);
        check("Not charging", 80.0, Adapters::Unknown, Supply::Mains);
        check("Discharging", 80.0, Adapters::Unplugged, Supply::Battery);
        check("Discharging", 15.0, Adapters::Unplugged, Supply::BatteryLow);
        check("Discharging", 80.0, Adapters::Plugged, Supply::Battery);
    }

    #[test]
    fn a_battery_in_use_counts_though_another_device_is_silent_and_mains_do_not() {
        use Quality::{Failed, Good};
        let device = |supply: Option<Supply>, quality| SupplyDevice {
            supply: Reading { value: supply, quality, ..Reading::default() },
            charge: None,
            runtime: None,
            status: String::new(),
        };
        let check = |told: Supply, other: (Option<Supply>, Quality), expected: Option<Supply>| {
            let source = |label: &str| Source::new("power", label);
            let mut whole = Whole {
                supply: Track::new(source("supply")),
                charge: Track::new(source("charge")),
                runtime: Track::new(source("runtime")),
            };
            let devices = vec![device(Some(told), Good), device(other.0, other.1)];
            let power = whole.tell(devices, Duration::from_secs(1));
            assert_eq!(power.supply.fresh().copied(), expected, "{told:?} beside {other:?}");
        };
        check(Supply::BatteryLow, (None, Failed), Some(Supply::BatteryLow));
        check(Supply::Battery, (Some(Supply::Mains), Failed), Some(Supply::Battery));
        check(Supply::Mains, (Some(Supply::Battery), Failed), None);
        check(Supply::Mains, (None, Failed), None);
        check(Supply::Mains, (Some(Supply::Battery), Good), Some(Supply::Battery));
    }

    #[test]
    fn adapters_that_are_all_unplugged_leave_the_battery() {
        for status in ["Unknown", "", "Not charging"] {
            check(status, 80.0, Adapters::Unplugged, Supply::Battery);
            check(status, 8.0, Adapters::Unplugged, Supply::BatteryLow);
            check(status, 8.0, Adapters::Plugged, Supply::Mains);
        }
        check("Charging", 8.0, Adapters::Unplugged, Supply::Mains);
        check("Full", 100.0, Adapters::Unplugged, Supply::Mains);
    }
}
