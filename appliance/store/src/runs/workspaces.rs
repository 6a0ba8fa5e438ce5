//! Workspace layers: what jobs hand to those that require them.
//!
//! A job sees the layers of all jobs upstream of it, in the order of the graph. A job whose result
//! a rerun took over lends the layers of the original, so that a rerun from failed shares the first
//! run's workspace without a copy.

use crate::{
    Reader, Txn,
    error::Error,
    row,
    runs::{Job, family},
};
use base::{
    ids::{JobId, TaskId},
    time::Timestamp,
};
use rusqlite::params;
use std::collections::BTreeMap;

/// One layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layer {
    /// Who persisted it.
    pub task: TaskId,
    /// Key in the workspace bucket.
    pub object: String,
    /// Size in bytes.
    pub size: u64,
    /// Paths in it.
    pub paths: Vec<String>,
    /// When.
    pub created_at: Timestamp,
}

/// A layer as a downstream job sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upstream {
    /// Name of the job that persisted it.
    pub job_name: String,
    /// Longest way to it from a root of the graph; layers of one generation are concurrent.
    pub generation: u32,
    /// The layer.
    pub layer: Layer,
}

impl Txn<'_> {
    /// Adds a layer after the task's others. The same object again changes nothing.
    pub fn layer_insert(&self, new: &Layer) -> Result<(), Error> {
        let paths = row::to_json("workspace paths", &new.paths)?;
        self.statement(
            "INSERT INTO workspace_layers (task, part, object, size, paths, created_at) \
             SELECT ?1, COALESCE(MAX(part), 0) + 1, ?2, ?3, ?4, ?5 FROM workspace_layers WHERE task = ?1 \
             HAVING COUNT(*) FILTER (WHERE object = ?2) = 0",
        )?
        .execute(params![new.task.0, new.object, new.size, paths, new.created_at.0])?;
        Ok(())
    }
}

impl Reader<'_> {
    /// The layers that the job of `task` unpacks, in that order.
    pub fn layer_list_upstream(&self, task: TaskId) -> Result<Vec<Upstream>, Error> {
        let job = family::job_of(task);
        let jobs = self.job_list(family::workflow_of(job))?;
        let mut found = Vec::new();
        for (generation, upstream) in upstream(&jobs, job) {
            for task in self.task_list_newest(upstream.source())? {
                for layer in self.layer_list(task.id)? {
                    found.push(Upstream { job_name: upstream.name.clone(), generation, layer });
                }
            }
        }
        Ok(found)
    }

    /// The layers of one task.
    pub fn layer_list(&self, task: TaskId) -> Result<Vec<Layer>, Error> {
        let mut list = self.statement(
            "SELECT object, size, paths, created_at FROM workspace_layers WHERE task = ?1 ORDER BY part",
        )?;
        let rows = list.query_map(params![task.0], |row| {
            Ok(Layer {
                task,
                object: row.get(0)?,
                size: row.get(1)?,
                paths: row::json(row, 2)?,
                created_at: Timestamp(row.get(3)?),
            })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }
}

/// All jobs upstream of `of` with their generation, roots first.
fn upstream(jobs: &[Job], of: JobId) -> Vec<(u32, &Job)> {
    let by_id: BTreeMap<JobId, &Job> = jobs.iter().map(|job| (job.id, job)).collect();
    let mut generations = BTreeMap::new();
    if let Some(job) = by_id.get(&of) {
        for edge in &job.requires {
            generation(&by_id, edge.on, &mut generations);
        }
    }
    let mut list: Vec<(u32, &Job)> =
        generations.iter().filter_map(|(id, depth)| Some((*depth, *by_id.get(id)?))).collect();
    list.sort_by_key(|(depth, job)| (*depth, job.id));
    list
}

/// Depth of the recursion is the graph's; plans are checked to be free of cycles.
fn generation(by_id: &BTreeMap<JobId, &Job>, of: JobId, known: &mut BTreeMap<JobId, u32>) -> u32 {
    if let Some(depth) = known.get(&of) {
        return *depth;
    }
    known.insert(of, 0);
    let requires = by_id.get(&of).map_or(&[][..], |job| &job.requires);
    let depth =
        requires.iter().map(|edge| generation(by_id, edge.on, known) + 1).max().unwrap_or(0);
    known.insert(of, depth);
    depth
}
