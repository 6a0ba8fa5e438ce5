//! The runner without the house around it, for this room's tests and measurements: agent by name,
//! the launcher of supervisors, and `run SOCKET DATA SLOTS [DISK_MIB]`, until SIGTERM.

use base::units::Bytes;
use runner::{Config, HostConfig, SiteNetwork};
use std::{ffi::OsString, process::ExitCode};
use tokio::signal::unix::{SignalKind, signal};

/// The code for a command line that cannot be understood.
const USAGE: u8 = 64;

fn main() -> ExitCode {
    let args: Vec<OsString> = std::env::args_os().collect();
    if let Some(code) = runner::before_threads(&args) {
        return ExitCode::from(code);
    }
    let words: Vec<&str> = args.iter().skip(1).filter_map(|arg| arg.to_str()).collect();
    match words.as_slice() {
        ["run", socket, data, slots, disk @ ..] => match (slots.parse(), disk_of(disk)) {
            (Ok(slots), Ok(disk)) => run(socket, data, slots, disk),
            _ => ExitCode::from(USAGE),
        },
        _ => ExitCode::from(USAGE),
    }
}

/// What a job may keep on disk, if that is said.
fn disk_of(words: &[&str]) -> Result<Option<Bytes>, std::num::ParseIntError> {
    words.first().map(|mib| mib.parse().map(Bytes::mib)).transpose()
}

fn run(socket: &str, data: &str, slots: u32, disk: Option<Bytes>) -> ExitCode {
    let Ok(executable) = std::env::current_exe() else { return ExitCode::FAILURE };
    let config = Config {
        name: "alone".into(),
        socket: socket.into(),
        slots,
        resource_classes: Vec::new(),
        serves_plain_classes: true,
        host: HostConfig {
            version: env!("CARGO_PKG_VERSION").into(),
            data: data.into(),
            layers: std::path::Path::new(data).join("layers"),
            executable,
            machine_root: None,
            machine_images: std::collections::BTreeMap::new(),
            masks: Vec::new(),
            disk,
            first_id: 200_000,
            network: SiteNetwork::default(),
        },
    };
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else {
        return ExitCode::FAILURE;
    };
    let ended = runtime.block_on(async {
        let mut term = signal(SignalKind::terminate()).ok()?;
        let stop = async move {
            term.recv().await;
        };
        runner::run(config, stop).await.ok()
    });
    ended.map_or(ExitCode::FAILURE, |()| ExitCode::SUCCESS)
}
