//! Output through its whole life: while it grows, over restarts, after its end.

use super::{LogError, Logs, READ_MAX};
use base::{
    ids::{Attempt, Fence, TaskId},
    protocol::Refusal,
    state::StepState,
    time::Timestamp,
};
use objects::Objects;
use std::{path::Path, sync::Arc, time::Duration};
use store::{
    Config, SiteKey, Store,
    live::{Live, MemoryLive},
    runs::{Step, Task},
};

const STEP: u32 = 1;

struct House {
    store: Store,
    objects: Objects,
    live: Arc<dyn Live>,
    logs: Logs,
}

fn task() -> TaskId {
    TaskId(uuid::Uuid::from_u128(7))
}

async fn open(dir: &Path) -> House {
    let store = Store::open(&Config::new(dir.join("store")), SiteKey::new([1; 32])).unwrap();
    let config = objects::Config { keep_free: 0, ..objects::Config::new(dir.join("objects")) };
    let objects = Objects::open(config, store.clone()).await.unwrap();
    let live: Arc<dyn Live> = Arc::new(MemoryLive::default());
    let logs = Logs::new(store.clone(), objects.clone(), Arc::clone(&live));
    House { store, objects, live, logs }
}

impl House {
    /// A new process on the same disk; live state only when the stop was clean.
    fn restart(&mut self, clean: bool) {
        if !clean {
            self.live = Arc::new(MemoryLive::default());
        }
        self.logs = Logs::new(self.store.clone(), self.objects.clone(), Arc::clone(&self.live));
    }

    async fn send(&self, text: &[u8]) {
        let mut offset = 0;
        for frame in text.chunks(200_000) {
            offset = self.logs.append(task(), STEP, offset, frame).await.unwrap();
        }
    }

    async fn end(&self, length: usize) -> Result<(), LogError> {
        let tail = self.logs.finish(task(), STEP, length as u64).await?;
        self.store
            .write(move |txn| {
                tail.save(txn)?;
                txn.task_save(&a_task())?;
                txn.step_save(&a_step(length))
            })
            .await?;
        self.logs.settle(task(), STEP).await;
        Ok(())
    }

    async fn text(&self) -> Vec<u8> {
        let mut all = Vec::new();
        loop {
            let from = all.len() as u64;
            let chunk = self.logs.read(task(), STEP, from..u64::MAX).await.unwrap();
            assert!(chunk.offset == from && chunk.bytes.len() as u64 <= READ_MAX);
            if chunk.bytes.is_empty() {
                return all;
            }
            all.extend(chunk.bytes);
        }
    }
}

fn a_task() -> Task {
    Task {
        id: task(),
        node: 0,
        attempt: Attempt(1),
        runner: None,
        fence: Fence(1),
        next_report: 0,
        leased_at: Timestamp(0),
        started_at: None,
        stopped_at: None,
        outcome: None,
        message: None,
        peak_memory: None,
    }
}

fn a_step(length: usize) -> Step {
    Step {
        task: task(),
        step: STEP,
        name: "Build".into(),
        background: false,
        state: StepState::Success,
        exit_code: Some(0),
        started_at: Timestamp(0),
        stopped_at: Some(Timestamp(1)),
        output_bytes: length as u64,
    }
}

/// Lines that compress like a build's, `count` of them.
fn lines(count: u64) -> Vec<u8> {
    (0..count)
        .flat_map(|n| format!("line {n:07} of a build {:x}\n", n * 7919).into_bytes())
        .collect()
}

/// Bytes that do not compress.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 1_u64;
    let mut next = move || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state.to_be_bytes()[0]
    };
    (0..length).map(|_| next()).collect()
}

/// `text` is whole while it grows, after its end, and after a restart.
async fn check(text: &[u8]) {
    let dir = tempfile::tempdir().unwrap();
    let mut house = open(dir.path()).await;
    house.send(text).await;
    assert!(house.text().await == text, "while it grows");
    house.end(text.len()).await.unwrap();
    assert!(house.text().await == text, "after its end");
    house.restart(false);
    assert!(house.text().await == text, "after a restart");
    let chunk = house.logs.read(task(), STEP, 0..1).await.unwrap();
    assert!(chunk.ended && chunk.size == text.len() as u64);
}

#[tokio::test]
async fn output_is_whole_whatever_its_size() {
    check(b"").await;
    check(b"hello\n").await;
    check(&lines(200_000)).await;
    check(&noise(3 << 20)).await;
}

#[tokio::test]
async fn a_small_log_is_one_row_and_no_object() {
    let dir = tempfile::tempdir().unwrap();
    let house = open(dir.path()).await;
    house.send(&lines(300)).await;
    house.end(1).await.unwrap();
    let segments = house.store.read(|reader| reader.log_segment_list(task(), STEP)).await.unwrap();
    assert!(matches!(
        segments[..],
        [store::logs::LogSegment { bytes: store::logs::SegmentBytes::Here(_), .. }]
    ));
}

#[tokio::test]
async fn what_a_restart_lost_is_asked_for_again() {
    let dir = tempfile::tempdir().unwrap();
    let mut house = open(dir.path()).await;
    let text = lines(150_000);
    house.send(&text).await;
    house.restart(false);
    let gap = house.logs.append(task(), STEP, text.len() as u64, b"x").await.unwrap_err();
    let LogError::Refused(Refusal::Gap { expected }) = gap else { panic!("{gap}") };
    assert!(expected > 0 && expected < text.len() as u64, "a segment was sealed: {expected}");
    let early = house.end(text.len()).await.unwrap_err();
    let wanted = Refusal::OutputMissing { step: STEP, expected };
    assert!(matches!(early, LogError::Refused(refusal) if refusal == wanted));
    let place = usize::try_from(expected).unwrap();
    house.logs.append(task(), STEP, expected, &text[place..]).await.unwrap();
    house.end(text.len()).await.unwrap();
    assert!(house.text().await == text);
}

#[tokio::test]
async fn after_a_clean_stop_nothing_is_sent_again() {
    let dir = tempfile::tempdir().unwrap();
    let mut house = open(dir.path()).await;
    let text = lines(20_000);
    house.send(&text).await;
    house.logs.flush().await.unwrap();
    house.restart(true);
    assert!(house.text().await == text);
    let end = text.len() as u64;
    assert_eq!(house.logs.append(task(), STEP, end, b"more\n").await.unwrap(), end + 5);
    house.end(text.len() + 5).await.unwrap();
    assert!(house.live.scan(b"log/", 9).unwrap().is_empty(), "the ring is gone");
}

#[tokio::test]
async fn lines_are_found_in_every_part_of_a_growing_log() {
    let dir = tempfile::tempdir().unwrap();
    let house = open(dir.path()).await;
    let text = lines(200_000);
    house.send(&text).await;
    for first in [0, 1, 99_999, 150_000, 199_990] {
        let found = house.logs.read_lines(task(), STEP, first, 5).await.unwrap();
        let wanted: Vec<u8> = lines(first + 5).split_off(lines(first).len());
        assert_eq!(found.first, first);
        assert_eq!(String::from_utf8(found.chunk.bytes), String::from_utf8(wanted));
    }
    let past = house.logs.read_lines(task(), STEP, 300_000, 5).await.unwrap();
    assert_eq!((past.total, past.chunk.bytes.len()), (200_000, 0));
}

#[tokio::test]
async fn a_follower_sees_everything_in_order_and_ends() {
    let dir = tempfile::tempdir().unwrap();
    let house = open(dir.path()).await;
    let mut follower = house.logs.follow(task(), STEP, 0);
    let reading = tokio::spawn(async move {
        let mut all = Vec::new();
        while let Some(chunk) = follower.next().await.unwrap() {
            all.extend(chunk.bytes);
        }
        all
    });
    let text = lines(100_000);
    house.send(&text).await;
    house.end(text.len()).await.unwrap();
    let all = tokio::time::timeout(Duration::from_secs(20), reading).await.unwrap().unwrap();
    assert!(all == text);
    assert!(house.logs.shared.slots().is_empty(), "nothing is left in memory");
}

#[tokio::test]
async fn a_flood_is_bounded_and_told() {
    let dir = tempfile::tempdir().unwrap();
    let house = open(dir.path()).await;
    let far = base::limits::STEP_OUTPUT_MAX + (1 << 20);
    let refused = house.logs.append(task(), STEP, far, b"x").await.unwrap_err();
    assert!(matches!(refused, LogError::TooLong { step: STEP }));
}

#[tokio::test]
async fn what_a_lost_runner_sent_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    let house = open(dir.path()).await;
    house.send(b"so far\n").await;
    let tails = house.logs.finish_task(task()).await.unwrap();
    house
        .store
        .write(move |txn| {
            txn.task_save(&Task { stopped_at: Some(Timestamp(1)), ..a_task() })?;
            tails.iter().try_for_each(|tail| tail.save(txn))
        })
        .await
        .unwrap();
    house.logs.settle_task(task()).await;
    assert_eq!(house.text().await, b"so far\n");
    let late = house.logs.append(task(), STEP, 7, b"too late").await.unwrap();
    assert_eq!(late, 15);
    assert_eq!(house.text().await, b"so far\n");
}

#[tokio::test]
async fn a_sweep_seals_what_tasks_left_that_ended_without_a_word() {
    let dir = tempfile::tempdir().unwrap();
    let house = open(dir.path()).await;
    house.send(b"so far\n").await;
    house.logs.sweep().await.unwrap();
    assert_eq!(house.logs.shared.slots().len(), 1, "it still runs");
    let over = Task { stopped_at: Some(Timestamp(1)), ..a_task() };
    house.store.write(move |txn| txn.task_save(&over)).await.unwrap();
    house.logs.sweep().await.unwrap();
    assert!(house.logs.shared.slots().is_empty());
    assert_eq!(house.text().await, b"so far\n");
}

#[tokio::test]
async fn what_is_removed_leaves_no_row_and_no_object() {
    let dir = tempfile::tempdir().unwrap();
    let house = open(dir.path()).await;
    let text = noise(2 << 20);
    house.send(&text).await;
    house.end(text.len()).await.unwrap();
    let segments = move |reader: &store::Reader<'_>| reader.log_segment_list(task(), STEP);
    let first = house.store.read(segments).await.unwrap().remove(0);
    let store::logs::SegmentBytes::Object(key) = first.bytes else { panic!("large") };
    assert!(house.objects.head("logs", &key).await.is_ok());
    house.logs.remove(vec![task()]).await.unwrap();
    assert!(house.objects.head("logs", &key).await.is_err());
    assert!(house.store.read(segments).await.unwrap().is_empty());
}
