//! Received pushes, noted before their refs move, so that no cut makes us forget a pipeline.
//!
//! The way: `push_note` → refs move → one pipeline per ref, queued in a transaction that asks
//! [`Txn::push_pipeline_claim`] first → `push_done`. After a cut the open pushes are told again;
//! a ref that does not stand at `new` never moved, or has moved on, and its teller decides.

use crate::{Reader, Txn, error::Error, row};
use base::{
    ids::{PipelineId, ProjectId, PushId},
    time::Timestamp,
};
use rusqlite::{OptionalExtension, params};
use serde::{Deserialize, Serialize};

/// One push.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Push {
    /// Which; made by the receiver.
    pub id: PushId,
    /// Whose repository.
    pub project: ProjectId,
    /// When it came.
    pub at: Timestamp,
    /// Login of who pushed.
    pub actor: String,
    /// What it moves, in the order given.
    pub refs: Vec<PushedRef>,
}

/// One ref that a push moves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PushedRef {
    /// Full name, for example `refs/heads/main`.
    pub name: String,
    /// Where it stood; `None` when it is made.
    pub old: Option<String>,
    /// Where it goes; `None` when it is deleted.
    pub new: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct Body {
    actor: String,
    refs: Vec<PushedRef>,
}

impl Txn<'_> {
    /// Notes a push before its refs move.
    pub fn push_note(&self, push: &Push) -> Result<(), Error> {
        self.project_check(push.project)?;
        let body = Body { actor: push.actor.clone(), refs: push.refs.clone() };
        let body = row::to_json("a push", &body)?;
        self.statement("INSERT INTO pushes (id, project, at, body) VALUES (?1, ?2, ?3, ?4)")?
            .execute(params![push.id.0, push.project.0, push.at.0, body])?;
        Ok(())
    }

    /// Takes the one pipeline of a ref of a push: `None` when `pipeline` is to be queued now, in
    /// this transaction, or the pipeline that was queued before.
    pub fn push_pipeline_claim(
        &self,
        push: PushId,
        ref_name: &str,
        pipeline: PipelineId,
    ) -> Result<Option<PipelineId>, Error> {
        let before = self
            .statement("SELECT pipeline FROM push_pipelines WHERE push = ?1 AND ref = ?2")?
            .query_row(params![push.0, ref_name], |row| row.get(0).map(PipelineId))
            .optional()?;
        if before.is_none() {
            self.statement("INSERT INTO push_pipelines (push, ref, pipeline) VALUES (?1, ?2, ?3)")?
                .execute(params![push.0, ref_name, pipeline.0])?;
        }
        Ok(before)
    }

    /// Everything about the push is queued, or it moved nothing.
    pub fn push_done(&self, id: PushId, at: Timestamp) -> Result<(), Error> {
        self.statement("UPDATE pushes SET done_at = ?2 WHERE id = ?1 AND done_at IS NULL")?
            .execute(params![id.0, at.0])?;
        Ok(())
    }

    /// Forgets pushes that were done before `before`; returns how many.
    pub fn push_sweep(&self, before: Timestamp) -> Result<usize, Error> {
        Ok(self.statement("DELETE FROM pushes WHERE done_at < ?1")?.execute([before.0])?)
    }
}

impl Reader<'_> {
    /// A push to the project was noted since `since` and is not done.
    pub fn push_is_open(&self, project: ProjectId, since: Timestamp) -> Result<bool, Error> {
        let mut find = self.statement(
            "SELECT 1 FROM pushes WHERE done_at IS NULL AND project = ?1 AND at >= ?2",
        )?;
        Ok(find.exists(params![project.0, since.0])?)
    }

    /// Pushes that are not done, oldest first: to be told again at the start.
    pub fn push_list_open(&self) -> Result<Vec<Push>, Error> {
        let mut list = self.statement(
            "SELECT id, project, at, body FROM pushes WHERE done_at IS NULL ORDER BY id",
        )?;
        let rows = list.query_map([], |row| {
            let body: Body = row::json(row, 3)?;
            Ok(Push {
                id: PushId(row.get(0)?),
                project: ProjectId(row.get(1)?),
                at: Timestamp(row.get(2)?),
                actor: body.actor,
                refs: body.refs,
            })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }
}
