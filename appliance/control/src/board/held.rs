//! Why a task waits, in words for the one who waits for it.

use super::SerialGroup;
use crate::governor::Bound;
use base::{ids::JobId, units::Bytes};
use std::fmt;

/// Why a task waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Held {
    /// No runner of its class has registered.
    NoRunner {
        /// The class; `None` for plain ones.
        class: Option<String>,
    },
    /// Another job of its serial group has not ended.
    Serial {
        /// The group.
        group: SerialGroup,
        /// Who has it.
        by: JobId,
    },
    /// Its project runs as much as it may.
    Project {
        /// Tasks now.
        used: u32,
        /// Its share.
        bound: u32,
    },
    /// Everything is busy.
    Slots {
        /// Tasks now.
        used: u32,
        /// In all.
        bound: u32,
    },
    /// The governor allows no more at once.
    Governed {
        /// By which limiter, and for which reading.
        bound: Bound,
        /// What there could be on a better day.
        pool: u32,
    },
    /// The job needs more memory than is free.
    Memory {
        /// What its last runs needed at their peak.
        need: Bytes,
        /// What is left for it.
        free: Bytes,
    },
    /// A runner that can take it has to ask for work.
    Turn,
}

impl fmt::Display for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoRunner { class: Some(class) } => {
                write!(f, "held: no runner serves the class {class}")
            }
            Self::NoRunner { class: None } => f.write_str("held: no runner has registered"),
            Self::Serial { group, by } => {
                write!(f, "held: serial group {} is taken by job {by}", group.name)
            }
            Self::Project { used, bound } => write!(f, "held: project slots {used} of {bound}"),
            Self::Slots { used, bound } => write!(f, "held: slots {used} of {bound}"),
            Self::Governed { bound, pool } => {
                write!(
                    f,
                    "held: {}, {}, {} of {pool} slots",
                    bound.limiter, bound.reading, bound.slots
                )
            }
            Self::Memory { need, free } => {
                write!(f, "held: memory, its runs need {need} and {free} are free")
            }
            Self::Turn => f.write_str("held: waits for a free runner"),
        }
    }
}
