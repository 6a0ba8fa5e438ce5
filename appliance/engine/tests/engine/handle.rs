//! The engine as others hold it: from trigger to assignment to result, over a real store.

mod language;

use crate::house::{House as Inner, ONE_JOB, now};
use base::{
    ids::{JobId, PipelineId, PipelineNumber, PushId, RunnerId},
    protocol::{Claim, Heartbeat, Held, Refusal, Verdict},
    state::{JobState, PipelineState, TaskOutcome, WorkflowState},
    trigger::Trigger,
};
use engine::{Error, RerunWanted};
use std::{
    future::poll_fn,
    ops::Deref,
    task::Poll,
    time::{Duration, Instant},
};
use store::{
    access::NewAudit,
    projects::Push,
    runs::{ConfigTexts, Pipeline, PipelineFilter},
};
use uuid::Uuid;

const APPROVED: &str = "version: 2.1
jobs:
  build: &job
    machine: true
    steps: [{run: make}]
  deploy: *job
workflows:
  main:
    jobs:
      - build
      - hold: {type: approval, requires: [build]}
      - deploy: {requires: [hold], context: site}
";

/// The house with looks into it, in a folder of its own.
struct House {
    house: Inner,
    dir: tempfile::TempDir,
}

impl Deref for House {
    type Target = Inner;
    fn deref(&self) -> &Inner {
        &self.house
    }
}

impl House {
    async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        Self { house: Inner::at(dir.path()).await, dir }
    }

    /// The service stops without a word, and starts again.
    async fn restart(self) -> Self {
        let Self { house, dir } = self;
        house.stop().await;
        Self { house: Inner::at(dir.path()).await, dir }
    }

    async fn workflow(&self) -> store::runs::Workflow {
        let read = |reader: &store::Reader<'_>| {
            let newest = reader.pipeline_list_all(Default::default(), None, 1)?.pop().unwrap();
            Ok::<_, store::Error>(reader.workflow_list(newest.id)?.pop().unwrap())
        };
        self.house.store.read(read).await.unwrap()
    }

    async fn job(&self, name: &'static str) -> store::runs::Job {
        let id = self.workflow().await.id;
        let read = move |reader: &store::Reader<'_>| {
            let jobs = reader.job_list(id)?;
            Ok::<_, store::Error>(jobs.into_iter().find(|job| job.name == name).unwrap())
        };
        self.house.store.read(read).await.unwrap()
    }
}

#[tokio::test]
async fn a_trigger_reaches_a_waiting_runner_and_its_result_ends_the_workflow() {
    let house = House::new().await;
    let runner = house.runner().await;
    let (claimed, made) =
        tokio::join!(house.claim(runner), house.engine.trigger(house.trigger(ONE_JOB)));
    assert_eq!(made.unwrap().state, PipelineState::Created);
    let [task] = claimed.as_slice() else { panic!("one assignment, got {}", claimed.len()) };
    assert_eq!((task.job_name.as_str(), task.job_number.0), ("hello", 1));
    assert_eq!(task.spec.steps.len(), 1);
    house.end(task, TaskOutcome::Success).await.unwrap();
    assert_eq!(house.workflow().await.state, WorkflowState::Success);
    house.end(task, TaskOutcome::Success).await.expect("a repeated report is taken");
}

#[tokio::test]
async fn the_end_of_a_task_brings_the_next_in_the_same_commit() {
    let house = House::new().await;
    let runner = house.runner().await;
    for _ in 0..4 {
        house.engine.trigger(house.trigger(ONE_JOB)).await.unwrap();
    }
    let [first, second] = house.claim(runner).await.try_into().expect("two slots, two tasks");
    let kept = house.end_for_next(&first, false).await;
    assert!(kept.next.is_none(), "who does not ask gets nothing");
    let before = house.store.commits();
    let next = house.end_for_next(&second, true).await.next.expect("two tasks wait");
    assert_eq!(house.store.commits(), before + 1);
    assert_eq!((next.job_number.0, next.fence.0), (3, 1));
    let again = house.end_for_next(&second, true).await;
    assert!(again.next.is_none(), "what was told before is told again, and brings nothing");
    house.end(&next, TaskOutcome::Success).await.expect("it is leased to the one who reported");
}

#[tokio::test]
async fn a_next_task_that_nobody_hears_of_goes_back() {
    let house = House::new().await;
    let runner = house.runner().await;
    for _ in 0..2 {
        house.engine.trigger(house.trigger(ONE_JOB)).await.unwrap();
    }
    let claim = Claim { runner, free_slots: 1, wait: Duration::from_secs(5) };
    let first = house.engine.claim(claim).await.unwrap().assignments.remove(0);
    let report = house.report_of(&first, true);
    // Sent by the first poll, and the connection is gone before the answer comes.
    let mut asked = Box::pin(house.engine.report(report));
    let is_sent = poll_fn(|context| Poll::Ready(asked.as_mut().poll(context).is_pending())).await;
    assert!(is_sent, "the answer takes a commit");
    drop(asked);
    let again = house.claim(runner).await;
    assert_eq!((again.len(), again[0].job_number.0, again[0].fence.0), (1, 2, 2));
}

#[tokio::test]
async fn a_service_that_drains_gives_nothing_more() {
    let house = House::new().await;
    let runner = house.runner().await;
    for _ in 0..2 {
        house.engine.trigger(house.trigger(ONE_JOB)).await.unwrap();
    }
    let claim = Claim { runner, free_slots: 1, wait: Duration::from_secs(5) };
    let first = house.engine.claim(claim).await.unwrap().assignments.remove(0);
    // One turn of the loop takes both.
    let (told, ()) = tokio::join!(house.end_for_next(&first, true), house.engine.drain());
    assert!(told.next.is_none());
    let waits = house.restart().await.claim(runner).await;
    assert_eq!((waits.len(), waits[0].job_number.0, waits[0].fence.0), (1, 2, 1));
}

#[tokio::test]
async fn an_unusable_configuration_is_a_pipeline_that_says_where() {
    let house = House::new().await;
    let made =
        house.engine.trigger(house.trigger(&ONE_JOB.replace("run:", "runn:"))).await.unwrap();
    assert_eq!(made.state, PipelineState::Errored);
    let found = house.store.read(move |reader| reader.pipeline_get(made.pipeline)).await.unwrap();
    let message = &found.unwrap().errors[0].message;
    assert!(message.contains(".circleci/config.yml:6:"), "{message}");
}

#[tokio::test]
async fn a_push_told_twice_makes_one_pipeline() {
    let house = House::new().await;
    let push = PushId(house.project.0);
    let (project, at) = (house.project, now());
    let note = Push { id: push, project, at, actor: "ann".into(), refs: vec![] };
    house.store.write(move |txn| txn.push_note(&note)).await.unwrap();
    let trigger = Trigger { push: Some(push), ..house.trigger(ONE_JOB) };
    let first = house.engine.trigger(trigger.clone()).await.unwrap();
    let second = house.engine.trigger(trigger).await.unwrap();
    assert_eq!((second.pipeline, second.is_repeat), (first.pipeline, true));
}

#[tokio::test]
async fn one_bad_request_does_not_spoil_those_beside_it() {
    let house = House::new().await;
    let unknown = PushId(JobId(house.project.0).0);
    let bad = Trigger { push: Some(unknown), ..house.trigger(ONE_JOB) };
    let good = house.trigger(ONE_JOB);
    let (bad, one, two) = tokio::join!(
        house.engine.trigger(bad),
        house.engine.trigger(good.clone()),
        house.engine.trigger(good),
    );
    assert!(bad.is_err(), "the push was never noted");
    assert_ne!(one.unwrap().number, two.unwrap().number);
}

#[tokio::test]
async fn approval_context_and_rerun_work_as_written() {
    let house = House::new().await;
    let runner = house.runner().await;
    house.engine.trigger(house.trigger(APPROVED)).await.unwrap();
    let build = house.claim(runner).await.remove(0);
    house.end(&build, TaskOutcome::Success).await.unwrap();
    assert_eq!(house.workflow().await.state, WorkflowState::OnHold);
    let hold = house.job("hold").await.id;
    let deed = NewAudit { actor: "bob".into(), action: "approve".into(), ..NewAudit::default() };
    house.engine.approve(hold, deed.clone()).await.unwrap();
    assert!(matches!(house.engine.approve(hold, deed).await, Err(Error::Conflict(_))));
    let noted = house.store.read(|reader| reader.audit_list(None, 9)).await.unwrap();
    assert_eq!(noted.len(), 1, "what was refused is not noted");
    let approved = house.job("hold").await;
    assert_eq!(approved.decided_by.as_deref(), Some("bob"));
    assert_eq!(Some(noted[0].at), approved.stopped_at, "by the same transaction");
    let deploy = house.job("deploy").await;
    assert_eq!(deploy.state, JobState::Unauthorized);
    assert!(deploy.message.unwrap().contains("context `site` does not exist"));

    let make = |txn: &mut store::Txn<'_>| {
        let org = txn.org_by_name("acme")?.unwrap();
        txn.context_create(org.id, "site", now())
    };
    house.store.write(make).await.unwrap();
    let before = house.workflow().await;
    assert_eq!(before.state, WorkflowState::Unauthorized);
    house.engine.rerun(before.id, RerunWanted::FromFailed, "bob").await.unwrap();
    let again = house.claim(runner).await.remove(0);
    assert_eq!((again.job_name.as_str(), again.workspace), ("deploy", before.id));
    house.end(&again, TaskOutcome::Success).await.unwrap();
    assert_eq!(house.workflow().await.state, WorkflowState::Success);
}

#[tokio::test]
async fn cancel_wakes_the_runner_and_its_heartbeat_says_so() {
    let house = House::new().await;
    let runner = house.runner().await;
    house.engine.trigger(house.trigger(ONE_JOB)).await.unwrap();
    let task = house.claim(runner).await.remove(0);
    let id = house.workflow().await.id;
    let began = Instant::now();
    let (nothing, canceled) =
        tokio::join!(house.claim(runner), house.engine.cancel_workflow(id, "bob"));
    canceled.unwrap();
    assert!(
        nothing.is_empty() && began.elapsed() < Duration::from_secs(4),
        "an early empty answer"
    );
    let held = vec![Held { task: task.task, fence: task.fence }];
    let told = house.engine.heartbeat(Heartbeat { runner, held }).await.unwrap();
    assert_eq!(told.verdicts, [(task.task, Verdict::Cancel)]);
    house.end(&task, TaskOutcome::Canceled).await.unwrap();
    assert_eq!(house.workflow().await.state, WorkflowState::Canceled);
}

#[tokio::test]
async fn a_restart_loses_nothing_and_keeps_running_tasks_with_their_runner() {
    let house = House::new().await;
    let runner = house.runner().await;
    house.engine.trigger(house.trigger(ONE_JOB)).await.unwrap();
    let task = house.claim(runner).await.remove(0);
    let waiting = house.engine.trigger(house.trigger(ONE_JOB)).await.unwrap();
    let house = house.restart().await;
    let held = vec![Held { task: task.task, fence: task.fence }];
    let told = house.engine.heartbeat(Heartbeat { runner, held }).await.unwrap();
    assert_eq!(told.verdicts, [(task.task, Verdict::Keep)]);
    let next = house.claim(runner).await.remove(0);
    assert_eq!(next.pipeline, waiting.pipeline);
    house.end(&task, TaskOutcome::Success).await.unwrap();
    house.end(&next, TaskOutcome::Success).await.unwrap();
    assert_eq!(house.workflow().await.state, WorkflowState::Success);
}

#[tokio::test]
async fn a_runner_that_comes_back_empty_handed_frees_its_tasks_at_once() {
    let house = House::new().await;
    let runner = house.runner().await;
    house.engine.trigger(house.trigger(ONE_JOB)).await.unwrap();
    let lost = house.claim(runner).await.remove(0);
    assert_eq!(house.runner().await, runner, "the same name is the same runner");
    house.engine.heartbeat(Heartbeat { runner, held: vec![] }).await.unwrap();
    let again = house.claim(runner).await.remove(0);
    assert_eq!((again.job, again.attempt.0), (lost.job, 2));
    let late = house.end(&lost, TaskOutcome::Success).await;
    assert!(matches!(late, Err(Error::Refused(Refusal::Fenced))), "{late:?}");
}

#[tokio::test]
async fn a_claim_that_is_dropped_gives_its_work_back() {
    let house = House::new().await;
    let runner = house.runner().await;
    for _ in 0..3 {
        let claim = tokio::spawn({
            let engine = house.engine.clone();
            async move {
                let wait = Duration::from_secs(5);
                engine.claim(Claim { runner, free_slots: 2, wait }).await
            }
        });
        tokio::task::yield_now().await;
        claim.abort();
    }
    house.engine.trigger(house.trigger(ONE_JOB)).await.unwrap();
    let task = house.claim(runner).await.remove(0);
    assert_eq!(task.attempt.0, 1);
}

#[tokio::test]
async fn an_unknown_runner_is_told_to_register() {
    let house = House::new().await;
    let runner = RunnerId(house.project.0);
    let claim = Claim { runner, free_slots: 1, wait: Duration::from_secs(1) };
    let refused = house.engine.claim(claim).await;
    assert!(matches!(refused, Err(Error::Refused(Refusal::UnknownRunner))), "{refused:?}");
}

#[tokio::test]
async fn what_waits_says_why() {
    let house = House::new().await;
    house.engine.trigger(house.trigger(ONE_JOB)).await.unwrap();
    let job = house.job("hello").await.id;
    let held = house.engine.explain(job).await.unwrap().unwrap();
    assert_eq!(held.to_string(), "held: no runner has registered");
    let status = house.engine.status().await.unwrap();
    assert_eq!((status.waiting, status.leased, status.slots), (1, 0, 3));
}

fn bound(
    id: base::ids::ProjectId,
    most: u32,
) -> impl FnOnce(&mut store::Txn<'_>) -> Result<(), store::Error> {
    move |txn| txn.project_settings_change(id, |settings| settings.jobs_max = Some(most))
}

#[tokio::test]
async fn another_bound_of_a_project_is_heeded_by_what_waits() {
    let house = House::new().await;
    let runner = house.runner().await;
    house.store.write(bound(house.project, 1)).await.unwrap();
    house.engine.trigger(house.trigger(ONE_JOB)).await.unwrap();
    house.engine.trigger(house.trigger(ONE_JOB)).await.unwrap();
    assert_eq!(house.claim(runner).await.len(), 1);
    house.store.write(bound(house.project, 2)).await.unwrap();
    house.engine.project_changed(house.project).await;
    assert_eq!(house.claim(runner).await.len(), 1);
}

#[tokio::test]
async fn what_is_triggered_after_a_restart_is_listed_first_though_the_clock_went_back() {
    let house = House::new().await;
    let first = house.triggered(ONE_JOB).await;
    let found = house.store.read(move |reader| reader.pipeline_get(first)).await.unwrap().unwrap();
    let (number, day) = (PipelineNumber(2), 86_400_000_u128 << 80);
    let id = PipelineId(Uuid::from_u128(first.0.as_u128() + day));
    let ahead = Pipeline { id, number, workflows: vec![], ..found };
    let insert =
        move |txn: &mut store::Txn<'_>| txn.pipeline_insert(&ahead, &ConfigTexts::default());
    house.store.write(insert).await.unwrap();
    let house = house.restart().await;
    let newest = house.triggered(ONE_JOB).await;
    let list =
        |reader: &store::Reader<'_>| reader.pipeline_list_all(PipelineFilter::default(), None, 9);
    let listed = house.store.read(list).await.unwrap();
    assert_eq!(listed.iter().map(|one| one.id).collect::<Vec<_>>(), [newest, id, first]);
}
