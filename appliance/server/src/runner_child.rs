//! The local runner: a child of `serve`, the same binary, in a process of its own.
//!
//! Why: a build must not starve or kill the control plane, and an upgrade of the control plane
//! must not kill a build. The runner ends with `serve` (the kernel tells it), its jobs' supervisors
//! do not; the next runner finds them again.
//! Invariants: one runner at a time; one that ends by itself is started anew, ever more slowly.
//! Units: [`BACKOFF_MAX`] bounds the wait between starts.

use crate::{cli::RunnerArgs, command::Code, config::Config, data_dir::DataDir, logging};
use anyhow::Context;
use rustix::process::{Signal, kill_process, set_parent_process_death_signal};
use std::{
    path::{Path, PathBuf},
    time::Duration,
};
use tokio::process::{Child, Command};

const BACKOFF_MIN: Duration = Duration::from_millis(200);
const BACKOFF_MAX: Duration = Duration::from_secs(10);
/// A runner only has to close its files; its jobs go on without it.
const STOP_WAIT: Duration = Duration::from_secs(5);
/// The first of the host ids that jobs use; system accounts end far below.
const FIRST_ID: u32 = 0x1000_0000;

/// Keeps one runner going until `stop` says otherwise.
pub(crate) async fn keep(
    config: Config,
    data: DataDir,
    services: Vec<u16>,
    mut stop: tokio::sync::watch::Receiver<bool>,
) {
    let mut wait = BACKOFF_MIN;
    while !*stop.borrow() {
        let begun = tokio::time::Instant::now();
        match start(&config, &data, &services) {
            Ok(child) => attend(child, &mut stop).await,
            Err(error) => tracing::error!("the local runner did not start: {error:#}"),
        }
        if *stop.borrow() {
            return;
        }
        wait =
            if begun.elapsed() > BACKOFF_MAX { BACKOFF_MIN } else { (wait * 2).min(BACKOFF_MAX) };
        tracing::warn!(wait_ms = wait.as_millis(), "the local runner ended; it is started anew");
        let _ = tokio::time::timeout(wait, stopped(&mut stop)).await;
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the local runner is the one child of the control plane"
)]
fn start(config: &Config, data: &DataDir, services: &[u16]) -> anyhow::Result<Child> {
    let ports: Vec<String> = services.iter().map(u16::to_string).collect();
    Command::new(executable())
        .arg("runner")
        .arg("--socket")
        .arg(data.join("runner.sock"))
        .arg("--folder")
        .arg(data.join("runner"))
        .arg("--slots")
        .arg(config.slots.to_string())
        .arg("--machine-root")
        .arg(&config.machine_root)
        .arg("--mask")
        .arg(data.join(""))
        .arg("--services")
        .arg(ports.join(","))
        .arg("--log")
        .arg(&config.log)
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
    logging::start(&args.log)?;
    set_parent_process_death_signal(Some(Signal::TERM))
        .context("cannot tie the runner to its parent")?;
    let config = runner::Config {
        name: "local".into(),
        socket: args.socket,
        slots: args.slots,
        resource_classes: Vec::new(),
        serves_plain_classes: true,
        host: host(&args.folder, &args.machine_root, args.mask, args.services, FIRST_ID),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut term = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
        let stop = async move {
            term.recv().await;
        };
        runner::run(config, stop).await.context("the runner cannot go on")
    })?;
    Ok(0)
}

/// How jobs run on this machine, with or without a server.
pub(crate) fn host(
    folder: &Path,
    machine_root: &Path,
    masks: Vec<PathBuf>,
    services: Vec<u16>,
    first_id: u32,
) -> runner::HostConfig {
    let executable = executable();
    runner::HostConfig {
        version: env!("CARGO_PKG_VERSION").into(),
        data: folder.to_path_buf(),
        supervise: vec![executable.clone().into(), "supervise".into()],
        executable,
        machine_root: (machine_root != Path::new("/")).then(|| machine_root.to_path_buf()),
        masks,
        disk: None,
        first_id,
        network: runner::SiteNetwork { services, ..runner::SiteNetwork::default() },
    }
}
