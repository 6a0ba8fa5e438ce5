//! Whether the wall clock can be believed.
//!
//! A step is seen by comparing the wall clock with the clock that never jumps. Whether a source
//! disciplines the clock is told by the time daemon's own mark: systemd-timesyncd touches a file
//! at its first synchronisation; a machine on which no daemon runs is not synchronised. Of chrony
//! and ntpd only a question over their sockets tells more: where they run the state is absent.
//! The kernel's own word (`adjtimex`) has no file and needs a system call that no safe interface
//! of ours offers.
//! Units: [`STEP_MIN`] in milliseconds.

use crate::{Root, track::Track};
use base::{
    reading::{Clock, ClockState, Quality, Source},
    time::Timestamp,
};
use std::time::Duration;

/// Slewing moves the clock by half a millisecond a second; a round that waited for the processor
/// reads both clocks some milliseconds apart.
const STEP_MIN: i64 = 250;
const TIMESYNC: &str = "run/systemd/timesync";
/// Folders that a running time daemon has, and which tell nothing more.
const DAEMONS: [&str; 3] = ["run/chrony", "run/ntpd.pid", "run/ntpd-rs"];

/// What is remembered between two rounds.
pub(crate) struct Watch {
    root: Root,
    state: Track<ClockState>,
    offset: Option<i64>,
    hardware: Vec<Source>,
}

impl Watch {
    pub(crate) fn new(root: &Root) -> Self {
        let found = ["rtc", "ptp"].into_iter().flat_map(|class| {
            let names = root.names(format!("sys/class/{class}"));
            let path = move |name: &String| format!("sys/class/{class}/{name}");
            names
                .into_iter()
                .map(|name| Source::new(root.device(path(&name)), name))
                .collect::<Vec<_>>()
        });
        Self {
            hardware: found.collect(),
            root: root.clone(),
            state: Track::new(Source::new("clock", "synchronisation")),
            offset: None,
        }
    }

    pub(crate) fn tell(&mut self, wall: Timestamp, uptime: Duration) -> Clock {
        let up = i64::try_from(uptime.as_micros()).unwrap_or(i64::MAX);
        let offset = wall.0.saturating_sub(up) / 1000;
        let before = self.offset.replace(offset);
        let step = before.map(|before| offset - before).filter(|step| step.abs() >= STEP_MIN);
        Clock {
            state: self.state.take(self.state(), uptime),
            max_error: None,
            stepped_ms: step,
            hardware: self.hardware.clone(),
        }
    }

    fn state(&self) -> Result<ClockState, Quality> {
        let exists = |path: &str| self.root.join(path).exists();
        match exists(TIMESYNC) {
            true if exists("run/systemd/timesync/synchronized") => Ok(ClockState::Synchronised),
            true => Ok(ClockState::Unsynchronised),
            false if DAEMONS.iter().any(|daemon| exists(daemon)) => Err(Quality::Absent),
            false => Ok(ClockState::Unsynchronised),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_clock_is_a_step_and_a_slewed_one_is_not() {
        let mut watch = Watch::new(&Root::new("/nowhere"));
        let mut step = |wall_ms: i64, up: u64| {
            watch.tell(Timestamp(wall_ms * 1000), Duration::from_secs(up)).stepped_ms
        };
        assert_eq!(step(1_000_000, 10), None);
        assert_eq!(step(1_001_005, 11), None);
        assert_eq!(step(-2_598_000, 12), Some(-3_600_005));
        assert_eq!(step(-2_597_000, 13), None);
    }
}
