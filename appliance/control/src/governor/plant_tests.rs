//! The law on five simulated boxes, beside what others do.

use super::{
    Governor, Heat, Law, Sight,
    plant::{Act, LIMIT, PLANTS, POOL, Plant, Score, Seen, run},
    slope::Slope,
};
use base::{reading::Quality, time::Timestamp};

type Controller = Box<dyn FnMut(Seen) -> Act>;
type Make = fn() -> Controller;

const LENGTHS: [f64; 2] = [120.0, 900.0];

/// How many seeds; a longer run asks for more.
fn seeds() -> u64 {
    std::env::var("GOVERNOR_SEEDS").ok().and_then(|text| text.parse().ok()).unwrap_or(2)
}

/// The whole governor, as it runs.
fn law() -> impl FnMut(Seen) -> Act {
    let (mut governor, law) = (Governor::default(), Law::new(POOL));
    move |seen| {
        let heat = Heat {
            name: "cpu-thermal".into(),
            chip: "cpu".into(),
            celsius: seen.celsius,
            quality: Quality::Good,
            own_limit: None,
        };
        let sight = Sight {
            heats: vec![heat],
            failed_fan: seen.fan_failed.then(|| "fan1".to_owned()),
            running: seen.running,
            ..Sight::default()
        };
        #[expect(clippy::cast_possible_truncation, reason = "half a day in microseconds")]
        let now = Timestamp((seen.clock * 1e6) as i64);
        let decision = governor.step(&sight, &law, now);
        Act { slots: decision.slots, quota: if decision.pause { 0.0 } else { decision.quota } }
    }
}

/// Full speed below 70 °C, nothing above 80.
fn on_off() -> impl FnMut(Seen) -> Act {
    let mut slots = POOL;
    move |seen| {
        match seen.celsius {
            Some(celsius) if celsius >= LIMIT => slots = 0,
            Some(celsius) if celsius <= LIMIT - 10.0 => slots = POOL,
            _ => {}
        }
        Act { slots, quota: 1.0 }
    }
}

/// Five trips of two slots, four degrees of hysteresis, a minute of dwell.
fn ladder() -> impl FnMut(Seen) -> Act {
    let (mut step, mut since) = (0_u32, 0.0);
    move |seen| {
        since += 1.0;
        if let Some(celsius) = seen.celsius {
            let trip = |step: u32| LIMIT - 10.0 + 2.5 * f64::from(step);
            if step < 4 && celsius >= trip(step) && since >= 60.0 {
                (step, since) = (step + 1, 0.0);
            } else if step > 0 && celsius <= trip(step - 1) - 4.0 && since >= 60.0 {
                (step, since) = (step - 1, 0.0);
            }
        }
        Act { slots: POOL - 2 * step, quota: 1.0 }
    }
}

/// Half at 78 °C, one more every half minute below.
fn aimd() -> impl FnMut(Seen) -> Act {
    let (mut slots, mut since) = (f64::from(POOL), 0.0);
    move |seen| {
        since += 1.0;
        if let Some(celsius) = seen.celsius {
            if celsius >= LIMIT - 2.0 && since >= 30.0 {
                (slots, since) = ((slots * 0.5).max(1.0), 0.0);
            } else if celsius < LIMIT - 2.0 && since >= 30.0 {
                (slots, since) = ((slots + 0.5).min(f64::from(POOL)), 0.0);
            }
        }
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "1 to 8")]
        let slots = slots as u32;
        Act { slots, quota: 1.0 }
    }
}

/// PI on the slots with slope, and a quota proportional to the excess: the plainer form.
fn pi_slots() -> impl FnMut(Seen) -> Act {
    let (mut slope, mut slow, mut fast) = (Slope::default(), 35.0, 35.0);
    let (mut integral, mut slots, mut since) = (f64::from(POOL), POOL, 0.0);
    move |seen| {
        since += 1.0;
        if let Some(celsius) = seen.celsius {
            slow += (celsius - slow) / 10.0;
            fast += (celsius - fast) / 3.0;
            slope.push(seen.clock, celsius);
        }
        let target = LIMIT - 2.0;
        let error = target - (slow + slope.per_second().max(0.0) * 30.0);
        let all = f64::from(POOL);
        let saturated = integral + 0.18 * error;
        if (1.0..=all).contains(&saturated) || (saturated > all) == (error < 0.0) {
            integral = (integral + 0.0018 * error).clamp(1.0, all);
        }
        let wanted = (integral + 0.18 * error).clamp(1.0, all);
        if wanted < f64::from(slots) - 0.4 {
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "1 to 8")]
            let down = (wanted + 0.4).floor().max(1.0) as u32;
            (slots, since) = (down.min(slots), 0.0);
        } else if wanted > f64::from(slots) + 1.0 - 0.4 && since >= 45.0 && slots < POOL {
            (slots, since) = (slots + 1, 0.0);
        }
        let quota = (1.0 - (fast - target) / 3.0 * 0.85).clamp(0.15, 1.0);
        Act { slots, quota }
    }
}

fn worst(plant: Plant, job_seconds: f64, seeds: u64, make: Make) -> Score {
    let one = |seed| run(plant, job_seconds, seed, seed % 2 == 0, make());
    let scores: Vec<Score> = (0..seeds).map(one).collect();
    let all = |of: fn(&Score) -> f64| scores.iter().map(of);
    Score {
        max: all(|one| one.max).fold(f64::MIN, f64::max),
        over: all(|one| one.over).fold(0.0, f64::max),
        throughput: all(|one| one.throughput).fold(f64::MAX, f64::min),
        changes: all(|one| one.changes).fold(0.0, f64::max),
        // Every second seed has a fan with a sensor, the first of them.
        reaction: scores.iter().step_by(2).filter_map(|one| one.reaction).reduce(f64::max),
        quota: all(|one| one.quota).fold(f64::MAX, f64::min),
    }
}

fn table(name: &str, plant: Plant, job_seconds: f64, seeds: u64, make: Make) -> Score {
    let score = worst(plant, job_seconds, seeds, make);
    let fan = score.reaction.map_or("-".to_owned(), |seconds| format!("{seconds:.0}"));
    println!(
        "{name:<13}{:<13}{job_seconds:>4.0} s {:>6.2} {:>8.1} {:>6.1} {:>9.1} {fan:>6} {:>6.2}",
        plant.name,
        score.max,
        score.over,
        score.throughput * 100.0,
        score.changes,
        score.quota,
    );
    score
}

fn head() {
    println!("controller   box          jobs   max °C min over work % changes/h fan, s  quota");
}

/// Every second seed has a fan without a sensor: then heat alone tells of its failure, as late as
/// the case warms up, and the limit must hold all the same.
#[test]
fn five_boxes_stay_under_their_limit_at_nearly_full_use() {
    head();
    for plant in PLANTS {
        for job_seconds in LENGTHS {
            let score = table("the law", plant, job_seconds, seeds(), || Box::new(law()));
            let name = format!("{}, jobs of {job_seconds} s: {score:?}", plant.name);
            assert!(score.max <= LIMIT + 0.5, "too hot: {name}");
            assert!(score.throughput >= 0.91, "too slow: {name}");
            assert!(score.changes <= 8.0, "too restless: {name}");
            assert!(score.reaction.is_some_and(|seconds| seconds <= 30.0), "too late: {name}");
        }
    }
}

/// The comparison that the choice rests on; each of the others breaks at least one bound.
#[test]
fn what_others_do_is_hotter_slower_or_more_restless() {
    let others: [(&str, Make); 4] = [
        ("PI on slots", || Box::new(pi_slots())),
        ("AIMD", || Box::new(aimd())),
        ("ladder", || Box::new(ladder())),
        ("on/off", || Box::new(on_off())),
    ];
    head();
    for (name, make) in others {
        let mut breaks = false;
        for plant in if seeds() > 2 { &PLANTS[..] } else { &PLANTS[..2] } {
            for job_seconds in LENGTHS {
                let score = table(name, *plant, job_seconds, 1, make);
                breaks |= score.max > LIMIT + 0.5 || score.throughput < 0.91 || score.changes > 8.0;
            }
        }
        assert!(breaks, "{name} would do, and is simpler");
    }
}
