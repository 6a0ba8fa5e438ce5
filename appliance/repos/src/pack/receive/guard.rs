//! Ends the unpacking of a pack that takes too much memory or time.
//!
//! Why: a delta of some bytes stands for an object of any size, and the layer that unpacks a pack holds
//! the bases of all deltas that wait. Less than a megabyte of pack can so ask for tens of gigabytes, or
//! for days, whatever the bounds on the pack and on each object.
//! Why by looking at the process: that layer tells what it has done, and not what it holds.
//! Limits: what else the process takes meanwhile counts as well; memory is then short, too.
//! Units: resident bytes that no file stands for; time from the last byte that came on.

use crate::limits::Limits;
use base::units::Bytes;
use std::{
    fs,
    sync::{
        Mutex, OnceLock, PoisonError,
        atomic::{AtomicBool, Ordering},
        mpsc::{RecvTimeoutError, channel},
    },
    thread,
    time::{Duration, Instant},
};

/// Between two looks. An object of the largest size takes longer to unpack.
const LOOK: Duration = Duration::from_millis(50);

/// Pushes of ordinary size are taken however short memory is.
const MEMORY_MIN: Bytes = Bytes::mib(64);

/// What a pack takes too much of.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Excess {
    Memory(Bytes),
    Time(Duration),
}

/// The watch over one pack.
pub(super) struct Guard {
    stop: AtomicBool,
    heard: Mutex<Instant>,
    excess: OnceLock<Excess>,
}

impl Guard {
    pub(super) fn new() -> Self {
        let (stop, heard) = (AtomicBool::new(false), Mutex::new(Instant::now()));
        Self { stop, heard, excess: OnceLock::new() }
    }

    /// Bytes of the pack have come: what they take to come is the client's time.
    pub(super) fn hear(&self) {
        *self.heard.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    /// Does `work`, which ends early when the flag that it is given is set.
    pub(super) fn over<T>(&self, limits: &Limits, work: impl FnOnce(&AtomicBool) -> T) -> T {
        let (before, memory) = (resident(), memory(limits.memory, left()));
        thread::scope(|scope| {
            let (working, ended) = channel::<()>();
            let watch = move || {
                while ended.recv_timeout(LOOK) == Err(RecvTimeoutError::Timeout) {
                    self.look(resident().saturating_sub(before), memory, limits.unpacking);
                }
            };
            if let Err(error) = thread::Builder::new().spawn_scoped(scope, watch) {
                tracing::warn!(%error, "nobody watches over what a pack takes");
            }
            let done = work(&self.stop);
            drop(working);
            done
        })
    }

    fn look(&self, grown: u64, memory: Bytes, unpacking: Duration) {
        let heard = *self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(excess) = judge(grown, memory, heard.elapsed(), unpacking) {
            self.excess.get_or_init(|| excess);
            self.stop.store(true, Ordering::Relaxed);
        }
    }

    /// Why the work was ended, for the one who pushed.
    pub(super) fn told(&self) -> Option<String> {
        let excess = match self.excess.get()? {
            Excess::Memory(bound) => format!("more than {bound} of memory"),
            Excess::Time(bound) => format!("longer than {} seconds", bound.as_secs()),
        };
        Some(format!(
            "the pack takes {excess} to unpack, because large files are stored as many small differences; pack the copy anew without those (`git -c core.bigFileThreshold=1m repack -adf`), or push in smaller parts"
        ))
    }
}

fn judge(grown: u64, memory: Bytes, silent: Duration, unpacking: Duration) -> Option<Excess> {
    if grown > memory.0 {
        Some(Excess::Memory(memory))
    } else if silent > unpacking {
        Some(Excess::Time(unpacking))
    } else {
        None
    }
}

/// At most half of what the machine has left, where that is less than the bound.
fn memory(bound: Bytes, left: Option<u64>) -> Bytes {
    left.map_or(bound, |left| bound.min(Bytes((left / 2).max(MEMORY_MIN.0))))
}

/// What this process holds in memory; nothing where the kernel does not tell.
fn resident() -> u64 {
    told_by("/proc/self/status", "RssAnon:").unwrap_or(0)
}

/// What the machine could still give.
fn left() -> Option<u64> {
    told_by("/proc/meminfo", "MemAvailable:")
}

fn told_by(file: &str, name: &str) -> Option<u64> {
    let text = fs::read_to_string(file).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    let kib: u64 = line.trim().trim_end_matches(" kB").parse().ok()?;
    Some(kib.saturating_mul(1024))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(grown: u64, silent: u64, expected: Option<&str>) {
        let guard = Guard::new();
        let minute = Duration::from_secs(60);
        let excess = judge(grown, Bytes::mib(10), Duration::from_secs(silent), minute);
        excess.into_iter().for_each(|excess| drop(guard.excess.set(excess)));
        let told = guard.told();
        assert_eq!(told.is_some(), expected.is_some(), "{told:?}");
        assert!(told.unwrap_or_default().contains(expected.unwrap_or_default()));
    }

    #[test]
    fn each_bound_is_named() {
        check(10 << 20, 60, None);
        check((10 << 20) + 1, 0, Some("more than 10 MiB of memory"));
        check(0, 61, Some("longer than 60 seconds"));
    }

    #[test]
    fn no_push_takes_more_than_half_of_what_is_left() {
        let bound = |left: Option<u64>| memory(Bytes::gib(2), left.map(|mib| mib << 20));
        assert_eq!(bound(None), Bytes::gib(2));
        assert_eq!(bound(Some(8192)), Bytes::gib(2));
        assert_eq!(bound(Some(1000)), Bytes::mib(500));
        assert_eq!(bound(Some(10)), MEMORY_MIN);
    }

    #[test]
    fn what_a_process_holds_is_seen() {
        let before = resident();
        let held = vec![1_u8; 64 << 20];
        let grown = resident() - before;
        assert!(grown > 60 << 20, "{grown}");
        drop(held);
    }
}
