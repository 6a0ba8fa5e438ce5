//! The kernel's own account of its wall clock.
//!
//! Why here: no file shows it, and no safe library of ours asks for it. Asking changes nothing and
//! needs no right. Source: adjtimex(2), RFC 5905.
//! On failure: the kernel's error; a filter of system calls may refuse the question.

use crate::sys;
use std::{io, time::Duration};

/// What the kernel says of its clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Account {
    /// No time source disciplines it, as far as the kernel was told.
    pub is_unsynchronised: bool,
    /// The bound of its error. It grows by half a millisecond a second since a time source last
    /// spoke, and stands at 16 s from then on.
    pub max_error: Duration,
    /// Its error as the time source estimated it.
    pub estimated_error: Duration,
}

/// Asks the kernel.
///
/// # Errors
/// The kernel's; `EPERM` behind a filter of system calls.
pub fn account() -> io::Result<Account> {
    let told = sys::clock_account()?;
    let span = |micros| Duration::from_micros(u64::try_from(micros).unwrap_or(0));
    Ok(Account {
        is_unsynchronised: told.status & libc::STA_UNSYNC != 0,
        max_error: span(told.maxerror),
        estimated_error: span(told.esterror),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The kernel holds its bound below 16 s, and says so itself when it has come to it.
    #[test]
    fn the_kernel_gives_its_account() {
        let told = account().expect("asking needs no right");
        assert!(told.max_error <= Duration::from_secs(16), "{told:?}");
        assert!(told.is_unsynchronised || told.max_error < Duration::from_secs(16), "{told:?}");
    }
}
