//! kill -9 at random moments: what was acknowledged is there, and everything ends.
//!
//! The test runs itself again as a child that triggers pipelines and works on them. Child after
//! child is killed; each notes what was acknowledged to it by a line on its output.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![expect(clippy::disallowed_methods, reason = "the test kills its own child")]

use base::{
    ids::PipelineId,
    protocol::{Claim, Heartbeat, Progress, Register, Report},
    state::{TaskOutcome, WorkflowState},
    time::Timestamp,
    trigger::{ConfigText, Trigger, TriggerKind, Vcs},
};
use engine::{Config, Engine, Handle};
use std::{
    collections::BTreeSet,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};
use store::{SiteKey, Store, projects::Settings};

/// Children that are killed; each lives a few milliseconds longer than the one before it.
const KILLS: u64 = 12;

const CONFIG: &str = "version: 2.1
jobs:
  job: &job
    machine: true
    steps: [{run: make}]
  next: *job
workflows:
  main: {jobs: [job, next: {requires: [job]}]}
";

fn now() -> Timestamp {
    let since = std::time::UNIX_EPOCH.elapsed().unwrap();
    Timestamp(i64::try_from(since.as_micros()).unwrap())
}

fn open(dir: &Path) -> Store {
    Store::open(&store::Config::new(dir.join("store")), SiteKey::new([7; 32])).unwrap()
}

async fn trigger(engine: &Handle, store: &Store) -> PipelineId {
    let make = |txn: &mut store::Txn<'_>| {
        let repo = "acme/relay".parse().unwrap();
        Ok::<_, store::Error>(txn.project_ensure(&repo, &Settings::default(), now())?.0.id)
    };
    let project = store.write(make).await.unwrap();
    let trigger = Trigger {
        project,
        kind: TriggerKind::Explicit,
        actor: "ann".into(),
        received_at: now(),
        vcs: Vcs {
            repository_url: "https://site/git/acme/relay".into(),
            revision: "0".repeat(40),
            branch: Some("main".into()),
            tag: None,
            default_branch: "main".into(),
            base_revision: None,
            subject: "Fix".into(),
            body: String::new(),
            author: "Ann".into(),
        },
        config: ConfigText::Found(CONFIG.into()),
        parameters: indexmap::IndexMap::new(),
        push: None,
        due: None,
    };
    engine.trigger(trigger).await.unwrap().pipeline
}

/// Works as a runner until nothing is left to do.
async fn work(engine: &Handle, store: &Store) {
    let register = Register {
        name: "local".into(),
        hostname: "here".into(),
        version: "1".into(),
        slots: 2,
        resource_classes: vec![],
        serves_plain_classes: true,
    };
    let runner = engine.register(register).await.unwrap().runner;
    engine.heartbeat(Heartbeat { runner, held: vec![] }).await.unwrap();
    while !store.read(|reader| reader.workflow_live()).await.unwrap().is_empty() {
        let claim = Claim { runner, free_slots: 2, wait: Duration::from_millis(50) };
        for task in engine.claim(claim).await.unwrap().assignments {
            let outcome = TaskOutcome::Success;
            let at = now();
            let ended = Progress::Ended { outcome, message: None, peak_memory: None, at };
            let report =
                Report { task: task.task, fence: task.fence, first: 0, progress: vec![ended] };
            engine.report(report).await.unwrap();
        }
    }
}

/// Not a test of its own: what the children do.
#[tokio::test]
async fn child() {
    let Some(dir) = std::env::var_os("APPLIANCE_KILL_DIR").map(PathBuf::from) else { return };
    let store = open(&dir);
    let engine = Engine::start(Config::for_cores(2, "https://site"), store.clone()).await.unwrap();
    let triggers = async {
        for _ in 0..20 {
            println!("acknowledged {}", trigger(&engine, &store).await);
        }
    };
    tokio::join!(triggers, work(&engine, &store));
    work(&engine, &store).await;
}

/// Runs a child, kills it after `life`, and returns what it said was acknowledged.
fn one_life(dir: &Path, life: Duration) -> Vec<PipelineId> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["child", "--exact", "--nocapture"])
        .env("APPLIANCE_KILL_DIR", dir)
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
    for kill in 0..KILLS {
        let life = Duration::from_millis(20 + kill * 17);
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
