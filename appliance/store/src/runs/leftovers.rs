//! What uploads left behind: whether a row of a run still wants an object.
//!
//! Why: bytes are stored first and named later, so that a cut in between leaves objects that no row
//! names. Keys begin with the task that they were given to, which makes each answer one look into
//! a range.

use crate::{Reader, error::Error};
use base::ids::TaskId;
use rusqlite::params;

/// A bucket in which runs keep things.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shelf {
    /// Files kept for people.
    Artifacts,
    /// Caches of projects.
    Caches,
    /// Layers handed from job to job.
    Workspaces,
    /// Output of steps.
    Logs,
}

impl Shelf {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Artifacts, Self::Caches, Self::Workspaces, Self::Logs];
}

impl Reader<'_> {
    /// The task that `object` was given to goes on, or a row names the object.
    pub fn object_is_wanted(
        &self,
        shelf: Shelf,
        task: TaskId,
        object: &str,
    ) -> Result<bool, Error> {
        if self.task_get(task)?.is_some_and(|task| task.stopped_at.is_none()) {
            return Ok(true);
        }
        let sql = match shelf {
            Shelf::Artifacts => "SELECT 1 FROM artifacts WHERE task = ?1 AND object = ?2",
            // A cache outlives its task, and any task of the project may have replaced it.
            Shelf::Caches => "SELECT ?1 FROM caches WHERE object = ?2",
            Shelf::Workspaces => "SELECT 1 FROM workspace_layers WHERE task = ?1 AND object = ?2",
            Shelf::Logs => "SELECT 1 FROM log_segments WHERE task = ?1 AND object = ?2",
        };
        Ok(self.statement(sql)?.exists(params![task.0, object])?)
    }
}
