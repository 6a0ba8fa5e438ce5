//! Brings the machine's readings to the law, and what it decides to those who act on it.
//!
//! Why here: the engine admits, and admits by slots; the local runner slows down and holds still;
//! pages and metrics say why. All of them follow one value, [`Governed`].
//! Invariants: one step a second, of the newest snapshot, or one for each snapshot while everything is
//! still (`still.rs`); a snapshot that does not change any more is treated as lost sensors by its age;
//! without a reader of sensors nothing is governed.
//! Bounds: [`RECENT_MAX`] moments in memory.

pub mod history;
mod still;

use crate::{Handle, clock::wall};
use base::{
    ids::Cursor,
    limits::CLAIM_WAIT,
    protocol::{Pace, PaceAsk},
    reading::Readings,
    time::Timestamp,
};
use control::governor::{Governor, Sight};
use serde::{Deserialize, Serialize};
use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};
use still::Stillness;
use tokio::sync::{Notify, watch};

pub use control::governor::{Bound, Decision, Law, Limiter};

/// One step of the law.
const STEP: Duration = Duration::from_secs(1);

/// A snapshot that is older has no reader any more: what it says is no reading. Where snapshots come
/// less often, it may be as old as two of them.
const SNAPSHOT_MAX: Duration = Duration::from_secs(10);

/// Between two moments of the recent past, while they are looked for that often.
pub const MOMENT: Duration = Duration::from_secs(10);

/// Six hours of moments while there is something to look at, more at rest.
pub const RECENT_MAX: usize = 2160;

/// Below this change of the quota no runner is woken; a multiple of it is all a job can feel.
const QUOTA_STEP: u32 = 10;

/// What holds now.
#[derive(Debug, Clone)]
pub struct Governed {
    /// Since when there is a law; `None` where nobody reads sensors.
    pub readings: Option<Arc<Readings>>,
    /// No heat source may pass it, in degrees Celsius.
    pub limit: f64,
    /// What may happen.
    pub decision: Decision,
    /// Tasks that run.
    pub running: u32,
    /// Tasks that wait.
    pub waiting: u32,
}

/// One point of a chart. Absent numbers were not measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Moment {
    /// When.
    pub at: Timestamp,
    /// The hottest source, in degrees Celsius.
    pub celsius: Option<f64>,
    /// Jobs that might run.
    pub slots: u32,
    /// Jobs that ran.
    pub running: u32,
    /// Jobs that waited.
    pub waiting: u32,
    /// Busy share of the processor in percent.
    pub cpu: Option<f64>,
    /// Share of memory in use, in percent.
    pub memory: Option<f64>,
    /// Share of CPU time that jobs might use, in percent.
    pub quota: f64,
    /// Bytes a second, in.
    pub rx: u64,
    /// Bytes a second, out.
    pub tx: u64,
    /// Jobs were held back.
    pub held: bool,
    /// Jobs stood still.
    pub paused: bool,
}

/// Shared by the handle's clones.
#[derive(Debug)]
pub(crate) struct Shared {
    now: watch::Sender<Arc<Governed>>,
    /// Rung when somebody begins to follow it.
    looked_at: Notify,
    pace: watch::Sender<Pace>,
    recent: Mutex<VecDeque<Moment>>,
}

impl Shared {
    /// Paces are numbered from the time on: a runner may still know one of the service before, and
    /// would wait for another when a new one had its number.
    pub(crate) fn new(pool: u32, begun: Timestamp) -> Self {
        let number = u64::try_from(begun.0 / 1000).unwrap_or(0);
        let open = Governed {
            readings: None,
            limit: Law::new(pool).limit,
            decision: Decision::open(pool),
            running: 0,
            waiting: 0,
        };
        Self {
            now: watch::Sender::new(Arc::new(open)),
            looked_at: Notify::new(),
            pace: watch::Sender::new(Pace { number, ..Pace::default() }),
            recent: Mutex::default(),
        }
    }

    fn recent(&self) -> MutexGuard<'_, VecDeque<Moment>> {
        self.recent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Handle {
    /// Follows what holds; brings the next look at the machine.
    #[must_use]
    pub fn governed(&self) -> watch::Receiver<Arc<Governed>> {
        let follower = self.shared().now.subscribe();
        self.shared().looked_at.notify_one();
        follower
    }

    /// The last hours, oldest first.
    #[must_use]
    pub fn recent(&self) -> Vec<Moment> {
        self.shared().recent().iter().cloned().collect()
    }

    /// Puts back what an earlier run of the service remembered.
    pub fn remember(&self, moments: Vec<Moment>) {
        let mut recent = self.shared().recent();
        for moment in moments.into_iter().rev() {
            if recent.len() < RECENT_MAX && recent.front().is_none_or(|one| moment.at < one.at) {
                recent.push_front(moment);
            }
        }
    }

    /// Waits for a pace other than the one that was seen.
    pub async fn pace(&self, ask: &PaceAsk) -> Pace {
        let mut pace = self.shared().pace.subscribe();
        let other = pace.wait_for(|pace| pace.number != ask.seen);
        match tokio::time::timeout(ask.wait.min(CLAIM_WAIT), other).await {
            Ok(Ok(pace)) => pace.clone(),
            _ => self.shared().pace.borrow().clone(),
        }
    }

    /// Governs by what `readings` tells, until the sender of readings is gone. `flush` tells how
    /// many milliseconds a commit took lately, and is told whether jobs run; `rest` is told after each
    /// step in what time the next readings are wanted.
    pub async fn govern(
        self,
        mut readings: watch::Receiver<Arc<Readings>>,
        law: Law,
        mut flush: impl FnMut(bool) -> Option<f64> + Send,
        rest: impl Fn(Duration) + Send,
    ) {
        let (mut governor, begun) = (Governor::default(), Instant::now());
        let (mut fresh, mut last_moment) = (Instant::now(), None::<Instant>);
        let mut before = Arc::clone(&readings.borrow());
        let mut pulse = Pulse::new(self.events());
        let mut stillness = Stillness::default();
        while pulse.next(&mut readings, &self.shared().looked_at).await {
            // What happens after this look wakes the next wait.
            pulse.events.mark_unchanged();
            let snapshot = Arc::clone(&readings.borrow_and_update());
            if !Arc::ptr_eq(&snapshot, &std::mem::replace(&mut before, Arc::clone(&snapshot))) {
                fresh = Instant::now();
            }
            let Ok(status) = self.status().await else { return };
            let mut sight = match fresh.elapsed() < SNAPSHOT_MAX.max(2 * pulse.every) {
                true => Sight::of(&snapshot),
                false => Sight::default(),
            };
            (sight.running, sight.flush_millis) = (status.leased, flush(status.leased > 0));
            let clock = Timestamp(0).plus(begun.elapsed());
            let decision = governor.step(&sight, &law, clock);
            let governed = Governed {
                readings: Some(snapshot),
                limit: law.limit,
                decision,
                running: status.leased,
                waiting: u32::try_from(status.waiting).unwrap_or(u32::MAX),
            };
            if last_moment.is_none_or(|at| at.elapsed() >= MOMENT) {
                last_moment = Some(Instant::now());
                self.note(moment(&governed, wall()));
            }
            let lookers = self.shared().now.receiver_count() + usize::from(pulse.is_looked_at);
            pulse.every = stillness.take(&governed, lookers, Instant::now());
            rest(pulse.every);
            self.publish(governed);
        }
    }

    fn note(&self, moment: Moment) {
        let mut recent = self.shared().recent();
        if recent.len() == RECENT_MAX {
            recent.pop_front();
        }
        recent.push_back(moment);
    }

    fn publish(&self, governed: Governed) {
        let decision = governed.decision.clone();
        self.shared().pace.send_if_modified(|pace| set_pace(pace, &decision));
        let before = self.shared().now.send_replace(Arc::new(governed));
        tell(&before.decision, &decision);
        self.decided(decision);
    }
}

/// When the next step is due.
struct Pulse {
    ticks: tokio::time::Interval,
    events: watch::Receiver<Cursor>,
    /// More than [`STEP`] while everything is still.
    every: Duration,
    /// Somebody who looks, perhaps only once, has brought this step.
    is_looked_at: bool,
}

impl Pulse {
    fn new(events: watch::Receiver<Cursor>) -> Self {
        let mut ticks = tokio::time::interval(STEP);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        Self { ticks, events, every: STEP, is_looked_at: false }
    }

    /// Waits for it: a second, or while everything is still for the next snapshot, for anything that
    /// happens, for somebody who looks, or until the last snapshot is too old. `false` when the sender of readings is gone.
    async fn next(
        &mut self,
        readings: &mut watch::Receiver<Arc<Readings>>,
        looked_at: &Notify,
    ) -> bool {
        self.is_looked_at = false;
        if self.every > STEP {
            tokio::select! {
                _ = readings.changed() => {}
                _ = self.events.changed() => {}
                () = looked_at.notified() => self.is_looked_at = true,
                () = tokio::time::sleep(SNAPSHOT_MAX.max(2 * self.every)) => {}
            }
            self.ticks.reset();
        } else {
            self.ticks.tick().await;
        }
        readings.has_changed().is_ok()
    }
}

/// A line in the journal when the words of the answer change.
fn tell(before: &Decision, now: &Decision) {
    let bound = |decision: &Decision| decision.binding().map(|bound| (bound.limiter, bound.slots));
    if bound(before) == bound(now) && before.pause == now.pause {
        return;
    }
    match now.binding() {
        Some(bound) => tracing::info!(
            slots = now.slots,
            pool = now.pool,
            paused = now.pause,
            "jobs are held back: {}, {}",
            bound.limiter,
            bound.reading
        ),
        None => tracing::info!(slots = now.slots, "no limiter holds jobs back"),
    }
}

/// Changes the pace if a job could feel it.
fn set_pace(pace: &mut Pace, decision: &Decision) -> bool {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 1000")]
    let quota = (decision.quota * f64::from(Pace::FULL)) as u32 / QUOTA_STEP * QUOTA_STEP;
    if (quota, decision.pause) == (pace.quota, pace.pause) {
        return false;
    }
    let why = decision.binding().map(|bound| format!("{}, {}", bound.limiter, bound.reading));
    let full = quota >= Pace::FULL && !decision.pause;
    let why = if full { String::new() } else { why.unwrap_or_else(|| "heat".to_owned()) };
    *pace = Pace { number: pace.number + 1, quota, pause: decision.pause, why };
    true
}

fn moment(governed: &Governed, at: Timestamp) -> Moment {
    let decision = &governed.decision;
    let readings = governed.readings.as_deref();
    let heats = readings.into_iter().flat_map(|readings| Sight::of(readings).heats);
    let memory = readings.and_then(|readings| {
        let free = readings.memory.available.fresh()?;
        #[expect(clippy::cast_precision_loss, reason = "a ratio")]
        let share = free.0 as f64 / (readings.memory.total.0 as f64).max(1.0);
        Some(100.0 * (1.0 - share))
    });
    let traffic =
        || readings.into_iter().flat_map(|readings| &readings.links).map(|one| one.traffic);
    Moment {
        at,
        celsius: heats.filter_map(|heat| heat.celsius).reduce(f64::max),
        slots: decision.slots,
        running: governed.running,
        waiting: governed.waiting,
        cpu: readings.and_then(|readings| readings.busy.fresh()).map(|busy| busy.0),
        memory,
        quota: decision.quota * 100.0,
        rx: traffic().map(|traffic| traffic.rx_bytes_per_s).sum(),
        tx: traffic().map(|traffic| traffic.tx_bytes_per_s).sum(),
        held: decision.slots < decision.pool && governed.waiting > 0,
        paused: decision.pause,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(quota: f64, pause: bool, changed: bool, expected: u32) {
        let mut pace = Pace { number: 3, ..Pace::default() };
        let decision = Decision { quota, pause, ..Decision::open(4) };
        assert_eq!(set_pace(&mut pace, &decision), changed);
        assert_eq!(pace.quota, expected);
        assert_eq!(pace.number, if changed { 4 } else { 3 });
    }

    #[test]
    fn no_pace_has_the_number_of_one_of_the_service_before() {
        let of = |begun| {
            let shared = Shared::new(4, Timestamp(begun));
            let hot = Decision { pause: true, ..Decision::open(4) };
            shared.pace.send_if_modified(|pace| set_pace(pace, &hot));
            shared.pace.borrow().number
        };
        assert!(of(2_000_000) > of(1_000_000) + 100);
    }

    #[test]
    fn a_pace_changes_when_a_job_could_feel_it() {
        check(1.0, false, false, 1000);
        check(0.999, false, true, 990);
        check(0.5, false, true, 500);
        check(1.0, true, true, 1000);
    }
}
