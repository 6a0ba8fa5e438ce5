//! A simulated box: two nodes of heat, jobs, a sensor of the cheap kind, and bad weather.
//!
//! Why: the law has to be proven over half a day, five boxes and bad days before it meets one.
//! The plant: `die` (heat capacity J/K, resistance K/W to the case) and `case` (likewise, to the
//! air). Idle power, and a power for each job that differs by ±30 %. The air is 25 °C, steps to
//! 45, then 55, then 30; the fan fails for forty minutes. The sensor shows whole degrees, with
//! noise, and one reading in a hundred is missing. The backlog never ends; the lengths of jobs are
//! log-normal. What the controller says takes effect two seconds later.

use std::collections::VecDeque;

pub(super) const LIMIT: f64 = 80.0;
pub(super) const POOL: u32 = 8;
const HOURS: f64 = 12.0;
const TICK: f64 = 1.0;
/// Steps of the plant in one tick of the controller.
const SUBSTEPS: u32 = 4;
const DELAY_TICKS: usize = 2;

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

/// How a run went.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Score {
    /// The die's highest temperature.
    pub(super) max: f64,
    /// Minutes over the limit.
    pub(super) over: f64,
    /// Work done, as a share of the oracle's.
    pub(super) throughput: f64,
    /// Slot changes an hour.
    pub(super) changes: f64,
    /// Seconds from the fan's failure to less slots or less quota; `None` when it had no need.
    pub(super) reaction: Option<f64>,
    /// Mean time over mean time unthrottled: how much slower a job was than alone.
    pub(super) quota: f64,
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
    (air, (FAN_FAILS..FAN_FAILS + 40.0 / 60.0).contains(&hours))
}

pub(super) const FAN_FAILS: f64 = 4.0;
/// What a standing fan does to the case's resistance.
const FAN_FACTOR: f64 = 1.4;

/// Half a day of one box under one controller; `fan_seen` tells whether the fan has a sensor.
pub(super) fn run(
    plant: Plant,
    job_seconds: f64,
    seed: u64,
    fan_seen: bool,
    mut controller: impl FnMut(Seen) -> Act,
) -> Score {
    let mut noise = Noise::new(seed);
    let (mut die, mut case) = (35.0, 32.0);
    let mut jobs: Vec<Job> = Vec::new();
    let mut pending: VecDeque<Act> = VecDeque::new();
    let mut act = Act { slots: POOL, quota: 1.0 };
    let mut score = Score::default();
    let (mut work, mut oracle, mut changes, mut quota_sum) = (0.0, 0.0, 0_u32, 0.0);
    let mut slots = POOL;
    let mut before_fan: Option<Act> = None;
    let mut clock = 0.0;
    while clock < HOURS * 3600.0 {
        let (air, fan_failed) = weather(clock / 3600.0);
        let resistance = plant.case_resistance * if fan_failed { FAN_FACTOR } else { 1.0 };
        while jobs.len() < act.slots as usize {
            jobs.push(Job {
                watts: plant.slot_watts * (0.7 + 0.6 * noise.share()),
                left: job_seconds * (0.6 * noise.normal() - 0.18).exp(),
            });
        }
        let quota = act.quota;
        for _ in 0..SUBSTEPS {
            let seconds = TICK / f64::from(SUBSTEPS);
            let power = plant.idle_watts + quota * jobs.iter().map(|job| job.watts).sum::<f64>();
            let across = (die - case) / plant.die_resistance;
            die += seconds * (power - across) / plant.die_capacity;
            case += seconds * (across - (case - air) / resistance) / plant.case_capacity;
            score.max = score.max.max(die);
            if die > LIMIT {
                score.over += seconds / 60.0;
            }
        }
        #[expect(clippy::cast_precision_loss, reason = "a few jobs")]
        let count = jobs.len() as f64;
        work += quota * count * TICK;
        quota_sum += quota * TICK;
        jobs.iter_mut().for_each(|job| job.left -= quota * TICK);
        jobs.retain(|job| job.left > 0.0);
        let total = plant.die_resistance + resistance;
        let best = (LIMIT - air - plant.idle_watts * total) / (plant.slot_watts * total);
        oracle += best.clamp(0.0, f64::from(POOL)) * TICK;
        clock += TICK;

        let shown = (die + 0.3 * noise.normal()).round();
        let seen = Seen {
            clock,
            celsius: (noise.share() > 0.01).then_some(shown),
            fan_failed: fan_failed && fan_seen,
            running: u32::try_from(jobs.len()).expect("a few jobs"),
        };
        let next = controller(seen);
        if next.slots != slots {
            (slots, changes) = (next.slots, changes + 1);
        }
        let since_fan = clock - FAN_FAILS * 3600.0;
        if since_fan > 0.0 && score.reaction.is_none() {
            let before = *before_fan.get_or_insert(act);
            if next.slots < before.slots || next.quota < before.quota - 0.02 {
                score.reaction = Some(since_fan);
            }
        }
        pending.push_back(next);
        if pending.len() > DELAY_TICKS {
            act = pending.pop_front().expect("just counted");
        }
    }
    score.throughput = work / oracle;
    score.changes = f64::from(changes) / HOURS;
    score.quota = quota_sum / clock;
    score
}
