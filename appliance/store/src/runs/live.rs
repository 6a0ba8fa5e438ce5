//! Which workflows have not ended: asked once, when the service starts.
//!
//! Why not an index: it would be written twice for every workflow, to be read once a start. A row
//! holds what was live at some mark instead; all that was made since is looked at. The row is
//! written anew for one workflow in [`RENEW_EVERY`], which bounds the look.
//! Invariant: a live workflow is either in the row or after its mark, never both. Identifiers sort by
//! time, and clocks are set back now and then: a new workflow that would stand before the mark goes
//! into the row, and those that stand after a new mark stay out of it.

use crate::{
    Reader, Txn,
    error::Error,
    runs::{
        Workflow, family,
        pipelines::{join, split},
        workflows::{COLUMNS, read},
    },
};
use base::ids::WorkflowId;
use rusqlite::{OptionalExtension, params};
use uuid::Uuid;

/// One workflow in so many renews the row: a page each time, against some looks more at the start.
const RENEW_EVERY: u128 = 64;

struct Known {
    mark: WorkflowId,
    ids: Vec<WorkflowId>,
}

impl Txn<'_> {
    /// Takes note of a workflow that is about to be stored.
    pub(super) fn live_add(&self, new: WorkflowId) -> Result<(), Error> {
        let mut known = self.live_known()?;
        if new <= known.mark {
            known.ids.push(new);
            return self.live_save(&known);
        }
        if !family::is_one_in(new.0, RENEW_EVERY) {
            return Ok(());
        }
        let live = self.workflow_live()?.into_iter().map(|workflow| workflow.id);
        let ids: Vec<WorkflowId> = live.filter(|id| *id < new).chain([new]).collect();
        self.live_save(&Known { mark: new, ids })
    }

    fn live_save(&self, known: &Known) -> Result<(), Error> {
        self.statement("INSERT OR REPLACE INTO runs_live (one, mark, ids) VALUES (1, ?1, ?2)")?
            .execute(params![known.mark.0, join(&known.ids)])?;
        Ok(())
    }
}

impl Reader<'_> {
    fn live_known(&self) -> Result<Known, Error> {
        let mut find = self.statement("SELECT mark, ids FROM runs_live")?;
        let found = find.query_row([], |row| {
            Ok(Known { mark: WorkflowId(row.get(0)?), ids: split(row.get_ref(1)?.as_blob()?) })
        });
        let none = Known { mark: WorkflowId(Uuid::nil()), ids: Vec::new() };
        Ok(found.optional()?.unwrap_or(none))
    }

    /// The greatest identifier of a pipeline, a workflow, or what belongs to one; of those that are
    /// forgotten at least that of the mark.
    pub fn newest_id(&self) -> Result<Option<Uuid>, Error> {
        let mut find = self.statement(
            "SELECT max(id) FROM (SELECT max(id) AS id FROM pipelines \
             UNION ALL SELECT max(id) FROM runs UNION ALL SELECT mark FROM runs_live)",
        )?;
        Ok(find.query_row([], |row| row.get(0))?)
    }

    /// All workflows that have not ended, oldest first.
    pub fn workflow_live(&self) -> Result<Vec<Workflow>, Error> {
        let known = self.live_known()?;
        let mut live = Vec::new();
        for id in known.ids {
            live.extend(self.workflow_get(id)?);
        }
        // The first row after all rows of one workflow is the next workflow.
        let mut next = self.statement(&format!("{COLUMNS} id > ?1 ORDER BY id, part LIMIT 1"))?;
        let mut last = known.mark;
        while let Some(found) =
            next.query_row(params![family::jobs_range(last).1], read).optional()?
        {
            last = found.id;
            live.push(found);
        }
        live.retain(|workflow| workflow.stopped_at.is_none());
        live.sort_by_key(|workflow| workflow.id);
        Ok(live)
    }
}
