//! Chips of `/sys/class/hwmon`: temperatures, fans, power meters.
//!
//! Invariants: a chip is known by its device's path, never by its number, which changes at every
//! boot; what does not change (labels, limits) is read once, when the chip is found.
//! Units: thousandths of a degree, turns in a minute, millionths of a watt, as the kernel tells
//! them. Source: kernel documentation, `hwmon/sysfs-interface`.

use crate::{
    Root, kind,
    track::{Miss, Raw},
};
use base::{
    reading::{Source, ThermalKind},
    units::Celsius,
};

const CLASS: &str = "sys/class/hwmon";
/// Real boards have fewer than fifty inputs; a chip that claims more is broken.
const INPUTS_MAX: usize = 256;

/// A chip as it was found.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Chip {
    /// Its folder now, such as `sys/class/hwmon/hwmon3`.
    pub(crate) folder: String,
    pub(crate) temps: Vec<Temp>,
    pub(crate) fans: Vec<FanInput>,
    pub(crate) powers: Vec<PowerInput>,
}

/// A temperature input.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Temp {
    pub(crate) source: Source,
    pub(crate) kind: ThermalKind,
    pub(crate) max: Option<Celsius>,
    pub(crate) critical: Option<Celsius>,
    input: String,
    alarms: Vec<String>,
}

/// A fan's tachometer.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct FanInput {
    pub(crate) source: Source,
    input: String,
    alarms: Vec<String>,
    drive: Option<String>,
}

/// A power meter.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct PowerInput {
    pub(crate) source: Source,
    input: String,
}

/// What a chip answered, in the order of its inputs.
#[derive(Debug, Clone, Default)]
pub(crate) struct Answer {
    /// Thousandths of a degree, and whether the chip gives the alarm.
    pub(crate) temps: Vec<(Raw<i64>, bool)>,
    pub(crate) fans: Vec<FanAnswer>,
    /// Millionths of a watt.
    pub(crate) powers: Vec<Raw<i64>>,
}

/// What a fan answered.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FanAnswer {
    pub(crate) turns: Raw<i64>,
    /// 0 to 255.
    pub(crate) drive: Option<u8>,
    pub(crate) alarm: bool,
}

/// Finds every chip. May block in a driver.
pub(crate) fn find(root: &Root) -> Vec<Chip> {
    root.names(CLASS).iter().map(|name| find_chip(root, name)).collect()
}

fn find_chip(root: &Root, name: &str) -> Chip {
    let folder = format!("{CLASS}/{name}");
    let chip = root.text(format!("{folder}/name")).unwrap_or_default();
    let device = device(root, &folder, name);
    let files = root.names(&folder);
    let has = |file: &String| files.binary_search(file).is_ok();
    let stems = |kind: &str, ends: &[&str]| -> Vec<(String, String)> {
        let inputs = files.iter().filter(|file| file.starts_with(kind));
        inputs
            .filter_map(|file| {
                let stem = ends.iter().find_map(|end| file.strip_suffix(end))?;
                Some((stem.to_owned(), file.clone()))
            })
            .take(INPUTS_MAX)
            .collect()
    };
    let mut taken = Vec::new();
    let mut source = |stem: &str| {
        let label = root.text(format!("{folder}/{stem}_label")).unwrap_or_default();
        let label = if label.is_empty() { format!("{chip} {stem}") } else { label };
        // Some boards give two inputs one label.
        let label = if taken.contains(&label) { format!("{label} {stem}") } else { label };
        taken.push(label.clone());
        Source::new(device.as_str(), label)
    };
    let alarms = |stem: &str, ends: &[&str]| {
        ends.iter().map(|end| format!("{stem}_{end}")).filter(has).collect::<Vec<_>>()
    };
    let limit = |stem: &str, end: &str| {
        let millis: i64 = root.value(format!("{folder}/{stem}_{end}")).ok()?;
        kind::limit(millis)
    };
    let temps = stems("temp", &["_input"])
        .into_iter()
        .map(|(stem, input)| {
            let source = source(&stem);
            Temp {
                kind: kind::of(&chip, &source.label),
                source,
                max: limit(&stem, "max"),
                critical: limit(&stem, "crit"),
                alarms: alarms(&stem, &["crit_alarm", "max_alarm", "alarm", "emergency_alarm"]),
                input,
            }
        })
        .collect();
    let fans = stems("fan", &["_input"])
        .into_iter()
        .map(|(stem, input)| {
            let drive = Some(stem.replacen("fan", "pwm", 1)).filter(has);
            let alarms = alarms(&stem, &["alarm", "fault", "min_alarm"]);
            FanInput { source: source(&stem), input, alarms, drive }
        })
        .collect();
    let powers = stems("power", &["_input", "_average"])
        .into_iter()
        .map(|(stem, input)| PowerInput { source: source(&stem), input })
        .collect();
    Chip { folder, temps, fans, powers }
}

/// The device that carries the chip; the chip's own folder, without its number, where there is none.
fn device(root: &Root, folder: &str, name: &str) -> String {
    let link = format!("{folder}/device");
    if root.join(&link).exists() {
        return root.device(link);
    }
    let own = root.device(folder);
    own.strip_suffix(name).map_or(own.clone(), |own| own.trim_end_matches('/').to_owned())
}

impl Chip {
    /// Reads every input. May block in a driver.
    pub(crate) fn read(&self, root: &Root) -> Answer {
        let number = |file: &String| -> Raw<i64> {
            root.value(format!("{}/{file}", self.folder)).map_err(Miss::from)
        };
        let alarm =
            |files: &[String]| files.iter().any(|file| number(file).is_ok_and(|on| on != 0));
        Answer {
            temps: self.temps.iter().map(|t| (number(&t.input), alarm(&t.alarms))).collect(),
            fans: self
                .fans
                .iter()
                .map(|fan| FanAnswer {
                    turns: number(&fan.input),
                    drive: fan.drive.as_ref().and_then(|f| u8::try_from(number(f).ok()?).ok()),
                    alarm: alarm(&fan.alarms),
                })
                .collect(),
            powers: self.powers.iter().map(|power| number(&power.input)).collect(),
        }
    }
}
