//! Runners that have registered. When one was heard last is live state and not kept here.

use crate::{Reader, Txn, error::Error, row};
use base::{ids::RunnerId, protocol::Register, time::Timestamp};
use rusqlite::{OptionalExtension, Row, params};

/// A runner as it introduced itself last.
#[derive(Debug, Clone)]
pub struct RunnerRow {
    /// Stable over restarts: it belongs to the name.
    pub id: RunnerId,
    /// When it registered last.
    pub registered_at: Timestamp,
    /// Its name, slots and classes.
    pub register: Register,
}

const COLUMNS: &str = "SELECT id, registered_at, body FROM runners ";

impl Txn<'_> {
    /// Writes a runner, new or not.
    pub fn runner_save(&self, runner: &RunnerRow) -> Result<(), Error> {
        let body = row::to_json("a runner", &runner.register)?;
        self.statement(
            "INSERT INTO runners (id, name, registered_at, body) VALUES (?1, ?2, ?3, ?4) \
             ON CONFLICT (id) DO UPDATE SET registered_at = ?3, body = ?4",
        )?
        .execute(params![
            runner.id.0,
            runner.register.name,
            runner.registered_at.0,
            body
        ])?;
        Ok(())
    }
}

impl Reader<'_> {
    /// The runner of this name.
    pub fn runner_by_name(&self, name: &str) -> Result<Option<RunnerRow>, Error> {
        let mut find = self.statement(&format!("{COLUMNS} WHERE name = ?1"))?;
        Ok(find.query_row(params![name], read).optional()?)
    }

    /// All runners, by name.
    pub fn runner_list(&self) -> Result<Vec<RunnerRow>, Error> {
        let mut list = self.statement(&format!("{COLUMNS} ORDER BY name"))?;
        let rows = list.query_map([], read)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }
}

fn read(row: &Row<'_>) -> rusqlite::Result<RunnerRow> {
    Ok(RunnerRow {
        id: RunnerId(row.get(0)?),
        registered_at: Timestamp(row.get(1)?),
        register: row::json(row, 2)?,
    })
}
