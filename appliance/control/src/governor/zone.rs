//! One heat source: two loops that hold one temperature under its limit.
//!
//! ```text
//!  reading ─► judge ─► fast filter ─► PI ─────────► quota   (seconds: what runs gets less CPU time)
//!                 └──► slow filter + slope ──┐         │
//!                                            ├──► slots   (minutes: how many jobs run)
//!                      what the quota carries ◄────────┘
//! ```
//!
//! Why two: jobs that run for a quarter of an hour make admission far too slow to hold a die that
//! heats in seconds; a quota alone would leave many jobs crawling. So the quota holds the
//! temperature, and the slots follow what the quota can carry: as many jobs as can run nearly
//! unthrottled. Against a PI on the slots with a quota proportional to the excess, this keeps the
//! temperature nearer to its limit and moves the slots less (`README.md` shows both).
//! Invariants: quota in `QUOTA_MIN..=1`, slots in `1..=pool`; in one state, a hotter reading gives
//! no more of either; the integral is clamped to the quota's range, so nothing winds up.
//! Units: degrees Celsius, seconds, shares of 1.

use super::{
    Tuning,
    moment::{slots, toward},
    sensor::{Judge, Trust},
    slope::{Slope, WINDOW_SECONDS},
};

/// What a zone allows now.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Allowed {
    /// Jobs at once, for heat.
    pub(super) slots: u32,
    /// Share of the CPU time that jobs ask for.
    pub(super) quota: f64,
    /// The guard has closed.
    pub(super) guard: bool,
    /// How far the sensor is trusted.
    pub(super) trust: Trust,
    /// It has shown one value since it was first read.
    pub(super) never_moved: bool,
    /// Where the temperature will be in half a minute, if nothing changes.
    pub(super) predicted: f64,
}

/// What a zone is told with each step.
#[derive(Debug, Clone, Copy)]
pub(super) struct Told {
    /// The reading, if there was one.
    pub(super) reading: Option<f64>,
    /// The temperature that must not be passed.
    pub(super) limit: f64,
    /// A fan has failed: be careful.
    pub(super) fan_failed: bool,
    /// Jobs that run.
    pub(super) running: u32,
    /// CPU load of the host, a share of 1, to tell a stuck sensor.
    pub(super) load: f64,
    /// Most slots.
    pub(super) pool: u32,
    /// Slots while the sensor is lost.
    pub(super) safe: u32,
    /// Seconds since the last step.
    pub(super) seconds: f64,
    /// The governor's own clock, in seconds.
    pub(super) clock: f64,
}

/// The state of one heat source.
#[derive(Debug, Clone)]
pub(super) struct Zone {
    judge: Judge,
    slope: Slope,
    /// Degrees a second, never below zero: what cools is not helped on.
    rise: f64,
    fast: Option<f64>,
    slow: f64,
    /// Integral part of the quota.
    integral: f64,
    quota: f64,
    /// Jobs at full speed that the heat allowed lately: running × quota, averaged.
    carried: f64,
    /// The quota, averaged likewise.
    quota_mean: f64,
    slots: u32,
    since_change: f64,
    guard: Guard,
}

/// Closed at once, opened late.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Guard {
    Open,
    Closed { seconds: f64 },
}

impl Zone {
    pub(super) fn new(pool: u32) -> Self {
        Self {
            judge: Judge::default(),
            slope: Slope::default(),
            rise: 0.0,
            fast: None,
            slow: 0.0,
            integral: 1.0,
            quota: 1.0,
            carried: f64::from(pool),
            quota_mean: 1.0,
            slots: pool,
            since_change: f64::MAX,
            guard: Guard::Open,
        }
    }

    /// One step of both loops.
    pub(super) fn step(&mut self, told: Told, tuning: &Tuning) -> Allowed {
        let judged = self.judge.judge(told.reading, told.load, told.seconds);
        if let Some(celsius) = judged.celsius {
            self.heat(celsius, told, tuning);
        }
        self.since_change += told.seconds;
        // A guard whose sensor is gone would stand for ever: the safe values take its place.
        let lost = judged.trust == Trust::Lost;
        let safe_quota = self.quota.clamp(tuning.quota_min, tuning.safe_quota);
        Allowed {
            slots: if lost { self.slots.min(told.safe) } else { self.slots },
            quota: if lost { safe_quota } else { self.quota },
            guard: self.guard != Guard::Open && !lost,
            trust: judged.trust,
            never_moved: judged.never_moved,
            predicted: self.predicted(),
        }
    }

    /// The temperature to show: smoothed, so that it does not flicker.
    pub(super) fn shown(&self) -> f64 {
        self.fast.unwrap_or(self.slow)
    }

    /// It shows one value whatever the load is.
    pub(super) fn is_stuck(&self) -> bool {
        self.judge.is_stuck()
    }

    fn predicted(&self) -> f64 {
        self.slow + self.rise * WINDOW_SECONDS
    }

    fn heat(&mut self, celsius: f64, told: Told, tuning: &Tuning) {
        self.slope.push(told.clock, celsius);
        self.rise = self.slope.per_second().max(0.0);
        let fast = toward(self.fast.unwrap_or(celsius), celsius, told.seconds, tuning.fast_seconds);
        if self.fast.is_none() {
            self.slow = celsius;
        }
        self.fast = Some(fast);
        self.slow = toward(self.slow, celsius, told.seconds, tuning.slow_seconds);
        let target = told.limit - if told.fan_failed { tuning.fan_margin } else { 0.0 };
        self.guard_step(celsius, fast, told, tuning);
        self.quota_step(fast, target, told, tuning);
        self.slots_step(target, told, tuning);
    }

    fn guard_step(&mut self, celsius: f64, fast: f64, told: Told, tuning: &Tuning) {
        let closes = told.limit + tuning.guard_above;
        self.guard = match self.guard {
            // Both the reading and its average: one wrong sample does not stop a box.
            Guard::Open if celsius >= closes && fast >= closes - 1.0 => {
                Guard::Closed { seconds: 0.0 }
            }
            Guard::Closed { seconds }
                if seconds >= tuning.guard_dwell && celsius.max(fast) <= told.limit - 2.0 =>
            {
                Guard::Open
            }
            Guard::Closed { seconds } => Guard::Closed { seconds: seconds + told.seconds },
            Guard::Open => Guard::Open,
        };
    }

    fn quota_step(&mut self, fast: f64, target: f64, told: Told, tuning: &Tuning) {
        let lead = self.rise * tuning.lead_seconds;
        let error = target - tuning.quota_below - (fast + lead);
        let step = tuning.quota_integral * error * told.seconds;
        self.integral = (self.integral + step).clamp(tuning.quota_min, 1.0);
        self.quota =
            (self.integral + tuning.quota_proportional * error).clamp(tuning.quota_min, 1.0);
        // A guard that has closed is the last word.
        if self.guard != Guard::Open {
            (self.quota, self.integral) = (tuning.guard_quota, tuning.quota_min);
        }
    }

    /// Slots follow what the quota carries.
    fn slots_step(&mut self, target: f64, told: Told, tuning: &Tuning) {
        self.slots = self.slots.min(told.pool);
        let running = f64::from(told.running.min(told.pool));
        let now = f64::from(self.slots);
        let carried = if self.quota >= 1.0 { running.max(now) } else { running * self.quota };
        self.carried = toward(self.carried, carried, told.seconds, tuning.carried_seconds);
        self.quota_mean = toward(self.quota_mean, self.quota, told.seconds, tuning.carried_seconds);
        let down = self.slots > 1
            && self.carried <= now - 1.0 - tuning.dead_band
            && self.since_change >= tuning.down_dwell;
        let up = self.quota >= 1.0
            && self.quota_mean >= tuning.quota_full
            && self.predicted() < target - tuning.slots_below
            && self.since_change >= tuning.up_dwell;
        if down {
            self.change(slots(self.carried).clamp(1, self.slots - 1));
        } else if up && self.slots < told.pool {
            self.change(self.slots + 1);
        }
    }

    fn change(&mut self, slots: u32) {
        if slots != self.slots {
            (self.slots, self.since_change) = (slots, 0.0);
        }
    }
}
