//! What the language promises at run time: continuation, status-based requirements, serial groups,
//! automatic reruns, job groups.

use super::House;
use crate::house::now;
use base::{
    ids::RunnerId,
    protocol::{Assignment, Heartbeat, Held},
    state::{JobState, PipelineState, TaskOutcome, WorkflowState},
    time::Timestamp,
    trigger::{ParameterValue, Trigger},
};
use engine::{Error, Triggered};
use indexmap::IndexMap;
use std::time::Duration;
use store::runs::{ConfigTexts, Pipeline};

const SETUP: &str = "version: 2.1
setup: true
parameters: {deep: {type: boolean, default: false}}
jobs: {choose: {machine: true, steps: [{run: ./choose}]}}
workflows: {setup: {jobs: [choose]}}
";

const NEXT: &str = "version: 2.1
parameters: {deep: {type: boolean, default: false}, from: {type: string, default: x}}
jobs: {build: {machine: true, steps: [{run: 'echo << pipeline.parameters.from >>'}]}}
workflows:
  always: {jobs: [build]}
  deep: {when: << pipeline.parameters.deep >>, jobs: [build]}
";

async fn pipeline(house: &House, made: &Triggered) -> (Pipeline, ConfigTexts) {
    let id = made.pipeline;
    let read = move |reader: &store::Reader<'_>| {
        let found = reader.pipeline_get(id)?.unwrap();
        Ok::<_, store::Error>((found, reader.pipeline_config(id)?.unwrap()))
    };
    house.store.read(read).await.unwrap()
}

fn key(task: &Assignment) -> Option<String> {
    let secret = task.secrets.iter().find(|secret| secret.name == "CIRCLE_CONTINUATION_KEY");
    secret.map(|secret| secret.value.expose().to_owned())
}

fn given(pairs: &[(&str, ParameterValue)]) -> IndexMap<String, ParameterValue> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect()
}

async fn refused(house: &House, key: &str, next: &str) -> String {
    let answer = house.engine.continue_pipeline(key.into(), next.into(), IndexMap::new()).await;
    match answer {
        Err(Error::Conflict(why)) => why,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_setup_pipeline_is_continued_once_by_a_job_of_it() {
    let house = House::new().await;
    let runner = house.runner().await;
    let made = house.engine.trigger(house.trigger(SETUP)).await.unwrap();
    assert_eq!(made.state, PipelineState::SetupPending);
    let task = house.claim(runner).await.remove(0);
    assert_eq!(pipeline(&house, &made).await.0.state, PipelineState::Setup);
    let key = key(&task).unwrap();
    assert!(refused(&house, "no key", NEXT).await.contains("not valid"));
    assert!(refused(&house, &key.replace(['a', '1'], "2"), NEXT).await.contains("not valid"));

    let house = house.restart().await;
    let parameters = given(&[("deep", ParameterValue::Boolean(true))]);
    house.engine.continue_pipeline(key.clone(), NEXT.into(), parameters).await.unwrap();
    let (continued, texts) = pipeline(&house, &made).await;
    assert_eq!((continued.state, continued.workflows.len()), (PipelineState::Created, 3));
    assert_eq!((texts.source.as_deref(), texts.setup.as_deref()), (Some(NEXT), Some(SETUP)));
    assert!(texts.compiled.unwrap().contains("command: echo x"));
    assert!(texts.compiled_setup.unwrap().contains("command: ./choose"));
    assert!(refused(&house, &key, NEXT).await.contains("once"));
    let build = house.claim(runner).await.remove(0);
    assert_eq!((build.job_name.as_str(), self::key(&build)), ("build", None));
}

#[tokio::test]
async fn a_setup_of_which_nothing_runs_waits_for_nothing() {
    let house = House::new().await;
    let elsewhere = "{choose: {filters: {branches: {only: elsewhere}}}}";
    let setup = SETUP.replace("jobs: [choose]", &format!("jobs: [{elsewhere}]"));
    let made = house.engine.trigger(house.trigger(&setup)).await.unwrap();
    assert_eq!(made.state, PipelineState::Created);
    assert!(pipeline(&house, &made).await.0.workflows.is_empty());
}

#[tokio::test]
async fn what_a_continued_configuration_would_run_at_times_of_its_own_is_told() {
    let house = House::new().await;
    let runner = house.runner().await;
    house.engine.trigger(house.trigger(SETUP)).await.unwrap();
    let key = key(&house.claim(runner).await.remove(0)).unwrap();
    let triggers = "[{schedule: {cron: '0 1 * * *', filters: {branches: {only: main}}}}]";
    let next = format!("{NEXT}  nightly: {{triggers: {triggers}, jobs: [build]}}\n");
    let (_, timed) = house.engine.continue_pipeline(key, next, IndexMap::new()).await.unwrap();
    assert_eq!(timed, ["nightly"]);
}

#[tokio::test]
async fn a_continued_configuration_with_errors_ends_the_pipeline_with_them() {
    let house = House::new().await;
    let runner = house.runner().await;
    let made = house.engine.trigger(house.trigger(SETUP)).await.unwrap();
    let key = key(&house.claim(runner).await.remove(0)).unwrap();
    let again = SETUP.to_owned();
    house.engine.continue_pipeline(key.clone(), again, IndexMap::new()).await.unwrap();
    let found = pipeline(&house, &made).await.0;
    assert_eq!(found.state, PipelineState::Errored);
    assert!(found.errors[0].message.contains("config.yml:2:1"), "{:?}", found.errors);
    assert!(refused(&house, &key, NEXT).await.contains("once"));
}

/// Ends the one task that waits, and tells its key.
async fn end_next(house: &House, runner: RunnerId, outcome: TaskOutcome) -> Option<String> {
    let task = house.claim(runner).await.remove(0);
    house.end(&task, outcome).await.unwrap();
    key(&task)
}

#[tokio::test]
async fn a_setup_is_rerun_until_it_has_continued_and_what_it_led_to_as_any_other() {
    use engine::RerunWanted::FromStart;
    let house = House::new().await;
    let runner = house.runner().await;
    let made = house.engine.trigger(house.trigger(SETUP)).await.unwrap();
    let setup = pipeline(&house, &made).await.0.workflows[0];
    end_next(&house, runner, TaskOutcome::Failed).await;
    let again = house.engine.rerun(setup, FromStart, "mira").await.unwrap();
    let key = end_next(&house, runner, TaskOutcome::Success).await.unwrap();
    // The same name once more.
    let next = NEXT.replace("always:", "setup:");
    house.engine.continue_pipeline(key, next, IndexMap::new()).await.unwrap();
    for of_setup in [setup, again] {
        let refused = house.engine.rerun(of_setup, FromStart, "mira").await.unwrap_err();
        assert!(refused.to_string().contains("trigger a new pipeline"), "{refused}");
    }
    let id = made.pipeline;
    let over = house.store.read(move |reader| engine::continued_setup(reader, id)).await.unwrap();
    assert_eq!(over, [setup, again]);
    let led_to = pipeline(&house, &made).await.0.workflows[2];
    assert_eq!(end_next(&house, runner, TaskOutcome::Failed).await, None);
    let rerun = house.engine.rerun(led_to, FromStart, "mira").await.unwrap();
    let read = move |reader: &store::Reader<'_>| reader.workflow_get(rerun);
    assert_eq!(house.store.read(read).await.unwrap().unwrap().reruns, 1);
    assert_eq!(end_next(&house, runner, TaskOutcome::Success).await, None, "no key");
}

#[tokio::test]
async fn a_canceled_setup_goes_on_no_more() {
    let house = House::new().await;
    let runner = house.runner().await;
    let made = house.engine.trigger(house.trigger(SETUP)).await.unwrap();
    let key = key(&house.claim(runner).await.remove(0)).unwrap();
    let setup = pipeline(&house, &made).await.0.workflows[0];
    house.engine.cancel_workflow(setup, "mira").await.unwrap();
    assert!(refused(&house, &key, NEXT).await.contains("canceled"));
    assert_eq!(pipeline(&house, &made).await.0.workflows.len(), 1);
}

#[tokio::test]
async fn conflicting_parameters_are_refused_and_leave_the_key() {
    let house = House::new().await;
    let runner = house.runner().await;
    let deep = given(&[("deep", ParameterValue::Boolean(true))]);
    let trigger = Trigger { parameters: deep.clone(), ..house.trigger(SETUP) };
    house.engine.trigger(trigger).await.unwrap();
    let key = key(&house.claim(runner).await.remove(0)).unwrap();
    let answer = house.engine.continue_pipeline(key.clone(), NEXT.into(), deep).await;
    assert_eq!(answer.unwrap_err().to_string(), "Conflicting pipeline parameters.");
    house.engine.continue_pipeline(key, NEXT.into(), IndexMap::new()).await.unwrap();
}

/// Runs what can be claimed until nothing can; each job ends as the table says, else well.
async fn run_all(house: &House, runner: RunnerId, ends: &[(&str, TaskOutcome)]) -> Vec<String> {
    let mut ran = vec![];
    while house.engine.status().await.unwrap().waiting > 0 {
        for task in house.claim(runner).await {
            let end = ends.iter().find(|(name, _)| *name == task.job_name);
            house.end(&task, end.map_or(TaskOutcome::Success, |(_, end)| *end)).await.unwrap();
            ran.push(task.job_name);
        }
    }
    ran.sort();
    ran
}

#[tokio::test]
async fn requirements_wait_for_the_status_that_they_name() {
    let house = House::new().await;
    let runner = house.runner().await;
    let config = "version: 2.1
jobs:
  a: &job {machine: true, steps: [{run: make}]}
  on-failure: *job
  on-success: *job
  either: *job
  after-skipped: *job
workflows:
  main:
    jobs:
      - a
      - on-failure: {requires: [a: failed]}
      - on-success: {requires: [a]}
      - either: {requires: [a: [success, failed]]}
      - after-skipped: {requires: [on-success: not_run]}
";
    house.engine.trigger(house.trigger(config)).await.unwrap();
    let ran = run_all(&house, runner, &[("a", TaskOutcome::Failed)]).await;
    assert_eq!(ran, ["a", "after-skipped", "either", "on-failure"]);
    assert_eq!(house.job("on-success").await.state, JobState::NotRun);
    assert_eq!(house.workflow().await.state, WorkflowState::Failed);
}

#[tokio::test]
async fn a_workflow_reruns_itself_from_failed_as_often_as_it_says() {
    let house = House::new().await;
    let runner = house.runner().await;
    let config = "version: 2.1
jobs:
  good: &job {machine: true, steps: [{run: make}]}
  bad: *job
workflows: {main: {max_auto_reruns: 2, jobs: [good, bad]}}
";
    let made = house.engine.trigger(house.trigger(config)).await.unwrap();
    let bad = [("bad", TaskOutcome::Failed)];
    assert_eq!(run_all(&house, runner, &bad).await, ["bad", "bad", "bad", "good"]);
    assert_eq!(house.workflow().await.auto_rerun, 2);
    let first = pipeline(&house, &made).await.0.workflows[0];
    house.engine.rerun(first, engine::RerunWanted::FromFailed, "mira").await.unwrap();
    assert_eq!(run_all(&house, runner, &bad).await, ["bad"], "a rerun by hand is not rerun");
}

#[tokio::test]
async fn a_canceled_workflow_does_not_rerun_itself() {
    let house = House::new().await;
    let runner = house.runner().await;
    let config = super::ONE_JOB.replace("  main:", "  main:\n    max_auto_reruns: 2");
    house.engine.trigger(house.trigger(&config)).await.unwrap();
    let task = house.claim(runner).await.remove(0);
    house.engine.cancel_workflow(house.workflow().await.id, "mira").await.unwrap();
    // It failed before its runner heard of the stop.
    house.end(&task, TaskOutcome::Failed).await.unwrap();
    assert_eq!(house.engine.status().await.unwrap().waiting, 0);
}

#[tokio::test]
async fn a_serial_group_runs_one_job_and_passes_over_the_older_pipeline() {
    let house = House::new().await;
    let runner = house.runner().await;
    let config = "version: 2.1
jobs:
  build: &job {machine: true, steps: [{run: make}]}
  deploy: *job
workflows:
  main:
    jobs: [build, deploy: {requires: [build], serial-group: acme/lab}]
";
    house.engine.trigger(house.trigger(config)).await.unwrap();
    let old = house.claim(runner).await.remove(0);
    house.engine.trigger(house.trigger(config)).await.unwrap();
    let new = house.claim(runner).await.remove(0);
    house.end(&new, TaskOutcome::Success).await.unwrap();
    let deploy = house.claim(runner).await.remove(0);
    assert_eq!((deploy.job_name.as_str(), deploy.pipeline), ("deploy", new.pipeline));
    house.end(&old, TaskOutcome::Success).await.unwrap();
    assert_eq!(house.engine.status().await.unwrap().waiting, 0, "the older one is passed over");
    house.end(&deploy, TaskOutcome::Success).await.unwrap();
    assert_eq!(house.workflow().await.state, WorkflowState::Success);
}

/// The same house where the newest `deploy` became ready that long ago.
async fn waiting_since(house: House, ago: Duration) -> House {
    let mut job = house.job("deploy").await;
    job.queued_at = Some(Timestamp(now().0 - i64::try_from(ago.as_micros()).unwrap()));
    house.store.write(move |txn| txn.job_save(&job)).await.unwrap();
    house.restart().await
}

#[tokio::test]
async fn a_job_waits_five_hours_for_its_serial_group_and_no_longer() {
    let house = House::new().await;
    let runner = house.runner().await;
    let config = "version: 2.1
jobs: {deploy: {machine: true, steps: [{run: make}]}}
workflows: {main: {jobs: [deploy: {serial-group: acme/lab}]}}
";
    house.engine.trigger(house.trigger(config)).await.unwrap();
    let holder = house.claim(runner).await.remove(0);
    house.engine.trigger(house.trigger(config)).await.unwrap();
    let five_hours = Duration::from_secs(5 * 3600);

    let house = waiting_since(house, five_hours - Duration::from_secs(600)).await;
    let held = vec![Held { task: holder.task, fence: holder.fence }];
    house.engine.heartbeat(Heartbeat { runner, held }).await.unwrap();
    assert_eq!(house.job("deploy").await.state, JobState::Queued);

    let house = waiting_since(house, five_hours).await;
    let canceled = async {
        while house.job("deploy").await.state != JobState::Canceled {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), canceled).await.expect("canceled in time");
    let message = house.job("deploy").await.message.unwrap();
    assert_eq!(message, "waited too long for its serial group");
    assert_eq!(house.workflow().await.state, WorkflowState::Canceled);
    house.end(&holder, TaskOutcome::Success).await.expect("the holder is left in peace");
}

#[tokio::test]
async fn a_job_group_runs_between_its_entry_and_its_exit() {
    let house = House::new().await;
    let runner = house.runner().await;
    let config = "version: 2.1
jobs:
  a: &job {machine: true, steps: [{run: make}]}
  b: *job
  last: *job
job-groups: {lab: {jobs: [a, b: {requires: [a]}]}}
workflows: {main: {jobs: [lab: {serial-group: acme/lab}, last: {requires: [lab]}]}}
";
    house.engine.trigger(house.trigger(config)).await.unwrap();
    assert_eq!(run_all(&house, runner, &[]).await, ["lab/a", "lab/b", "last"]);
    house.engine.trigger(house.trigger(config)).await.unwrap();
    let ran = run_all(&house, runner, &[("lab/a", TaskOutcome::Failed)]).await;
    assert_eq!(ran, ["lab/a"]);
    assert_eq!(house.job("last").await.state, JobState::NotRun);
}

#[tokio::test]
async fn a_locked_job_group_runs_as_one_also_past_a_restart_and_a_newer_pipeline() {
    let house = House::new().await;
    let runner = house.runner().await;
    let config = "version: 2.1
jobs: {deploy: &job {machine: true, steps: [{run: make}]}, release: *job}
job-groups: {lab: {jobs: [deploy, release: {requires: [deploy]}]}}
workflows: {main: {jobs: [lab: {serial-group: acme/lab}]}}
";
    let older = house.engine.trigger(house.trigger(config)).await.unwrap().pipeline;
    let first = house.claim(runner).await.remove(0);
    let newer = house.engine.trigger(house.trigger(config)).await.unwrap().pipeline;
    house.end(&first, TaskOutcome::Success).await.unwrap();
    let house = house.restart().await;
    let mut ran = vec![];
    for _ in 0..3 {
        let mut tasks = house.claim(runner).await;
        let task = tasks.remove(0);
        assert!(tasks.is_empty(), "one at a time");
        house.end(&task, TaskOutcome::Success).await.unwrap();
        ran.push((task.pipeline, task.job_name));
    }
    let expected = [(older, "lab/release"), (newer, "lab/deploy"), (newer, "lab/release")];
    assert_eq!(ran, expected.map(|(pipeline, name)| (pipeline, name.to_owned())));
}

#[tokio::test]
async fn a_scheduled_workflow_runs_when_its_time_triggers_it_and_not_on_push() {
    let house = House::new().await;
    let runner = house.runner().await;
    let config = "version: 2.1
jobs:
  day: &job {machine: true, steps: [{run: make}]}
  night: *job
workflows:
  daily: {jobs: [day]}
  nightly:
    triggers: [schedule: {cron: '0 3 * * *', filters: {branches: {only: main}}}]
    jobs: [night]
";
    house.engine.trigger(house.trigger(config)).await.unwrap();
    assert_eq!(run_all(&house, runner, &[]).await, ["day"]);
    let timers = house.store.read(|reader| reader.timer_list()).await.unwrap();
    assert_eq!(timers.len(), 1);
    assert_eq!((timers[0].workflow.as_str(), timers[0].cron.as_str()), ("nightly", "0 3 * * *"));
    let due = Some(base::trigger::Due::Workflow { name: "nightly".into() });
    house.engine.trigger(Trigger { due, ..house.trigger(config) }).await.unwrap();
    assert_eq!(run_all(&house, runner, &[]).await, ["night"]);
    let switched =
        config.replace("  nightly:", "  nightly:\n    when: << pipeline.parameters.on >>");
    let switched = format!("parameters: {{on: {{type: boolean, default: true}}}}\n{switched}");
    let parameters = given(&[("on", ParameterValue::Boolean(false))]);
    house.engine.trigger(Trigger { parameters, ..house.trigger(&switched) }).await.unwrap();
    let left = house.store.read(|reader| reader.timer_list()).await.unwrap();
    assert_eq!(left.len(), 1, "parameters of one pipeline say nothing of the others");
    let plain = config.replace("    triggers", "    x-triggers");
    house.engine.trigger(house.trigger(&plain)).await.unwrap();
    let left = house.store.read(|reader| reader.timer_list()).await.unwrap();
    assert_eq!(left.len(), 1, "a configuration with errors changes nothing");
    house.engine.trigger(house.trigger(super::ONE_JOB)).await.unwrap();
    assert!(house.store.read(|reader| reader.timer_list()).await.unwrap().is_empty());
}
