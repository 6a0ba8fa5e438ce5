//! What the machine tells of itself: one snapshot of sensors, each value with its quality.
//!
//! Why: `hardware` reads, `control` decides, `web` shows and `doctor` judges; they must mean the
//! same by "lost" and "81 °C". A bad reading is a value here, never an error: who decides on it
//! must see that it is bad.
//! Invariants: a number is finite; [`Reading::value`] is the last *good* value, and
//! [`Reading::age`] counts from when it was good, on a clock that never jumps; a quantity of a
//! sensor that this machine does not have is [`Quality::Absent`], without a value. Sensors are
//! named by [`Source`], which keeps its name over a restart that renumbers devices.
//! Units: in the type of each value; told on the wire in the field `unit`.
//! On failure: see [`Quality`]; nothing here can fail.

mod heat;
mod machine;
mod network;
mod power;

pub use heat::{Cooling, Fan, Frequency, Thermal, ThermalKind, Throttle};
pub use machine::{
    Averages, Clock, ClockState, Disk, DiskWarning, Ecc, Memory, Pressure, Stall, Wear,
};
pub use network::{Duplex, Link, LinkState, LinkTotals, Traffic, Transport, Trouble, TroubleKind};
pub use power::{Power, Supply, SupplyDevice};

use crate::{
    time::{Timestamp, millis},
    units::{Share, Unit},
};
use serde::{Deserialize, Serialize, Serializer, ser::SerializeStruct};
use std::{fmt, sync::Arc, time::Duration};

/// How far a reading can be trusted.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum Quality {
    /// Read just now, and plausible.
    Good,
    /// The source has not answered yet in this round; the last good value still stands.
    Stale,
    /// The same value for so long, or against the load, that the sensor must be dead.
    Stuck,
    /// Read, but impossible: outside the sensor's range, a wrong unit, a jump no matter can make.
    Implausible,
    /// The source answers with an error.
    Failed,
    /// The source was there and is gone.
    Lost,
    /// This machine has no such source.
    #[default]
    Absent,
}

impl Quality {
    /// Whether the value of this round may be acted on as it is.
    #[must_use]
    pub const fn is_good(self) -> bool {
        matches!(self, Self::Good)
    }

    /// Whether the machine has such a sensor and it cannot be trusted now: the case in which the
    /// safe value is taken.
    #[must_use]
    pub const fn is_bad(self) -> bool {
        !matches!(self, Self::Good | Self::Absent)
    }

    /// The word on the wire and on the page.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Stale => "stale",
            Self::Stuck => "stuck",
            Self::Implausible => "implausible",
            Self::Failed => "failed",
            Self::Lost => "lost",
            Self::Absent => "absent",
        }
    }
}

impl fmt::Display for Quality {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Where a reading comes from. Two sensors of one machine never share both fields.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Source {
    /// The device: its path below `/sys/devices`, a mount point, an interface, a UPS name.
    pub device: Arc<str>,
    /// The name on the device: a sensor's label, else the name of its file.
    pub label: Arc<str>,
}

impl Source {
    /// A source by its device and label.
    #[must_use]
    pub fn new(device: impl Into<Arc<str>>, label: impl Into<Arc<str>>) -> Self {
        Self { device: device.into(), label: label.into() }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.label, self.device)
    }
}

/// One quantity of one source.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Reading<T> {
    /// The last good value; `None` when there never was one.
    pub value: Option<T>,
    /// What is known of this round's attempt.
    pub quality: Quality,
    /// How long ago `value` was read and good; zero when there is none.
    #[serde(rename = "age_ms", with = "millis")]
    pub age: Duration,
    /// Where it comes from.
    pub source: Source,
}

impl<T> Default for Reading<T> {
    fn default() -> Self {
        Self::absent(Source::default())
    }
}

impl<T> Reading<T> {
    /// A value read just now.
    #[must_use]
    pub const fn good(source: Source, value: T) -> Self {
        Self { value: Some(value), quality: Quality::Good, age: Duration::ZERO, source }
    }

    /// What this machine does not have.
    #[must_use]
    pub const fn absent(source: Source) -> Self {
        Self { value: None, quality: Quality::Absent, age: Duration::ZERO, source }
    }

    /// The value, if it was read and plausible in this round.
    #[must_use]
    pub fn fresh(&self) -> Option<&T> {
        self.value.as_ref().filter(|_| self.quality.is_good())
    }

    /// The last good value, if it is not older than `hold`; `None` for a lost sensor after that,
    /// which is when the safe value must be taken.
    #[must_use]
    pub fn within(&self, hold: Duration) -> Option<&T> {
        self.value.as_ref().filter(|_| self.age <= hold)
    }
}

impl<T: Serialize + Unit> Serialize for Reading<T> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut form = to.serialize_struct("Reading", 5)?;
        form.serialize_field("value", &self.value)?;
        form.serialize_field("unit", T::UNIT)?;
        form.serialize_field("quality", &self.quality)?;
        let age = u64::try_from(self.age.as_millis()).unwrap_or(u64::MAX);
        form.serialize_field("age_ms", &age)?;
        form.serialize_field("source", &self.source)?;
        form.end()
    }
}

/// Everything read in one round, about once a second.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Readings {
    /// When the round ended, by the wall clock: for people, not for arithmetic.
    pub at: Timestamp,
    /// Time since the machine started, on a clock that never jumps and counts sleep: the `now` of
    /// everything that computes with spans.
    #[serde(rename = "uptime_ms", with = "millis")]
    pub uptime: Duration,
    /// Share of all processors that worked since the snapshot before.
    pub busy: Reading<Share>,
    /// Every temperature, in the order of their sources.
    pub thermal: Vec<Thermal>,
    /// The kernel's own means of cooling.
    pub cooling: Vec<Cooling>,
    /// What the hardware itself did against heat.
    pub throttle: Throttle,
    /// Every fan, in the order of their sources.
    pub fans: Vec<Fan>,
    /// Mains, battery, draw.
    pub power: Power,
    /// Memory and its errors.
    pub memory: Memory,
    /// How long tasks wait.
    pub pressure: Pressure,
    /// File systems that the appliance lives on, and their devices.
    pub disks: Vec<Disk>,
    /// Network interfaces but loopback and those of jobs.
    pub links: Vec<Link>,
    /// What the connections of this machine suffer.
    pub transport: Transport,
    /// What is wrong with the network now, in words; empty when nothing is.
    pub troubles: Vec<Trouble>,
    /// Whether the wall clock can be believed.
    pub clock: Clock,
}

impl Readings {
    /// A snapshot without any source: what is published before the first round has ended.
    #[must_use]
    pub fn empty(at: Timestamp) -> Self {
        Self {
            at,
            uptime: Duration::ZERO,
            busy: Reading::default(),
            thermal: Vec::new(),
            cooling: Vec::new(),
            throttle: Throttle::default(),
            fans: Vec::new(),
            power: Power::default(),
            memory: Memory::default(),
            pressure: Pressure::default(),
            disks: Vec::new(),
            links: Vec::new(),
            transport: Transport::default(),
            troubles: Vec::new(),
            clock: Clock::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::Celsius;

    fn check(quality: Quality, age: u64, fresh: bool, held: bool) {
        let reading = Reading {
            value: Some(Celsius(81.2)),
            quality,
            age: Duration::from_secs(age),
            source: Source::new("devices/platform/coretemp.0", "Package id 0"),
        };
        assert_eq!(reading.fresh().is_some(), fresh, "{quality} {age}");
        assert_eq!(reading.within(Duration::from_secs(10)).is_some(), held, "{quality} {age}");
    }

    #[test]
    fn the_last_good_value_is_held_for_a_while_and_then_no_more() {
        check(Quality::Good, 0, true, true);
        check(Quality::Failed, 9, false, true);
        check(Quality::Lost, 11, false, false);
    }

    #[test]
    fn a_reading_tells_its_unit_and_comes_back_from_the_wire() {
        let source = Source::new("devices/platform/coretemp.0", "Package id 0");
        let reading = Reading::good(source, Celsius(81.2));
        let text = serde_json::to_string(&reading).unwrap();
        assert!(text.contains(r#""value":81.2,"unit":"°C","quality":"good","age_ms":0"#), "{text}");
        assert_eq!(serde_json::from_str::<Reading<Celsius>>(&text).unwrap(), reading);
    }

    #[test]
    fn an_empty_snapshot_comes_back_from_the_wire() {
        let empty = Readings::empty(Timestamp(0));
        let text = serde_json::to_string(&empty).unwrap();
        assert_eq!(serde_json::from_str::<Readings>(&text).unwrap(), empty);
    }
}
