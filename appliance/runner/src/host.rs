//! This machine, as the jobs of one runner share it: limits, control groups, ranges of ids.
//!
//! Invariants: no two living sandboxes have the same number; a number is free again only when
//! its supervisor is gone, because until then its processes may live.

use crate::{
    config::HostConfig, folder::Folder, resources::Machine, spin_up::sandbox_id, supervisor::chain,
};
use base::{protocol::Pace, units::Bytes};
use sandbox::image::{ImageError, LayerLimits, LayerStore};
use std::{
    collections::BTreeSet,
    path::PathBuf,
    sync::{Arc, Mutex, OnceLock, PoisonError},
};
use tokio::sync::watch;

/// Numbers that may be in use at one time: slots, and jobs whose sandboxes are being removed.
const NUMBERS_MAX: u32 = 250;

/// Why this machine cannot run jobs.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    /// No control groups.
    #[error("could not prepare control groups for jobs")]
    ControlGroups(#[source] sandbox::Error),
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
    pub(crate) machine: Machine,
    /// How fast the jobs of this host may go.
    pub(crate) pace: watch::Sender<Pace>,
    numbers: Mutex<BTreeSet<u32>>,
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
        let groups =
            sandbox::cgroup::Base::prepare("appliance-jobs").map_err(HostError::ControlGroups)?;
        let jobs = config.data.join("jobs");
        std::os::unix::fs::DirBuilderExt::mode(std::fs::DirBuilder::new().recursive(true), 0o700)
            .create(&jobs)
            .map_err(|source| HostError::Folder { path: jobs, source })?;
        prepare_network(&config);
        let machine = measure();
        Ok(Arc::new(Self {
            config,
            groups,
            machine,
            pace: watch::Sender::new(Pace::default()),
            numbers: Mutex::default(),
            layers: OnceLock::new(),
        }))
    }

    /// Where the folders of jobs are.
    #[must_use]
    pub fn jobs(&self) -> PathBuf {
        self.config.data.join("jobs")
    }

    /// Removes a job's folder, and what its sandbox left if its supervisor died.
    pub(crate) fn clear(&self, folder: &Folder) {
        let is_scratch = |name: &str| folder.path().join(name) == folder.sandbox();
        let id_of = |name: &str| is_scratch(name).then(|| sandbox_id(folder));
        if let Err(error) = sandbox::sweep(folder.path(), &self.groups, id_of) {
            tracing::warn!(error = chain(&error), "a lost sandbox could not be removed");
        }
        if let Err(error) = folder.remove() {
            tracing::warn!(error = chain(&error), "a job's folder stays behind");
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

/// The group of the runner, its supervisors and its jobs.
const RUNNER_GROUP: &str = "appliance-runner";

/// Hundredths of the CPU time that the control plane gets when there is not enough for both.
const RUNNER_WEIGHT: u32 = 25;

/// Added to the kernel's wish to end this process when the machine is out of memory: after jobs,
/// which have more, and before the control plane, which has none.
const RUNNER_OOM_SCORE: &str = "250";

/// Makes this process, and all that it will start, give way to the control plane: a build can
/// neither starve nor kill it. What the host refuses is told. To be called before
/// [`Host::prepare`].
pub fn give_way() {
    if let Err(error) = sandbox::cgroup::separate(RUNNER_GROUP, RUNNER_WEIGHT) {
        tracing::warn!(
            error = chain(&error),
            "jobs may take CPU time from the control plane: no control group could be made for the runner"
        );
    }
    if let Err(error) = std::fs::write("/proc/self/oom_score_adj", RUNNER_OOM_SCORE) {
        tracing::warn!(%error, "the runner could not be made the first to go when memory is short");
    }
}

/// Removes what jobs of another life left, and lets packets through to what the operator allows.
/// What the kernel refuses is told; jobs then reach less.
fn prepare_network(config: &HostConfig) {
    let _made_anew_by_the_first_job = std::fs::remove_dir_all(crate::reach::folder(&config.data));
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
