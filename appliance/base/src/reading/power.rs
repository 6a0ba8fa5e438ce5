//! Mains, battery and draw.

use super::Reading;
use crate::units::{Share, Span, Unit, Watts};
use serde::{Deserialize, Serialize};

/// What feeds the machine; from good to bad.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Supply {
    /// The mains.
    Mains,
    /// A battery or a UPS that runs on its battery.
    Battery,
    /// The same, with little left: park and flush now.
    BatteryLow,
}

impl Unit for Supply {
    const UNIT: &'static str = "";
}

/// What feeds the machine, and how much it takes.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Power {
    /// The worst that any device tells; absent where nothing tells.
    pub supply: Reading<Supply>,
    /// The emptiest battery.
    pub charge: Reading<Share>,
    /// The shortest time that a battery still lasts.
    pub runtime: Reading<Span>,
    /// Each device by itself.
    pub devices: Vec<SupplyDevice>,
    /// Draws, one per meter (RAPL package, board sensor).
    pub draws: Vec<Reading<Watts>>,
}

/// One adapter, battery or UPS.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SupplyDevice {
    /// What it tells of the supply.
    pub supply: Reading<Supply>,
    /// Its charge, if it is a battery.
    pub charge: Option<Share>,
    /// How long it lasts, if it tells.
    pub runtime: Option<Span>,
    /// Its own words: `OL CHRG`, `Discharging` …
    pub status: String,
}
