//! Threads that carry connections: each connection is on one of them, from its first byte to its last.
//!
//! Why: threads that share their work hand connections to each other and wake each other for it,
//! which costs a small request more than its answer. A lane waits for its own connections alone.
//! Invariants: a connection goes to the lane that carries the fewest, and what it spawns stays there.
//! What computes or waits for long on a lane holds up its other connections: such work belongs on
//! a thread that may block.
//! On failure: a thread that cannot be had ends the start. The lanes end with their owner, after
//! what they have on blocking threads; connections that still stand are cut.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread::JoinHandle,
};
use tokio::{
    runtime::{Builder, Handle},
    sync::oneshot,
};

/// The threads; whoever holds this owns them.
pub struct Lanes {
    lanes: Arc<[Lane]>,
    threads: Vec<(oneshot::Sender<()>, JoinHandle<()>)>,
}

/// Where connections are given to.
#[derive(Clone)]
pub(crate) struct Intake(Arc<[Lane]>);

struct Lane {
    runtime: Handle,
    carried: Arc<AtomicUsize>,
}

impl Lanes {
    /// Starts so many threads, at least one.
    pub fn start(count: usize) -> io::Result<Self> {
        let (mut lanes, mut threads) = (vec![], vec![]);
        for number in 0..count.max(1) {
            let runtime = Builder::new_current_thread().enable_all().build()?;
            lanes.push(Lane { runtime: runtime.handle().clone(), carried: Arc::default() });
            let (stop, stopped) = oneshot::channel();
            let carry = move || drop(runtime.block_on(stopped));
            let thread = std::thread::Builder::new().name(format!("lane-{number}")).spawn(carry)?;
            threads.push((stop, thread));
        }
        Ok(Self { lanes: lanes.into(), threads })
    }

    pub(crate) fn intake(&self) -> Intake {
        Intake(Arc::clone(&self.lanes))
    }
}

impl Drop for Lanes {
    fn drop(&mut self) {
        for (stop, thread) in self.threads.drain(..) {
            drop(stop);
            // A lane that panicked has said so.
            drop(thread.join());
        }
    }
}

impl Intake {
    /// Runs a connection on the lane that carries the fewest.
    pub(crate) fn spawn(&self, connection: impl Future<Output = ()> + Send + 'static) {
        let carried = |lane: &&Lane| lane.carried.load(Ordering::Relaxed);
        let lane = self.0.iter().min_by_key(carried).expect("there is at least one lane");
        let seat = Seat::take(&lane.carried);
        lane.runtime.spawn(async move {
            let _seat = seat;
            connection.await;
        });
    }
}

/// One connection among those of its lane.
struct Seat(Arc<AtomicUsize>);

impl Seat {
    fn take(carried: &Arc<AtomicUsize>) -> Self {
        carried.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(carried))
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{collections::BTreeMap, sync::mpsc, time::Duration};

    const DEADLINE: Duration = Duration::from_secs(10);

    fn name() -> String {
        std::thread::current().name().unwrap_or_default().to_owned()
    }

    /// A connection that tells its lane and stands until it is told to end.
    fn stand(intake: &Intake) -> (String, oneshot::Sender<()>) {
        let (tell, told) = mpsc::channel();
        let (end, ended) = oneshot::channel::<()>();
        intake.spawn(async move {
            tell.send(name()).expect("somebody listens");
            drop(ended.await);
        });
        (told.recv_timeout(DEADLINE).expect("the lane runs"), end)
    }

    fn by_lane(standing: &[(String, oneshot::Sender<()>)]) -> Vec<usize> {
        let mut counts = BTreeMap::<&str, usize>::new();
        for (lane, _) in standing {
            *counts.entry(lane).or_default() += 1;
        }
        counts.into_values().collect()
    }

    #[test]
    fn connections_are_spread_evenly_and_a_gap_is_filled() {
        let lanes = Lanes::start(3).expect("threads are to be had");
        let mut standing: Vec<_> = (0..9).map(|_| stand(&lanes.intake())).collect();
        assert_eq!(by_lane(&standing), [3, 3, 3]);
        let left: Vec<_> = standing.extract_if(.., |(lane, _)| lane == "lane-1").collect();
        drop(left);
        let gone = || lanes.lanes[1].carried.load(Ordering::Relaxed) == 0;
        let begun = std::time::Instant::now();
        while !gone() {
            assert!(begun.elapsed() < DEADLINE, "ended connections still count");
            std::thread::yield_now();
        }
        standing.extend((0..3).map(|_| stand(&lanes.intake())));
        assert_eq!(by_lane(&standing), [3, 3, 3]);
    }

    #[test]
    fn what_a_connection_spawns_stays_on_its_lane() {
        let lanes = Lanes::start(2).expect("threads are to be had");
        let (tell, told) = mpsc::channel();
        lanes.intake().spawn(async move {
            let spawned = tokio::spawn(async { name() }).await.expect("it does not panic");
            tell.send((name(), spawned)).expect("somebody listens");
        });
        let (own, spawned) = told.recv_timeout(DEADLINE).expect("the lane runs");
        assert_eq!(own, spawned);
    }

    #[test]
    fn a_panic_ends_its_connection_and_not_the_lane() {
        let lanes = Lanes::start(1).expect("threads are to be had");
        lanes.intake().spawn(async { panic!("on purpose") });
        stand(&lanes.intake());
    }

    #[test]
    fn lanes_end_with_their_owner() {
        let lanes = Lanes::start(2).expect("threads are to be had");
        let (_, end) = stand(&lanes.intake());
        drop(lanes);
        assert!(end.is_closed(), "its connection was cut");
    }
}
