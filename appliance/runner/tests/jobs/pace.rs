//! The actuators on this kernel: a busy job is throttled, stands still, goes on, and is right.

use super::{Bench, Task, kernel::Group, run};
use base::state::TaskOutcome;
use std::time::{Duration, Instant};

/// Prints its own CPU time in clock ticks, again and again, while it computes; then a sum.
const BUSY: &str = "\
for round in $(seq 1 1500); do
  i=0; while [ $i -lt 3000 ]; do i=$((i + 1)); done
  read -r line < /proc/$$/stat; set -- $line; echo ticks ${14}
done
echo sum $(seq 1 1000 | awk '{ s += $1 } END { print s }')";

fn ticks(text: &str) -> f64 {
    let last = text.lines().rev().find_map(|line| line.strip_prefix("ticks ")?.parse().ok());
    last.unwrap_or(0.0)
}

/// Windows that are looked at: on a full machine the job may not get its quota in one of them.
const WINDOWS: usize = 5;

/// Cores that the group used over `span`, by the kernel's account.
async fn cores(group: &Group, span: Duration) -> f64 {
    let (begun, before) = (Instant::now(), group.used());
    tokio::time::sleep(span).await;
    (group.used() - before).as_secs_f64() / begun.elapsed().as_secs_f64()
}

/// Its quota holds it back, and it never gets more than that and a tenth.
async fn keeps_to_its_quota(group: &Group) {
    for _ in 0..WINDOWS {
        let (quota, times) = (group.cores().expect("it has one"), group.throttled());
        let used = cores(group, Duration::from_secs(3)).await;
        println!("a quota of {quota:.3} cores, used {used:.3}");
        assert!(used <= quota * 1.1, "{used:.3} of {quota:.3} cores");
        if group.throttled() > times && used >= quota * 0.9 {
            return;
        }
    }
    panic!("no window came within a tenth of the quota");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_busy_job_is_throttled_held_still_and_ends_right() {
    let Some(bench) = Bench::start() else { return };
    let task = bench.control.assign(super::assignment(&[run(BUSY)]));
    let long = Duration::from_secs(60);
    bench.control.until(task, long, |task| ticks(&task.text(2)) > 100.0).await;

    bench.control.set_pace(300, false, "cpu-thermal 79.9 °C of 80");
    let folder = bench.folder.path();
    // Until the pace arrives the group has the quota of its class, which is more than a core.
    let paced = |group: &Group| group.cores().is_some_and(|cores| cores < 1.0);
    let found = (0..100).map(|_| Group::of(folder).filter(paced)).inspect(|one| {
        if one.is_none() {
            std::thread::park_timeout(Duration::from_millis(50));
        }
    });
    let group = found.flatten().next().expect("the job's group gets a quota");
    let quota = group.cores().expect("it was found by its quota");
    // Of what it used when it was free: of one core at most, and of three tenths at least.
    assert!((0.08..=0.33).contains(&quota), "a quota of {quota:.3} cores");
    keeps_to_its_quota(&group).await;

    bench.control.set_pace(50, true, "thermal, cpu-thermal 86.0 °C of 80");
    let is_paused = |task: &Task| task.text(2).contains("Paused: thermal, cpu-thermal 86.0");
    bench.control.until(task, long, is_paused).await;
    let still = group.used();
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert!(bench.control.task(task).outcome().is_none());
    let moved = group.used() - still;
    assert!(moved < Duration::from_millis(20), "it used {moved:?} while it stood still");

    bench.control.set_pace(1000, false, "");
    let done = bench.control.until(task, 4 * long, |task| task.outcome().is_some()).await;
    assert_eq!(done.outcome(), Some(TaskOutcome::Success), "{}", done.text(2));
    let text = done.text(2);
    assert!(text.contains("Resumed after "), "{text}");
    assert!(text.trim_end().ends_with("sum 500500"), "{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_paused_job_that_is_canceled_is_asked_to_end() {
    let Some(bench) = Bench::start() else { return };
    let script = "trap 'echo bye; exit 0' TERM; echo up; while :; do sleep 0.05; done";
    let task = bench.control.assign(super::assignment(&[run(script)]));
    let long = Duration::from_secs(20);
    bench.control.until(task, long, |task| task.text(2).contains("up")).await;
    bench.control.set_pace(1000, true, "hot");
    bench.control.until(task, long, |task| task.text(2).contains("Paused: hot")).await;
    bench.control.cancel(task);
    let done = bench.control.finished(task).await;
    assert_eq!(done.outcome(), Some(TaskOutcome::Canceled));
    assert!(done.text(2).contains("bye"), "{}", done.text(2));
}
