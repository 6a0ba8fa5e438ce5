//! Temperatures, fans, and what the hardware itself does against heat.

use super::{Reading, Source};
use crate::units::{Celsius, Megahertz, Percent, Rpm};
use serde::{Deserialize, Serialize};

/// What a temperature is of: the law treats a disk's warmth otherwise than a processor's.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum ThermalKind {
    /// The processor's die, package or its zone.
    Cpu,
    /// The board, a voltage regulator, a chipset.
    Board,
    /// Memory modules.
    Memory,
    /// A disk or flash drive.
    Disk,
    /// A network card or its optical module.
    Network,
    /// A battery.
    Battery,
    /// The air around.
    Ambient,
    /// Unknown: treated as the board's.
    #[default]
    Other,
}

/// One temperature with the limits that the device itself tells.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Thermal {
    /// What it is of.
    pub kind: ThermalKind,
    /// The temperature.
    pub temperature: Reading<Celsius>,
    /// From here the kernel slows the processor (a passive trip point).
    pub passive: Option<Celsius>,
    /// The maker's limit of normal running (`tempN_max`, a hot trip point).
    pub max: Option<Celsius>,
    /// From here the machine switches itself off.
    pub critical: Option<Celsius>,
    /// The device itself says that it is too hot.
    pub alarm: bool,
}

/// A means of cooling that the kernel drives: a fan step, a frequency cap.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Cooling {
    /// The device's own word: `Processor`, `Fan`, `cpufreq-cpu0` …
    pub kind: String,
    /// Steps in use now; 0 is none.
    pub state: Reading<u64>,
    /// The most steps that it has.
    pub max: u64,
}

/// One fan.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Fan {
    /// Turns in a minute.
    pub speed: Reading<Rpm>,
    /// How hard it is driven, where the board tells.
    pub drive: Option<Percent>,
    /// The board itself says that it fails, or it stands still although it is driven.
    pub failed: bool,
}

/// What the hardware did against heat: truth about a governor that came too late.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Throttle {
    /// Events since the machine started, over all cores and packages.
    pub events: Reading<u64>,
    /// Events since the snapshot before.
    pub recent: u64,
    /// The processor is being slowed, or lacks voltage, right now.
    pub active: bool,
    /// The lowest frequency ceiling over all cores.
    pub frequency: Option<Frequency>,
}

/// A processor's frequency ceiling.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Frequency {
    /// The core with the lowest ceiling.
    pub source: Source,
    /// What it may run at now.
    pub ceiling: Megahertz,
    /// What it was built to run at.
    pub full: Megahertz,
}
