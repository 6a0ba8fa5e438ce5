//! A machine at rest is looked at less often, and at once again when work comes.

use crate::house::{House, ONE_JOB};
use base::{reading::Readings, time::Timestamp};
use engine::govern::Law;
use std::{sync::Arc, time::Duration};
use tokio::{sync::watch, time::timeout};

/// The longest that anything here may take.
const DEADLINE: Duration = Duration::from_secs(30);

/// Looks that are further apart are those of rest.
const OFTEN: Duration = Duration::from_secs(1);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn work_ends_stillness_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let house = House::at(dir.path()).await;
    let (readings, seen) = watch::channel(Arc::new(Readings::empty(Timestamp(0))));
    let (still, mut told) = watch::channel(Duration::ZERO);
    let rest = move |every| {
        still.send_replace(every);
    };
    let governing = house.engine.clone().govern(seen, Law::new(2), |_| None, rest);
    tokio::spawn(governing);
    timeout(DEADLINE, told.wait_for(|every| *every > OFTEN))
        .await
        .expect("still, in time")
        .unwrap();

    // No snapshot comes: who looks brings the step, long before the snapshot is too old.
    let mut steps = house.engine.governed();
    timeout(Duration::from_secs(5), told.wait_for(|every| *every <= OFTEN))
        .await
        .expect("somebody looks")
        .unwrap();

    // Each snapshot is a step, and none is without one.
    drop(steps.borrow_and_update());
    readings.send_replace(Arc::new(Readings::empty(Timestamp(1))));
    timeout(DEADLINE, steps.changed()).await.expect("a step, in time").unwrap();
    drop(steps);
    readings.send_replace(Arc::new(Readings::empty(Timestamp(2))));
    timeout(DEADLINE, told.wait_for(|every| *every > OFTEN)).await.expect("still again").unwrap();
    house.engine.trigger(house.trigger(ONE_JOB)).await.unwrap();
    // No snapshot comes: what happened alone brings the step, long before the snapshot is too old.
    timeout(Duration::from_secs(5), told.wait_for(|every| *every <= OFTEN))
        .await
        .expect("at once")
        .unwrap();
}
