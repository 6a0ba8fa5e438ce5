//! Where log lines go, and how many: the journal under systemd, standard error elsewhere.
//!
//! Why: under systemd a line on standard error loses its priority and fields; the journal keeps
//! both. The journal takes `log` records, which `tracing` emits as long as it has no subscriber.
//! Invariant: a filter that names something unknown is refused: silence must never be a typing
//! error's doing.

use anyhow::Context;
use log::{LevelFilter, Log, Metadata, Record};
use std::{fmt, io::IsTerminal, os::unix::fs::MetadataExt, str::FromStr};
use systemd_journal_logger::JournalLog;

/// The rooms whose level may be set apart; a room's lines carry its name.
const ROOMS: [&str; 14] = [
    "appliance",
    "base",
    "control",
    "engine",
    "hardware",
    "ingress",
    "objects",
    "orbs",
    "pipeline",
    "repos",
    "runner",
    "sandbox",
    "store",
    "web",
];

/// How much is logged: of everything, and of single rooms.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Filter {
    all: LevelFilter,
    rooms: Vec<(&'static str, LevelFilter)>,
}

/// A text that is no such filter.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected error, warn, info, debug, trace or off, or single rooms apart: info,web=debug")]
pub(crate) struct NoFilter;

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.all)?;
        self.rooms.iter().try_for_each(|(room, level)| write!(f, ",{room}={level}"))
    }
}

impl FromStr for Filter {
    type Err = NoFilter;
    /// A level, `ROOM=LEVEL`, or several of these with commas between.
    fn from_str(text: &str) -> Result<Self, NoFilter> {
        let mut filter = Self { all: LevelFilter::Info, rooms: vec![] };
        for part in text.split(',').map(str::trim) {
            let (room, level) = part.split_once('=').map_or((None, part), |(r, l)| (Some(r), l));
            let level = level.parse().map_err(|_| NoFilter)?;
            match room {
                None => filter.all = level,
                Some(name) => {
                    let room = ROOMS.into_iter().find(|room| *room == name).ok_or(NoFilter)?;
                    filter.rooms.push((room, level));
                }
            }
        }
        Ok(filter)
    }
}

impl Filter {
    fn most(&self) -> LevelFilter {
        self.rooms.iter().map(|(_, level)| *level).fold(self.all, Ord::max)
    }

    /// The level of what a module logs.
    fn of(&self, target: &str) -> LevelFilter {
        let room = target.split("::").next().unwrap_or_default();
        self.rooms
            .iter()
            .rev()
            .find(|(name, _)| *name == room)
            .map_or(self.all, |(_, level)| *level)
    }
}

/// The journal, as far as the filter lets through.
struct Filtered(Filter, JournalLog);

impl Log for Filtered {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= self.0.of(metadata.target()) && self.1.enabled(metadata)
    }

    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata()) {
            self.1.log(record);
        }
    }

    fn flush(&self) {
        self.1.flush();
    }
}

/// Sets up logging once.
pub(crate) fn start(filter: &Filter) -> anyhow::Result<()> {
    start_about(filter, None)
}

/// The same in a process beside the service of `process`: the journal finds its lines among those of the
/// service.
pub(crate) fn start_beside(filter: &Filter, process: i32) -> anyhow::Result<()> {
    let groups = std::fs::read_to_string(format!("/proc/{process}/cgroup")).unwrap_or_default();
    start_about(filter, service(&groups))
}

/// The unit of a process, from its groups as proc(5) tells them.
fn service(groups: &str) -> Option<&str> {
    let units = groups.lines().flat_map(|line| line.rsplit('/'));
    units.into_iter().find(|unit| unit.ends_with(".service"))
}

fn start_about(filter: &Filter, unit: Option<&str>) -> anyhow::Result<()> {
    if standard_error_is_the_journal() {
        // The field is one that `journalctl --unit` looks at (systemd.journal-fields(7)).
        let about = unit.map(|unit| ("OBJECT_SYSTEMD_UNIT", unit.to_owned()));
        let journal = JournalLog::new().context("cannot reach the journal")?;
        let journal = journal.with_extra_fields(about);
        log::set_boxed_logger(Box::new(Filtered(filter.clone(), journal)))
            .context("a logger is already there")?;
        log::set_max_level(filter.most());
        return Ok(());
    }
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::try_new(filter.to_string())?)
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

#[cfg(test)]
mod tests {
    use super::*;
    use LevelFilter::{Debug, Info, Warn};

    /// A filter → the levels of `web::api`, `engine` and a library; `None` where it is refused.
    fn check(text: &str, expected: Option<[LevelFilter; 3]>) {
        let found = text.parse::<Filter>().ok();
        let levels =
            found.map(|filter| ["web::api", "engine", "hyper::proto"].map(|t| filter.of(t)));
        assert_eq!(levels, expected, "{text}");
    }

    #[test]
    fn rooms_are_set_apart_and_the_rest_stays_at_info() {
        check("info", Some([Info; 3]));
        check("WARN", Some([Warn; 3]));
        check("web=debug", Some([Debug, Info, Info]));
        check("warn, web=debug", Some([Debug, Warn, Warn]));
        check("web=debug,web=warn", Some([Warn, Info, Info]));
    }

    #[test]
    fn the_unit_of_a_process_is_told_by_its_groups() {
        assert_eq!(service("0::/system.slice/appliance.service\n"), Some("appliance.service"));
        let below = "1:name=systemd:/system.slice/appliance.service/control\n0::/\n";
        assert_eq!(service(below), Some("appliance.service"));
        assert_eq!(service("0::/user.slice/user-0.slice/session-1.scope\n"), None);
    }

    #[test]
    fn typing_errors_are_refused() {
        for bad in ["", "wran", "noisy", "webb=debug", "web=loud", "web", "info,"] {
            check(bad, None);
        }
    }
}
