//! Where log lines go: the journal under systemd, standard error elsewhere.
//!
//! Why: under systemd a line on standard error loses its priority and fields; the journal keeps
//! both. The journal takes `log` records, which `tracing` emits as long as it has no subscriber.

use anyhow::Context;
use std::{io::IsTerminal, os::unix::fs::MetadataExt};

/// Sets up logging once; `filter` is the setting `log`.
pub(crate) fn start(filter: &str) -> anyhow::Result<()> {
    if standard_error_is_the_journal() {
        let level =
            filter.split(',').find_map(|part| part.parse().ok()).unwrap_or(log::LevelFilter::Info);
        systemd_journal_logger::JournalLog::new()
            .context("cannot reach the journal")?
            .install()
            .context("a logger is already there")?;
        log::set_max_level(level);
        return Ok(());
    }
    let filter = tracing_subscriber::EnvFilter::try_new(filter).with_context(|| {
        format!("`log` is `{filter}`: expected error, warn, info, debug or filters")
    })?;
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none())
        .with_target(false)
        .init();
    Ok(())
}

/// systemd names the device and inode of the journal's stream in `JOURNAL_STREAM` (systemd.exec(5)).
fn standard_error_is_the_journal() -> bool {
    let named = std::env::var("JOURNAL_STREAM").unwrap_or_default();
    let Ok(meta) = std::fs::metadata("/proc/self/fd/2") else { return false };
    named == format!("{}:{}", meta.dev(), meta.ino())
}
