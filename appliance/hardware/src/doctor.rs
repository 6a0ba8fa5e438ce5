//! Checks of the host: what is wrong, why it matters, and the exact remedy.
//!
//! The way: [`Facts`] are read once by thin readers; the checks are pure, so that a captured host
//! is judged in a test as the living one is. What is safe to change is changed on demand, and only
//! that: kernel settings that a restart takes back, and modes of files that are ours.
//! On failure: what cannot be read is a fact of its own, never a passed check.

mod checks;
mod facts;
mod fix;

pub use checks::{check, worst_first};
pub use facts::{DiskFacts, Facts, HeatBefore, Place, Untold, Way};
pub use fix::{Fix, apply};

use serde::Serialize;

/// How bad a finding is; the order is that of the exit codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// As it should be.
    Ok,
    /// It works; this would make it work better.
    Advice,
    /// It works until something happens.
    Warning,
    /// It does not work, or data is at risk.
    Critical,
}

impl Severity {
    /// The process's exit code: 0 for what needs nothing, 10 for warnings, 20 for what is critical.
    #[must_use]
    pub const fn exit_code(self) -> u8 {
        match self {
            Self::Ok | Self::Advice => 0,
            Self::Warning => 10,
            Self::Critical => 20,
        }
    }
}

/// What one check found.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Finding {
    /// The check's name, which stays.
    pub check: &'static str,
    /// How bad.
    pub severity: Severity,
    /// What was found.
    pub what: String,
    /// Why it matters; empty for what is well.
    pub why: &'static str,
    /// What to do; empty for what is well.
    pub remedy: String,
    /// What `--fix` would do, if it is safe.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fix: Option<Fix>,
}
