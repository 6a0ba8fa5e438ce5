//! Who pushes, and what that one may do with which reference.
//!
//! Invariants: what a project protects is pushed to by administrators, and by jobs that build something
//! protected, which only add to it; nobody else touches it. Nobody but an administrator rewrites the
//! default branch.

use crate::access::{Job, User};
use base::trust::{ProtectedRefs, Trust};
use pipeline::is_push_protected;
use repos::{PushPolicy, Standing};
use store::{
    access::{NewAudit, Role},
    projects::Settings,
};

/// Who came in.
#[derive(Debug)]
pub(super) enum Who {
    /// A person or a machine account.
    Person(User),
    /// A job of the project.
    Job(Job),
}

/// Who pushes, as far as references care.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rank {
    Admin,
    Member,
    Job(Trust),
}

impl Who {
    /// As the actor of what is pushed.
    pub(super) fn name(&self) -> String {
        match self {
            Self::Person(user) => user.login.clone(),
            Self::Job(job) => job.name(),
        }
    }

    /// A line for the audit log.
    pub(super) fn deed(&self, action: &str, subject: String) -> NewAudit {
        match self {
            Self::Person(user) => user.deed(action, subject),
            Self::Job(job) => job.deed(action, subject),
        }
    }

    /// An administrator may rewrite and remove everything; all others what the project allows, and
    /// never the default branch.
    pub(super) fn policy(&self, settings: &Settings) -> PushPolicy {
        if self.rank() == Rank::Admin {
            return PushPolicy::ALL;
        }
        let force = settings.force_push;
        PushPolicy { force, force_default: false, delete: force }
    }

    /// What of that the reference takes.
    pub(super) fn standing(&self, protected: &ProtectedRefs, reference: &str) -> Standing {
        standing(self.rank(), is_push_protected(protected, reference))
    }

    fn rank(&self) -> Rank {
        match self {
            Self::Person(user) if user.may(Role::Admin) => Rank::Admin,
            Self::Person(_) => Rank::Member,
            Self::Job(job) => Rank::Job(job.holder.trust),
        }
    }
}

fn standing(rank: Rank, is_protected: bool) -> Standing {
    let closed = |why: &str| Standing::Closed(format!("protected: {why}"));
    match rank {
        _ if !is_protected => Standing::Open,
        Rank::Admin => Standing::Open,
        Rank::Job(Trust::Protected) => {
            Standing::Kept("protected: a job may add to it, not rewrite or remove it".to_owned())
        }
        Rank::Job(Trust::Unprotected) => {
            closed("only a job of a protected branch or tag may push to it")
        }
        Rank::Member => closed(
            "only an administrator may push to it; push to another branch and ask one to take it over",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(rank: Rank, is_protected: bool, expected: &str) {
        let found = match standing(rank, is_protected) {
            Standing::Open => "open".to_owned(),
            Standing::Kept(why) => format!("kept, {why}"),
            Standing::Closed(why) => format!("closed, {why}"),
        };
        assert!(found.starts_with(expected), "{rank:?} {is_protected}: {found}");
    }

    #[test]
    fn a_protected_reference_is_for_administrators_and_jobs_of_its_level() {
        for rank in
            [Rank::Admin, Rank::Member, Rank::Job(Trust::Protected), Rank::Job(Trust::Unprotected)]
        {
            check(rank, false, "open");
        }
        check(Rank::Admin, true, "open");
        check(Rank::Member, true, "closed, protected: only an administrator");
        check(Rank::Job(Trust::Protected), true, "kept, protected: a job may add");
        check(Rank::Job(Trust::Unprotected), true, "closed, protected: only a job of a protected");
    }
}
