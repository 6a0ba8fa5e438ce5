//! Disks: room, inodes, a root that went read-only, wear.
//!
//! Invariants: a disk that cannot be written holds every job; hysteresis of a fifth and a minute,
//! so that one removed cache does not start a job that fills it again.
//! Units: bytes; shares in percent.

use super::{
    Bound, Limiter,
    moment::{Moment, Presence},
};
use base::units::Bytes;
use std::collections::BTreeMap;

/// What is known of one file system that jobs or the store write to.
#[derive(Debug, Clone, PartialEq)]
pub struct Disk {
    /// Where it is mounted.
    pub name: String,
    /// Free for us.
    pub free: Bytes,
    /// Its size.
    pub total: Bytes,
    /// Free inodes in percent; `None` where the file system has no fixed number.
    pub inodes_free: Option<f64>,
    /// It takes no writes.
    pub read_only: bool,
    /// Used share of the life that its maker gave it, in percent; may pass 100.
    pub wear: Option<f64>,
}

/// Nothing starts below: a twentieth, and never more than a gibibyte.
const CRITICAL_MAX: Bytes = Bytes::gib(1);
/// The safe share of slots below: a tenth, and never more than four gibibytes.
const LOW_MAX: Bytes = Bytes::gib(4);
const INODES_CRITICAL: f64 = 1.0;
const INODES_LOW: f64 = 5.0;
const WORN: f64 = 100.0;
/// What is needed above a threshold to be over it again.
const OVER_AGAIN: f64 = 1.2;
const RECOVER_SECONDS: f64 = 60.0;
/// More file systems than any box writes jobs to; beyond, the first of them are judged.
const DISKS_MAX: usize = 32;

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
enum Level {
    #[default]
    Fine,
    Low,
    Critical,
}

#[derive(Debug, Clone, Default)]
struct Seen {
    level: Level,
    better_seconds: f64,
}

/// The limiter's state.
#[derive(Debug, Clone, Default)]
pub(super) struct DiskLimiter {
    seen: BTreeMap<String, Seen>,
    presence: Presence,
}

#[expect(clippy::cast_precision_loss, reason = "a ratio")]
fn level(disk: &Disk, factor: f64) -> Level {
    let free = disk.free.0 as f64;
    let critical = (disk.total.0 / 20).min(CRITICAL_MAX.0) as f64 * factor;
    let low = (disk.total.0 / 10).min(LOW_MAX.0) as f64 * factor;
    let inodes =
        |bound: f64| disk.inodes_free.is_some_and(|free| free.is_finite() && free < bound * factor);
    if disk.read_only || free < critical || inodes(INODES_CRITICAL) {
        Level::Critical
    } else if free < low || inodes(INODES_LOW) || disk.wear.is_some_and(|wear| wear >= WORN) {
        Level::Low
    } else {
        Level::Fine
    }
}

fn told(disk: &Disk) -> String {
    let name = &disk.name;
    match disk {
        Disk { read_only: true, .. } => format!("{name} is read-only"),
        Disk { inodes_free: Some(inodes), .. } if *inodes < INODES_LOW => {
            format!("{name} has {inodes:.1} % of its inodes free")
        }
        Disk { wear: Some(wear), .. } if *wear >= WORN => format!("{name} is worn to {wear:.0} %"),
        _ => format!("{name} has {} free of {}", disk.free, disk.total),
    }
}

impl DiskLimiter {
    pub(super) fn step(&mut self, disks: &[Disk], moment: &Moment<'_>) -> Bound {
        let pool = moment.pool();
        if self.presence.is_lost(!disks.is_empty(), moment.seconds) {
            return Bound::lost(Limiter::Disk, moment.safe(), "disks");
        }
        self.seen.retain(|name, _| disks.iter().any(|disk| disk.name == *name));
        let mut worst: Option<(Level, &Disk, String)> = None;
        for disk in disks.iter().take(DISKS_MAX) {
            let level = self.judge(disk, moment.seconds);
            if worst.as_ref().is_none_or(|(known, ..)| level > *known) {
                worst = Some((level, disk, self.recovery(disk)));
            }
        }
        let Some((level, disk, recovery)) = worst else {
            return Bound::free(Limiter::Disk, pool, "not measured");
        };
        let slots = match level {
            Level::Fine => pool,
            Level::Low => moment.safe(),
            Level::Critical => 0,
        };
        Bound { limiter: Limiter::Disk, slots, reading: told(disk) + &recovery }
    }

    /// Why less is allowed than the reading alone would tell; empty while it would not.
    fn recovery(&self, disk: &Disk) -> String {
        match self.seen.get(&disk.name) {
            Some(seen) if seen.better_seconds > 0.0 => {
                let left = RECOVER_SECONDS - seen.better_seconds;
                format!(", is well again, opens in {left:.0} s")
            }
            Some(seen) if level(disk, 1.0) < seen.level => {
                ", opens when a fifth more than that bound is free".into()
            }
            _ => String::new(),
        }
    }

    /// Worse at once, better after a minute above the threshold and a fifth.
    fn judge(&mut self, disk: &Disk, seconds: f64) -> Level {
        let seen = self.seen.entry(disk.name.clone()).or_default();
        let (now, strict) = (level(disk, 1.0), level(disk, OVER_AGAIN));
        if now >= seen.level {
            (seen.level, seen.better_seconds) = (now, 0.0);
        } else if strict < seen.level {
            seen.better_seconds += seconds;
            if seen.better_seconds >= RECOVER_SECONDS {
                (seen.level, seen.better_seconds) = (strict, 0.0);
            }
        } else {
            seen.better_seconds = 0.0;
        }
        seen.level
    }
}
