//! Reads the engine's memory from the store: at start, and after a failed write.

use super::{
    Core,
    dispatch::serves,
    flow::{holds_serial, runner_class, task_id, waiting, waiting_attempt},
};
use crate::{Config, ids::Ids};
use base::{limits::LEASE, state::JobState, time::Timestamp};
use control::{
    board::{Board, Lease, SerialGroup, Waiting},
    governor::Decision,
    supersede,
};
use std::collections::BTreeMap;
use store::{
    Error, Reader,
    runs::{Job, Workflow},
};

impl Core {
    /// Everything that has not ended. Leases last a full length from `now`, so that runners which
    /// could not be heard meanwhile keep their tasks.
    pub(crate) fn load(
        reader: &Reader<'_>,
        config: &Config,
        ids: &Ids,
        now: Timestamp,
    ) -> Result<Self, Error> {
        let mut core = Self {
            config: config.clone(),
            board: Board::default(),
            runners: BTreeMap::new(),
            live: BTreeMap::new(),
            ids: ids.clone(),
            decision: Decision::open(config.limits.slots),
            hungry: BTreeMap::new(),
        };
        if let Some(newest) = reader.newest_id()? {
            ids.follow(newest);
        }
        for row in reader.runner_list()? {
            core.runners.insert(row.id, serves(&row.register));
        }
        for workflow in reader.workflow_live()? {
            core.load_workflow(reader, &workflow, now)?;
        }
        Ok(core)
    }

    fn load_workflow(
        &mut self,
        reader: &Reader<'_>,
        workflow: &Workflow,
        now: Timestamp,
    ) -> Result<(), Error> {
        if let Some(pipeline) = reader.pipeline_get(workflow.pipeline)? {
            let live = supersede::Live {
                workflow: workflow.id,
                origin: super::intake::origin(&pipeline),
                is_rerun: workflow.rerun_of.is_some(),
            };
            self.live.insert(workflow.id, live);
        }
        let jobs = reader.job_list(workflow.id)?;
        for job in &jobs {
            if matches!(job.state, JobState::Queued | JobState::Running) {
                self.load_job(reader, job, now)?;
            }
        }
        self.load_serial(reader, &jobs)
    }

    fn load_serial(&mut self, reader: &Reader<'_>, jobs: &[Job]) -> Result<(), Error> {
        for job in jobs {
            let Some(name) = job.serial_group.clone() else { continue };
            if !holds_serial(jobs, job.lock()) {
                continue;
            }
            let missing = || Error::Missing(format!("project {}", job.project));
            let project = reader.project_get(job.project)?.ok_or_else(missing)?;
            let group = SerialGroup { org: project.repo.org().to_owned(), name };
            self.board.serial_take(group, job.lock());
        }
        Ok(())
    }

    fn load_job(&mut self, reader: &Reader<'_>, job: &Job, now: Timestamp) -> Result<(), Error> {
        let missing = || Error::Missing(format!("project {}", job.project));
        let project = reader.project_get(job.project)?.ok_or_else(missing)?;
        let class = reader.job_spec(job.id)?.as_ref().and_then(runner_class);
        let newest = reader.task_list_newest(job.id)?;
        let stop = job.decided_by.is_some();
        for node in 0..job.parallelism {
            let last = newest.iter().find(|task| task.node == node);
            let wait = |attempt| waiting(job, &project, class.clone(), task_id(job, node, attempt));
            match (last, waiting_attempt(last)) {
                (_, Some(attempt)) if !stop => self.board.wait(wait(attempt)),
                (Some(task), None) if task.outcome.is_none() => {
                    if let Some(lease) = lease(wait(task.attempt.0), task, now, stop) {
                        self.board.restore(lease);
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }
}

fn lease(waiting: Waiting, task: &store::runs::Task, now: Timestamp, stop: bool) -> Option<Lease> {
    Some(Lease {
        waiting,
        runner: task.runner?,
        fence: task.fence,
        since: task.leased_at,
        until: now.plus(LEASE),
        stop,
    })
}
