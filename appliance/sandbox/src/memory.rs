//! The C library's memory of this process.
//!
//! Why: it keeps what was freed, in one arena for each thread that ever asked at the same time as
//! another, for a next peak that may be hours away; on a small machine that memory is somebody
//! else's.
//! Source: mallopt(3), malloc_trim(3).

use crate::sys;

/// Arenas that threads share. Two serve a few threads that seldom allocate at the same moment.
const ARENAS_MAX: i32 = 2;

/// Bounds what threads keep apart from each other. To be called before there are any.
pub fn arenas_bound() {
    sys::arenas_set(ARENAS_MAX);
}

/// Gives what is free back to the machine. Costs up to a few milliseconds: for when nothing is to be
/// done.
pub fn give_back() {
    sys::memory_trim();
}
