//! What can happen, and what a hook is told of it.

use base::time::Timestamp;
use serde::Serialize;
use std::{fmt, str::FromStr, time::Duration};

/// The version of the contract: raised when a field changes its meaning, not when one is added.
pub(super) const VERSION: u32 = 1;

/// What can happen to the machine or in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Event {
    /// A temperature passed the limit.
    ThermalWarning,
    /// It passed the guard, or a device gives the alarm.
    ThermalCritical,
    /// Every temperature is well below the limit again.
    ThermalClear,
    /// An interface that carried lost its carrier.
    LinkDown,
    /// It carries again.
    LinkUp,
    /// The machine runs on a battery.
    PowerBattery,
    /// It runs on the mains again.
    PowerMains,
    /// The battery is nearly empty.
    PowerLow,
    /// A disk tells that it is near its end, or became read-only.
    DiskWear,
    /// A job began.
    JobStart,
    /// A job ended.
    JobEnd,
    /// The appliance serves.
    BootComplete,
    /// A new version was installed.
    UpdateInstalled,
    /// A new version could not be installed, or was taken back.
    UpdateFailed,
    /// The appliance ends.
    Shutdown,
}

/// A word that is no event.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no event `{0}`; `appliance hooks list` shows all")]
pub struct UnknownEvent(String);

impl Event {
    /// Every event, in the order of the contract.
    pub const ALL: [Self; 15] = [
        Self::ThermalWarning,
        Self::ThermalCritical,
        Self::ThermalClear,
        Self::LinkDown,
        Self::LinkUp,
        Self::PowerBattery,
        Self::PowerMains,
        Self::PowerLow,
        Self::DiskWear,
        Self::JobStart,
        Self::JobEnd,
        Self::BootComplete,
        Self::UpdateInstalled,
        Self::UpdateFailed,
        Self::Shutdown,
    ];

    /// Its name: that of the hooks' folder.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ThermalWarning => "thermal-warning",
            Self::ThermalCritical => "thermal-critical",
            Self::ThermalClear => "thermal-clear",
            Self::LinkDown => "link-down",
            Self::LinkUp => "link-up",
            Self::PowerBattery => "power-battery",
            Self::PowerMains => "power-mains",
            Self::PowerLow => "power-low",
            Self::DiskWear => "disk-wear",
            Self::JobStart => "job-start",
            Self::JobEnd => "job-end",
            Self::BootComplete => "boot-complete",
            Self::UpdateInstalled => "update-installed",
            Self::UpdateFailed => "update-failed",
            Self::Shutdown => "shutdown",
        }
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Event {
    type Err = UnknownEvent;
    fn from_str(text: &str) -> Result<Self, UnknownEvent> {
        let found = Self::ALL.into_iter().find(|event| event.as_str() == text);
        found.ok_or_else(|| UnknownEvent(text.chars().take(64).collect()))
    }
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq)]
pub struct Happening {
    /// What.
    pub event: Event,
    /// When, by the wall clock.
    pub at: Timestamp,
    /// Where: a sensor, an interface, a mount point, a job's number; may be empty.
    pub place: String,
    /// The value that was measured, in `unit`.
    pub value: Option<f64>,
    /// The bound that it passed, in `unit`.
    pub bound: Option<f64>,
    /// Unit of both.
    pub unit: &'static str,
    /// For people.
    pub words: String,
    /// It did not happen: somebody tries the hooks.
    pub is_test: bool,
}

impl Happening {
    /// Something that happened without a measurement.
    #[must_use]
    pub fn plain(event: Event, at: Timestamp, place: &str, words: &str) -> Self {
        Self {
            event,
            at,
            place: place.to_owned(),
            value: None,
            bound: None,
            unit: "",
            words: words.to_owned(),
            is_test: false,
        }
    }

    /// An example of `event`, for trying a hook.
    #[must_use]
    pub fn example(event: Event, at: Timestamp) -> Self {
        let words = "a test by `appliance hooks test`";
        let mut example = Self { is_test: true, ..Self::plain(event, at, "test", words) };
        let measured = match event {
            Event::ThermalWarning => Some((81.2, 80.0, "°C")),
            Event::ThermalCritical => Some((86.0, 85.0, "°C")),
            Event::ThermalClear => Some((70.0, 75.0, "°C")),
            Event::PowerBattery => Some((95.0, 15.0, "%")),
            Event::PowerLow => Some((12.0, 15.0, "%")),
            Event::DiskWear => Some((90.0, 80.0, "%")),
            _ => None,
        };
        if let Some((value, bound, unit)) = measured {
            (example.value, example.bound, example.unit) = (Some(value), Some(bound), unit);
        }
        example
    }

    /// The text on a hook's standard input: one JSON object and a line end.
    pub(super) fn input(&self, allowed: Duration) -> String {
        let form = Form {
            version: VERSION,
            event: self.event.as_str(),
            at: self.at,
            place: &self.place,
            value: self.value,
            bound: self.bound,
            unit: self.unit,
            words: &self.words,
            seconds_allowed: allowed.as_secs(),
            test: self.is_test,
        };
        serde_json::to_string(&form).expect("plain fields are always JSON") + "\n"
    }

    /// The few plain values of a hook's environment.
    pub(super) fn environment(&self) -> Vec<(&'static str, String)> {
        let number = |value: Option<f64>| value.map(|value| value.to_string()).unwrap_or_default();
        vec![
            ("APPLIANCE_HOOK_VERSION", VERSION.to_string()),
            ("APPLIANCE_EVENT", self.event.as_str().to_owned()),
            ("APPLIANCE_PLACE", self.place.replace('\0', "")),
            ("APPLIANCE_VALUE", number(self.value)),
            ("APPLIANCE_BOUND", number(self.bound)),
            ("APPLIANCE_TEST", if self.is_test { "1".to_owned() } else { String::new() }),
        ]
    }
}

/// What stands on standard input.
#[derive(Serialize)]
struct Form<'a> {
    version: u32,
    event: &'a str,
    at: Timestamp,
    place: &'a str,
    value: Option<f64>,
    bound: Option<f64>,
    unit: &'a str,
    words: &'a str,
    seconds_allowed: u64,
    test: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_event_is_found_by_its_name() {
        for event in Event::ALL {
            assert_eq!(event.as_str().parse(), Ok(event));
        }
        assert!("thermal".parse::<Event>().is_err());
    }

    #[test]
    fn a_hook_is_told_what_where_and_how_much() {
        let told = Happening::example(Event::ThermalWarning, Timestamp(0));
        let input = told.input(Duration::from_secs(10));
        let value: serde_json::Value = serde_json::from_str(&input).unwrap();
        assert_eq!(value["version"], 1);
        assert_eq!(value["event"], "thermal-warning");
        assert_eq!((value["value"].as_f64(), value["bound"].as_f64()), (Some(81.2), Some(80.0)));
        assert_eq!((&value["seconds_allowed"], &value["test"]), (&10.into(), &true.into()));
        assert!(told.environment().contains(&("APPLIANCE_VALUE", "81.2".to_owned())));
    }
}
