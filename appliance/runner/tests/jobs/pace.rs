//! The actuators on this kernel: a busy job is throttled, stands still, goes on, and is right.

use super::{Bench, run};
use base::state::TaskOutcome;
use std::time::{Duration, Instant};

/// Prints its own CPU time in clock ticks, again and again, while it computes; then a sum.
const BUSY: &str = "\
for round in $(seq 1 2000); do
  i=0; while [ $i -lt 3000 ]; do i=$((i + 1)); done
  read -r line < /proc/$$/stat; set -- $line; echo ticks ${14}
done
echo sum $(seq 1 1000 | awk '{ s += $1 } END { print s }')";

fn ticks(text: &str) -> f64 {
    let last = text.lines().rev().find_map(|line| line.strip_prefix("ticks ")?.parse().ok());
    last.unwrap_or(0.0)
}

/// Cores used over `span`, by the job's own account.
async fn cores(bench: &Bench, task: base::ids::TaskId, span: Duration) -> f64 {
    let used = |bench: &Bench| ticks(&bench.control.task(task).text(2));
    let (begun, before) = (Instant::now(), used(bench));
    tokio::time::sleep(span).await;
    (used(bench) - before) / 100.0 / begun.elapsed().as_secs_f64()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_busy_job_is_throttled_held_still_and_ends_right() {
    let Some(bench) = Bench::start() else { return };
    let task = bench.control.assign(super::assignment(&[run(BUSY)]));
    let long = Duration::from_secs(30);
    bench.control.until(task, long, |task| ticks(&task.text(2)) > 50.0).await;
    let free = cores(&bench, task, Duration::from_secs(3)).await;

    bench.control.set_pace(300, false, "cpu-thermal 79.9 °C of 80");
    tokio::time::sleep(Duration::from_secs(1)).await;
    let slow = cores(&bench, task, Duration::from_secs(4)).await;
    println!("free {free:.2} cores, at 30 % {slow:.2}");
    assert!(slow <= free * 0.3 * 1.35 + 0.05, "throttled: {slow:.2} of {free:.2} cores");

    bench.control.set_pace(50, true, "thermal, cpu-thermal 86.0 °C of 80");
    let paused = bench
        .control
        .until(task, long, |task| task.text(2).contains("Paused: thermal, cpu-thermal 86.0"))
        .await;
    let (before, begun) = (ticks(&paused.text(2)), Instant::now());
    tokio::time::sleep(Duration::from_secs(3)).await;
    let now = bench.control.task(task);
    assert!(now.outcome().is_none());
    assert!(ticks(&now.text(2)) - before <= 10.0, "it stood still for {:?}", begun.elapsed());

    bench.control.set_pace(1000, false, "");
    let done = bench.control.until(task, Duration::from_secs(120), |task| task.outcome().is_some());
    let done = done.await;
    assert_eq!(done.outcome(), Some(TaskOutcome::Success), "{}", done.text(2));
    let text = done.text(2);
    assert!(text.contains("Resumed after "), "{text}");
    assert!(text.trim_end().ends_with("sum 500500"), "{text}");
}
