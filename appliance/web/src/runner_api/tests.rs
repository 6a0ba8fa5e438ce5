//! The protocol as a runner speaks it, over the whole control plane.

use crate::{Config, Peer, Rooms, State, router};
use axum::{Router, body::Body};
use base::{
    ids::{Fence, ProjectId},
    protocol::{
        Assignment, Claim, Claimed, Progress, Refusal, Register, Registered, Report, StoreConfirm,
        StoreRequest, StoreTarget,
    },
    state::{JobState, StepState, TaskOutcome},
    time::Timestamp,
    trigger::{ConfigText, Trigger, TriggerKind, Vcs},
    workspace::Names,
};
use engine::{Engine, logs::Logs};
use http::{Method, Request, StatusCode};
use http_body_util::BodyExt;
use repos::{Message, first_push};
use serde::{Serialize, de::DeserializeOwned};
use std::{sync::Arc, time::Duration};
use store::{SiteKey, Store, live::MemoryLive, projects::Settings};
use tower::ServiceExt;

mod kept;

const CONFIG: &str = "version: 2.1
jobs:
  build: { machine: true, steps: [ run: 'true' ] }
  next: { machine: true, steps: [ run: 'true' ] }
workflows:
  main: { jobs: [ build, next: { requires: [ build ] } ] }
";

struct Site {
    state: State,
    router: Router,
    _dir: tempfile::TempDir,
}

async fn site() -> Site {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    let config = store::Config::new(at("store"));
    let store = Store::open(&config, SiteKey::new([1; 32])).unwrap();
    let config = objects::Config { keep_free: 0, ..objects::Config::new(at("objects")) };
    let objects = objects::Objects::open(config, store.clone()).await.unwrap();
    let logs = Logs::new(store.clone(), objects.clone(), Arc::new(MemoryLive::default()));
    let schedule = engine::Config::for_cores(2, "https://ci.test");
    let engine = Engine::start(schedule, store.clone()).await.unwrap();
    let repos = repos::Repos::open(at("repos"), repos::Limits::default()).unwrap();
    let config = Config::new("https://ci.test");
    let state = State::new(Rooms {
        config,
        store,
        engine,
        logs,
        objects,
        repos,
        orbs: orbs::Registry::default(),
    });
    Site { router: router(state.clone()), state, _dir: dir }
}

impl Site {
    async fn send(&self, method: Method, path: &str, body: Vec<u8>) -> (StatusCode, Vec<u8>) {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("content-type", "application/json")
            .extension(Peer::LocalRunner)
            .body(Body::from(body))
            .unwrap();
        let response = self.router.clone().oneshot(request).await.unwrap();
        let status = response.status();
        (status, response.into_body().collect().await.unwrap().to_bytes().to_vec())
    }

    /// As the operator's Git would.
    async fn push(&self, method: Method, path: &str, body: Vec<u8>) {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("content-type", "application/x-git-receive-pack-request")
            .extension(Peer::Operator)
            .body(Body::from(body))
            .unwrap();
        let response = self.router.clone().oneshot(request).await.unwrap();
        let status = response.status();
        let answer = response.into_body().collect().await.unwrap().to_bytes();
        assert!(status.is_success(), "{path}: {status} {}", String::from_utf8_lossy(&answer));
    }

    async fn ask<A: DeserializeOwned>(&self, path: &str, question: &impl Serialize) -> A {
        let body = serde_json::to_vec(question).unwrap();
        let (status, answer) = self.send(Method::POST, path, body).await;
        assert!(status.is_success(), "{path}: {status} {}", String::from_utf8_lossy(&answer));
        serde_json::from_slice(&answer).unwrap()
    }

    async fn refused(&self, method: Method, path: &str, body: Vec<u8>) -> Refusal {
        let (status, answer) = self.send(method, path, body).await;
        assert_eq!(status, StatusCode::CONFLICT, "{}", String::from_utf8_lossy(&answer));
        serde_json::from_slice(&answer).unwrap()
    }

    async fn trigger(&self) -> ProjectId {
        self.trigger_with(CONFIG).await
    }

    async fn trigger_with(&self, config: &str) -> ProjectId {
        let repo = "acme/relay".parse().unwrap();
        let made = move |txn: &mut store::Txn<'_>| -> Result<ProjectId, store::Error> {
            Ok(txn.project_ensure(&repo, &Settings::default(), Timestamp(0))?.0.id)
        };
        let project = self.state.store.write(made).await.unwrap();
        let trigger = Trigger {
            project,
            kind: TriggerKind::Api,
            actor: "mira".into(),
            received_at: self.state.now(),
            vcs: vcs(),
            config: ConfigText::Found(config.into()),
            parameters: indexmap::IndexMap::new(),
            push: None,
            due: None,
        };
        self.state.engine.trigger(trigger).await.unwrap();
        project
    }

    async fn claim(&self) -> Assignment {
        self.claim_all(1).await.remove(0)
    }

    async fn claim_all(&self, count: usize) -> Vec<Assignment> {
        let register = Register {
            name: "local".into(),
            hostname: "here".into(),
            version: "0".into(),
            slots: 2,
            resource_classes: vec![],
            serves_plain_classes: true,
        };
        let Registered { runner } = self.ask("/runner/v1/register", &register).await;
        let claim = Claim { runner, free_slots: 2, wait: Duration::from_secs(10) };
        let Claimed { assignments } = self.ask("/runner/v1/claim", &claim).await;
        assert_eq!(assignments.len(), count);
        assignments
    }

    async fn report(&self, held: &Assignment, first: u64, progress: Vec<Progress>) {
        let report =
            Report { task: held.task, fence: held.fence, first, progress, wants_next: false };
        let _: base::protocol::Reported = self.ask("/runner/v1/report", &report).await;
    }

    async fn keep(&self, held: &Assignment, request: StoreRequest, bucket: &str) -> StoreConfirm {
        self.keep_named(held, request, bucket, Names::default()).await
    }

    async fn keep_named(
        &self,
        held: &Assignment,
        request: StoreRequest,
        bucket: &str,
        names: Names,
    ) -> StoreConfirm {
        let target = self.ask(&of(held, "store"), &request).await;
        let StoreTarget::Put { to, key } = target else { panic!("nothing was there") };
        assert!(to.url.expose().starts_with("/s3/"));
        self.state.objects.put(bucket, &key, b"bytes".to_vec()).await.unwrap();
        let paths = vec!["out.txt".to_owned()];
        let confirm = StoreConfirm { request, key, size: 5, paths, names };
        let () = self.ask(&of(held, "confirm"), &confirm).await;
        confirm
    }
}

fn vcs() -> Vcs {
    Vcs {
        repository_url: "https://ci.test/git/acme/relay".into(),
        revision: "a".repeat(40),
        branch: Some("main".into()),
        tag: None,
        default_branch: "main".into(),
        base_revision: None,
        subject: "A change".into(),
        body: String::new(),
        author: "Mira".into(),
    }
}

fn of(held: &Assignment, what: &str) -> String {
    format!("/runner/v1/tasks/{}/{what}?fence={}", held.task, held.fence)
}

fn output(held: &Assignment, step: u32, offset: u64) -> String {
    let (task, fence) = (held.task, held.fence);
    format!("/runner/v1/output?task={task}&fence={fence}&step={step}&offset={offset}")
}

fn step_started(step: u32) -> Progress {
    Progress::StepStarted { step, name: "true".into(), at: Timestamp(1), background: false }
}

fn step_ended(step: u32, output_bytes: u64) -> Progress {
    step_ended_with(step, output_bytes, b"")
}

fn step_ended_with(step: u32, output_bytes: u64, rest: &[u8]) -> Progress {
    let (state, exit_code, at) = (StepState::Success, Some(0), Timestamp(2));
    Progress::StepEnded { step, state, exit_code, at, output_bytes, rest: rest.to_vec() }
}

fn ended() -> Progress {
    let outcome = TaskOutcome::Success;
    Progress::Ended { outcome, message: None, peak_memory: None, at: Timestamp(3) }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_runs_from_claim_to_end_with_its_output() {
    let site = site().await;
    site.trigger().await;
    let held = site.claim().await;
    assert_eq!(held.job_name, "build");
    site.report(&held, 0, vec![Progress::Started { at: Timestamp(1) }, step_started(0)]).await;
    let gap = site.refused(Method::PUT, &output(&held, 0, 9), b"x".to_vec()).await;
    assert_eq!(gap, Refusal::Gap { expected: 0 });
    let early = Report {
        task: held.task,
        fence: held.fence,
        first: 2,
        progress: vec![step_ended(0, 6)],
        wants_next: false,
    };
    let early = serde_json::to_vec(&early).unwrap();
    let missing = site.refused(Method::POST, "/runner/v1/report", early).await;
    assert_eq!(missing, Refusal::OutputMissing { step: 0, expected: 0 });
    let (status, _) = site.send(Method::PUT, &output(&held, 0, 0), b"hello\n".to_vec()).await;
    assert_eq!(status, StatusCode::OK);
    site.report(&held, 2, vec![step_ended(0, 6), ended()]).await;
    let log = site.state.logs.read(held.task, 0, 0..99).await.unwrap();
    assert_eq!((log.bytes, log.ended), (b"hello\n".to_vec(), true));
    let late = site.refused(Method::PUT, &output(&held, 0, 6), b"x".to_vec()).await;
    assert_eq!(late, Refusal::Fenced);
    let job = site.state.store.read(move |reader| reader.job_get(held.job)).await.unwrap().unwrap();
    assert_eq!(job.state, JobState::Success);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_rest_of_a_step_comes_with_its_end_and_from_the_holder_alone() {
    let site = site().await;
    site.trigger().await;
    let held = site.claim().await;
    site.report(&held, 0, vec![Progress::Started { at: Timestamp(1) }, step_started(0)]).await;
    let with_rest = |fence| {
        let progress = vec![step_ended_with(0, 6, b"llo\n")];
        let report = Report { task: held.task, fence, first: 2, progress, wants_next: false };
        serde_json::to_vec(&report).unwrap()
    };
    let refused = |body| site.refused(Method::POST, "/runner/v1/report", body);
    let gap = refused(with_rest(held.fence)).await;
    assert_eq!(gap, Refusal::OutputMissing { step: 0, expected: 0 });
    site.send(Method::PUT, &output(&held, 0, 0), b"he".to_vec()).await;
    let stranger = refused(with_rest(Fence(held.fence.0 + 1))).await;
    assert_eq!(stranger, Refusal::OutputMissing { step: 0, expected: 2 }, "nothing was taken");
    site.report(&held, 2, vec![step_ended_with(0, 6, b"llo\n"), ended()]).await;
    let log = site.state.logs.read(held.task, 0, 0..99).await.unwrap();
    assert_eq!((log.bytes, log.ended), (b"hello\n".to_vec(), true));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_fence_or_task_opens_nothing() {
    let site = site().await;
    site.trigger().await;
    let mut held = site.claim().await;
    held.fence = Fence(held.fence.0 + 1);
    for (method, path, body) in [
        (Method::PUT, output(&held, 0, 0), "x"),
        (Method::POST, of(&held, "store"), r#"{"class":"workspace"}"#),
        (Method::POST, of(&held, "cache"), r#"{"keys":["a"]}"#),
        (Method::POST, of(&held, "workspace"), "{}"),
        (Method::GET, of(&held, "timings"), ""),
    ] {
        assert_eq!(site.refused(method, &path, body.into()).await, Refusal::Fenced, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pushed_commit_is_checked_out_by_its_job() {
    let site = site().await;
    let files = [(".circleci/config.yml".to_owned(), CONFIG.as_bytes().to_vec())].into();
    let message = Message { author: "Mira <mira@ci.test>", seconds: 1, text: "A change" };
    let push = first_push(&files, message, "main").unwrap();
    let advertised = "/git/acme/relay.git/info/refs?service=git-receive-pack";
    site.push(Method::GET, advertised, vec![]).await;
    site.push(Method::POST, "/git/acme/relay.git/git-receive-pack", push.request).await;
    let held = site.claim().await;
    assert_eq!(held.vcs.revision, push.revision);
    let (status, archive) = site.send(Method::GET, &of(&held, "checkout"), vec![]).await;
    assert_eq!(status, StatusCode::OK);
    let holds = |text: &str| archive.windows(text.len()).any(|part| part == text.as_bytes());
    assert!(holds(CONFIG) && holds(".git/HEAD") && holds("ref: refs/heads/main"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_that_is_not_here_is_told_and_not_a_refusal() {
    let site = site().await;
    site.trigger().await;
    let held = site.claim().await;
    let (status, answer) = site.send(Method::GET, &of(&held, "checkout"), vec![]).await;
    assert_eq!(status, StatusCode::NOT_FOUND, "{}", String::from_utf8_lossy(&answer));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_makes_no_sense_is_refused_for_good() {
    let site = site().await;
    site.trigger().await;
    let held = site.claim().await;
    let foreign = Progress::Artifact { path: "a".into(), key: "elsewhere/x".into(), size: 1 };
    let report = Report {
        task: held.task,
        fence: held.fence,
        first: 0,
        progress: vec![foreign],
        wants_next: false,
    };
    let confirm = StoreConfirm {
        request: StoreRequest::Workspace,
        key: format!("{}/never-stored", held.task),
        size: 1,
        paths: vec![],
        names: Names::default(),
    };
    let long = StoreRequest::Cache { key: "k".repeat(901) };
    for (path, body) in [
        ("/runner/v1/report".to_owned(), serde_json::to_vec(&report).unwrap()),
        (of(&held, "confirm"), serde_json::to_vec(&confirm).unwrap()),
        (of(&held, "store"), serde_json::to_vec(&long).unwrap()),
        ("/runner/v1/claim".to_owned(), b"{".to_vec()),
    ] {
        let (status, _) = site.send(Method::POST, &path, body).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{path}");
    }
    let frame = vec![0; base::limits::OUTPUT_FRAME_MAX + 1];
    let (status, _) = site.send(Method::PUT, &output(&held, 0, 0), frame).await;
    assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE);
}
