//! What is answered while the disk holds up the loop.

use crate::house::{House, ONE_JOB};
use std::{sync::mpsc, time::Duration};

#[tokio::test]
async fn questions_are_answered_while_a_commit_waits_for_the_disk() {
    let dir = tempfile::tempdir().unwrap();
    let house = House::at(dir.path()).await;
    house.runner().await;
    house.engine.trigger(house.trigger(ONE_JOB)).await.unwrap();
    assert_eq!(house.engine.status().await.unwrap().waiting, 1);
    let (go, wait) = mpsc::channel::<()>();
    let store = house.store.clone();
    let holds = move |_: &mut store::Txn<'_>| {
        wait.recv().unwrap();
        Ok::<_, store::Error>(())
    };
    let holds = tokio::spawn(async move { store.write(holds).await });
    let (engine, trigger) = (house.engine.clone(), house.trigger(ONE_JOB));
    let next = tokio::spawn(async move { engine.trigger(trigger).await });
    let mut looks = 0;
    while !house.engine.held(9).await.unwrap().is_empty() {
        looks += 1;
        assert!(looks < 200, "the trigger does not reach the loop");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(house.engine.status().await.unwrap().waiting, 1, "as it was last");
    go.send(()).unwrap();
    holds.await.unwrap().unwrap();
    next.await.unwrap().unwrap();
    assert_eq!(house.engine.status().await.unwrap().waiting, 2);
}
