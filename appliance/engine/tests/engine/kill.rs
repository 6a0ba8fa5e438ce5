//! kill -9 at random moments: what was acknowledged is there, and everything ends.
//!
//! The test runs itself again as a child that triggers pipelines and works on them. Child after
//! child is killed; each notes what was acknowledged to it by a line on its output.

use crate::{
    alone::again,
    house::{House, open},
};
use base::{
    ids::PipelineId,
    protocol::Heartbeat,
    state::{TaskOutcome, WorkflowState},
};
use std::{
    collections::BTreeSet,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::Stdio,
    time::{Duration, Instant},
};

/// Names the folder of a child's store.
const DIR: &str = "APPLIANCE_KILL_DIR";

/// Children that are killed; each lives a few milliseconds longer than the one before it.
fn kills() -> u64 {
    std::env::var("APPLIANCE_KILLS").ok().and_then(|text| text.parse().ok()).unwrap_or(12)
}

const CONFIG: &str = "version: 2.1
jobs:
  job: &job
    machine: true
    steps: [{run: make}]
  next: *job
workflows:
  main: {jobs: [job, next: {requires: [job]}]}
";

/// Works as a runner until nothing is left to do.
async fn work(house: &House) {
    let runner = house.runner().await;
    house.engine.heartbeat(Heartbeat { runner, held: vec![] }).await.unwrap();
    while !house.store.read(|reader| reader.workflow_live()).await.unwrap().is_empty() {
        for task in house.claim_within(runner, Duration::from_millis(50)).await {
            house.end(&task, TaskOutcome::Success).await.unwrap();
        }
    }
}

/// Not a test of its own: what the children do.
#[tokio::test]
async fn child() {
    let Some(dir) = std::env::var_os(DIR).map(PathBuf::from) else { return };
    let house = House::at(&dir).await;
    let triggers = async {
        for _ in 0..20 {
            println!("acknowledged {}", house.triggered(CONFIG).await);
        }
    };
    tokio::join!(triggers, work(&house));
    work(&house).await;
}

/// Runs a child, kills it after `life`, and returns what it said was acknowledged.
fn one_life(dir: &Path, life: Duration) -> Vec<PipelineId> {
    let mut child = again("kill::child", DIR, dir.as_os_str())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let reading = std::thread::spawn(move || {
        let said = lines.map_while(Result::ok);
        said.filter_map(|line| line.split("acknowledged ").nth(1)?.parse().ok()).collect()
    });
    let dies = Instant::now() + life;
    while Instant::now() < dies && child.try_wait().unwrap().is_none() {
        std::thread::park_timeout(Duration::from_millis(1));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    reading.join().unwrap()
}

#[test]
fn nothing_acknowledged_is_lost_by_kills_and_all_of_it_ends_well() {
    let dir = tempfile::tempdir().unwrap();
    let mut acknowledged = BTreeSet::new();
    for kill in 0..kills() {
        let life = Duration::from_millis(20 + kill * 17 % 700);
        acknowledged.extend(one_life(dir.path(), life));
    }
    acknowledged.extend(one_life(dir.path(), Duration::from_secs(60)));
    assert!(acknowledged.len() >= 20, "the last child acknowledged all of its own");
    let store = open(dir.path());
    for id in acknowledged {
        let runs = store.read_blocking(move |reader| reader.workflow_list(id)).unwrap();
        let states: Vec<_> = runs.iter().map(|run| run.state).collect();
        assert_eq!(states, [WorkflowState::Success], "pipeline {id}");
    }
    let live = store.read_blocking(|reader| reader.workflow_live()).unwrap();
    assert!(live.is_empty(), "also what was committed but not acknowledged has ended");
    store.close().unwrap();
}
