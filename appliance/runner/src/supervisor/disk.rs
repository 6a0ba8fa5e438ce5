//! When to look at what the job keeps on disk, and what that means.
//!
//! Why looking: the kernel keeps no such bound for a folder ([`sandbox::Sandbox::disk_look`]
//! tells why).
//! Why also at what is free: open files that were deleted are counted nowhere else, and a machine
//! without free space stops the control plane and every job.
//! Invariants: looking takes at most a twentieth of the supervisor's time, however many files the
//! job has, and at most [`SLICE`] at once: nobody who asks for anything waits for a look; a job that
//! fills the disk is found within [`PAUSE`] when it has few.
//! Why also at how many files there may be: a million empty ones take no room, and when the file system
//! has no more nobody can make any.
//! Units: bytes on disk, not lengths.

use super::wire::{Exec, How};
use base::units::Bytes;
use sandbox::{DiskLook, DiskUsage, Sandbox};
use std::{
    fs,
    os::unix::fs::MetadataExt,
    path::PathBuf,
    time::{Duration, Instant},
};

/// The shortest time between two looks. A disk that writes a gigabyte a second is then over its
/// bound by two.
pub(crate) const PAUSE: Duration = Duration::from_secs(2);

/// A look that took long is followed by a pause this much longer.
const SHARE: u32 = 20;

/// So much of a look is done in one turn of the supervisor.
const SLICE: Duration = Duration::from_millis(5);

/// No job goes on when less than this is free, or a twentieth of a small disk.
const FLOOR: Bytes = Bytes::mib(512);
const FLOOR_SHARE: u64 = 20;

/// No job goes on either when the file system takes fewer more files than this, or a twentieth of few.
const FILES_FLOOR: u64 = 50_000;

/// The watch over one job.
pub(super) struct Watch {
    limit: Option<Bytes>,
    next: Instant,
    /// A look that is not done, and what it took so far.
    look: Option<(DiskLook, Duration)>,
}

impl Watch {
    /// Watches a job that may keep `limit`, if there is a bound.
    pub(super) fn new(limit: Option<Bytes>, now: Instant) -> Self {
        Self { limit, next: now + PAUSE, look: None }
    }

    /// When to look again, or on.
    pub(super) const fn next(&self) -> Instant {
        self.next
    }

    /// Looks for a while, if it is time; tells how the job's runs end when it keeps too much, `outside`
    /// of its sandbox included.
    pub(super) fn look(
        &mut self,
        sandbox: &Sandbox,
        outside: impl FnOnce() -> Bytes,
        now: Instant,
    ) -> Option<How> {
        if self.next > now {
            return None;
        }
        let (mut look, before) =
            self.look.take().unwrap_or_else(|| (sandbox.disk_look(), Duration::ZERO));
        let begun = Instant::now();
        let usage = look.go_on(begun + SLICE);
        let took = before + begun.elapsed();
        if matches!(usage, Ok(None)) {
            self.look = Some((look, took));
            return None;
        }
        self.next = Instant::now() + PAUSE.max(took * SHARE);
        match usage {
            Ok(usage) => usage.and_then(|usage| self.judge(&usage, outside())),
            Err(error) => {
                tracing::warn!(
                    error = super::chain(&error),
                    "the job's disk could not be measured"
                );
                None
            }
        }
    }

    fn judge(&self, usage: &DiskUsage, outside: Bytes) -> Option<How> {
        let used = Bytes(usage.used.0.saturating_add(outside.0));
        match self.limit {
            Some(limit) if usage.over || used > limit => Some(How::DiskFull { used, limit }),
            _ if usage.free < floor(usage.size) => Some(How::DiskShort { free: usage.free }),
            _ => match usage.files {
                Some((free, all)) if free < (all / FLOOR_SHARE).min(FILES_FLOOR) => {
                    Some(How::FilesShort { free })
                }
                _ => None,
            },
        }
    }
}

/// The files of the host that a run reads from or writes to: an archive counts beside what it is unpacked
/// to for as long as it is kept.
pub(super) fn outside(exec: &Exec) -> impl Iterator<Item = PathBuf> {
    [&exec.stdin, &exec.stdout].into_iter().flatten().cloned()
}

/// What these files take; those that are spent take nothing.
pub(super) fn taken_by<'a>(files: impl IntoIterator<Item = &'a PathBuf>) -> Bytes {
    let blocks = files.into_iter().filter_map(|file| fs::metadata(file).ok());
    let blocks = blocks.map(|meta| meta.blocks());
    Bytes(blocks.sum::<u64>().saturating_mul(512))
}

/// What must stay free on a disk of this size.
pub(crate) fn floor(size: Bytes) -> Bytes {
    Bytes(size.0 / FLOOR_SHARE).min(FLOOR)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(limit: Option<u64>, used: u64, outside: u64, free: u64, expected: Option<&str>) {
        let watch = Watch::new(limit.map(Bytes::mib), Instant::now());
        let usage = DiskUsage {
            used: Bytes::mib(used),
            free: Bytes::mib(free),
            size: Bytes::mib(100 << 10),
            files: None,
            over: limit.is_some_and(|limit| used > limit),
        };
        let found = watch.judge(&usage, Bytes::mib(outside)).map(|how| match how {
            How::DiskFull { .. } => "full",
            _ => "short",
        });
        assert_eq!(found, expected, "{limit:?} {used} {outside} {free}");
    }

    fn check_files(files: Option<(u64, u64)>, ends: bool) {
        let watch = Watch::new(None, Instant::now());
        let [used, free, size] = [1, 9000, 100 << 10].map(Bytes::mib);
        let usage = DiskUsage { used, free, size, files, over: false };
        let found = watch.judge(&usage, Bytes(0));
        assert_eq!(matches!(found, Some(How::FilesShort { .. })), ends, "{files:?}");
    }

    #[test]
    fn a_job_ends_that_leaves_too_few_files_to_others() {
        check_files(None, false);
        check_files(Some((50_000, 16 << 20)), false);
        check_files(Some((49_999, 16 << 20)), true);
        check_files(Some((100, 2000)), false);
        check_files(Some((99, 2000)), true);
    }

    #[test]
    fn a_job_ends_that_keeps_too_much_or_leaves_too_little() {
        check(Some(64), 64, 0, 9000, None);
        check(Some(64), 65, 0, 9000, Some("full"));
        check(Some(64), 40, 25, 9000, Some("full"));
        check(Some(64), 1, 0, 511, Some("short"));
        check(None, 9000, 9000, 512, None);
        check(None, 0, 0, 511, Some("short"));
        assert_eq!(floor(Bytes::mib(1000)), Bytes::mib(50));
    }

    #[test]
    fn what_stands_outside_counts_by_its_blocks() {
        let folder = tempfile::tempdir().unwrap();
        let [full, hole, spent] = ["full", "hole", "spent"].map(|name| folder.path().join(name));
        fs::write(&full, vec![1; 1 << 20]).unwrap();
        fs::File::create(&hole).unwrap().set_len(1 << 40).unwrap();
        rustix::fs::syncfs(fs::File::open(&full).unwrap()).unwrap();
        let taken = taken_by([&full, &hole, &spent]);
        assert!((1 << 20..2 << 20).contains(&taken.0), "{taken}");
    }

    #[test]
    fn an_archive_counts_beside_what_it_is_unpacked_to() {
        let folder = tempfile::tempdir().unwrap();
        let archive = folder.path().join("archive");
        fs::write(&archive, vec![1; 1 << 20]).unwrap();
        rustix::fs::syncfs(fs::File::open(&archive).unwrap()).unwrap();
        let mut exec = crate::supervisor::tests::exec_of();
        exec.stdin = Some(archive);
        let taken = taken_by(&outside(&exec).collect::<Vec<_>>());
        assert!((1 << 20..2 << 20).contains(&taken.0), "{taken}");
    }
}
