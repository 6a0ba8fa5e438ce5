//! The local runner: a child of `serve`, the same binary, in a process of its own.
//!
//! Why: a build must not starve or kill the control plane, and an upgrade of the control plane
//! must not kill a build. The runner ends with `serve` (the kernel tells it), its jobs' supervisors
//! do not; the next runner finds them again.
//! Invariants: one runner at a time; one that ends by itself is started anew, at once the first few
//! times, ever more slowly when it keeps dying young. Runner and jobs have less CPU weight than the
//! control plane and go before it when memory is short.
//! Units: [`BACKOFF_MAX`] bounds the wait between starts.

use crate::{cli::RunnerArgs, command::Code, config::Config, data_dir::DataDir, logging};
use anyhow::Context;
use base::units::Bytes;
use runner::{Beginning, SiteNetwork};
use rustix::process::{Signal, getppid, kill_process, set_parent_process_death_signal};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::Duration,
};
use tokio::process::{Child, Command};

/// The wait before a start that follows a normal life, or one of the first few early deaths.
const RESTART_SOON: Duration = Duration::from_millis(50);
/// Deaths in a row that may be chance: a kill, a crash by one job.
const EARLY_DEATHS: u32 = 3;
/// The longest wait between starts.
const BACKOFF_MAX: Duration = Duration::from_secs(10);
/// A runner that lived this long was no early death.
const NORMAL_LIFE: Duration = Duration::from_secs(10);
/// A runner only has to close its files; its jobs go on without it.
const STOP_WAIT: Duration = Duration::from_secs(5);
/// The first of the host ids that jobs use; system accounts end far below.
const FIRST_ID: u32 = 0x1000_0000;

/// Keeps one runner going until `stop` says otherwise.
pub(crate) async fn keep(
    config: Config,
    data: DataDir,
    network: SiteNetwork,
    mut stop: tokio::sync::watch::Receiver<bool>,
) {
    let jobs = Jobs::of(&config, &data, network);
    let mut deaths = 0;
    while !*stop.borrow() {
        let begun = tokio::time::Instant::now();
        let beginning = match deaths {
            0..EARLY_DEATHS => Beginning::of(&data.join("runner")),
            // A service manager that gives no group is no reason to run no jobs.
            _ => Beginning::Here,
        };
        match start(&config, &data, &jobs, beginning) {
            Ok(child) => attend(child, &mut stop).await,
            Err(error) => tracing::error!("the local runner did not start: {error:#}"),
        }
        if *stop.borrow() {
            return;
        }
        deaths = if begun.elapsed() > NORMAL_LIFE { 0 } else { deaths + 1 };
        let wait = wait_before_start(deaths);
        tracing::warn!(wait_ms = wait.as_millis(), "the local runner ended; it is started anew");
        let _ = tokio::time::timeout(wait, stopped(&mut stop)).await;
    }
}

/// How long to wait after so many early deaths in a row.
fn wait_before_start(deaths: u32) -> Duration {
    let doublings = deaths.saturating_sub(EARLY_DEATHS).min(16);
    RESTART_SOON.saturating_mul(1 << doublings).min(BACKOFF_MAX)
}

/// How jobs run on this machine, as the runner is told.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Jobs {
    /// Of `machine` jobs; `None` for this machine's own.
    machine_root: Option<PathBuf>,
    machine_images: BTreeMap<String, PathBuf>,
    masks: Vec<PathBuf>,
    disk: Option<Bytes>,
    network: SiteNetwork,
}

impl Jobs {
    fn of(config: &Config, data: &DataDir, network: SiteNetwork) -> Self {
        let root = Some(config.machine_root.clone()).filter(|root| root != Path::new("/"));
        Self {
            machine_root: root,
            machine_images: config.machine_images.clone(),
            masks: vec![data.join("")],
            disk: config.job_disk,
            network,
        }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the local runner is the one child of the control plane"
)]
fn start(
    config: &Config,
    data: &DataDir,
    jobs: &Jobs,
    beginning: Beginning,
) -> anyhow::Result<Child> {
    let (program, words) = match &beginning {
        Beginning::Behind { program, words } => {
            (program.clone(), [&words[..], &[executable().into()]].concat())
        }
        Beginning::Here | Beginning::Join(_) => (executable(), Vec::new()),
    };
    let group = match beginning {
        Beginning::Join(group) => vec!["--group".into(), group.into_os_string()],
        _ => Vec::new(),
    };
    Command::new(program)
        .args(words)
        .arg("runner")
        .args(group)
        .arg("--socket")
        .arg(data.join("runner.sock"))
        .arg("--folder")
        .arg(data.join("runner"))
        .arg("--slots")
        .arg(config.slots.to_string())
        .arg("--jobs")
        .arg(serde_json::to_string(jobs)?)
        .arg("--parent")
        .arg(std::process::id().to_string())
        .arg("--log")
        .arg(config.log.to_string())
        .spawn()
        .context("cannot start the local runner from this program's own file")
}

/// Waits for the child's end, and asks for it when the control plane stops.
async fn attend(mut child: Child, stop: &mut tokio::sync::watch::Receiver<bool>) {
    tokio::select! {
        ended = child.wait() => {
            tracing::debug!(?ended, "the local runner ended");
        }
        () = stopped(stop) => {
            let pid = child.id().and_then(|id| rustix::process::Pid::from_raw(i32::try_from(id).ok()?));
            if let Some(pid) = pid {
                let _ = kill_process(pid, Signal::TERM);
            }
            if tokio::time::timeout(STOP_WAIT, child.wait()).await.is_err() {
                let _ = child.kill().await;
            }
        }
    }
}

/// Completes when the control plane stops, or is gone.
async fn stopped(stop: &mut tokio::sync::watch::Receiver<bool>) {
    let _ = stop.wait_for(|stop| *stop).await;
}

/// This program's own file; without `/proc` the name it was called by.
pub(crate) fn executable() -> PathBuf {
    std::env::current_exe()
        .unwrap_or_else(|_| std::env::args_os().next().unwrap_or_default().into())
}

/// The runner process itself.
pub(crate) fn run(args: RunnerArgs) -> anyhow::Result<Code> {
    logging::start_beside(&args.log, args.parent)?;
    runner::undumpable();
    set_parent_process_death_signal(Some(Signal::TERM))
        .context("cannot tie the runner to its parent")?;
    // One that was gone before this was said tells nothing any more.
    if getppid().is_none_or(|parent| parent.as_raw_nonzero().get() != args.parent) {
        anyhow::bail!("the control plane that started this runner is gone");
    }
    let jobs = serde_json::from_str(&args.jobs).context("`--jobs` cannot be read")?;
    runner::give_way(args.group.as_deref());
    let config = runner::Config {
        name: "local".into(),
        socket: args.socket,
        slots: args.slots,
        resource_classes: Vec::new(),
        serves_plain_classes: true,
        host: host(&args.folder, jobs, FIRST_ID),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let ended = runtime.block_on(async {
        let mut term = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
        let stop = async move {
            term.recv().await;
        };
        runner::run(config, stop).await.context("the runner cannot go on")
    });
    // What is still being removed is removed by the next runner.
    runtime.shutdown_background();
    ended.map(|()| 0)
}

/// How jobs run on this machine, with or without a server.
pub(crate) fn host(folder: &Path, jobs: Jobs, first_id: u32) -> runner::HostConfig {
    let executable = executable();
    runner::HostConfig {
        version: env!("CARGO_PKG_VERSION").into(),
        data: folder.to_path_buf(),
        layers: folder.join("layers"),
        executable,
        machine_root: jobs.machine_root,
        machine_images: jobs.machine_images,
        masks: jobs.masks,
        disk: jobs.disk,
        first_id,
        network: jobs.network,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_runner_comes_back_at_once_unless_it_keeps_dying_young() {
        let waits = [0, 1, 3, 4, 6, 20].map(|deaths| wait_before_start(deaths).as_millis());
        assert_eq!(waits, [50, 50, 50, 100, 400, 10_000]);
    }
}
