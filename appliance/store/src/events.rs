//! The event log: appended in the transaction of the change, read by cursor.
//!
//! Invariants: cursors start at 1 and have no gaps; an undone write takes its cursors back.

mod form;

use crate::{Reader, Txn, error::Error, row};
use base::{
    event::{Event, Recorded},
    ids::{Cursor, ProjectId},
    time::Timestamp,
};
use rusqlite::{OptionalExtension, Row, params};

/// One page of events. A follower asks again from the last cursor it got.
pub const PAGE_MAX: u32 = 1000;

impl Txn<'_> {
    /// Appends an event and returns its place. `project` lets readers see only their own.
    pub fn event_append(
        &mut self,
        at: Timestamp,
        project: Option<ProjectId>,
        event: &Event,
    ) -> Result<Cursor, Error> {
        let cursor = Cursor(self.last_event.0 + 1);
        self.statement("INSERT INTO events (cursor, at, project, event) VALUES (?1, ?2, ?3, ?4)")?
            .execute(params![cursor.0, at.0, project.map(|id| id.0), form::write(event)])?;
        self.last_event = cursor;
        Ok(cursor)
    }

    /// Removes events from the front, at most `most` at once, until the newest `keep` are left;
    /// returns how many went.
    pub fn event_trim(&self, keep: u64, most: u64) -> Result<usize, Error> {
        let trim = "DELETE FROM events WHERE cursor <= ?1 \
                    AND cursor < (SELECT MIN(cursor) FROM events) + ?2";
        let end = self.last_event.0.saturating_sub(keep.max(1));
        Ok(self.statement(trim)?.execute(params![end, most])?)
    }
}

impl Reader<'_> {
    /// The last event's place; 0 before the first.
    pub fn event_last(&self) -> Result<Cursor, Error> {
        let last = self
            .statement("SELECT cursor FROM events ORDER BY cursor DESC LIMIT 1")?
            .query_row([], |row| row.get(0))
            .optional()?;
        Ok(Cursor(last.unwrap_or(0)))
    }

    /// Events that follow `after`, oldest first, at most `limit` and [`PAGE_MAX`].
    pub fn event_list(&self, after: Cursor, limit: u32) -> Result<Vec<Recorded>, Error> {
        let mut list = self.statement(
            "SELECT cursor, at, project, event FROM events WHERE cursor > ?1 ORDER BY cursor LIMIT ?2",
        )?;
        let rows = list.query_map(params![after.0, limit.min(PAGE_MAX)], recorded)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }
}

fn recorded(row: &Row<'_>) -> rusqlite::Result<Recorded> {
    Ok(Recorded {
        cursor: Cursor(row.get(0)?),
        at: Timestamp(row.get(1)?),
        project: row.get::<_, Option<_>>(2)?.map(ProjectId),
        event: row::formed(row, 3, form::read)?,
    })
}
