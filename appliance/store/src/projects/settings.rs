//! What an operator may set for one project. Kept as JSON; an absent member has its default.

use base::{protocol::NetworkPolicy, trust::ProtectedRefs};
use serde::{Deserialize, Serialize};

/// A project's settings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Settings {
    /// Built by triggers that name no branch; where a clone's `HEAD` points.
    pub default_branch: String,
    /// What jobs reach.
    pub network: NetworkPolicy,
    /// A newer pipeline of a branch cancels the older ones; never on the default branch.
    pub autocancel: bool,
    /// Jobs at once; `None` for as many as there are slots.
    pub jobs_max: Option<u32>,
    /// Members may rewrite branches by `git push --force`; the default branch only administrators.
    pub force_push: bool,
    /// Setup configurations may continue into a second one.
    pub setup_workflows: bool,
    /// Only administrators push to these, and only what builds them is trusted with what it leaves.
    pub protected: ProtectedRefs,
    /// Jobs may push to the project's own repository with the key that they are given.
    pub jobs_may_push: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            default_branch: "main".to_owned(),
            network: NetworkPolicy::Site,
            autocancel: true,
            jobs_max: None,
            force_push: true,
            setup_workflows: true,
            protected: ProtectedRefs::default(),
            jobs_may_push: false,
        }
    }
}
