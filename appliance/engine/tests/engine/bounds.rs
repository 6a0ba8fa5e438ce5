//! How much may wait.

use crate::house::House;
use engine::{Error, RerunWanted, config::WAITING_MAX};

/// Tasks of one pipeline: copies of each of its jobs.
const TASKS: usize = JOBS * COPIES;
const JOBS: usize = 100;
const COPIES: usize = 100;

#[tokio::test]
async fn what_may_wait_is_bounded_for_reruns_as_for_triggers() {
    let dir = tempfile::tempdir().unwrap();
    let house = House::at(dir.path()).await;
    let jobs: String =
        (0..JOBS).map(|job| format!("      - many: {{name: many-{job}}}\n")).collect();
    let config = format!(
        "version: 2.1
jobs:
  many:
    machine: true
    parallelism: {COPIES}
    steps: [{{run: make}}]
workflows:
  main:
    jobs:
{jobs}"
    );
    let trigger = || house.engine.trigger(house.trigger(&config));
    let first = trigger().await.unwrap().pipeline;
    let read = move |reader: &store::Reader<'_>| reader.workflow_list(first);
    let first = house.store.read(read).await.unwrap()[0].id;
    house.engine.cancel_workflow(first, "ann").await.unwrap();
    for _ in 0..WAITING_MAX / TASKS {
        trigger().await.unwrap();
    }
    assert_eq!(house.engine.status().await.unwrap().waiting, WAITING_MAX);
    assert!(matches!(trigger().await, Err(Error::Busy)));
    let again = house.engine.rerun(first, RerunWanted::FromStart, "ann").await;
    assert!(matches!(again, Err(Error::Busy)), "{again:?}");
}
