//! Has the disk begin with a large file while the rest of it still comes in.
//!
//! Why: bytes of a file wait in memory until somebody syncs it; with one sync at the end, the disk
//! rests while the sender sends, and the sender waits while the disk writes it all.
//! The way: advice to the kernel, `POSIX_FADV_DONTNEED` of posix_fadvise(2), which begins to write
//! what is dirty, waits for nothing, and lets go only of what is on the disk already. The sync at
//! the end is as before: this changes when bytes are written, not whether they are.
//! On failure: nothing; the sync at the end then has more to do.
//! Units: bytes.

use rustix::fs::{Advice, fadvise};
use std::{fs::File, num::NonZeroU64, ops::Range, path::Path, sync::Arc};

/// Begun at once: few calls, and a disk that is never long without work.
const STEP: u64 = 4 << 20;

/// How far the disk was sent.
#[derive(Debug)]
pub(crate) struct Headway {
    file: Arc<File>,
    begun: u64,
}

impl Headway {
    /// Over a file that is being written.
    pub(crate) fn new(path: &Path) -> Option<Self> {
        Some(Self { file: Arc::new(File::open(path).ok()?), begun: 0 })
    }

    /// So many bytes of the file are written as far as the kernel.
    pub(crate) fn reached(&mut self, written: u64) {
        if let Some(range) = due(self.begun, written) {
            self.begun = range.end;
            let file = Arc::clone(&self.file);
            // Handing pages to a disk that is busy may block.
            tokio::task::spawn_blocking(move || {
                let length = NonZeroU64::new(range.end - range.start);
                fadvise(&*file, range.start, length, Advice::DontNeed).ok();
            });
        }
    }
}

/// What the disk is to begin with now.
fn due(begun: u64, written: u64) -> Option<Range<u64>> {
    (written - begun >= STEP).then_some(begun..written)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(begun: u64, written: u64, end: Option<u64>) {
        assert_eq!(due(begun, written), end.map(|end| begun..end), "{begun} of {written}");
    }

    #[test]
    fn the_disk_begins_by_whole_steps_and_leaves_no_gap() {
        check(0, 0, None);
        check(0, STEP - 1, None);
        check(0, STEP, Some(STEP));
        check(STEP, STEP + 1, None);
        check(STEP, 3 * STEP, Some(3 * STEP));
    }
}
