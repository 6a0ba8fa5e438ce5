//! How much may run, so that the box is never overheated, starved or drowned; and why not more.
//!
//! ```text
//!  readings ─► thermal ─► slots, quota, guard ┐
//!          ├─► memory ──► slots               │
//!          ├─► io ──────► slots               ├─► minimum ─► Decision { slots, quota, pause, … }
//!          ├─► power ───► slots, pause        │              and the limiter that binds, in words
//!          ├─► disk ────► slots               │
//!          ├─► cpu ─────► slots               ┘
//!          └─► network ─► network slots, sync budget
//! ```
//!
//! Why pure: every decision can be replayed and explained, and half a day of bad weather is
//! simulated in a second (`plant_tests`).
//! Invariants: in one state, a worse reading never gives more slots, quota or budget; a reading
//! that was there and is missing is treated as bad; slots are within `0..=pool`, shares within
//! `0..=1`, and no number is ever not a number. Less slots never end a job: the quota and the
//! pause act on what runs, and only a guard that has held for a minute gives up the youngest.
//! Units: degrees Celsius, seconds of the governor's own clock, shares of 1 unless said otherwise.
//! On failure: there is none; a clock that jumps counts as one step of at most
//! [`STEP_MAX_SECONDS`].

mod cpu;
mod disk;
mod io;
pub mod learned;
mod memory;
mod moment;
mod network;
mod power;
mod sensor;
mod sight;
mod slope;
mod thermal;
mod zone;

use base::{time::Timestamp, units::Bytes};
use moment::Moment;
use serde::{Deserialize, Serialize};
use std::fmt;

pub use disk::Disk;
pub use memory::Memory;
pub use network::{Link, Network};
pub use power::{Power, Supply};
pub use sight::Sight;
pub use thermal::Heat;

/// The longest time that one step may stand for: a suspended or stepped clock is not ten minutes
/// of calm.
pub const STEP_MAX_SECONDS: f64 = 5.0;

/// How long the guard must hold before the youngest job is given up, and again before the next.
const GIVE_UP_SECONDS: f64 = 60.0;

/// What bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Limiter {
    /// Temperatures and fans.
    Thermal,
    /// Free memory and memory pressure.
    Memory,
    /// How slow the disk is.
    Io,
    /// Battery, mains, watts.
    Power,
    /// Free space, inodes, wear.
    Disk,
    /// The processor's target.
    Cpu,
    /// Links; bounds network jobs alone.
    Network,
}

impl Limiter {
    /// Its name for people and on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Thermal => "thermal",
            Self::Memory => "memory",
            Self::Io => "io",
            Self::Power => "power",
            Self::Disk => "disk",
            Self::Cpu => "cpu",
            Self::Network => "network",
        }
    }
}

impl fmt::Display for Limiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What one limiter allows, and by which reading.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bound {
    /// Which.
    pub limiter: Limiter,
    /// Jobs at once.
    pub slots: u32,
    /// The reading and its bound in words: `cpu-thermal 81.2 °C of 80`.
    pub reading: String,
}

impl Bound {
    fn free(limiter: Limiter, pool: u32, reading: &str) -> Self {
        Self { limiter, slots: pool, reading: reading.to_owned() }
    }

    fn lost(limiter: Limiter, slots: u32, what: &str) -> Self {
        Self { limiter, slots, reading: format!("{what}: no reading any more, safe value") }
    }
}

/// The settings of the law.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Law {
    /// Most jobs at once, on the best of days.
    pub pool: u32,
    /// No heat source may pass it, in degrees Celsius; one that tells a lower limit of its own
    /// keeps that.
    pub limit: f64,
    /// Share of the processor that the box may be busy with; 1 turns it off.
    pub cpu_target: f64,
    /// Share of the pool while a sensor is lost.
    pub safe_share: f64,
    /// Cap of the measured draw in watts.
    pub watts_max: Option<f64>,
    tuning: Tuning,
}

impl Law {
    /// 80 °C, 70 % of the processor, a quarter of the slots without a sensor.
    #[must_use]
    pub fn new(pool: u32) -> Self {
        Self {
            pool,
            limit: 80.0,
            cpu_target: 0.7,
            safe_share: 0.25,
            watts_max: None,
            tuning: Tuning::default(),
        }
    }

    fn safe_slots(&self) -> u32 {
        moment::slots(f64::from(self.pool) * self.safe_share).clamp(1.min(self.pool), self.pool)
    }
}

/// Gains and margins of the thermal law; `plant_tests` shows what they achieve.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Tuning {
    /// Filter of the quota's loop.
    fast_seconds: f64,
    /// Filter of the slots' loop.
    slow_seconds: f64,
    /// How far the quota's loop looks ahead along the slope.
    lead_seconds: f64,
    /// The quota's loop aims so far below the limit: the sensor's noise and its whole degrees.
    quota_below: f64,
    /// Share of CPU time for a degree.
    quota_proportional: f64,
    /// Share of CPU time for a degree and second.
    quota_integral: f64,
    /// A job that gets less does not answer any more.
    quota_min: f64,
    /// From this mean quota on, jobs run unthrottled and one more may come.
    quota_full: f64,
    /// One more job only so far below the limit.
    slots_below: f64,
    /// Averages what the quota carried; longer than a short job.
    carried_seconds: f64,
    /// Slots beyond a whole one before a slot is taken away.
    dead_band: f64,
    up_dwell: f64,
    down_dwell: f64,
    /// How much lower the limit is without a fan.
    fan_margin: f64,
    /// Above the limit: the guard.
    guard_above: f64,
    guard_dwell: f64,
    /// Quota behind a closed guard, for a job that cannot be paused.
    guard_quota: f64,
    /// Quota while a sensor is lost.
    safe_quota: f64,
}

impl Default for Tuning {
    fn default() -> Self {
        Self {
            fast_seconds: 1.5,
            slow_seconds: 10.0,
            lead_seconds: 6.0,
            quota_below: 1.2,
            quota_proportional: 0.16,
            quota_integral: 0.01,
            quota_min: 0.15,
            quota_full: 0.97,
            slots_below: 2.0,
            carried_seconds: 120.0,
            dead_band: 0.15,
            up_dwell: 45.0,
            down_dwell: 60.0,
            fan_margin: 5.0,
            guard_above: 5.0,
            guard_dwell: 15.0,
            guard_quota: 0.05,
            safe_quota: 0.5,
        }
    }
}

/// What may happen until the next step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Decision {
    /// Jobs at once.
    pub slots: u32,
    /// Most slots there could be.
    pub pool: u32,
    /// Share of the CPU time that running jobs ask for.
    pub quota: f64,
    /// Running jobs stand still.
    pub pause: bool,
    /// The guard has held for long: the youngest job is given up. True for one step at a time.
    pub give_up: bool,
    /// Jobs at once that work over the network.
    pub network_slots: u32,
    /// Share of the link for bulk transfer; control traffic is always allowed.
    pub sync_share: f64,
    /// What a job may need of memory at most to start now; `None` when that is not known.
    pub memory_free: Option<Bytes>,
    /// Degrees to the limit in half a minute, at the worst source.
    pub headroom: Option<f64>,
    /// One for each limiter, in the order of [`Limiter`].
    pub bounds: Vec<Bound>,
}

impl Decision {
    /// Before the first reading: nothing is known to be wrong.
    #[must_use]
    pub fn open(pool: u32) -> Self {
        Self {
            slots: pool,
            pool,
            quota: 1.0,
            pause: false,
            give_up: false,
            network_slots: pool,
            sync_share: 1.0,
            memory_free: None,
            headroom: None,
            bounds: Vec::new(),
        }
    }

    /// The limiter that binds local jobs; `None` while none is below the pool.
    #[must_use]
    pub fn binding(&self) -> Option<&Bound> {
        let local = self.bounds.iter().filter(|bound| bound.limiter != Limiter::Network);
        local.min_by_key(|bound| bound.slots).filter(|bound| bound.slots < self.pool)
    }

    /// The network limiter's bound, when it is below the pool.
    #[must_use]
    pub fn network(&self) -> Option<&Bound> {
        let network = self.bounds.iter().find(|bound| bound.limiter == Limiter::Network);
        network.filter(|bound| bound.slots < self.pool)
    }
}

/// The law with its memory.
#[derive(Default)]
pub struct Governor {
    thermal: thermal::ThermalLimiter,
    memory: memory::MemoryLimiter,
    io: io::IoLimiter,
    power: power::PowerLimiter,
    disk: disk::DiskLimiter,
    cpu: cpu::CpuLimiter,
    network: network::NetworkLimiter,
    before: Option<Timestamp>,
    clock: f64,
    paused_seconds: f64,
}

impl Governor {
    /// Decides, once a second. The settings may change between steps.
    pub fn step(&mut self, sight: &Sight, law: &Law, now: Timestamp) -> Decision {
        let seconds = self.tick(now);
        let moment = Moment { law, running: sight.running, seconds, clock: self.clock };
        let load = sight.cpu_busy.filter(|busy| busy.is_finite()).unwrap_or(0.0);
        let thermal = self.thermal.step(&sight.heats, sight.failed_fan.as_deref(), load, &moment);
        let memory = self.memory.step(sight.memory, &moment);
        let io = self.io.step(sight.flush_millis, &moment);
        let (power, park) = self.power.step(sight.power, &moment);
        let disk = self.disk.step(&sight.disks, &moment);
        let cpu = self.cpu.step(sight.cpu_busy, &moment);
        let (network, sync_share) = self.network.step(&sight.network, &moment);
        let pause = thermal.guard || park;
        let network_slots = network.slots;
        let mut bounds = vec![thermal.bound, memory, io, power, disk, cpu];
        if thermal.guard {
            bounds[0].slots = 0;
        }
        let slots = bounds.iter().map(|bound| bound.slots).min().unwrap_or(law.pool);
        bounds.push(network);
        Decision {
            slots: slots.min(law.pool),
            pool: law.pool,
            quota: thermal.quota,
            pause,
            give_up: self.gives_up(thermal.guard, seconds),
            network_slots,
            sync_share,
            memory_free: sight
                .memory
                .map(|memory| Bytes(memory.available.0.saturating_sub(memory.reserve().0))),
            headroom: thermal.headroom,
            bounds,
        }
    }

    /// Seconds since the last step, whatever the wall clock did meanwhile.
    fn tick(&mut self, now: Timestamp) -> f64 {
        let since = self.before.map_or(1.0, |before| now.since(before).as_secs_f64());
        let seconds = since.clamp(0.0, STEP_MAX_SECONDS);
        self.before = Some(now);
        self.clock += seconds;
        seconds
    }

    fn gives_up(&mut self, guard: bool, seconds: f64) -> bool {
        self.paused_seconds = if guard { self.paused_seconds + seconds } else { 0.0 };
        let gives_up = self.paused_seconds >= GIVE_UP_SECONDS;
        if gives_up {
            self.paused_seconds = 0.0;
        }
        gives_up
    }
}

#[cfg(test)]
mod faults_tests;
#[cfg(test)]
mod law_tests;
#[cfg(test)]
mod limiter_tests;
#[cfg(test)]
mod plant;
#[cfg(test)]
mod plant_tests;
