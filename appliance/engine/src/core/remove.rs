//! Deleting a project: decided where triggers and reruns are, so that each comes before or after it.
//!
//! Invariants: nothing of a deleted project goes on, nor begins again; a push that was taken in is told
//! to the engine before its project may go.

use super::Turn;
use crate::Error;
use base::{ids::ProjectId, time::Timestamp};
use std::time::Duration;
use store::access::NewAudit;

/// A push is told within seconds of its note. One that was not within this time, because its
/// repository is damaged, say, does not keep its project.
const PUSH_TOLD: Duration = Duration::from_secs(60);

impl Turn<'_, '_, '_> {
    pub(super) fn remove_project(&mut self, id: ProjectId, deed: &NewAudit) -> Result<(), Error> {
        let project = self.txn.project_get(id)?.ok_or(Error::Missing("Project"))?;
        if let Some(why) = self.goes_on(id)? {
            return Err(Error::Conflict(format!("{} {why}", project.repo)));
        }
        self.txn.project_remove(id, self.now)?;
        self.txn.audit_append(self.now, deed)?;
        Ok(())
    }

    /// What of a project goes on, and what to do; `None` when nothing does.
    fn goes_on(&self, id: ProjectId) -> Result<Option<String>, Error> {
        let live = self.core.live.values().filter(|live| live.origin.project == id).count();
        let leased = self.core.board.leases().any(|lease| lease.waiting.project == id);
        let since =
            Timestamp(self.now.0 - i64::try_from(PUSH_TOLD.as_micros()).unwrap_or(i64::MAX));
        Ok(match live {
            0 if leased => Some("has a job that is being stopped: try again in a minute".into()),
            0 if self.txn.push_is_open(id, since)? => {
                Some("takes in a push at this moment: try again in a minute".into())
            }
            0 => None,
            1 => Some(format!("has 1 workflow that has not ended: {REMEDY}")),
            _ => Some(format!("has {live} workflows that have not ended: {REMEDY}")),
        })
    }

    /// What begins anew needs its project.
    pub(super) fn project_stands(&self, id: ProjectId) -> Result<(), Error> {
        self.txn.project_get(id)?.map(drop).ok_or(Error::Missing("Project"))
    }
}

const REMEDY: &str = "cancel what goes on or wait for its end, then delete the project";
