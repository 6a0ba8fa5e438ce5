//! What goes with a pipeline for good, and what is asked anew when a job is handed out.

use crate::house::{House, now};
use base::{
    ids::PipelineId,
    protocol::Assignment,
    state::{JobState, TaskOutcome},
    trust::{ProtectedRefs, Trust},
};
use engine::RerunWanted;
use indexmap::IndexMap;
use std::time::Duration;
use store::runs::{Job, Pipeline};

const SETUP: &str = "version: 2.1
setup: true
jobs: {choose: {machine: true, steps: [{run: ./choose}]}}
workflows: {setup: {jobs: [choose]}}
";

const NEXT: &str = "version: 2.1
jobs: {build: {machine: true, steps: [{run: ./build}]}}
workflows: {main: {jobs: [build]}}
";

async fn protect(house: &House, branch: &str) {
    let protected = ProtectedRefs { branches: vec![branch.to_owned()], tags: vec![] };
    let project = house.project;
    let write = move |txn: &mut store::Txn<'_>| {
        txn.project_settings_change(project, |settings| settings.protected = protected)
    };
    house.store.write(write).await.unwrap();
}

async fn pipeline(house: &House, id: PipelineId) -> Pipeline {
    house.store.read(move |reader| reader.pipeline_get(id)).await.unwrap().unwrap()
}

async fn trust(house: &House, task: &Assignment) -> Trust {
    let job = task.job;
    house.store.read(move |reader| reader.job_trust(job)).await.unwrap()
}

#[tokio::test]
async fn a_level_is_decided_once_and_goes_with_what_comes_of_it() {
    let dir = tempfile::tempdir().unwrap();
    let house = House::at(dir.path()).await;
    let runner = house.runner().await;
    protect(&house, "main").await;
    let made = house.triggered(SETUP).await;
    assert_eq!(pipeline(&house, made).await.trust, Trust::Protected);
    let task = house.claim(runner).await.remove(0);
    assert_eq!(trust(&house, &task).await, Trust::Protected);

    protect(&house, "dev").await;
    let is_key = |name: &str| name == "CIRCLE_CONTINUATION_KEY";
    let key = task.secrets.iter().find(|secret| is_key(&secret.name)).unwrap();
    let key = key.value.expose().to_owned();
    house.engine.continue_pipeline(key, NEXT.into(), IndexMap::new()).await.unwrap();
    let next = house.claim(runner).await.remove(0);
    assert_eq!((next.pipeline, trust(&house, &next).await), (made, Trust::Protected));

    house.end(&task, TaskOutcome::Success).await.unwrap();
    house.end(&next, TaskOutcome::Success).await.unwrap();
    house.engine.rerun(next.workflow, RerunWanted::FromStart, "ann").await.unwrap();
    let again = house.claim(runner).await.remove(0);
    assert_eq!((again.pipeline, trust(&house, &again).await), (made, Trust::Protected));
    house.end(&again, TaskOutcome::Success).await.unwrap();

    let later = house.triggered(NEXT).await;
    assert_eq!(pipeline(&house, later).await.trust, Trust::Unprotected, "by what stands then");
    house.stop().await;
}

const PAINT: &str = "version: 2.1
jobs: {paint: {machine: true, steps: [{run: ./paint}]}}
workflows: {main: {jobs: [paint: {context: [colours]}]}}
";

async fn job(house: &House, made: PipelineId) -> Job {
    let read = move |reader: &store::Reader<'_>| {
        let workflow = reader.workflow_list(made)?.remove(0);
        Ok::<_, store::Error>(reader.job_list(workflow.id)?.remove(0))
    };
    house.store.read(read).await.unwrap()
}

#[tokio::test]
async fn an_expression_that_came_while_a_job_waited_keeps_its_context_closed() {
    let dir = tempfile::tempdir().unwrap();
    let house = House::at(dir.path()).await;
    let runner = house.runner().await;
    let make = |txn: &mut store::Txn<'_>| {
        let org = txn.org_ensure("acme", now())?.id;
        Ok::<_, store::Error>(txn.context_create(org, "colours", now())?.id)
    };
    let context = house.store.write(make).await.unwrap();
    let made = house.triggered(PAINT).await;
    assert_eq!(job(&house, made).await.state, JobState::Queued);
    let restrict = move |txn: &mut store::Txn<'_>| {
        txn.context_expression_add(context, "pipeline.git.branch == \"dev\"", now())
    };
    house.store.write(restrict).await.unwrap();
    assert!(house.claim_within(runner, Duration::from_millis(100)).await.is_empty());
    let refused = job(&house, made).await;
    let why = refused.message.unwrap_or_default();
    assert_eq!(refused.state, JobState::Unauthorized, "{why}");
    assert!(why.starts_with("context `colours` is restricted by `pipeline.git.branch"), "{why}");
    house.stop().await;
}
