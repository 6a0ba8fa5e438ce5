//! Every temperature, fan and meter of the board, each device read in a thread of its own.
//!
//! Invariants: a device that blocks delays nobody; its sensors are stale until it answers. A device
//! that was seen and is gone stays in the list as lost: for good if it is the processor's, for
//! [`LOST_KEPT`] otherwise, so that a drive that was pulled is forgotten in the end.
//! Units: the search for new devices runs every [`FIND_EVERY`], and at once when one is missing.

use crate::{
    Root, hwmon,
    slow::Slow,
    track::{Miss, Raw, Thermometer, Track},
    zones,
};
use base::{
    reading::{Fan, Reading, Source, Thermal, ThermalKind},
    units::{Celsius, Percent, Rpm, Share, Watts},
};
use std::{
    collections::BTreeMap,
    io,
    time::{Duration, Instant},
};

const FIND_EVERY: Duration = Duration::from_secs(30);
/// A missing device is looked for at once, but a tree that changes all the time is not searched
/// more often than this.
const FIND_PAUSE: Duration = Duration::from_secs(2);
const LOST_KEPT: Duration = Duration::from_secs(3600);
/// Threads for devices; a board has about ten.
const DEVICES_MAX: usize = 64;
/// A fan that is driven and stands still for this many rounds has failed; fewer is a slow start.
const STILL_ROUNDS: u32 = 3;

/// What carries sensors.
#[derive(Debug, Clone, PartialEq)]
enum Device {
    Chip(hwmon::Chip),
    Zone(zones::Zone),
}

struct Reader {
    device: Device,
    slow: Slow<hwmon::Answer>,
}

/// What is remembered of a temperature.
struct KnownTemp {
    kind: ThermalKind,
    limits: Limits,
    judge: Thermometer,
    seen: Duration,
}

#[derive(Clone, Copy, Default)]
struct Limits {
    passive: Option<Celsius>,
    max: Option<Celsius>,
    critical: Option<Celsius>,
}

struct KnownFan {
    track: Track<Rpm>,
    still: u32,
    seen: Duration,
}

/// All sensors.
pub(crate) struct Sensors {
    root: Root,
    finder: Slow<Vec<Device>>,
    next_find: Duration,
    searched: bool,
    readers: Vec<Reader>,
    temps: BTreeMap<Source, KnownTemp>,
    fans: BTreeMap<Source, KnownFan>,
    meters: BTreeMap<Source, Track<Watts>>,
}

/// One round of all sensors.
#[derive(Default)]
pub(crate) struct Round {
    pub(crate) thermal: Vec<Thermal>,
    pub(crate) fans: Vec<Fan>,
    pub(crate) draws: Vec<Reading<Watts>>,
}

impl Sensors {
    pub(crate) fn start(root: &Root) -> io::Result<Self> {
        let place = root.clone();
        let finder = Slow::start("find", move || {
            let chips = hwmon::find(&place).into_iter().map(Device::Chip);
            chips.chain(zones::find(&place).into_iter().map(Device::Zone)).collect()
        })?;
        Ok(Self {
            root: root.clone(),
            finder,
            next_find: Duration::ZERO,
            searched: false,
            readers: Vec::new(),
            temps: BTreeMap::new(),
            fans: BTreeMap::new(),
            meters: BTreeMap::new(),
        })
    }

    /// Reads everything; what has not answered by `deadline` is stale.
    pub(crate) fn round(&mut self, load: Option<Share>, now: Duration, deadline: Instant) -> Round {
        self.find(now, deadline);
        for reader in &mut self.readers {
            reader.slow.ask();
        }
        let mut round = Round::default();
        let mut missing = false;
        let mut readers = std::mem::take(&mut self.readers);
        for reader in &mut readers {
            let answer = reader.slow.take(deadline);
            missing |= self.take(&reader.device, answer.as_ref(), load, now, &mut round);
        }
        self.readers = readers;
        self.lost(now, &mut round);
        if missing {
            self.next_find = self.next_find.min(now + FIND_PAUSE);
        }
        round.thermal.sort_by(|a, b| a.temperature.source.cmp(&b.temperature.source));
        round.fans.sort_by(|a, b| a.speed.source.cmp(&b.speed.source));
        round
    }

    fn find(&mut self, now: Duration, deadline: Instant) {
        if now >= self.next_find {
            self.finder.ask();
            self.next_find = now + FIND_EVERY;
        }
        // Only the first search is waited for: without it there is nothing to read.
        let until = if self.searched { Instant::now() } else { deadline };
        let Some(found) = self.finder.take(until) else { return };
        self.searched = true;
        let mut old = std::mem::take(&mut self.readers);
        for device in found.into_iter().take(DEVICES_MAX) {
            let kept = old.iter().position(|reader| reader.device == device);
            let reader = match kept {
                Some(at) => Ok(old.swap_remove(at)),
                None => self.reader(device),
            };
            match reader {
                Ok(reader) => self.readers.push(reader),
                Err(error) => tracing::warn!(%error, "no thread for a sensor; it is not read"),
            }
        }
    }

    fn reader(&self, device: Device) -> io::Result<Reader> {
        let (root, own) = (self.root.clone(), device.clone());
        let name = device.folder().rsplit('/').next().unwrap_or_default();
        Ok(Reader { slow: Slow::start(name, move || own.read(&root))?, device })
    }

    /// Judges one device's answer; `true` when something of it is missing.
    fn take(
        &mut self,
        device: &Device,
        answer: Option<&hwmon::Answer>,
        load: Option<Share>,
        now: Duration,
        round: &mut Round,
    ) -> bool {
        let mut missing = false;
        for (at, (source, kind, limits)) in device.temps().into_iter().enumerate() {
            let (raw, alarm) =
                answer.and_then(|a| a.temps.get(at)).copied().unwrap_or((Err(Miss::Late), false));
            missing |= raw == Err(Miss::Gone);
            let known = self.temps.entry(source.clone()).or_insert_with(|| KnownTemp {
                kind,
                limits,
                judge: Thermometer::new(source, kind),
                seen: now,
            });
            (known.kind, known.limits, known.seen) = (kind, limits, now);
            round.thermal.push(known.tell(raw, alarm, load, now));
        }
        let Device::Chip(chip) = device else { return missing };
        for (at, input) in chip.fans.iter().enumerate() {
            let heard = answer.and_then(|answer| answer.fans.get(at)).copied();
            round.fans.push(self.fan(&input.source, heard, now));
        }
        for (at, input) in chip.powers.iter().enumerate() {
            let raw = answer.and_then(|a| a.powers.get(at)).copied().unwrap_or(Err(Miss::Late));
            #[expect(clippy::cast_precision_loss, reason = "powers are small")]
            let watts = raw.map(|micro| Watts(micro as f64 / 1e6)).map_err(Into::into);
            let track = self.meters.entry(input.source.clone());
            let track = track.or_insert_with(|| Track::new(input.source.clone()));
            round.draws.push(track.take(watts, now));
        }
        missing
    }

    fn fan(&mut self, source: &Source, heard: Option<hwmon::FanAnswer>, now: Duration) -> Fan {
        let known = self.fans.entry(source.clone()).or_insert_with(|| KnownFan {
            track: Track::new(source.clone()),
            still: 0,
            seen: now,
        });
        known.seen = now;
        let (turns, drive, alarm) =
            heard.map_or((Err(Miss::Late), None, false), |h| (h.turns, h.drive, h.alarm));
        known.still = match (turns, drive) {
            (Ok(0), Some(drive)) if drive > 0 => known.still.saturating_add(1),
            (Ok(_), _) => 0,
            (Err(_), _) => known.still,
        };
        #[expect(clippy::cast_precision_loss, reason = "turns are few")]
        let turns = turns.map(|turns| Rpm(turns.max(0) as f64)).map_err(Into::into);
        Fan {
            speed: known.track.take(turns, now),
            drive: drive.and_then(|d| Percent::new(u8::try_from(u16::from(d) * 100 / 255).ok()?)),
            failed: alarm || known.still >= STILL_ROUNDS,
        }
    }

    /// What was seen before and is on no device now.
    fn lost(&mut self, now: Duration, round: &mut Round) {
        let keep = |seen: Duration| now.saturating_sub(seen) < LOST_KEPT;
        self.temps.retain(|_, known| known.kind == ThermalKind::Cpu || keep(known.seen));
        self.fans.retain(|_, known| keep(known.seen));
        for known in self.temps.values_mut().filter(|known| known.seen != now) {
            round.thermal.push(known.tell(Err(Miss::Gone), false, None, now));
        }
        for known in self.fans.values_mut().filter(|known| known.seen != now) {
            let speed = known.track.take(Err(Miss::Gone.into()), now);
            round.fans.push(Fan { speed, drive: None, failed: false });
        }
    }
}

impl KnownTemp {
    fn tell(&mut self, raw: Raw<i64>, alarm: bool, load: Option<Share>, now: Duration) -> Thermal {
        Thermal {
            kind: self.kind,
            temperature: self.judge.take(raw, load, now),
            passive: self.limits.passive,
            max: self.limits.max,
            critical: self.limits.critical,
            alarm,
        }
    }
}

impl Device {
    fn folder(&self) -> &str {
        match self {
            Self::Chip(chip) => &chip.folder,
            Self::Zone(zone) => &zone.folder,
        }
    }

    fn temps(&self) -> Vec<(Source, ThermalKind, Limits)> {
        match self {
            Self::Chip(chip) => chip
                .temps
                .iter()
                .map(|t| {
                    let limits = Limits { passive: None, max: t.max, critical: t.critical };
                    (t.source.clone(), t.kind, limits)
                })
                .collect(),
            Self::Zone(zone) => {
                let limits =
                    Limits { passive: zone.passive, max: zone.hot, critical: zone.critical };
                vec![(zone.source.clone(), zone.kind, limits)]
            }
        }
    }

    fn read(&self, root: &Root) -> hwmon::Answer {
        match self {
            Self::Chip(chip) => chip.read(root),
            Self::Zone(zone) => {
                hwmon::Answer { temps: vec![(zone.read(root), false)], ..hwmon::Answer::default() }
            }
        }
    }
}
