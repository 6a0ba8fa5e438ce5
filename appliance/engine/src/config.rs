//! Settings and bounds of the engine.

use control::board::Limits;
use orbs::Registry;

/// Requests that wait for the loop; more wait in line at their callers.
pub const INBOX_MAX: usize = 1024;

/// Requests that share one transaction; bounds how long the first of them waits for the last.
pub const BATCH_MAX: usize = 256;

/// Tasks that may wait for a runner. Beyond, triggers are refused: the board is in memory, and
/// nobody waits a week for a build.
pub const WAITING_MAX: usize = 100_000;

/// How the engine schedules.
#[derive(Debug, Clone)]
pub struct Config {
    /// How much may run at once.
    pub limits: Limits,
    /// Address of the appliance without a trailing slash, for `CIRCLE_BUILD_URL`.
    pub url: String,
    /// Where the orbs are that configurations may use.
    pub orbs: Registry,
}

impl Config {
    /// One and a half slots for each core, at least two; a project may use all of them.
    #[must_use]
    pub fn for_cores(cores: usize, url: impl Into<String>) -> Self {
        let slots = u32::try_from(cores.saturating_mul(3) / 2).unwrap_or(u32::MAX).max(2);
        Self {
            limits: Limits { slots, per_project: slots },
            url: url.into(),
            orbs: Registry::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(cores: usize, slots: u32) {
        assert_eq!(Config::for_cores(cores, "").limits, Limits { slots, per_project: slots });
    }

    #[test]
    fn slots_follow_the_cores() {
        check(1, 2);
        check(2, 3);
        check(8, 12);
    }
}
