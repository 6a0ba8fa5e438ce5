//! Times of whole jobs, beside what they are compared with. Larger numbers through the environment.

use crate::{
    Bench,
    assign::{assignment, run},
    setting,
};
use base::state::TaskOutcome;
use std::{
    process::{Command, Stdio},
    time::Duration,
};

/// The same lines through a job and through a plain pipe; the times are printed, not judged.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_output_arrives_whole() {
    let Some(bench) = Bench::start() else { return };
    let lines = setting("RUNNER_FLOOD_LINES", 20_000);
    let line = "x".repeat(99);
    let script = format!("for ((i = 0; i < {lines}; i++)); do echo {line}; done");
    let begun = std::time::Instant::now();
    let floor = plain_pipe(&script);
    let plain = begun.elapsed();
    assert_eq!(floor, u64::from(lines) * 100);
    let begun = std::time::Instant::now();
    let done = bench.finish(&[run(&script)]).await;
    println!("{lines} lines: job {:?}, plain pipe {plain:?}", begun.elapsed());
    assert_eq!(done.outcome(), Some(TaskOutcome::Success));
    assert_eq!(done.output[&2].len() as u64, floor);
    let whole = line + "\n";
    assert!(done.output[&2].chunks(100).all(|chunk| chunk == whole.as_bytes()));
}

#[expect(clippy::disallowed_methods, reason = "the floor that a job is compared with")]
fn plain_pipe(script: &str) -> u64 {
    let mut bash =
        Command::new("bash").args(["-c", script]).stdout(Stdio::piped()).spawn().unwrap();
    let count = std::io::copy(&mut bash.stdout.take().unwrap(), &mut std::io::sink()).unwrap();
    assert!(bash.wait().unwrap().success());
    count
}

/// Assignment to the first line of the job's own step, with a pause between jobs; printed, not
/// judged.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn trivial_jobs_in_a_row() {
    let Some(bench) = Bench::start() else { return };
    let count = setting("RUNNER_BENCH_JOBS", 5);
    let gap = Duration::from_millis(setting("RUNNER_BENCH_GAP_MS", 20).into());
    let mut first_lines = Vec::new();
    for _ in 0..count {
        tokio::time::sleep(gap).await;
        let begun = std::time::Instant::now();
        let task = bench.control.assign(assignment(&[run("echo hi")]));
        let limit = Duration::from_secs(20);
        bench.control.until(task, limit, |task| task.text(2).contains("hi")).await;
        first_lines.push(begun.elapsed());
        bench.control.finished(task).await;
    }
    first_lines.sort();
    let at = |percent: usize| first_lines[first_lines.len() * percent / 100];
    println!("first line: p5 {:?}, p50 {:?}, p95 {:?}", at(5), at(50), at(95));
}

/// Many jobs at one time; printed, not judged.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_trivial_jobs_at_once() {
    let Some(bench) = Bench::start() else { return };
    let count = setting("RUNNER_BENCH_JOBS", 8);
    let begun = std::time::Instant::now();
    let tasks: Vec<_> =
        (0..count).map(|_| bench.control.assign(assignment(&[run("echo hi")]))).collect();
    for task in tasks {
        let done = bench.control.finished(task).await;
        assert_eq!(done.outcome(), Some(TaskOutcome::Success));
    }
    println!("{:.1} jobs a second", f64::from(count) / begun.elapsed().as_secs_f64());
}
