//! How fast the jobs of this machine may go: between the governor and the local runner.
//!
//! Why apart from the heartbeat: heat does not wait for one.

use crate::{ids::RunnerId, time::millis};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// The local runner asks how fast its jobs may go.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PaceAsk {
    /// Who asks.
    pub runner: RunnerId,
    /// The number of the pace that it knows; 0 for none.
    pub seen: u64,
    /// How long to wait for another, at most [`crate::limits::CLAIM_WAIT`].
    #[serde(with = "millis", rename = "wait_ms")]
    pub wait: Duration,
}

/// How fast jobs may go. Asked for again and again, and answered as soon as it changes, because
/// heat does not wait for a heartbeat.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pace {
    /// Changes with the pace.
    pub number: u64,
    /// Thousandths of the CPU time that jobs ask for; 1000 is no limit.
    pub quota: u32,
    /// Jobs stand still.
    pub pause: bool,
    /// For people: what asks for it. Empty at full pace.
    pub why: String,
}

impl Default for Pace {
    fn default() -> Self {
        Self { number: 0, quota: Self::FULL, pause: false, why: String::new() }
    }
}

impl Pace {
    /// No limit.
    pub const FULL: u32 = 1000;
}
