//! How much a trivial job costs: bytes written, and time from trigger to assignment.
//!
//! Bytes are exact and asserted. Times depend on the machine and its disk, so they are printed, and
//! asserted only against a bound that no working machine misses.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use base::{
    ids::ProjectId,
    protocol::{Assignment, Claim, Progress, Register, Report},
    state::{StepState, TaskOutcome},
    time::Timestamp,
    trigger::{ConfigText, Trigger, TriggerKind, Vcs},
};
use engine::{Config, Engine, Handle};
use std::time::{Duration, Instant};
use store::{SiteKey, Store, projects::Settings};

/// The promise for a whole trivial job, logs included; the engine's part must leave room for them.
const BYTES_MAX: u64 = 16 << 10;

/// Jobs that are measured.
const JOBS: u64 = 200;

const CONFIG: &str = "version: 2.1
jobs:
  build:
    machine: true
    steps:
      - run: echo hello
";

fn now() -> Timestamp {
    let since = std::time::UNIX_EPOCH.elapsed().unwrap();
    Timestamp(i64::try_from(since.as_micros()).unwrap())
}

/// All bytes that this process has handed to `write`.
fn written() -> Option<u64> {
    let io = std::fs::read_to_string("/proc/self/io").ok()?;
    io.lines().find_map(|line| line.strip_prefix("wchar: "))?.parse().ok()
}

fn trigger(project: ProjectId) -> Trigger {
    Trigger {
        project,
        kind: TriggerKind::Api,
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
    }
}

/// What a runner tells of a job that is done in a few milliseconds, in one report.
async fn finish(engine: &Handle, task: &Assignment) {
    let (at, state) = (now(), StepState::Success);
    let mut progress = vec![Progress::Started { at }];
    let names = ["Spin up environment", "Preparing environment variables", "echo hello"];
    for (step, name) in (0..).zip(names) {
        progress.push(Progress::StepStarted { step, name: name.into(), at, background: false });
        let (exit_code, output_bytes) = (Some(0), 6);
        progress.push(Progress::StepEnded { step, state, exit_code, at, output_bytes });
    }
    let outcome = TaskOutcome::Success;
    progress.push(Progress::Ended { outcome, message: None, peak_memory: Some(1 << 20), at });
    let report = Report { task: task.task, fence: task.fence, first: 0, progress };
    engine.report(report).await.unwrap();
}

struct House {
    engine: Handle,
    project: ProjectId,
    claim: Claim,
    _dir: tempfile::TempDir,
}

impl House {
    async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let config = store::Config::new(dir.path().join("store"));
        let store = Store::open(&config, SiteKey::new([7; 32])).unwrap();
        let make = |txn: &mut store::Txn<'_>| {
            let repo = "acme/relay".parse().unwrap();
            Ok::<_, store::Error>(txn.project_ensure(&repo, &Settings::default(), now())?.0.id)
        };
        let project = store.write(make).await.unwrap();
        let engine = Engine::start(Config::for_cores(2, "https://site"), store).await.unwrap();
        let register = Register {
            name: "local".into(),
            hostname: "here".into(),
            version: "1".into(),
            slots: 2,
            resource_classes: vec![],
            serves_plain_classes: true,
        };
        let runner = engine.register(register).await.unwrap().runner;
        let claim = Claim { runner, free_slots: 2, wait: Duration::from_secs(20) };
        Self { engine, project, claim, _dir: dir }
    }

    /// One job from trigger to end; the time to its assignment.
    async fn one(&self) -> Duration {
        let began = Instant::now();
        let trigger = self.engine.trigger(trigger(self.project));
        let (claimed, made) = tokio::join!(self.engine.claim(self.claim.clone()), trigger);
        let took = began.elapsed();
        made.unwrap();
        for task in claimed.unwrap().assignments {
            finish(&self.engine, &task).await;
        }
        took
    }

    /// Some jobs that wait, then two at a time.
    async fn queue(&self) {
        let mut triggers = tokio::task::JoinSet::new();
        for _ in 0..JOBS {
            let (engine, project) = (self.engine.clone(), self.project);
            triggers.spawn(async move { engine.trigger(trigger(project)).await.unwrap() });
        }
        triggers.join_all().await;
        let mut done = 0;
        while done < JOBS {
            let tasks = self.engine.claim(self.claim.clone()).await.unwrap().assignments;
            done += tasks.len() as u64;
            let [one, two] = tasks.as_slice() else { panic!("two at a time") };
            tokio::join!(finish(&self.engine, one), finish(&self.engine, two));
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_trivial_job_writes_little_and_starts_at_once() {
    let house = House::new().await;
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
