//! A simulated box: two nodes of heat, jobs, a sensor of the cheap kind, and bad weather.
//!
//! Why: the law has to be proven over half a day, five boxes and bad days before it meets one.
//! The plant: `die` (heat capacity J/K, resistance K/W to the case) and `case` (likewise, to the
//! air). Idle power, and a power for each job that differs by ±30 %. The air is 25 °C, steps to
//! 45, then 55, then 30; the fan fails for forty minutes. The sensor shows whole degrees, with
//! noise, and one reading in a hundred is missing. The backlog never ends; the lengths of jobs are
//! log-normal. What the controller says takes effect two seconds later.
//! The oracle knows the plant, the air and the mean job: it runs as many jobs, in fractions, as
//! hold the die at its limit for ever. [`ideal`] checks that this is a fair measure.

use std::collections::VecDeque;

pub(super) const LIMIT: f64 = 80.0;
pub(super) const POOL: u32 = 8;
const HOURS: f64 = 12.0;
const TICK: f64 = 1.0;
/// Steps of the plant in one tick of the controller.
const SUBSTEPS: u32 = 4;
const DELAY_TICKS: usize = 2;
/// Standard deviation of a reading, in degrees.
const SENSOR_NOISE: f64 = 0.3;

/// A box's constants.
#[derive(Debug, Clone, Copy)]
pub(super) struct Plant {
    pub(super) name: &'static str,
    pub(super) die_capacity: f64,
    pub(super) die_resistance: f64,
    pub(super) case_capacity: f64,
    pub(super) case_resistance: f64,
    pub(super) idle_watts: f64,
    pub(super) slot_watts: f64,
}

const NOMINAL: Plant = Plant {
    name: "nominal",
    die_capacity: 25.0,
    die_resistance: 0.5,
    case_capacity: 600.0,
    case_resistance: 0.95,
    idle_watts: 6.0,
    slot_watts: 4.0,
};

/// The five boxes of the experiment.
pub(super) const PLANTS: [Plant; 5] = [
    NOMINAL,
    Plant { name: "case / 3", case_capacity: 200.0, ..NOMINAL },
    Plant { name: "die × 1.6", die_resistance: 0.8, ..NOMINAL },
    Plant { name: "power × 1.5", slot_watts: 6.0, ..NOMINAL },
    Plant { name: "case × 3", case_capacity: 1800.0, ..NOMINAL },
];

/// What a controller sees each second.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seen {
    pub(super) clock: f64,
    pub(super) celsius: Option<f64>,
    pub(super) fan_failed: bool,
    pub(super) running: u32,
}

/// What it answers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Act {
    pub(super) slots: u32,
    pub(super) quota: f64,
}

/// What the fan does, besides turning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fan {
    /// It never fails; the run ends with the hour in which it would stand.
    Sound,
    /// It stands for forty minutes, and its tachometer tells.
    Told,
    /// It stands for forty minutes, and only heat tells.
    Silent,
}

/// How a run went.
#[derive(Debug, Clone, Default)]
pub(super) struct Score {
    /// The die's highest temperature.
    pub(super) max: f64,
    /// Minutes over the limit.
    pub(super) over: f64,
    /// Work done, as a share of the oracle's.
    pub(super) throughput: f64,
    /// Slot changes an hour.
    pub(super) changes: f64,
    /// Mean quota: how much slower a job was than alone.
    pub(super) quota: f64,
    /// Everything that was said, second by second.
    pub(super) said: Vec<Act>,
    /// How much hotter the die is, second by second since the fan stands, than it would be with
    /// the very same jobs and quota under a fan that turns.
    pub(super) warmer: Vec<f64>,
}

impl Score {
    /// Seconds from the fan's failure until less was allowed than in the same run with a sound fan.
    /// Both runs see the same noise, so that the first difference is the reaction.
    pub(super) fn reaction(&self, sound: &Self) -> Option<u32> {
        let pairs = self.said.iter().zip(&sound.said).skip(FAN_FAILS_TICK);
        let less = |(one, other): (&Act, &Act)| {
            one.slots < other.slots || one.quota < other.quota * (1.0 - REACTION)
        };
        pairs.into_iter().position(less).and_then(|at| u32::try_from(at).ok())
    }

    /// Seconds until the die is warmer by one of the sensor's whole degrees than it would be with a
    /// sound fan.
    pub(super) fn differs(&self) -> Option<u32> {
        let at = self.warmer.iter().position(|degrees| *degrees >= 1.0)?;
        u32::try_from(at).ok()
    }

    /// How far a standing fan stands out of the sensor's noise in its first half minute, in
    /// standard deviations, for a judge who knows everything else: every constant, each job's
    /// power, and the temperature before, exactly. The most powerful test there is (Neyman and
    /// Pearson) has this distance; whole degrees and unknown jobs only make it shorter.
    pub(super) fn distance(&self) -> f64 {
        let first = self.warmer.iter().take(30);
        first.map(|degrees| (degrees / SENSOR_NOISE).powi(2)).sum::<f64>().sqrt()
    }
}

/// Seeded noise, by xorshift: a seed is all there is to repeat a run.
struct Noise(u64);

impl Noise {
    fn new(seed: u64) -> Self {
        Self(seed.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// 0 to 1.
    #[expect(clippy::cast_precision_loss, reason = "noise")]
    fn share(&mut self) -> f64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Mean 0, deviation 1.
    fn normal(&mut self) -> f64 {
        let radius = (-2.0 * self.share().max(1e-12).ln()).sqrt();
        radius * (std::f64::consts::TAU * self.share()).cos()
    }
}

struct Job {
    watts: f64,
    left: f64,
}

/// Degrees of the air, and whether the fan stands.
pub(super) fn weather(hours: f64) -> (f64, bool) {
    let air = match hours {
        h if h < 3.0 => 25.0,
        h if h < 6.0 => 45.0,
        h if h < 9.0 => 55.0,
        _ => 30.0,
    };
    (air, (FAN_FAILS..FAN_FAILS + FAN_STANDS).contains(&hours))
}

const FAN_FAILS: f64 = 4.0;
const FAN_STANDS: f64 = 40.0 / 60.0;
const FAN_FAILS_TICK: usize = 4 * 3600;
/// A twentieth less CPU time is a reaction and not a rounding.
const REACTION: f64 = 0.05;
/// What a standing fan does to the case's resistance.
const FAN_FACTOR: f64 = 1.4;

/// Degrees of die and case.
#[derive(Clone, Copy)]
struct Heat {
    die: f64,
    case: f64,
}

impl Heat {
    const START: Self = Self { die: 35.0, case: 32.0 };

    fn step(&mut self, plant: Plant, seconds: f64, power: f64, air: f64, resistance: f64) {
        let across = (self.die - self.case) / plant.die_resistance;
        self.die += seconds * (power - across) / plant.die_capacity;
        self.case += seconds * (across - (self.case - air) / resistance) / plant.case_capacity;
    }
}

fn resistance(plant: Plant, fan_failed: bool) -> f64 {
    plant.case_resistance * if fan_failed { FAN_FACTOR } else { 1.0 }
}

/// Jobs at once that hold the die at its limit for ever.
fn oracle(plant: Plant, air: f64, resistance: f64) -> f64 {
    let total = plant.die_resistance + resistance;
    let best = (LIMIT - air - plant.idle_watts * total) / (plant.slot_watts * total);
    best.clamp(0.0, f64::from(POOL))
}

/// What nobody can beat: it knows every constant, measures without error, acts at once and in
/// fractions, and never lets the die pass its limit. As a share of the oracle's work.
pub(super) fn ideal(plant: Plant) -> f64 {
    let (mut heat, mut work, mut best, mut clock) = (Heat::START, 0.0, 0.0, 0.0);
    let seconds = TICK / f64::from(SUBSTEPS);
    while clock < HOURS * 3600.0 {
        let (air, fan_failed) = weather(clock / 3600.0);
        let resistance = resistance(plant, fan_failed);
        let across = (heat.die - heat.case) / plant.die_resistance;
        let allowed = across + (LIMIT - heat.die) * plant.die_capacity / seconds;
        let jobs = ((allowed - plant.idle_watts) / plant.slot_watts).clamp(0.0, f64::from(POOL));
        heat.step(plant, seconds, plant.idle_watts + jobs * plant.slot_watts, air, resistance);
        work += jobs * seconds;
        best += oracle(plant, air, resistance) * seconds;
        clock += seconds;
    }
    work / best
}

/// Half a day of one box under one controller.
pub(super) fn run(
    plant: Plant,
    job_seconds: f64,
    seed: u64,
    fan: Fan,
    mut controller: impl FnMut(Seen) -> Act,
) -> Score {
    let mut noise = Noise::new(seed);
    let mut heat = Heat::START;
    let mut jobs: Vec<Job> = Vec::new();
    let mut pending: VecDeque<Act> = VecDeque::new();
    let mut act = Act { slots: POOL, quota: 1.0 };
    let mut score = Score::default();
    let (mut work, mut best, mut changes, mut quota_sum) = (0.0, 0.0, 0_u32, 0.0);
    let mut slots = POOL;
    let mut clock = 0.0;
    let mut cooled: Option<Heat> = None;
    let hours = if fan == Fan::Sound { FAN_FAILS + FAN_STANDS } else { HOURS };
    while clock < hours * 3600.0 {
        let (air, stands) = weather(clock / 3600.0);
        let fan_failed = stands && fan != Fan::Sound;
        let resistance = resistance(plant, fan_failed);
        while jobs.len() < act.slots as usize {
            jobs.push(Job {
                watts: plant.slot_watts * (0.7 + 0.6 * noise.share()),
                left: job_seconds * (0.6 * noise.normal() - 0.18).exp(),
            });
        }
        let quota = act.quota;
        if fan_failed {
            cooled.get_or_insert(heat);
        }
        for _ in 0..SUBSTEPS {
            let seconds = TICK / f64::from(SUBSTEPS);
            let power = plant.idle_watts + quota * jobs.iter().map(|job| job.watts).sum::<f64>();
            heat.step(plant, seconds, power, air, resistance);
            if let Some(cooled) = &mut cooled {
                cooled.step(plant, seconds, power, air, plant.case_resistance);
            }
            score.max = score.max.max(heat.die);
            if heat.die > LIMIT {
                score.over += seconds / 60.0;
            }
        }
        #[expect(clippy::cast_precision_loss, reason = "a few jobs")]
        let count = jobs.len() as f64;
        work += quota * count * TICK;
        quota_sum += quota * TICK;
        jobs.iter_mut().for_each(|job| job.left -= quota * TICK);
        jobs.retain(|job| job.left > 0.0);
        best += oracle(plant, air, resistance) * TICK;
        clock += TICK;

        score.warmer.extend(cooled.map(|cooled| heat.die - cooled.die));
        let shown = (heat.die + SENSOR_NOISE * noise.normal()).round();
        let seen = Seen {
            clock,
            celsius: (noise.share() > 0.01).then_some(shown),
            fan_failed: fan_failed && fan == Fan::Told,
            running: u32::try_from(jobs.len()).expect("a few jobs"),
        };
        let next = controller(seen);
        score.said.push(next);
        if next.slots != slots {
            (slots, changes) = (next.slots, changes + 1);
        }
        pending.push_back(next);
        if pending.len() > DELAY_TICKS {
            act = pending.pop_front().expect("just counted");
        }
    }
    score.throughput = work / best;
    score.changes = f64::from(changes) / hours;
    score.quota = quota_sum / clock;
    score
}
