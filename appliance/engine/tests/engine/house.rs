//! A store, an engine on it, a project to trigger and a runner that claims: said once.

use base::{
    ids::{PipelineId, ProjectId, RunnerId},
    protocol::{Assignment, Claim, Progress, Register, Report, Reported, Verdict},
    state::TaskOutcome,
    time::Timestamp,
    trigger::{ConfigText, Trigger, TriggerKind, Vcs},
};
use engine::{Config, Engine, Error, Handle};
use std::{path::Path, time::Duration};
use store::{SiteKey, Store, projects::Settings};

pub(crate) const ONE_JOB: &str = "version: 2.1
jobs:
  hello:
    machine: true
    steps:
      - run: echo hello
workflows:
  main:
    jobs: [hello]
";

pub(crate) fn now() -> Timestamp {
    let since = std::time::UNIX_EPOCH.elapsed().unwrap();
    Timestamp(i64::try_from(since.as_micros()).unwrap())
}

pub(crate) fn open(dir: &Path) -> Store {
    Store::open(&store::Config::new(dir.join("store")), SiteKey::new([7; 32])).unwrap()
}

async fn start(store: &Store) -> Handle {
    Engine::start(Config::for_cores(2, "https://site"), store.clone()).await.unwrap()
}

/// An engine and what it works on.
pub(crate) struct House {
    pub(crate) store: Store,
    pub(crate) engine: Handle,
    pub(crate) project: ProjectId,
}

impl House {
    /// In a folder that may have been used before.
    pub(crate) async fn at(dir: &Path) -> Self {
        let store = open(dir);
        let make = |txn: &mut store::Txn<'_>| {
            let repo = "acme/relay".parse().unwrap();
            Ok::<_, store::Error>(txn.project_ensure(&repo, &Settings::default(), now())?.0.id)
        };
        let project = store.write(make).await.unwrap();
        let engine = start(&store).await;
        Self { store, engine, project }
    }

    /// The service stops without a word.
    pub(crate) async fn stop(self) {
        self.engine.drain().await;
        tokio::task::spawn_blocking(move || self.store.close().unwrap()).await.unwrap();
    }

    pub(crate) fn trigger(&self, config: &str) -> Trigger {
        Trigger {
            project: self.project,
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
            config: ConfigText::Found(config.into()),
            parameters: indexmap::IndexMap::new(),
            push: None,
            due: None,
        }
    }

    pub(crate) async fn triggered(&self, config: &str) -> PipelineId {
        self.engine.trigger(self.trigger(config)).await.unwrap().pipeline
    }

    pub(crate) async fn runner(&self) -> RunnerId {
        let register = Register {
            name: "local".into(),
            hostname: "here".into(),
            version: "1".into(),
            slots: 2,
            resource_classes: vec![],
            serves_plain_classes: true,
        };
        self.engine.register(register).await.unwrap().runner
    }

    /// Up to two tasks, waited for as long as `wait`.
    pub(crate) async fn claim_within(&self, runner: RunnerId, wait: Duration) -> Vec<Assignment> {
        self.engine.claim(Claim { runner, free_slots: 2, wait }).await.unwrap().assignments
    }

    pub(crate) async fn claim(&self, runner: RunnerId) -> Vec<Assignment> {
        self.claim_within(runner, Duration::from_secs(5)).await
    }

    /// All that a runner tells of a task, in one report.
    pub(crate) async fn report(
        &self,
        task: &Assignment,
        progress: Vec<Progress>,
    ) -> Result<Verdict, Error> {
        let report =
            Report { task: task.task, fence: task.fence, first: 0, progress, wants_next: false };
        self.engine.report(report).await.map(|reported| reported.verdict)
    }

    /// The end of a task whose runner may want another.
    pub(crate) fn report_of(&self, task: &Assignment, wants_next: bool) -> Report {
        let progress = vec![ended(TaskOutcome::Success)];
        Report { task: task.task, fence: task.fence, first: 0, progress, wants_next }
    }

    pub(crate) async fn end_for_next(&self, task: &Assignment, wants_next: bool) -> Reported {
        self.engine.report(self.report_of(task, wants_next)).await.unwrap()
    }

    pub(crate) async fn end(
        &self,
        task: &Assignment,
        outcome: TaskOutcome,
    ) -> Result<Verdict, Error> {
        self.report(task, vec![ended(outcome)]).await
    }
}

pub(crate) fn ended(outcome: TaskOutcome) -> Progress {
    Progress::Ended { outcome, message: None, peak_memory: Some(1 << 20), at: now() }
}
