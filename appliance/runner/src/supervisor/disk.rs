//! When to look at what the job keeps on disk, and what that means.
//!
//! Why looking: the kernel keeps no such bound for a folder ([`sandbox::Sandbox::disk_usage`]
//! tells why).
//! Invariants: looking takes at most a twentieth of the supervisor's time, however many files the
//! job has; a job that fills the disk is found within [`PAUSE`] when it has few.
//! Units: bytes on disk, not lengths.

use super::wire::How;
use base::units::Bytes;
use sandbox::Sandbox;
use std::time::{Duration, Instant};

/// The shortest time between two looks. A disk that writes a gigabyte a second is then over its
/// bound by two.
const PAUSE: Duration = Duration::from_secs(2);

/// A look that took long is followed by a pause this much longer.
const SHARE: u32 = 20;

/// The watch over one job.
pub(super) struct Watch {
    limit: Bytes,
    next: Instant,
}

impl Watch {
    /// Watches a job that may keep `limit`; `None` for one without a bound.
    pub(super) fn new(limit: Option<Bytes>, now: Instant) -> Option<Self> {
        limit.map(|limit| Self { limit, next: now + PAUSE })
    }

    /// When to look again.
    pub(super) const fn next(&self) -> Instant {
        self.next
    }

    /// Looks, if it is time; tells how the job's runs end when it keeps too much.
    pub(super) fn look(&mut self, sandbox: &Sandbox, now: Instant) -> Option<How> {
        if self.next > now {
            return None;
        }
        let begun = Instant::now();
        let usage = sandbox.disk_usage();
        let took = begun.elapsed();
        self.next = now + took + PAUSE.max(took * SHARE);
        match usage {
            Ok(usage) if usage.over => Some(How::DiskFull { used: usage.used, limit: self.limit }),
            Ok(_) => None,
            Err(error) => {
                tracing::warn!(
                    error = super::chain(&error),
                    "the job's disk could not be measured"
                );
                None
            }
        }
    }
}
