//! How far a pipeline is trusted with what later ones find.
//!
//! Why: who may push to some branch decides what its jobs do. What they leave behind for others (a
//! cache, an object of a bucket) must not reach the jobs of a branch that fewer may push to.
//! Invariants: a pipeline's level is decided once, from its branch or tag, and goes with all that
//! comes of it: reruns, continuations. A project that protects nothing has one level.

use serde::{Deserialize, Serialize};

/// The level of a pipeline; of two, the later is trusted more.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum Trust {
    /// Members may push what it builds.
    #[default]
    Unprotected,
    /// Only administrators may push what it builds.
    Protected,
}

impl Trust {
    /// Whether only administrators may push what is built.
    #[must_use]
    pub const fn is_protected(self) -> bool {
        matches!(self, Self::Protected)
    }

    /// As [`Trust::is_protected`] tells it.
    #[must_use]
    pub const fn of(is_protected: bool) -> Self {
        if is_protected { Self::Protected } else { Self::Unprotected }
    }
}

/// The branches and tags that a project protects: names, or patterns between slashes, as the
/// `filters` of a workflow have them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ProtectedRefs {
    /// Of branches.
    pub branches: Vec<String>,
    /// Of tags.
    pub tags: Vec<String>,
}

impl ProtectedRefs {
    /// Nothing is protected: all pipelines of the project are of one level.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.branches.is_empty() && self.tags.is_empty()
    }
}
