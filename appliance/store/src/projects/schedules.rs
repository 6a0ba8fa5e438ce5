//! Time as a trigger: schedules made through the API, and timers that configurations hold.

use crate::{Reader, Txn, error::Error, row, runs::due_text};
use base::{
    ids::{ProjectId, ScheduleId},
    time::Timestamp,
    trigger::{Due, ParameterValue},
};
use indexmap::IndexMap;
use rusqlite::{OptionalExtension, params};
use serde::{Deserialize, Serialize};

/// A schedule of a project.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Schedule {
    /// Which.
    pub id: ScheduleId,
    /// Of which project.
    pub project: ProjectId,
    /// Shown to people, and `pipeline.schedule.name`.
    pub name: String,
    /// For people.
    pub description: String,
    /// As API v2 writes it; checked by whoever stored it.
    pub timetable: serde_json::Value,
    /// Pipeline parameters, with `branch` or `tag` among them.
    pub parameters: IndexMap<String, ParameterValue>,
    /// Login of whom its pipelines count as; `None` for the system's.
    pub actor: Option<String>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was changed last.
    pub updated_at: Timestamp,
}

/// A workflow that its configuration runs by time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timer {
    /// Of which project.
    pub project: ProjectId,
    /// Of the configuration on this branch.
    pub branch: String,
    /// Its name.
    pub workflow: String,
    /// Five fields, UTC.
    pub cron: String,
}

impl Reader<'_> {
    /// One schedule.
    pub fn schedule_get(&self, id: ScheduleId) -> Result<Option<Schedule>, Error> {
        let mut get = self.statement("SELECT body FROM schedules WHERE id = ?1")?;
        Ok(get.query_row([id.0], |row| row::json(row, 0)).optional()?)
    }

    /// Schedules of a project, or of all, oldest first.
    pub fn schedule_list(&self, project: Option<ProjectId>) -> Result<Vec<Schedule>, Error> {
        let mut list = self
            .statement("SELECT body FROM schedules WHERE ?1 IS NULL OR project = ?1 ORDER BY id")?;
        let rows = list.query_map([project.map(|id| id.0)], |row| row::json(row, 0))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Every timer.
    pub fn timer_list(&self) -> Result<Vec<Timer>, Error> {
        let mut list = self.statement("SELECT project, branch, workflow, cron FROM timers")?;
        let rows = list.query_map([], |row| {
            Ok(Timer {
                project: ProjectId(row.get(0)?),
                branch: row.get(1)?,
                workflow: row.get(2)?,
                cron: row.get(3)?,
            })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// The last minute whose schedules were looked at; `None` before the first.
    pub fn clock_minute(&self) -> Result<Option<i64>, Error> {
        let mut get = self.statement("SELECT minute FROM clock")?;
        Ok(get.query_row([], |row| row.get(0)).optional()?)
    }

    /// Whether a schedule had its pipeline for a moment already: a cut came between.
    pub fn pipeline_is_due_done(
        &self,
        project: ProjectId,
        due: &Due,
        branch: Option<&str>,
        at: Timestamp,
    ) -> Result<bool, Error> {
        let mut find = self.statement(
            "SELECT 1 FROM pipelines WHERE project = ?1 AND due = ?2 AND received_at = ?3 \
             AND (?4 IS NULL OR branch = ?4) LIMIT 1",
        )?;
        Ok(find.exists(params![project.0, due_text(Some(due))?, at.0, branch])?)
    }
}

impl Txn<'_> {
    /// Stores a schedule, new or changed.
    pub fn schedule_save(&self, schedule: &Schedule) -> Result<(), Error> {
        self.project_check(schedule.project)?;
        self.statement("INSERT OR REPLACE INTO schedules (id, project, body) VALUES (?1, ?2, ?3)")?
            .execute(params![
                schedule.id.0,
                schedule.project.0,
                row::to_json("a schedule", schedule)?
            ])?;
        Ok(())
    }

    /// An identifier for a new schedule.
    #[must_use]
    pub fn schedule_id(&self, at: Timestamp) -> ScheduleId {
        ScheduleId(row::new_id(at))
    }

    /// Removes a schedule.
    pub fn schedule_remove(&self, id: ScheduleId) -> Result<(), Error> {
        self.statement("DELETE FROM schedules WHERE id = ?1")?.execute([id.0])?;
        Ok(())
    }

    /// Makes the timers of a branch these (workflow and cron expression), writing only when they
    /// differ from those that it has.
    pub fn timer_set(
        &self,
        project: ProjectId,
        branch: &str,
        timers: &[(String, String)],
    ) -> Result<(), Error> {
        let mut wanted = timers.to_vec();
        wanted.sort();
        wanted.dedup();
        let mut list = self.statement(
            "SELECT workflow, cron FROM timers WHERE project = ?1 AND branch = ?2 \
             ORDER BY workflow, cron",
        )?;
        let rows =
            list.query_map(params![project.0, branch], |row| Ok((row.get(0)?, row.get(1)?)))?;
        let known: Vec<(String, String)> = rows.collect::<Result<_, _>>()?;
        if known == wanted {
            return Ok(());
        }
        self.statement("DELETE FROM timers WHERE project = ?1 AND branch = ?2")?
            .execute(params![project.0, branch])?;
        for (workflow, cron) in &wanted {
            self.statement(
                "INSERT INTO timers (project, branch, workflow, cron) VALUES (?1, ?2, ?3, ?4)",
            )?
            .execute(params![project.0, branch, workflow, cron])?;
        }
        Ok(())
    }

    /// Notes that the schedules of all minutes up to this one were looked at.
    pub fn clock_set(&self, minute: i64) -> Result<(), Error> {
        self.statement("INSERT OR REPLACE INTO clock (one, minute) VALUES (1, ?1)")?
            .execute([minute])?;
        Ok(())
    }

    /// Forgets that note: there is nothing to look at.
    pub fn clock_forget(&self) -> Result<(), Error> {
        self.statement("DELETE FROM clock")?.execute([])?;
        Ok(())
    }
}
