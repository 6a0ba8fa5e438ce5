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
    workspace::Names,
};
use rusqlite::{OptionalExtension, params};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};

/// One layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layer {
    /// Who persisted it.
    pub task: TaskId,
    /// Key in the workspace bucket.
    pub object: String,
    /// Size in bytes.
    pub size: u64,
    /// When.
    pub created_at: Timestamp,
}

/// A layer as a downstream job sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upstream {
    /// Name of the job that persisted it.
    pub job_name: String,
    /// Number of that job among those upstream, in the order of the graph.
    pub job: u32,
    /// Numbers of the jobs with layers upstream of that one, ascending.
    pub upstream: Vec<u32>,
    /// The layer.
    pub layer: Layer,
}

/// How a row has the names of a layer's files.
#[derive(Deserialize)]
#[serde(untagged)]
enum Kept {
    Packed(Names),
    /// By a version before names were packed.
    Plain(Vec<String>),
}

impl Txn<'_> {
    /// Adds a layer with the names of its files after the task's others. The same object again changes
    /// nothing.
    pub fn layer_insert(&self, new: &Layer, names: &Names) -> Result<(), Error> {
        let paths = row::to_json("workspace paths", names)?;
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
        // Of each job: the numbers of those with layers that who requires it has upstream.
        let mut lent: BTreeMap<JobId, BTreeSet<u32>> = BTreeMap::new();
        for (number, (_, upstream)) in (0..).zip(upstream(&jobs, job)) {
            let above = upstream.requires.iter().filter_map(|edge| lent.get(&edge.on));
            let mut above: BTreeSet<u32> = above.flatten().copied().collect();
            let numbers: Vec<u32> = above.iter().copied().collect();
            for task in self.task_list_newest(upstream.source())? {
                for layer in self.layer_list(task.id)? {
                    above.insert(number);
                    found.push(Upstream {
                        job_name: upstream.name.clone(),
                        job: number,
                        upstream: numbers.clone(),
                        layer,
                    });
                }
            }
            lent.insert(upstream.id, above);
        }
        Ok(found)
    }

    /// The names of a layer's files. They may be megabytes, so that no list has them.
    pub fn layer_names(&self, layer: &Layer) -> Result<Names, Error> {
        let mut find =
            self.statement("SELECT paths FROM workspace_layers WHERE task = ?1 AND object = ?2")?;
        let found = find.query_row(params![layer.task.0, layer.object], |row| row::json(row, 0));
        Ok(match found.optional()? {
            Some(Kept::Packed(names)) => names,
            Some(Kept::Plain(paths)) => Names::pack(&paths).unwrap_or_default(),
            None => Names::default(),
        })
    }

    /// The layers of one task.
    pub fn layer_list(&self, task: TaskId) -> Result<Vec<Layer>, Error> {
        let mut list = self.statement(
            "SELECT object, size, created_at FROM workspace_layers WHERE task = ?1 ORDER BY part",
        )?;
        let rows = list.query_map(params![task.0], |row| {
            Ok(Layer {
                task,
                object: row.get(0)?,
                size: row.get(1)?,
                created_at: Timestamp(row.get(2)?),
            })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }
}

/// All jobs upstream of `of` with their generation, roots first.
fn upstream(jobs: &[Job], of: JobId) -> Vec<(u32, &Job)> {
    let by_id: BTreeMap<JobId, &Job> = jobs.iter().map(|job| (job.id, job)).collect();
    let mut list: Vec<(u32, &Job)> = generations(&by_id, of)
        .into_iter()
        .filter_map(|(id, depth)| Some((depth, *by_id.get(&id)?)))
        .collect();
    list.sort_by_key(|(depth, job)| (*depth, job.id));
    list
}

/// The longest way from a root to each job upstream of `of`.
///
/// A chain may be as long as a workflow is large, so that the way is kept here and not on the
/// thread's stack. Each job is entered once: a cycle, which no plan has, would end, too.
fn generations(by_id: &BTreeMap<JobId, &Job>, of: JobId) -> BTreeMap<JobId, u32> {
    let requires =
        |id| by_id.get(&id).into_iter().flat_map(|job| &job.requires).map(|edge| edge.on);
    let mut known = BTreeMap::new();
    let mut entered = BTreeSet::new();
    let mut way: Vec<(JobId, bool)> = requires(of).map(|on| (on, false)).collect();
    while let Some((id, is_left)) = way.pop() {
        if is_left {
            let depth =
                requires(id).filter_map(|on| known.get(&on)).max().map_or(0, |most| most + 1);
            known.insert(id, depth);
        } else if entered.insert(id) {
            way.push((id, true));
            way.extend(requires(id).map(|on| (on, false)));
        }
    }
    known
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runs::tests::job;
    use base::ids::WorkflowId;
    use uuid::Uuid;

    const WORKFLOW: WorkflowId =
        WorkflowId(Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0000));

    /// `requires` of the jobs 1, 2, 3 … in turn; the generations of all that the last one sees.
    fn check(requires: &[&[u16]], expected: &[(u16, u32)]) {
        let jobs: Vec<Job> = (1..).zip(requires).map(|(at, on)| job(WORKFLOW, at, on)).collect();
        let seen = upstream(&jobs, jobs[jobs.len() - 1].id);
        let expected = expected.iter().map(|(at, depth)| (*depth, &jobs[usize::from(*at) - 1]));
        assert_eq!(seen, expected.collect::<Vec<_>>());
    }

    #[test]
    fn a_generation_is_the_longest_way_from_a_root() {
        check(&[&[], &[1], &[1, 2], &[]], &[]);
        check(&[&[], &[1], &[1, 2], &[3]], &[(1, 0), (2, 1), (3, 2)]);
        check(&[&[], &[], &[1], &[3, 2], &[4]], &[(1, 0), (2, 0), (3, 1), (4, 2)]);
    }

    #[test]
    fn a_chain_as_long_as_a_workflow_may_be_needs_no_deep_stack() {
        let chain = (1..=60_000_u16).map(|at| match at {
            1 => job(WORKFLOW, at, &[]),
            _ => job(WORKFLOW, at, &[at - 1]),
        });
        let jobs: Vec<Job> = chain.collect();
        let small = std::thread::Builder::new().stack_size(256 << 10);
        let seen = std::thread::scope(|scope| {
            let walk = || upstream(&jobs, jobs[jobs.len() - 1].id).len();
            small.spawn_scoped(scope, walk).unwrap().join().unwrap()
        });
        assert_eq!(seen, 59_999);
    }
}
