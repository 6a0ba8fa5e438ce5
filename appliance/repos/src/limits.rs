//! Bounds of this room, each with its reason.

use base::units::Bytes;
use std::time::Duration;

/// What one push, fetch or checkout may take. Every field has a sound default.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Bytes of one received pack as it comes over the wire.
    pub pack: Bytes,
    /// Objects in one received pack.
    pub objects: u32,
    /// One decoded object; it is held in memory whole, as the Git formats demand.
    pub object: Bytes,
    /// What the process may grow by while the pack of a push is unpacked. An object that is the base of
    /// others is held beside them; packs as Git makes them need a few at a time.
    pub memory: Bytes,
    /// For how long a pack that has come may be unpacked. The largest of real histories take some
    /// minutes on a slow board.
    pub unpacking: Duration,
    /// References changed by one push.
    pub updates: usize,
    /// Files and folders of one working tree. Its index takes some 70 bytes for each, and its path.
    pub entries: u64,
    /// Bytes of all paths of one working tree.
    pub paths: Bytes,
    /// Pushes, fetches and checkouts at work at the same time; each takes a thread and some tens of megabytes,
    /// a checkout as much more as its index is large.
    pub transfers: usize,
    /// How long a client may neither send nor take a byte before its transfer is given up.
    pub idle: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            pack: Bytes::gib(2),
            objects: 2_000_000,
            object: Bytes::mib(256),
            memory: Bytes::gib(2),
            unpacking: Duration::from_secs(30 * 60),
            updates: 10_000,
            entries: 1_000_000,
            paths: Bytes::mib(128),
            transfers: 16,
            idle: Duration::from_secs(60),
        }
    }
}

impl Limits {
    /// The allocation bound in the form that the object layer takes.
    pub(crate) fn allocation(&self) -> Option<usize> {
        Some(usize::try_from(self.object.0).unwrap_or(usize::MAX))
    }
}
