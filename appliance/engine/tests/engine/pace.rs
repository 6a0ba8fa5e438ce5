//! How much a trivial job costs: bytes written, and time from trigger to assignment.
//!
//! Bytes are exact and asserted. Times depend on the machine and its disk, so they are printed, and
//! asserted only against a bound that no working machine misses.

use crate::{
    alone::by_itself,
    house::{House, ONE_JOB, ended, now},
};
use base::{
    ids::RunnerId,
    protocol::{Assignment, Progress},
    state::{StepState, TaskOutcome},
};
use std::time::{Duration, Instant};

/// The promise for a whole trivial job, logs included; the engine's part must leave room for them.
const BYTES_MAX: u64 = 16 << 10;

/// Jobs that are measured.
const JOBS: u64 = 200;

/// All bytes that this process has handed to `write`.
fn written() -> Option<u64> {
    let io = std::fs::read_to_string("/proc/self/io").ok()?;
    io.lines().find_map(|line| line.strip_prefix("wchar: "))?.parse().ok()
}

/// What a runner tells of a job that is done in a few milliseconds, in one report.
async fn finish(house: &House, task: &Assignment) {
    let (at, state) = (now(), StepState::Success);
    let mut progress = vec![Progress::Started { at }];
    let names = ["Spin up environment", "Preparing environment variables", "echo hello"];
    for (step, name) in (0..).zip(names) {
        progress.push(Progress::StepStarted { step, name: name.into(), at, background: false });
        let (exit_code, output_bytes) = (Some(0), 6);
        progress.push(Progress::StepEnded {
            step,
            state,
            exit_code,
            at,
            output_bytes,
            rest: Vec::new(),
        });
    }
    progress.push(ended(TaskOutcome::Success));
    house.report(task, progress).await.unwrap();
}

struct Pace {
    house: House,
    runner: RunnerId,
    _dir: tempfile::TempDir,
}

impl Pace {
    async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let house = House::at(dir.path()).await;
        let runner = house.runner().await;
        Self { house, runner, _dir: dir }
    }

    /// One job from trigger to end; the time to its assignment.
    async fn one(&self) -> Duration {
        let began = Instant::now();
        let trigger = self.house.engine.trigger(self.house.trigger(ONE_JOB));
        let (claimed, made) = tokio::join!(self.house.claim(self.runner), trigger);
        let took = began.elapsed();
        made.unwrap();
        for task in claimed {
            finish(&self.house, &task).await;
        }
        took
    }

    /// Some jobs that wait, then two at a time.
    async fn queue(&self) {
        let mut triggers = tokio::task::JoinSet::new();
        for _ in 0..JOBS {
            let (engine, trigger) = (self.house.engine.clone(), self.house.trigger(ONE_JOB));
            triggers.spawn(async move { engine.trigger(trigger).await.unwrap() });
        }
        triggers.join_all().await;
        let mut done = 0;
        while done < JOBS {
            let tasks = self.house.claim(self.runner).await;
            done += tasks.len() as u64;
            let [one, two] = tasks.as_slice() else { panic!("two at a time") };
            tokio::join!(finish(&self.house, one), finish(&self.house, two));
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_trivial_job_writes_little_and_starts_at_once() {
    if by_itself("pace::a_trivial_job_writes_little_and_starts_at_once") {
        return;
    }
    let house = Pace::new().await;
    house.one().await;
    let (before, began) = (written(), Instant::now());
    let mut times = Vec::new();
    for _ in 0..JOBS {
        times.push(house.one().await);
    }
    let (between, took) = (written(), began.elapsed());
    times.sort();
    println!("one by one: trigger to assignment p50 {:?}, p95 {:?}", times[100], times[190]);
    println!("one by one: {:.0} jobs/s", JOBS as f64 / took.as_secs_f64());
    let began = Instant::now();
    house.queue().await;
    println!("queued: {:.0} jobs/s", JOBS as f64 / began.elapsed().as_secs_f64());
    if let (Some(before), Some(between), Some(after)) = (before, between, written()) {
        let (single, queued) = ((between - before) / JOBS, (after - between) / JOBS);
        println!("bytes written per job: {single} one by one, {queued} queued");
        assert!(queued <= BYTES_MAX, "{queued} bytes written per queued job");
        assert!(single <= 2 * BYTES_MAX, "{single} bytes written per single job");
    }
    assert!(times[100] < Duration::from_millis(500), "{:?}", times[100]);
}
