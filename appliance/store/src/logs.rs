//! Sealed segments of step output.
//!
//! Invariants: the segments of a step follow each other without gaps; a segment is written once
//! its bytes are durable, a repeated one replaces itself.

use crate::{Reader, Txn, error::Error};
use base::ids::TaskId;
use rusqlite::{OptionalExtension, Row, params};

/// Where a segment's compressed bytes are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SegmentBytes {
    /// In the row itself; for small ones.
    Here(Vec<u8>),
    /// Under this key in the bucket of logs.
    Object(String),
}

/// One sealed piece of a step's output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogSegment {
    /// Of which task.
    pub task: TaskId,
    /// Of which step.
    pub step: u32,
    /// Of its first byte of output.
    pub offset: u64,
    /// Line breaks before it.
    pub line: u64,
    /// Bytes of output.
    pub size: u64,
    /// Line breaks in it.
    pub lines: u64,
    /// Lengths and lines of its frames, in the form of the room that makes them.
    pub frames: Vec<u8>,
    /// The compressed bytes.
    pub bytes: SegmentBytes,
}

/// How much of a step's output is sealed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LogExtent {
    /// Bytes of output.
    pub size: u64,
    /// Line breaks in them.
    pub lines: u64,
}

fn segment(row: &Row<'_>) -> rusqlite::Result<LogSegment> {
    let bytes = match row.get(7)? {
        Some(data) => SegmentBytes::Here(data),
        None => SegmentBytes::Object(row.get(8)?),
    };
    Ok(LogSegment {
        task: TaskId(row.get(0)?),
        step: row.get(1)?,
        offset: row.get(2)?,
        line: row.get(3)?,
        size: row.get(4)?,
        lines: row.get(5)?,
        frames: row.get(6)?,
        bytes,
    })
}

impl Txn<'_> {
    /// Writes a segment whose bytes are durable or in it.
    pub fn log_segment_save(&self, segment: &LogSegment) -> Result<(), Error> {
        let (data, object) = match &segment.bytes {
            SegmentBytes::Here(data) => (Some(data), None),
            SegmentBytes::Object(key) => (None, Some(key)),
        };
        self.statement(
            "INSERT OR REPLACE INTO log_segments \
             (task, step, offset, line, size, lines, frames, data, object) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
        )?
        .execute(params![
            segment.task.0,
            segment.step,
            segment.offset,
            segment.line,
            segment.size,
            segment.lines,
            segment.frames,
            data,
            object
        ])?;
        Ok(())
    }

    /// Removes a task's log; returns the keys in the bucket of logs that nobody names any more.
    pub fn log_remove(&self, task: TaskId) -> Result<Vec<String>, Error> {
        let mut list = self
            .statement("SELECT object FROM log_segments WHERE task = ?1 AND object IS NOT NULL")?;
        let keys = list.query_map([task.0], |row| row.get(0))?.collect::<Result<_, _>>()?;
        self.statement("DELETE FROM log_segments WHERE task = ?1")?.execute([task.0])?;
        Ok(keys)
    }
}

impl Reader<'_> {
    /// A step's sealed segments, in order.
    pub fn log_segment_list(&self, task: TaskId, step: u32) -> Result<Vec<LogSegment>, Error> {
        let mut list = self.statement(
            "SELECT task, step, offset, line, size, lines, frames, data, object \
             FROM log_segments WHERE task = ?1 AND step = ?2 ORDER BY offset",
        )?;
        Ok(list.query_map(params![task.0, step], segment)?.collect::<Result<_, _>>()?)
    }

    /// How much of a step's output is sealed.
    pub fn log_extent(&self, task: TaskId, step: u32) -> Result<LogExtent, Error> {
        let mut last = self.statement(
            "SELECT offset + size, line + lines FROM log_segments \
             WHERE task = ?1 AND step = ?2 ORDER BY offset DESC LIMIT 1",
        )?;
        let extent = |row: &Row<'_>| Ok(LogExtent { size: row.get(0)?, lines: row.get(1)? });
        Ok(last.query_row(params![task.0, step], extent).optional()?.unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::migrate;
    use base::ids::Cursor;

    #[test]
    fn segments_are_kept_in_order_counted_and_removed_with_their_task() {
        let (sql, key) = migrate::in_memory();
        let txn = Txn::new(&sql, &key, Cursor(0));
        let task = TaskId(uuid::Uuid::from_u128(1));
        let segment = |offset, bytes| LogSegment {
            task,
            step: 2,
            offset,
            line: offset / 10,
            size: 100,
            lines: 10,
            frames: vec![1],
            bytes,
        };
        let second = segment(100, SegmentBytes::Here(vec![7; 9]));
        let first = segment(0, SegmentBytes::Object("key".into()));
        for given in [&second, &first, &first] {
            txn.log_segment_save(given).unwrap();
        }
        assert_eq!(txn.log_segment_list(task, 2).unwrap(), [first, second]);
        assert_eq!(txn.log_extent(task, 2).unwrap(), LogExtent { size: 200, lines: 20 });
        assert_eq!(txn.log_extent(task, 3).unwrap(), LogExtent::default());
        assert_eq!(txn.log_remove(task).unwrap(), ["key"]);
        assert!(txn.log_segment_list(task, 2).unwrap().is_empty());
    }
}
