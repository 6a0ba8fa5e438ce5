//! The machine below the appliance: readings, hooks, watchdogs.
//!
//! Invariants: nothing here can stop the control plane: a sensor, a hook or a watchdog that fails
//! is logged and the rest goes on. The heart beats in a task of its own, on the runtime that serves
//! people: when the runtime hangs, both watchdogs hear nothing more; a store that is slow to answer
//! does not silence it.
//! Units: one snapshot a second, fewer at rest; the service manager is told at a third of the time it allows.

use crate::{
    config::Config,
    governor::{self, Governing},
};
use base::{event::Event as Told, ids::Cursor, reading::Readings, state::JobState, units::Celsius};
use engine::{Handle, govern::Law};
use hardware::{
    AskClock, KernelClock,
    happenings::{Limits, Watch},
    hooks::{Bell, Event, Happening, Hooks},
    watchdog::{Heart, Watchdog},
};
use sd_notify::NotifyState;
use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use store::{Store, live::Live};
use tokio::{sync::watch, task::JoinSet, time::Instant};

/// What is set about the machine.
#[derive(Debug, Clone)]
pub(crate) struct MachineConfig {
    pub(crate) limit: Celsius,
    pub(crate) hooks: PathBuf,
    pub(crate) hooks_user: String,
    pub(crate) watchdog: Option<PathBuf>,
    pub(crate) ups: Option<hardware::nut::Address>,
}

/// Between two lines that `systemctl status` shows.
const STATUS_EVERY: Duration = Duration::from_secs(10);
/// The heart beats at least this often.
const BEAT_EVERY: Duration = Duration::from_secs(1);
/// What the hooks of `shutdown` may take, with those that were rung before them; the service
/// manager waits for longer.
const HOOKS_END: Duration = Duration::from_secs(20);
/// Events that are read at once; a page of the store.
const EVENTS: u32 = 200;

/// The kernel's word on its clock is this machine's, and no captured tree's.
pub(crate) fn ask_clock(root: &Path) -> Option<AskClock> {
    let ask: AskClock = || {
        let told = runner::clock::account()?;
        Ok(KernelClock {
            is_unsynchronised: told.is_unsynchronised,
            max_error: told.max_error,
            estimated_error: told.estimated_error,
        })
    };
    hardware::Root::new(root).is_live().then_some(ask)
}

/// The program that asks this machine's disks for their health, where it is installed.
pub(crate) fn ask_disks(root: &Path) -> Option<PathBuf> {
    let root = hardware::Root::new(root);
    hardware::smartctl(&root).filter(|_| root.is_live())
}

/// The machine, being read.
pub(crate) struct Machine {
    config: MachineConfig,
    data_dir: PathBuf,
    /// Kept for its thread, which ends with it.
    sampler: hardware::Handle,
    readings: watch::Receiver<Arc<Readings>>,
    bell: Bell,
    heart: Heart,
    watchdog: Option<Watchdog>,
}

impl Machine {
    pub(crate) fn start(config: &Config) -> anyhow::Result<Self> {
        let machine = config.machine.clone();
        let told = hardware::Config {
            root: hardware::Root::new(&config.hardware_root),
            folders: vec![config.data_dir.clone(), PathBuf::from("/")],
            nut: machine.ups.clone(),
            smartctl: ask_disks(&config.hardware_root),
            clock: ask_clock(&config.hardware_root),
            ..hardware::Config::default()
        };
        let sampler = hardware::start(&told)?;
        let readings = sampler.readings();
        let heart = Heart::default();
        heart.beat();
        let watchdog = machine.watchdog.as_ref().and_then(|path| {
            let started = Watchdog::start(&told.root, path, heart.clone());
            let started = started.map_err(anyhow::Error::from);
            started.inspect_err(|error| tracing::error!("{error:#}")).ok()
        });
        let bell = Bell::start(Hooks::new(&machine.hooks, &machine.hooks_user))?;
        let data_dir = config.data_dir.clone();
        Ok(Self { config: machine, data_dir, sampler, readings, bell, heart, watchdog })
    }

    /// Decides over what is read; ends when dropped.
    pub(crate) fn govern(
        &self,
        law: Law,
        store: &Store,
        engine: &Handle,
        live: Arc<dyn Live>,
    ) -> Governing {
        let spacing = self.sampler.spacing();
        let rest = move |every| spacing.set(every);
        governor::start(law, self.readings.clone(), store, engine, live, &self.data_dir, rest)
    }

    /// Rings hooks and tells the watchdogs until [`Attendance::stop`].
    pub(crate) fn attend(self, store: Store) -> Attendance {
        let (stop, stopped) = watch::channel(false);
        Attendance { stop, task: tokio::spawn(self.run(store, stopped)) }
    }

    async fn run(mut self, store: Store, mut stop: watch::Receiver<bool>) {
        self.ring(Event::BootComplete, "", "the appliance serves");
        let mut watch = Watch::new(Limits::around(self.config.limit));
        let mut news = store.events();
        let mut place = *news.borrow_and_update();
        let manager = sd_notify::watchdog_enabled().map(|allowed| allowed / 3);
        // Ends when dropped.
        let mut heartbeat = JoinSet::new();
        if manager.is_some() || self.watchdog.is_some() {
            let every = manager.map_or(BEAT_EVERY, |every| every.min(BEAT_EVERY));
            heartbeat.spawn(beat(self.heart.clone(), manager.is_some(), every));
        }
        let mut status = Instant::now();
        loop {
            tokio::select! {
                // The guard that this gives must not live across the other arms' waits.
                () = async { let _ = stop.wait_for(|stop| *stop).await; } => break,
                Ok(()) = self.readings.changed() => {
                    let readings = Arc::clone(&self.readings.borrow_and_update());
                    watch.take(&readings).into_iter().for_each(|told| self.bell.ring(told));
                    if status.elapsed() >= STATUS_EVERY {
                        status = Instant::now();
                        tell(&[NotifyState::Status(&summary(&readings))]);
                    }
                }
                Ok(()) = news.changed() => place = self.jobs(&store, &mut news, place).await,
            }
        }
        // Waiting for a hook is no hang: the heart beats on.
        self.stop().await;
    }

    async fn stop(self) {
        self.ring(Event::Shutdown, "", "the appliance ends");
        drop(self.sampler);
        let ended = tokio::task::spawn_blocking(|| self.bell.end(HOOKS_END)).await;
        if !matches!(ended, Ok(true)) {
            tracing::warn!("hooks still ran when the appliance ended; they are left to themselves");
        }
        if let Some(watchdog) = self.watchdog {
            let stopped = tokio::task::spawn_blocking(|| watchdog.stop()).await;
            if let Ok(Err(error)) = stopped {
                tracing::error!("{error}; the machine may restart");
            }
        }
    }

    /// Jobs that began or ended since `place`; the place of the last one read.
    async fn jobs(
        &self,
        store: &Store,
        news: &mut watch::Receiver<Cursor>,
        place: Cursor,
    ) -> Cursor {
        news.borrow_and_update();
        let mut place = place;
        loop {
            let found = store.read(move |reader| reader.event_list(place, EVENTS)).await;
            let found = match found {
                Ok(found) => found,
                Err::<_, store::Error>(error) => {
                    tracing::warn!(%error, "hooks are not told of jobs until the next event");
                    return place;
                }
            };
            for told in &found {
                place = told.cursor;
                if let Told::JobChanged { job, state, .. } = &told.event
                    && let Some(event) = job_event(*state)
                {
                    let words = format!("job {job} is {}", state.as_str());
                    self.bell.ring(Happening::plain(event, told.at, &job.to_string(), &words));
                }
            }
            if found.len() < EVENTS as usize {
                return place;
            }
        }
    }

    fn ring(&self, event: Event, place: &str, words: &str) {
        self.bell.ring(Happening::plain(event, crate::serve::now(), place, words));
    }
}

/// The machine, attended to.
pub(crate) struct Attendance {
    stop: watch::Sender<bool>,
    task: tokio::task::JoinHandle<()>,
}

impl Attendance {
    /// The last of what runs: both watchdogs hear of the program until here, and then that its end
    /// is wanted.
    pub(crate) async fn stop(self) {
        self.stop.send_replace(true);
        if let Err(error) = self.task.await {
            tracing::error!(%error, "the machine's keeper ended early");
        }
    }
}

const fn job_event(state: JobState) -> Option<Event> {
    match state {
        JobState::Running => Some(Event::JobStart),
        other if other.is_terminal() => Some(Event::JobEnd),
        _ => None,
    }
}

/// Shows both watchdogs that this runs, until it is ended.
async fn beat(heart: Heart, manager: bool, every: Duration) {
    let mut ticks = tokio::time::interval(every.max(Duration::from_millis(10)));
    loop {
        ticks.tick().await;
        heart.beat();
        if manager {
            tell(&[NotifyState::Watchdog]);
        }
    }
}

fn tell(state: &[NotifyState]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::debug!(%error, "the service manager was not told");
    }
}

/// One line: the hottest sensor, free memory, what is wrong.
fn summary(readings: &Readings) -> String {
    let hottest = readings.thermal.iter().filter_map(|sensor| sensor.temperature.fresh());
    let hottest = hottest.max_by(|a, b| a.0.total_cmp(&b.0));
    let mut words = vec!["serving".to_owned()];
    words.extend(hottest.map(Celsius::to_string));
    words.extend(readings.memory.available.fresh().map(|free| format!("{free} free")));
    words.extend(readings.troubles.first().map(|trouble| trouble.words.clone()));
    words.join(" · ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_line_tells_heat_memory_and_trouble() {
        let mut readings = Readings::empty(base::time::Timestamp(0));
        assert_eq!(summary(&readings), "serving");
        readings.memory.available = base::reading::Reading::good(
            base::reading::Source::default(),
            base::units::Bytes::mib(512),
        );
        assert_eq!(summary(&readings), "serving · 512 MiB free");
    }
}
