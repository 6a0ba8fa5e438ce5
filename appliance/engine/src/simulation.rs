//! A seeded simulation of the engine over the real store.
//!
//! Each run throws random triggers, claims, completions, losses, late and repeated reports,
//! cancellations, approvals, reruns, jumps of time, torn transactions and cuts at the engine's own
//! state machine, checks what must always hold after each step, then lets everything come to an
//! end and checks the result. `APPLIANCE_SIM_RUNS` scales it; a failure names its seed, and
//! `APPLIANCE_SIM_SEED` repeats just that.

mod oracle;
mod plans;
mod random;
mod world;

use random::Random;
use world::World;

/// Runs when nothing else is said: some seconds.
const RUNS: u64 = 20;

/// Random actions of one run before it is brought to its end.
const STEPS: u32 = 120;

/// Steps between two readings of all rows, which cost most of the time.
const ROWS_EVERY: u32 = 10;

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

fn run(seed: u64) -> world::Seen {
    let mut world = World::new(seed);
    let mut random = Random::new(seed);
    for step in 0..STEPS {
        world.step(&mut random);
        world.check(step % ROWS_EVERY == 0);
    }
    world.come_to_an_end();
    world.check_end();
    world.seen
}

#[test]
fn whatever_happens_nothing_is_lost_or_run_twice_and_every_workflow_ends_right() {
    let first = number("APPLIANCE_SIM_SEED");
    let runs = if first.is_some() { 1 } else { number("APPLIANCE_SIM_RUNS").unwrap_or(RUNS) };
    let mut all = world::Seen::default();
    for seed in (0..runs).map(|run| first.unwrap_or(1) + run) {
        let result = std::panic::catch_unwind(|| run(seed));
        match result {
            Ok(seen) => all.add(&seen),
            Err(panic) => {
                eprintln!("the run with APPLIANCE_SIM_SEED={seed} failed");
                std::panic::resume_unwind(panic);
            }
        }
    }
    println!("{runs} runs: {all:?}");
    if runs >= RUNS {
        all.assert_everything_happened();
    }
}
