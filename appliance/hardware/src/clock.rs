//! Whether the wall clock can be believed.
//!
//! A step is seen by comparing the wall clock with the clock that never jumps. Whether a source
//! disciplines the clock, and within which bounds, is the kernel's own account ([`AskClock`]):
//! chrony, ntpd and timesyncd all give theirs to it. Where it cannot be asked (a captured tree, a
//! filter of system calls), timesyncd's mark tells: it touches a file at its first
//! synchronisation. A machine on which nobody runs that could is not synchronised; of other
//! daemons nothing is known then.
//! Units: [`STEP_MIN`] in milliseconds. Source: adjtimex(2), chrony.conf(5) `rtcsync`.

use crate::{Root, track::Track};
use base::{
    reading::{Clock, ClockState, Quality, Source},
    time::Timestamp,
    units::Span,
};
use std::{io, time::Duration};

/// Slewing moves the clock by half a millisecond a second; a round that waited for the processor
/// reads both clocks some milliseconds apart.
const STEP_MIN: i64 = 250;
const TIMESYNC: &str = "run/systemd/timesync";
const CHRONY: &str = "run/chrony";
/// What a running time daemon has, and which tells nothing more.
const DAEMONS: [&str; 3] = [CHRONY, "run/ntpd.pid", "run/ntpd-rs"];
/// The kernel's bound grows to this and stops: nobody has spoken for nine hours, or never.
const BOUND_OF_NOBODY: Duration = Duration::from_secs(16);

/// The kernel's account of its wall clock, as adjtimex(2) gives it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KernelClock {
    /// The mark `STA_UNSYNC`.
    pub is_unsynchronised: bool,
    /// The bound of its error.
    pub max_error: Duration,
    /// Its error, as the time source estimated it.
    pub estimated_error: Duration,
}

/// Asks the kernel for its account. The question needs a system call that this room has no safe
/// way to make; who starts it hands one in.
pub type AskClock = fn() -> io::Result<KernelClock>;

/// What is remembered between two rounds.
pub(crate) struct Watch {
    root: Root,
    ask: Option<AskClock>,
    state: Track<ClockState>,
    offset: Option<i64>,
    hardware: Vec<Source>,
}

impl Watch {
    pub(crate) fn new(root: &Root, ask: Option<AskClock>) -> Self {
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
            ask,
            state: Track::new(Source::new("clock", "synchronisation")),
            offset: None,
        }
    }

    pub(crate) fn tell(&mut self, wall: Timestamp, uptime: Duration) -> Clock {
        let up = i64::try_from(uptime.as_micros()).unwrap_or(i64::MAX);
        let offset = wall.0.saturating_sub(up) / 1000;
        let before = self.offset.replace(offset);
        let step = before.map(|before| offset - before).filter(|step| step.abs() >= STEP_MIN);
        let account = self.ask.and_then(|ask| ask().ok());
        let state = self.state(account);
        let kept = account.filter(|_| state == Ok(ClockState::Synchronised));
        Clock {
            state: self.state.take(state, uptime),
            max_error: kept.map(|account| Span(account.max_error)),
            estimated_error: kept.map(|account| Span(account.estimated_error)),
            stepped_ms: step,
            hardware: self.hardware.clone(),
        }
    }

    fn state(&self, account: Option<KernelClock>) -> Result<ClockState, Quality> {
        let exists = |path: &str| self.root.join(path).exists();
        match account {
            Some(account) if is_kept(account, exists(CHRONY)) => Ok(ClockState::Synchronised),
            Some(_) => Ok(ClockState::Unsynchronised),
            None if exists("run/systemd/timesync/synchronized") => Ok(ClockState::Synchronised),
            None if exists(TIMESYNC) => Ok(ClockState::Unsynchronised),
            None if DAEMONS.iter().any(|daemon| exists(daemon)) => Err(Quality::Absent),
            None => Ok(ClockState::Unsynchronised),
        }
    }
}

/// Without `rtcsync`, chrony leaves the mark set, because the kernel would set the hardware clock
/// otherwise; the bound it keeps up to date all the same.
fn is_kept(account: KernelClock, by_chrony: bool) -> bool {
    account.max_error < BOUND_OF_NOBODY && (by_chrony || !account.is_unsynchronised)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn a_set_clock_is_a_step_and_a_slewed_one_is_not() {
        let mut watch = Watch::new(&Root::new("/nowhere"), None);
        let mut step = |wall_ms: i64, up: u64| {
            watch.tell(Timestamp(wall_ms * 1000), Duration::from_secs(up)).stepped_ms
        };
        assert_eq!(step(1_000_000, 10), None);
        assert_eq!(step(1_001_005, 11), None);
        assert_eq!(step(-2_598_000, 12), Some(-3_600_005));
        assert_eq!(step(-2_597_000, 13), None);
    }

    fn check(files: &[&str], ask: Option<AskClock>, expected: Option<(ClockState, Option<u128>)>) {
        let folder = tempfile::tempdir().unwrap();
        for file in files {
            let path = folder.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        let told = Watch::new(&Root::new(folder.path()), ask).tell(Timestamp(0), Duration::ZERO);
        let error = told.max_error.map(|error| error.0.as_millis());
        assert_eq!(told.state.fresh().map(|state| (*state, error)), expected, "{files:?}");
    }

    fn account(is_unsynchronised: bool, max_error: u64) -> io::Result<KernelClock> {
        let (max_error, estimated_error) =
            (Duration::from_millis(max_error), Duration::from_millis(2));
        Ok(KernelClock { is_unsynchronised, max_error, estimated_error })
    }

    #[test]
    fn the_kernels_account_counts_and_where_there_is_none_the_daemons_mark() {
        use ClockState::{Synchronised, Unsynchronised};
        let (chrony, timesync) = ("run/chrony/chronyd.pid", "run/systemd/timesync/synchronized");
        check(&[], Some(|| account(false, 31)), Some((Synchronised, Some(31))));
        check(&[timesync], Some(|| account(true, 16_000)), Some((Unsynchronised, None)));
        check(&[chrony], Some(|| account(true, 31)), Some((Synchronised, Some(31))));
        check(&[chrony], Some(|| account(true, 16_000)), Some((Unsynchronised, None)));
        check(&["run/ntpd.pid"], Some(|| account(true, 31)), Some((Unsynchronised, None)));
        let refused: AskClock = || Err(io::ErrorKind::PermissionDenied.into());
        check(&[timesync], Some(refused), Some((Synchronised, None)));
        check(&["run/systemd/timesync/x"], None, Some((Unsynchronised, None)));
        check(&[chrony], Some(refused), None);
        check(&[], None, Some((Unsynchronised, None)));
    }
}
