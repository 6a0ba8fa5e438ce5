//! Memory, stalls, disks and the clock.

use super::{Reading, Source};
use crate::units::{Bytes, Share, Span, Unit};
use serde::{Deserialize, Serialize};

/// Memory of the whole machine.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Memory {
    /// All there is.
    pub total: Bytes,
    /// What new work can have without swapping.
    pub available: Reading<Bytes>,
    /// Swap space.
    pub swap_total: Bytes,
    /// Swap space not in use.
    pub swap_free: Bytes,
    /// Memory controllers that count errors.
    pub ecc: Vec<Ecc>,
}

/// Errors that one memory controller counted since the machine started.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Ecc {
    /// Mended by the hardware.
    pub corrected: Reading<u64>,
    /// Not mended: data was lost.
    pub uncorrected: Reading<u64>,
    /// `corrected` since the snapshot before.
    pub corrected_recent: u64,
    /// `uncorrected` since the snapshot before.
    pub uncorrected_recent: u64,
}

/// How much of the time tasks waited for something; absent on a kernel without PSI.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Pressure {
    /// For a processor.
    pub cpu: Reading<Stall>,
    /// For memory.
    pub memory: Reading<Stall>,
    /// For a disk.
    pub io: Reading<Stall>,
}

/// Waiting for one resource.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Stall {
    /// At least one task waited.
    pub some: Averages,
    /// Every task waited.
    pub full: Averages,
}

impl Unit for Stall {
    const UNIT: &'static str = "%";
}

/// A share of the time, averaged over 10 s, 60 s and 300 s.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Averages {
    /// Over ten seconds.
    pub avg10: Share,
    /// Over a minute.
    pub avg60: Share,
    /// Over five minutes.
    pub avg300: Share,
}

/// One file system and the device below it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Disk {
    /// Mount point.
    pub mount: String,
    /// Block device, without `/dev/`; empty for a file system without one.
    pub device: String,
    /// File system type.
    pub kind: String,
    /// All there is.
    pub total: Bytes,
    /// What an ordinary user may still write.
    pub free: Reading<Bytes>,
    /// All inodes; 0 where the file system has no fixed number.
    pub inodes_total: u64,
    /// Inodes still free.
    pub inodes_free: u64,
    /// It cannot be written.
    pub read_only: bool,
    /// It was writable and the kernel made it read-only: the usual sign of a dying disk.
    pub went_read_only: bool,
    /// Mean time of a request since the snapshot before; the last one known while idle.
    pub latency: Reading<Span>,
    /// Share of the time that the device was busy since the snapshot before.
    pub busy: Share,
    /// How worn the flash is, where it tells.
    pub wear: Option<Wear>,
    /// The state of the NVMe drive's controller as the kernel tells it; anything but `live` is
    /// trouble.
    pub controller: Option<String>,
}

/// The age of flash, as its own controller counts it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Wear {
    /// Life used up; may pass 100.
    pub used: Reading<Share>,
    /// Reserve blocks left.
    pub spare: Option<Share>,
    /// Errors of the medium that were not mended.
    pub media_errors: Option<u64>,
    /// What the disk itself warns of.
    pub warnings: Vec<DiskWarning>,
}

/// What a disk warns of by itself; the order is that of how soon it matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DiskWarning {
    /// It takes no more writes.
    ReadOnly,
    /// It says that it fails.
    Failing,
    /// Too many of its own errors.
    Degraded,
    /// What it holds in its cache is lost when the power goes.
    PowerCut,
    /// Its reserve is smaller than its own bound.
    Spare,
    /// Its memory that outlives a power cut cannot be trusted or written.
    PersistentMemory,
}

impl DiskWarning {
    /// For people.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::ReadOnly => "it takes no more writes",
            Self::Failing => "it says that it fails",
            Self::Degraded => "its own errors have made it unreliable",
            Self::PowerCut => "its protection against power cuts has failed",
            Self::Spare => "its reserve of blocks is nearly used up",
            Self::PersistentMemory => "its persistent memory cannot be trusted",
        }
    }
}

/// Whether the wall clock can be believed.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Clock {
    /// What the kernel says of it.
    pub state: Reading<ClockState>,
    /// The kernel's bound on its error, while a source keeps it.
    pub max_error: Option<Span>,
    /// Its error as that source estimates it.
    pub estimated_error: Option<Span>,
    /// It was set by this many milliseconds since the snapshot before: positive is forward.
    pub stepped_ms: Option<i64>,
    /// Hardware clocks (`rtc0`, `ptp0`) and where they are.
    pub hardware: Vec<Source>,
}

/// What the kernel says of its clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ClockState {
    /// A time source disciplines it.
    Synchronised,
    /// Nobody disciplines it.
    Unsynchronised,
}

impl Unit for ClockState {
    const UNIT: &'static str = "";
}
