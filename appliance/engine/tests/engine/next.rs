//! The task that comes with the end of another, and connections that break before it is told.

use crate::house::{House, ONE_JOB, ended, now};
use base::{
    protocol::{Assignment, Claim, Progress, Report},
    state::{StepState, TaskOutcome},
};
use engine::logs::Logs;
use std::{
    future::{Future, poll_fn},
    pin::Pin,
    sync::{
        Arc, Mutex,
        mpsc::{Receiver, channel},
    },
    task::Poll,
    time::Duration,
};
use store::live::{Live, LiveError, MemoryLive, Pair, Watch};

/// Live state that removes nothing until it is told to.
#[derive(Debug)]
struct SlowLive {
    live: MemoryLive,
    may_remove: Mutex<Receiver<()>>,
}

impl Live for SlowLive {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, LiveError> {
        self.live.get(key)
    }
    fn put(&self, pairs: &[Pair]) -> Result<(), LiveError> {
        self.live.put(pairs)
    }
    fn delete(&self, keys: &[Vec<u8>]) -> Result<(), LiveError> {
        self.may_remove.lock().unwrap().recv_timeout(Duration::from_secs(20)).unwrap();
        self.live.delete(keys)
    }
    fn scan(&self, prefix: &[u8], limit: usize) -> Result<Vec<Pair>, LiveError> {
        self.live.scan(prefix, limit)
    }
    fn watch(&self, prefix: &[u8]) -> Watch {
        self.live.watch(prefix)
    }
    fn wipe(&self) -> Result<(), LiveError> {
        self.live.wipe()
    }
}

/// One task that runs, and one that waits.
async fn busy(house: &House) -> Assignment {
    let runner = house.runner().await;
    for _ in 0..2 {
        house.engine.trigger(house.trigger(ONE_JOB)).await.unwrap();
    }
    let claim = Claim { runner, free_slots: 1, wait: Duration::from_secs(5) };
    house.engine.claim(claim).await.unwrap().assignments.remove(0)
}

/// Whether the answer is there at one look.
async fn is_ready(asked: &mut Pin<Box<impl Future>>) -> bool {
    poll_fn(|context| Poll::Ready(asked.as_mut().poll(context).is_ready())).await
}

/// Asks until what was asked is committed and answered; the answer has not been looked at.
async fn until_answered(house: &House, asked: &mut Pin<Box<impl Future>>) {
    let before = house.store.commits();
    let committed = async {
        while house.store.commits() == before {
            assert!(!is_ready(asked).await, "the answer takes a commit");
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), committed).await.expect("it is committed");
    // The loop does one thing after the other.
    house.engine.status().await.unwrap();
}

async fn is_back(house: &House) {
    let runner = house.runner().await;
    let again = house.claim(runner).await;
    assert_eq!((again.len(), again[0].job_number.0, again[0].fence.0), (1, 2, 2));
}

#[tokio::test]
async fn a_next_task_whose_answer_nobody_takes_goes_back() {
    let dir = tempfile::tempdir().unwrap();
    let house = House::at(dir.path()).await;
    let first = busy(&house).await;
    let mut asked = Box::pin(house.engine.report(house.report_of(&first, true)));
    until_answered(&house, &mut asked).await;
    drop(asked);
    is_back(&house).await;
}

#[tokio::test]
async fn a_next_task_goes_back_when_the_connection_breaks_while_output_is_settled() {
    let dir = tempfile::tempdir().unwrap();
    let house = House::at(dir.path()).await;
    let config = objects::Config::new(dir.path().join("objects"));
    let config = objects::Config { keep_free: 0, ..config };
    let objects = objects::Objects::open(config, house.store.clone()).await.unwrap();
    let (remove, may_remove) = channel();
    let live = SlowLive { live: MemoryLive::default(), may_remove: Mutex::new(may_remove) };
    let logs = Logs::new(house.store.clone(), objects, Arc::new(live));
    let first = busy(&house).await;
    logs.append(first.task, 0, 0, b"hello\n").await.unwrap();
    // What is in live state is removed from there at the end, and that is waited for.
    logs.flush().await.unwrap();
    let (at, state, exit_code, step) = (now(), StepState::Success, Some(0), 0);
    let (name, rest) = ("echo hello".into(), Vec::new());
    let progress = vec![
        Progress::Started { at },
        Progress::StepStarted { step, name, at, background: false },
        Progress::StepEnded { step, state, exit_code, at, output_bytes: 6, rest },
        ended(TaskOutcome::Success),
    ];
    let (task, fence) = (first.task, first.fence);
    let report = Report { task, fence, first: 0, progress, wants_next: true };
    let mut asked = Box::pin(logs.report(&house.engine, report));
    until_answered(&house, &mut asked).await;
    assert!(!is_ready(&mut asked).await, "the output is settled");
    drop(asked);
    remove.send(()).unwrap();
    is_back(&house).await;
}
