//! Memory of this process that the next peak would want, and nobody needs until then.
//!
//! Why: the C library keeps what was freed, in one arena for each thread that ever asked at the same
//! time as another; and the map keeps each page of the program that was ever run, two thirds of what
//! the service holds after a busy hour. The next peak may be hours away; on a small machine that
//! memory is somebody else's.
//! Invariants: of the program only pages that nobody can have written go, and only from the map: the
//! kernel's cache still has them, and gives them back at the next touch without the disk, unless
//! memory was short meanwhile.
//! Source: mallopt(3), malloc_trim(3), dl_iterate_phdr(3), madvise(2).

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
    sys::program_unmap();
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Kibibytes of this program that are in the map.
    fn mapped() -> u64 {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("RssFile:")).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }

    #[test]
    fn the_program_goes_from_the_map_and_runs_on() {
        let (before, told) = (mapped(), format!("{:?}", Some(1.5)));
        give_back();
        let after = mapped();
        // What ran since, this look included, is back.
        assert!(after * 4 < before * 3, "{before} KiB before, {after} KiB after");
        assert_eq!(format!("{:?}", Some(1.5)), told);
        assert!(std::panic::catch_unwind(|| std::panic::resume_unwind(Box::new(7))).is_err());
    }
}
