//! kill -9 of every process, at any moment: nothing acknowledged is lost, nothing runs twice.
//!
//! The numbers are small by default; `APPLIANCE_KILLS=50` (moments of each process) and
//! `APPLIANCE_CRASHES=100` (kills with two jobs running and ten queued) are the promise's own figures.

use crate::{
    git::account,
    harness::{Appliance, announce, may_run_jobs, processes_of, signal, wait_for},
    workspace::WorkingCopy,
};
use serde_json::Value;
use std::{
    collections::BTreeMap,
    hash::{BuildHasher, RandomState},
    time::{Duration, Instant},
};

const PROJECT: &str = "acme/crash";

/// Each job appends its attempt to a log of its own output; a job that ran twice in one attempt
/// would print its line twice.
const THREE_JOBS: &str = r#"version: 2.1
jobs:
  work:
    machine: true
    parameters: {n: {type: integer}}
    steps:
      - run: for i in 1 2 3 4 5 6 7 8 9 10; do echo "line $i of << parameters.n >>"; sleep 0.1; done
      - run: echo "done << parameters.n >>"
workflows:
  main:
    jobs:
      - work: {name: one, n: 1}
      - work: {name: two, n: 2}
      - work: {name: three, n: 3, requires: [one, two]}
"#;

fn kills() -> u32 {
    rounds("APPLIANCE_KILLS", 2)
}

fn rounds(variable: &str, usual: u32) -> u32 {
    std::env::var(variable).ok().and_then(|text| text.parse().ok()).unwrap_or(usual)
}

fn trigger(appliance: &Appliance) -> String {
    let made = appliance.api("POST", &format!("/api/v2/project/gh/{PROJECT}/pipeline"), Some("{}"));
    made["id"].as_str().unwrap_or_else(|| panic!("{made}")).to_owned()
}

/// Some moment of the first seconds of a pipeline, announced so that a failure tells it.
fn moment(round: u32) -> Duration {
    let random = RandomState::new().hash_one(round) % 2500;
    announce(&format!("round {round}: killing after {random} ms"));
    Duration::from_millis(random)
}

fn pause(span: Duration) {
    let until = Instant::now() + span;
    wait_for("the moment", || (Instant::now() >= until).then_some(()));
}

/// Every job succeeded, and the last attempt of each printed every line exactly once.
fn assert_right(appliance: &Appliance, pipeline: &str) {
    let states = appliance.wait_for_workflows(pipeline);
    let jobs = appliance.jobs(pipeline);
    assert_eq!(states[0].1, "success", "{jobs:#?}");
    for job in &jobs {
        let log = appliance.cli(&["job", "log", PROJECT, &job["job_number"].to_string()]);
        let log = String::from_utf8_lossy(&log.stdout).into_owned();
        let n = match job["name"].as_str().unwrap() {
            "one" => 1,
            "two" => 2,
            _ => 3,
        };
        for line in (1..=10).map(|i| format!("line {i} of {n}")) {
            let count = log.lines().filter(|found| found.trim() == line).count();
            assert_eq!(count, 1, "`{line}` in the log of {}:\n{log}", job["name"]);
        }
    }
    assert_events_whole(appliance, &jobs);
}

/// One end for each leased attempt of a task.
fn assert_events_whole(appliance: &Appliance, jobs: &[Value]) {
    let events = appliance.events();
    let mut ends: BTreeMap<String, (u32, u32)> = BTreeMap::new();
    for event in &events {
        let key = format!("{}/{}", event["event"]["task"], event["event"]["attempt"]);
        match event["event"]["type"].as_str() {
            Some("task_leased") => ends.entry(key).or_default().0 += 1,
            Some("task_ended") => ends.entry(key).or_default().1 += 1,
            _ => {}
        }
    }
    assert!(ends.len() >= jobs.len(), "{ends:?}");
    for (attempt, (leased, ended)) in ends {
        assert!(
            leased >= 1 && ended == 1,
            "attempt {attempt}: leased {leased} times, ended {ended} times"
        );
    }
    let cursors: Vec<u64> = events.iter().map(|event| event["cursor"].as_u64().unwrap()).collect();
    assert!(cursors.windows(2).all(|pair| pair[1] == pair[0] + 1), "the event log has a gap");
}

fn prepared() -> (Appliance, WorkingCopy) {
    let appliance = Appliance::start();
    let copy = WorkingCopy::new(&appliance, PROJECT, &account(&appliance, "dev", "member"));
    copy.commit(".circleci/config.yml", THREE_JOBS, "[ci skip] three jobs");
    copy.push();
    (appliance, copy)
}

/// The newest process of this appliance whose command line contains `word`.
fn process(appliance: &Appliance, word: &str) -> Option<u32> {
    let all = processes_of(&appliance.data());
    all.into_iter().filter(|(_, line)| line.contains(word)).map(|(pid, _)| pid).max()
}

#[test]
fn the_control_plane_may_die_at_any_moment() {
    if !may_run_jobs() {
        return;
    }
    let (mut appliance, _copy) = prepared();
    for round in 0..kills() {
        let pipeline = trigger(&appliance);
        pause(moment(round));
        appliance.kill();
        appliance.start_again();
        assert_right(&appliance, &pipeline);
    }
}

/// Kills the process whose command line contains `word`, at some moment of each round.
fn check_kill_of(word: &str) {
    if !may_run_jobs() {
        return;
    }
    let (appliance, _copy) = prepared();
    for round in 0..kills() {
        let pipeline = trigger(&appliance);
        pause(moment(round));
        if let Some(pid) = process(&appliance, word) {
            signal("KILL", pid);
        }
        assert_right(&appliance, &pipeline);
    }
}

#[test]
fn the_runner_may_die_at_any_moment() {
    check_kill_of(" runner ");
}

#[test]
fn a_supervisor_may_die_at_any_moment() {
    check_kill_of(" supervise ");
}

#[test]
fn two_running_and_ten_queued_jobs_survive_a_kill() {
    if !may_run_jobs() {
        return;
    }
    let (mut appliance, copy) = prepared();
    let config = "version: 2.1\njobs:\n  nap:\n    machine: true\n    parameters: {n: {type: integer}}\n    steps: [{run: 'echo start << parameters.n >>; sleep 1; echo end << parameters.n >>'}]\nworkflows:\n  main:\n    jobs:\n      - nap: {matrix: {parameters: {n: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]}}}\n";
    copy.commit(".circleci/config.yml", config, "[ci skip] twelve");
    copy.push();
    for round in 0..rounds("APPLIANCE_CRASHES", 1) {
        announce(&format!("round {round}"));
        crash_with_two_running(&mut appliance);
    }
}

fn crash_with_two_running(appliance: &mut Appliance) {
    let pipeline = trigger(appliance);
    wait_for("two jobs to run", || {
        let running =
            appliance.jobs(&pipeline).iter().filter(|job| job["status"] == "running").count();
        (running == 2).then_some(())
    });
    appliance.kill();
    appliance.start_again();
    assert_eq!(appliance.wait_for_workflows(&pipeline)[0].1, "success");
    let jobs = appliance.jobs(&pipeline);
    assert_eq!(jobs.iter().filter(|job| job["status"] == "success").count(), 12);
    for job in &jobs {
        let log = appliance.cli(&["job", "log", PROJECT, &job["job_number"].to_string()]);
        let log = String::from_utf8_lossy(&log.stdout).into_owned();
        assert_eq!(log.lines().filter(|line| line.starts_with("end ")).count(), 1, "{log}");
    }
    assert_events_whole(appliance, &jobs);
}
