//! How much a trivial job writes to disk, through the whole control plane.
//!
//! In a process of its own, since it reads the process's own counters.

use axum::{Router, body::Body};
use base::{
    ids::ProjectId,
    protocol::{Assignment, Claim, Claimed, Progress, Register, Registered, Report},
    state::{StepState, TaskOutcome},
    time::Timestamp,
    trigger::{ConfigText, Trigger, TriggerKind, Vcs},
};
use engine::{Engine, logs::Logs};
use futures_util::future::join_all;
use http::{Method, Request};
use http_body_util::BodyExt;
use serde::{Serialize, de::DeserializeOwned};
use std::{sync::Arc, time::Duration};
use store::{SiteKey, Store, live::SledLive, projects::Settings};
use tower::ServiceExt;
use web::{Config, Peer, Rooms, State};

const CONFIG: &str = "version: 2.1
jobs: { build: { machine: true, steps: [ run: 'true' ] } }
workflows: { main: { jobs: [ build ] } }
";

/// At most this for each trivial job, the database's log included. A ratchet: the aim is 16 KiB.
/// Every commit rewrites the last 4 KiB block of the log, so that the way there is fewer commits
/// for each job, not smaller rows alone.
const BYTES_MAX: u64 = 40 << 10;

/// All queued, then run on two slots.
const JOBS: u64 = 40;

struct Site {
    state: State,
    router: Router,
    project: ProjectId,
    runners: [Registered; 2],
}

async fn site(dir: &std::path::Path) -> Site {
    let config = store::Config::new(dir.join("store"));
    let store = Store::open(&config, SiteKey::new([1; 32])).unwrap();
    let config = objects::Config { keep_free: 0, ..objects::Config::new(dir.join("objects")) };
    let objects = objects::Objects::open(config, store.clone()).await.unwrap();
    let live = SledLive::open(&dir.join("live")).unwrap();
    let logs = Logs::new(store.clone(), objects.clone(), Arc::new(live));
    let schedule = engine::Config::for_cores(2, "https://ci.test");
    let engine = Engine::start(schedule, store.clone()).await.unwrap();
    let repos = repos::Repos::open(dir.join("repos"), repos::Limits::default()).unwrap();
    let config = Config::new("https://ci.test");
    let made = |txn: &mut store::Txn<'_>| -> Result<ProjectId, store::Error> {
        let repo = "acme/relay".parse().expect("a good name");
        Ok(txn.project_ensure(&repo, &Settings::default(), Timestamp(0))?.0.id)
    };
    let project = store.write(made).await.unwrap();
    let state = State::new(Rooms {
        config,
        store,
        engine,
        logs,
        objects,
        repos,
        orbs: orbs::Registry::default(),
    });
    let router = web::router(state.clone());
    let runners = [register(&router, "one").await, register(&router, "two").await];
    Site { state, router, project, runners }
}

async fn register(router: &Router, name: &str) -> Registered {
    let register = Register {
        name: name.into(),
        hostname: "here".into(),
        version: "0".into(),
        slots: 1,
        resource_classes: vec![],
        serves_plain_classes: true,
    };
    ask(router, "/runner/v1/register", &register).await
}

async fn send(router: &Router, method: Method, path: &str, body: Vec<u8>) -> Vec<u8> {
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("content-type", "application/json")
        .extension(Peer::LocalRunner)
        .body(Body::from(body))
        .unwrap();
    let response = router.clone().oneshot(request).await.unwrap();
    assert!(response.status().is_success(), "{path}: {}", response.status());
    response.into_body().collect().await.unwrap().to_bytes().to_vec()
}

async fn ask<A: DeserializeOwned>(router: &Router, path: &str, question: &impl Serialize) -> A {
    let answer = send(router, Method::POST, path, serde_json::to_vec(question).unwrap()).await;
    serde_json::from_slice(&answer).unwrap()
}

impl Site {
    async fn trigger(&self, n: u64) {
        let trigger = Trigger {
            project: self.project,
            kind: TriggerKind::Api,
            actor: "mira".into(),
            received_at: self.state.now(),
            vcs: vcs(n),
            config: ConfigText::Found(CONFIG.into()),
            parameters: indexmap::IndexMap::new(),
            push: None,
            due: None,
        };
        self.state.engine.trigger(trigger).await.unwrap();
    }

    /// Takes the next job and runs it.
    async fn run_one(&self, runner: usize) {
        let Registered { runner } = self.runners[runner];
        let claim = Claim { runner, free_slots: 1, wait: Duration::from_secs(10) };
        let claimed: Claimed = ask(&self.router, "/runner/v1/claim", &claim).await;
        let held = &claimed.assignments[0];
        let at = self.state.now();
        let started = vec![
            Progress::Started { at },
            Progress::StepStarted { step: 0, name: "true".into(), at, background: false },
        ];
        self.report(held, 0, started).await;
        let (task, fence) = (held.task, held.fence);
        let path = format!("/runner/v1/output?task={task}&fence={fence}&step=0&offset=0");
        send(&self.router, Method::PUT, &path, b"hello\n".to_vec()).await;
        let (state, outcome) = (StepState::Success, TaskOutcome::Success);
        let ended = vec![
            Progress::StepEnded {
                step: 0,
                state,
                exit_code: Some(0),
                at,
                output_bytes: 6,
                rest: Vec::new(),
            },
            Progress::Ended { outcome, message: None, peak_memory: None, at },
        ];
        self.report(held, 2, ended).await;
    }

    async fn report(&self, held: &Assignment, first: u64, progress: Vec<Progress>) {
        let report =
            Report { task: held.task, fence: held.fence, first, progress, wants_next: false };
        let _: base::protocol::Reported = ask(&self.router, "/runner/v1/report", &report).await;
    }
}

fn vcs(n: u64) -> Vcs {
    Vcs {
        repository_url: "https://ci.test/git/acme/relay".into(),
        revision: format!("{n:040x}"),
        branch: Some("main".into()),
        tag: None,
        default_branch: "main".into(),
        base_revision: None,
        subject: format!("Change number {n}"),
        body: String::new(),
        author: "Mira".into(),
    }
}

/// Bytes that this process gave to disks so far; 0 where the folder is in memory.
fn written() -> u64 {
    let io = std::fs::read_to_string("/proc/self/io").unwrap();
    let line = io.lines().find_map(|line| line.strip_prefix("write_bytes: "));
    line.unwrap().trim().parse().unwrap()
}

/// Runs the test `name` in a process of its own; false there, where the test is to do its work.
#[expect(clippy::disallowed_methods, reason = "the test starts itself again")]
#[expect(clippy::print_stdout, reason = "a measurement is told to who asked for it")]
fn by_itself(name: &str) -> bool {
    const HERE: &str = "APPLIANCE_TEST_ALONE";
    if std::env::var_os(HERE).is_some() {
        return false;
    }
    let mut again = std::process::Command::new(std::env::current_exe().unwrap());
    let output = again.args([name, "--exact", "--nocapture"]).env(HERE, "1").output().unwrap();
    println!("{}", String::from_utf8_lossy(&output.stdout));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    true
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_trivial_job_writes_little() {
    if by_itself("disk::a_trivial_job_writes_little") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let site = site(dir.path()).await;
    site.trigger(0).await;
    site.run_one(0).await;
    let before = written();
    let begun = std::time::Instant::now();
    join_all((1..=JOBS).map(|n| site.trigger(n))).await;
    println!("{} bytes written for each trigger", (written() - before) / JOBS);
    let slot = async |runner| {
        for _ in 0..JOBS / 2 {
            site.run_one(runner).await;
        }
    };
    tokio::join!(slot(0), slot(1));
    let each = (written() - before) / JOBS;
    println!("{each} bytes written, {:?} for each trivial job", begun.elapsed() / 40);
    assert!(each <= BYTES_MAX, "{each} bytes for each trivial job");
}
