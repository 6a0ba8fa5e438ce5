//! Whether there is room on the disk for a file that comes in for a job from outside its sandbox.
//!
//! Why: the supervisor looks at the disk while programs run; while an archive comes in, none does.
//! Units: bytes on disk, not lengths.

use crate::supervisor::disk::{PAUSE, floor};
use base::units::Bytes;
use std::{os::unix::fs::MetadataExt, path::Path};

/// What is passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Short {
    /// What the job may keep.
    Job { used: Bytes, limit: Bytes },
    /// What must stay free on the machine.
    Machine { free: Bytes },
}

/// Waits until there is no more room for `file`.
pub(super) async fn outgrown(file: &Path, limit: Option<Bytes>) -> Short {
    loop {
        tokio::time::sleep(PAUSE).await;
        if let Some(short) = look(file, limit) {
            return short;
        }
    }
}

/// Whether `file` takes more than `limit`, or too little is free beside it. `None` as well while
/// that cannot be told.
pub(super) fn look(file: &Path, limit: Option<Bytes>) -> Option<Short> {
    let meta = std::fs::metadata(file).ok()?;
    let disk = rustix::fs::statvfs(file).ok()?;
    let bytes = |blocks: u64| Bytes(blocks.saturating_mul(disk.f_frsize));
    let used = Bytes(meta.blocks().saturating_mul(512));
    judge(used, limit, bytes(disk.f_bavail), bytes(disk.f_blocks))
}

fn judge(used: Bytes, limit: Option<Bytes>, free: Bytes, size: Bytes) -> Option<Short> {
    match limit {
        Some(limit) if used > limit => Some(Short::Job { used, limit }),
        _ if free < floor(size) => Some(Short::Machine { free }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(used: u64, limit: Option<u64>, free: u64, expected: Option<Short>) {
        let [used, free, size] = [used, free, 100 << 10].map(Bytes::mib);
        assert_eq!(judge(used, limit.map(Bytes::mib), free, size), expected);
    }

    #[test]
    fn a_file_ends_at_the_bound_of_its_job_and_at_that_of_the_machine() {
        let [used, limit, free] = [65, 64, 511].map(Bytes::mib);
        check(64, Some(64), 512, None);
        check(65, Some(64), 512, Some(Short::Job { used, limit }));
        check(65, None, 512, None);
        check(65, None, 511, Some(Short::Machine { free }));
    }
}
