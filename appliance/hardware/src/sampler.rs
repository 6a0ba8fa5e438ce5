//! The round: everything is read once a second and published as one snapshot, or as seldom as whoever
//! decides over it says ([`Spacing`]).
//!
//! Why a thread and not a task: reading files blocks, if only for microseconds, and the runtime's
//! two threads serve people.
//! Invariants: a round ends [`ANSWER_WITHIN`] after it began at the latest, whatever a device does;
//! readers get the newest snapshot and never wait; the thread ends when the handle is dropped.

use crate::{
    Config, clock, cooling::Coolers, disks::Disks, energy::Meters, link_events, memory::Gauge,
    network::Network, processor::Processor, sensors::Sensors, supply::Supplies,
};
use base::{reading::Readings, time::Timestamp};
use rustix::time::{ClockId, clock_gettime};
use std::{
    io,
    sync::{
        Arc, Weak,
        atomic::{AtomicU64, Ordering},
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread,
    time::{Duration, Instant, SystemTime},
};
use tokio::sync::watch;

/// Sensors on a slow bus (I²C, a board controller) take some ten milliseconds each; half a round
/// leaves the other half for deciding.
const ANSWER_WITHIN: Duration = Duration::from_millis(500);
/// A cable with a bad plug sends news by the hundred; rounds are no closer together than this.
const NEWS_PAUSE: Duration = Duration::from_millis(200);

/// A running sampler.
#[derive(Debug)]
pub struct Handle {
    readings: watch::Receiver<Arc<Readings>>,
    millis: Arc<AtomicU64>,
    /// The thread ends when this end is gone.
    running: Arc<SyncSender<()>>,
}

/// Says how often the machine is read.
#[derive(Debug, Clone)]
pub struct Spacing {
    millis: Arc<AtomicU64>,
    bell: Weak<SyncSender<()>>,
}

impl Spacing {
    /// Rounds begin so long after each other, but no closer than configured. Less than before brings
    /// the next forward.
    pub fn set(&self, every: Duration) {
        let millis = u64::try_from(every.as_millis()).unwrap_or(u64::MAX);
        if millis < self.millis.swap(millis, Ordering::Relaxed)
            && let Some(bell) = self.bell.upgrade()
        {
            // A bell that already rings need not be rung again.
            let _ = bell.try_send(());
        }
    }
}

impl Handle {
    /// The newest snapshot, and the news of the next.
    #[must_use]
    pub fn readings(&self) -> watch::Receiver<Arc<Readings>> {
        self.readings.clone()
    }

    /// For whoever knows whether anybody works.
    #[must_use]
    pub fn spacing(&self) -> Spacing {
        Spacing { millis: Arc::clone(&self.millis), bell: Arc::downgrade(&self.running) }
    }
}

/// Starts reading the machine. The first snapshot is published within a second; until then
/// [`Readings::empty`] stands.
///
/// # Errors
/// The system has no thread left.
pub fn start(config: &Config) -> io::Result<Handle> {
    let (wall, _) = clocks();
    let (sender, readings) = watch::channel(Arc::new(Readings::empty(wall)));
    let (running, bell) = sync_channel(1);
    let mut sampler = Sampler::new(config)?;
    let every = config.every;
    if config.root.is_live()
        && let Err(error) = link_events::start(running.clone())
    {
        tracing::info!(%error, "no news of the network cards; they are looked at once a second");
    }
    let running = Arc::new(running);
    let handle = Arc::downgrade(&running);
    let millis = Arc::new(AtomicU64::new(0));
    let spacing = Arc::clone(&millis);
    thread::Builder::new().name("hardware".into()).spawn(move || {
        let mut next = Instant::now();
        while handle.strong_count() > 0 {
            let (wall, uptime) = clocks();
            sender.send_replace(Arc::new(sampler.round(wall, uptime)));
            let spacing = Duration::from_millis(spacing.load(Ordering::Relaxed));
            next = rest(&bell, next, every.max(spacing));
        }
    })?;
    Ok(Handle { readings, millis, running })
}

/// Waits for the next round, which news of a card brings forward; the time at which it begins.
fn rest(bell: &Receiver<()>, last: Instant, every: Duration) -> Instant {
    // A machine that slept, or a round that was late, is not made up for.
    let next = (last + every).max(Instant::now());
    let earliest = (last + NEWS_PAUSE).max(Instant::now());
    if bell.recv_timeout(next.saturating_duration_since(Instant::now())).is_err() {
        return next;
    }
    thread::park_timeout(earliest.saturating_duration_since(Instant::now()));
    Instant::now()
}

/// The wall clock, and the time since the machine started with its sleep.
pub(crate) fn clocks() -> (Timestamp, Duration) {
    let wall = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let boot = clock_gettime(ClockId::Boottime);
    let uptime = Duration::new(
        u64::try_from(boot.tv_sec).unwrap_or(0),
        u32::try_from(boot.tv_nsec).unwrap_or(0),
    );
    (Timestamp(0).plus(wall), uptime)
}

/// Everything that is read, with what is remembered from round to round.
pub struct Sampler {
    sensors: Sensors,
    coolers: Coolers,
    processor: Processor,
    gauge: Gauge,
    supplies: Supplies,
    meters: Meters,
    disks: Disks,
    network: Network,
    clock: clock::Watch,
}

impl Sampler {
    /// Prepares the sources below the configured root.
    ///
    /// # Errors
    /// The system has no thread left.
    pub fn new(config: &Config) -> io::Result<Self> {
        let root = &config.root;
        Ok(Self {
            sensors: Sensors::start(root)?,
            coolers: Coolers::start(root)?,
            processor: Processor::new(root),
            gauge: Gauge::new(root),
            supplies: Supplies::start(root, config.nut.clone())?,
            meters: Meters::new(root),
            disks: Disks::start(root, &config.folders, config.smartctl.as_deref())?,
            network: Network::start(root, config.network.clone())?,
            clock: clock::Watch::new(root, config.clock),
        })
    }

    /// Reads everything once. `uptime` is the clock of all spans; it must not run backwards.
    pub fn round(&mut self, at: Timestamp, uptime: Duration) -> Readings {
        let deadline = Instant::now() + ANSWER_WITHIN;
        self.coolers.ask();
        self.supplies.ask(uptime);
        self.disks.ask();
        self.network.ask();
        let processor = self.processor.busy(uptime);
        let sensors = self.sensors.round(processor.fresh().copied(), uptime, deadline);
        let mut readings = Readings::empty(at);
        readings.uptime = uptime;
        readings.busy = processor;
        readings.thermal = sensors.thermal;
        readings.fans = sensors.fans;
        readings.power = self.supplies.take(uptime, deadline);
        readings.power.draws = sensors.draws;
        readings.power.draws.extend(self.meters.draws(uptime));
        readings.cooling = self.coolers.take(uptime, deadline);
        readings.throttle = self.processor.throttle(uptime);
        readings.memory = self.gauge.memory(uptime);
        readings.pressure = self.gauge.pressure(uptime);
        readings.disks = self.disks.take(uptime, deadline);
        let network = self.network.take(uptime, deadline);
        readings.links = network.links;
        readings.transport = network.transport;
        readings.troubles = network.troubles;
        readings.clock = self.clock.tell(at, uptime);
        readings
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Root;

    /// Whether a snapshot comes within `span`.
    fn comes(readings: &mut watch::Receiver<Arc<Readings>>, span: Duration) -> bool {
        let end = Instant::now() + span;
        while Instant::now() < end {
            if readings.has_changed().unwrap() {
                readings.mark_unchanged();
                return true;
            }
            thread::park_timeout(Duration::from_millis(5));
        }
        false
    }

    #[test]
    fn rounds_are_as_rare_as_is_said_and_come_at_once_when_less_is_said() {
        let folder = tempfile::tempdir().unwrap();
        let every = Duration::from_millis(20);
        let rare = Duration::from_secs(60);
        let root = Root::new(folder.path());
        let handle = start(&Config { root, every, ..Config::default() }).unwrap();
        let mut readings = handle.readings();
        assert!(comes(&mut readings, rare), "the first");
        handle.spacing().set(rare);
        // One may have been under way.
        comes(&mut readings, Duration::from_secs(1));
        readings.mark_unchanged();
        assert!(!comes(&mut readings, Duration::from_secs(1)), "rare");
        handle.spacing().set(every);
        assert!(comes(&mut readings, rare / 4), "at once");
    }
}
