//! Whether there is room for what is to be written.
//!
//! Why two questions: bytes in files take from the disk; rows, and the small objects in them, take the
//! database's own free pages first, which deleted rows left and which no disk tells of. Without the
//! second one, a disk filled with small objects would refuse writes for ever, all of them deleted.
//! Deletes, aborts and completions never ask: they are how room comes back.

use crate::{error::Error, objects::Objects};

/// Free bytes of the database that are not counted: what is written at the same time takes from them.
const SPARE: u64 = 1 << 20;

impl Objects {
    /// Refuses at the high-water mark what makes the database grow by about so many bytes.
    pub(crate) fn room_for_rows(&self, wanted: u64) -> Result<(), Error> {
        if fits_inside(self.inner.store.free_bytes(), wanted) {
            return Ok(());
        }
        self.inner.vault.room(wanted)
    }
}

fn fits_inside(free: u64, wanted: u64) -> bool {
    free >= wanted.saturating_add(SPARE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_little_stays_for_what_is_written_at_the_same_time() {
        for (free, wanted, expected) in [
            (0, 0, false),
            (SPARE, 0, true),
            (SPARE, 1, false),
            (SPARE + 16, 16, true),
            (u64::MAX, u64::MAX, true),
        ] {
            assert_eq!(fits_inside(free, wanted), expected, "{wanted} of {free}");
        }
    }
}
