//! This machine, as the jobs of one runner share it: limits, control groups, ranges of ids.
//!
//! Invariants: no two living sandboxes have the same number; a number is free again only when
//! its supervisor is gone, because until then its processes may live.

use crate::{
    config::HostConfig,
    folder::{Folder, private},
    launcher::Births,
    resources::Machine,
    spin_up::sandbox_id,
    supervisor::chain,
};
use base::{protocol::Pace, units::Bytes};
use sandbox::{
    host::{Part, State},
    image::{ImageError, LayerLimits, LayerStore},
};
use std::{
    collections::BTreeSet,
    fs::{self, File, TryLockError},
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
};
use tokio::sync::watch;

/// The rules of so many jobs are removed together.
const RULES_MAX: u32 = 32;

/// Numbers that may be in use at one time: slots, and jobs whose sandboxes are being removed.
const NUMBERS_MAX: u32 = 250;

/// What is on every machine, and not in every root.
const NEEDED: [&str; 3] = ["/dev/null", "/proc/self/exe", "/sys/fs/cgroup"];

/// Why this machine cannot run jobs.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    /// The root of this process is not that of a whole system.
    #[error(
        "there is no {path} here: jobs need the machine's /dev, /proc and /sys; mount them into this root (mount --rbind), or start this outside of it"
    )]
    Bare {
        /// What was looked for.
        path: &'static str,
    },
    /// No control groups.
    #[error("could not prepare control groups for jobs")]
    ControlGroups(#[source] sandbox::Error),
    /// Another runner lives here; two would drive the same jobs.
    #[error("another runner works in {path}: stop it first")]
    Taken {
        /// Its folder.
        path: PathBuf,
    },
    /// The folder of jobs cannot be used.
    #[error("could not create {path}")]
    Folder {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

/// This machine.
pub struct Host {
    /// How jobs run here.
    pub config: HostConfig,
    pub(crate) groups: sandbox::cgroup::Base,
    pub(crate) births: Births,
    pub(crate) machine: Machine,
    /// How fast the jobs of this host may go.
    pub(crate) pace: watch::Sender<Pace>,
    /// Locked for as long as this lives.
    _lock: File,
    numbers: Mutex<BTreeSet<u32>>,
    /// Jobs whose network rules may still be there.
    unswept: AtomicU32,
    layers: OnceLock<LayerStore>,
}

impl Host {
    /// The unpacked layers of images, opened when the first job asks.
    pub(crate) fn layers(&self) -> Result<&LayerStore, ImageError> {
        if let Some(store) = self.layers.get() {
            return Ok(store);
        }
        let store = LayerStore::open(&self.config.layers, LayerLimits::default())?;
        Ok(self.layers.get_or_init(|| store))
    }

    /// Looks at the machine and prepares it for jobs; safe to do again.
    pub fn prepare(config: HostConfig) -> Result<Arc<Self>, HostError> {
        if let Some(path) = NEEDED.into_iter().find(|path| !Path::new(path).exists()) {
            return Err(HostError::Bare { path });
        }
        let lock = lock(&config.data)?;
        let groups =
            sandbox::cgroup::Base::prepare("appliance-jobs").map_err(HostError::ControlGroups)?;
        tell_what_is_missing(&groups);
        let jobs = config.data.join("jobs");
        let births = Births::new(config.executable.clone(), jobs.clone());
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&jobs)
            .map_err(|source| HostError::Folder { path: jobs, source })?;
        prepare_network(&config);
        let machine = measure();
        Ok(Arc::new(Self {
            config,
            groups,
            births,
            machine,
            pace: watch::Sender::new(Pace::default()),
            _lock: lock,
            numbers: Mutex::default(),
            unswept: AtomicU32::new(0),
            layers: OnceLock::new(),
        }))
    }

    /// Where the folders of jobs are.
    #[must_use]
    pub fn jobs(&self) -> PathBuf {
        self.config.data.join("jobs")
    }

    /// Removes a job's folder, and what its sandbox left if its supervisor died. In a thread of its
    /// own: a job leaves as many files as it likes, and heartbeats must not wait for their removal.
    pub(crate) async fn clear(self: &Arc<Self>, folder: Folder) {
        let host = self.clone();
        if tokio::task::spawn_blocking(move || host.clear_now(&folder)).await.is_err() {
            tracing::error!("the removal of a job's folder failed; the next start tries it again");
        }
    }

    fn clear_now(&self, folder: &Folder) {
        // First: a runner that finds what a cut removal left must not take it for a job.
        folder.forget();
        let is_scratch = |name: &str| folder.path().join(name) == folder.sandbox();
        let id_of = |name: &str| is_scratch(name).then(|| sandbox_id(folder));
        if let Err(error) = sandbox::sweep(folder.path(), &self.groups, id_of) {
            tracing::warn!(error = chain(&error), "a lost sandbox could not be removed");
            if folder.sandbox().exists() {
                // Its processes are found again by it, at the next start.
                return;
            }
        }
        if let Err(error) = folder.remove() {
            tracing::warn!(error = chain(&error), "a job's folder stays behind");
        }
        if self.unswept.fetch_add(1, Ordering::Relaxed) + 1 >= RULES_MAX {
            self.sweep_rules();
        }
    }

    /// Removes the network rules of jobs that are gone.
    pub(crate) fn sweep_rules(&self) {
        let is_due = self.unswept.swap(0, Ordering::Relaxed) > 0;
        if is_due
            && self.config.network.gateway.is_some()
            && let Err(error) = sandbox::sweep_links()
        {
            tracing::warn!(error = chain(&error), "network rules of ended jobs stay behind");
        }
    }

    /// Removes layers of images that take too much and that nobody uses.
    pub(crate) fn sweep_layers(&self) {
        if !self.config.layers.is_dir() {
            return;
        }
        match self.layers().and_then(|store| store.sweep(std::time::SystemTime::now())) {
            Ok(0) => {}
            Ok(freed) => {
                let freed = Bytes(freed).to_string();
                tracing::info!(freed, "unpacked layers that no job has used lately were removed");
            }
            Err(error) => {
                tracing::warn!(error = chain(&error), "unpacked layers of images stay behind");
            }
        }
    }

    /// A number that no living sandbox has; `wanted` if that is free.
    pub(crate) fn number(self: &Arc<Self>, wanted: Option<u32>) -> Option<Number> {
        let mut numbers = self.numbers.lock().unwrap_or_else(PoisonError::into_inner);
        let free =
            wanted.into_iter().chain(0..NUMBERS_MAX).find(|number| !numbers.contains(number))?;
        numbers.insert(free);
        drop(numbers);
        Some(Number { host: self.clone(), number: free })
    }
}

/// Makes the folder of a runner and takes it for this one.
fn lock(data: &Path) -> Result<File, HostError> {
    let failed = |source| HostError::Folder { path: data.to_owned(), source };
    fs::DirBuilder::new().recursive(true).mode(0o700).create(data).map_err(failed)?;
    let file = private(&data.join("lock")).map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(HostError::Taken { path: data.to_owned() }),
        Err(TryLockError::Error(source)) => Err(failed(source)),
    }
}

/// What this host cannot do for jobs, with the remedy; an operator must not learn it from a job.
fn tell_what_is_missing(groups: &sandbox::cgroup::Base) {
    for Part { name, state, message } in sandbox::host::probe(groups) {
        match state {
            State::Good => tracing::debug!(name, "{message}"),
            State::Weak => tracing::warn!(name, "jobs run with less: {message}"),
            State::Missing => tracing::error!(name, "no job can run: {message}"),
        }
    }
}

/// Keeps the memory of this process, which holds secrets, out of core files and out of the sight of
/// other users' tools. To be called early.
pub fn undumpable() {
    use rustix::process::{
        DumpableBehavior, Resource, getrlimit, set_dumpable_behavior, setrlimit,
    };
    // Only the soft limit: a job may still ask for core files of its own.
    let limit = rustix::process::Rlimit { current: Some(0), ..getrlimit(Resource::Core) };
    let cut = setrlimit(Resource::Core, limit);
    if let Err(error) = set_dumpable_behavior(DumpableBehavior::NotDumpable).and(cut) {
        tracing::warn!(%error, "a crash of this process may write its memory to a file");
    }
}

/// Removes what jobs of another life left, and lets packets through to what the operator allows.
/// What the kernel refuses is told; jobs then reach less.
fn prepare_network(config: &HostConfig) {
    let _made_anew_by_the_first_job = fs::remove_dir_all(crate::reach::folder(&config.data));
    if config.network.gateway.is_none() {
        return;
    }
    match sandbox::sweep_links() {
        Ok(0) => {}
        Ok(rules) => tracing::info!(rules, "rules of lost jobs were removed"),
        Err(error) => tracing::warn!(error = chain(&error), "jobs will have no network"),
    }
    if config.network.allow.is_empty() {
        return;
    }
    match sandbox::forwarding_enable() {
        Ok(true) => tracing::info!("this host now forwards packets, for jobs alone"),
        Ok(false) => {}
        Err(error) => tracing::warn!(
            error = chain(&error),
            "jobs with full network reach the appliance only; turn forwarding on with `sysctl -w net.ipv4.ip_forward=1`"
        ),
    }
}

/// A number held by one living sandbox.
pub(crate) struct Number {
    host: Arc<Host>,
    number: u32,
}

impl Number {
    pub(crate) const fn get(&self) -> u32 {
        self.number
    }
}

impl Drop for Number {
    fn drop(&mut self) {
        self.host.numbers.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.number);
    }
}

/// Processors and memory that this process may count on.
fn measure() -> Machine {
    let cpus = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let info = rustix::system::sysinfo();
    #[expect(clippy::useless_conversion, reason = "the width differs between targets")]
    let memory = u64::from(info.totalram).saturating_mul(u64::from(info.mem_unit));
    Machine { cpus: u32::try_from(cpus).unwrap_or(1), memory: Bytes(memory) }
}
