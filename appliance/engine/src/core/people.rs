//! What people ask for: stop, rerun, approve.

use super::{
    Turn,
    flow::{AUTO_RERUN, nodes},
};
use crate::{Error, command::RerunWanted};
use base::{
    event::Event,
    ids::{JobId, JobNumber, PipelineId, ProjectId, WorkflowId},
    state::{JobState, WorkflowState},
};
use control::{
    rerun::{self, Rerun},
    workflow::cancel_all,
};
use store::{
    Reader,
    runs::{Job, JobType, Requires, Workflow, family},
};

impl Turn<'_, '_, '_> {
    fn workflow(&self, id: WorkflowId) -> Result<Workflow, Error> {
        self.txn.workflow_get(id)?.ok_or(Error::Missing("Workflow"))
    }

    fn job(&self, id: JobId) -> Result<Job, Error> {
        self.txn.job_get(id)?.ok_or(Error::Missing("Job"))
    }

    pub(super) fn cancel_workflow(&mut self, id: WorkflowId, by: &str) -> Result<(), Error> {
        let mut workflow = self.workflow(id)?;
        if workflow.state.is_terminal() {
            return Err(Error::Conflict("The workflow has already ended.".into()));
        }
        if workflow.canceled_by.is_none() {
            workflow.canceled_by = Some(by.to_owned());
            self.txn.workflow_save(&workflow)?;
        }
        let mut jobs = self.txn.job_list(id)?;
        for (index, state) in cancel_all(&nodes(&jobs)) {
            let job = &mut jobs[index];
            if state == JobState::Canceled {
                job.decided_by = Some(by.to_owned());
            }
            self.withdraw(job)?;
            self.enter(job, state)?;
        }
        for job in jobs.iter_mut().filter(|job| job.state == JobState::Running) {
            self.stop_running(job, by)?;
        }
        Ok(self.conclude(&mut workflow, &jobs)?)
    }

    pub(super) fn cancel_job(&mut self, id: JobId, by: &str) -> Result<(), Error> {
        let mut job = self.job(id)?;
        if job.state.is_terminal() {
            return Err(Error::Conflict("The job has already ended.".into()));
        }
        if job.state == JobState::Running {
            return Ok(self.stop_running(&mut job, by)?);
        }
        job.decided_by = Some(by.to_owned());
        self.withdraw(&job)?;
        self.enter(&mut job, JobState::Canceled)?;
        Ok(self.advance(job.workflow())?)
    }

    /// Nodes that wait do not start any more; those that run are stopped by their runners.
    fn stop_running(&mut self, job: &mut Job, by: &str) -> Result<(), store::Error> {
        if job.decided_by.is_none() {
            job.decided_by = Some(by.to_owned());
            self.txn.job_save(job)?;
        }
        self.withdraw(job)?;
        self.stop_leases(job);
        Ok(())
    }

    pub(super) fn approve(&mut self, id: JobId, by: &str) -> Result<(), Error> {
        let mut job = self.job(id)?;
        if job.kind != JobType::Approval || job.state != JobState::OnHold {
            return Err(Error::Conflict("The job is not waiting for approval.".into()));
        }
        job.decided_by = Some(by.to_owned());
        self.tell(job.project, &Event::Approved { job: id, by: by.to_owned() })?;
        self.enter(&mut job, JobState::Success)?;
        Ok(self.advance(job.workflow())?)
    }

    /// What waits already is bound as what comes.
    pub(super) fn project_changed(&mut self, id: ProjectId) -> Result<(), Error> {
        if let Some(project) = self.txn.project_get(id)? {
            self.core.board.bound(id, project.settings.jobs_max);
        }
        Ok(())
    }

    pub(super) fn rerun(
        &mut self,
        id: WorkflowId,
        wanted: &RerunWanted,
        by: &str,
    ) -> Result<WorkflowId, Error> {
        self.room()?;
        let workflow = self.workflow(id)?;
        let jobs = self.txn.job_list(id)?;
        let wanted = match wanted {
            RerunWanted::FromStart => Rerun::FromStart,
            RerunWanted::FromFailed => Rerun::FromFailed,
            RerunWanted::Jobs(list) => Rerun::Jobs(indexes(&jobs, list)?),
        };
        self.rerun_planned(&workflow, &jobs, &wanted, by)
    }

    /// Makes the new workflow of a rerun.
    pub(super) fn rerun_planned(
        &mut self,
        old: &Workflow,
        jobs: &[Job],
        wanted: &Rerun,
        by: &str,
    ) -> Result<WorkflowId, Error> {
        if continued_setup(self.txn, old.pipeline)?.contains(&old.id) {
            return Err(rerun::Refused::Continued.into());
        }
        let runs = self.txn.workflow_list(old.pipeline)?;
        let first = first_run(&runs, old.id);
        let before = runs.iter().filter(|run| first_run(&runs, run.id) == first).count() - 1;
        let reruns = u32::try_from(before).unwrap_or(u32::MAX);
        let again = rerun::plan(&nodes(jobs), wanted, reruns)?;
        let pipeline = self.txn.pipeline_get(old.pipeline)?.ok_or(Error::Missing("Pipeline"))?;
        self.project_stands(pipeline.project)?;
        let id = family::workflow(self.core.ids.next(self.now));
        let new = Workflow {
            id,
            state: WorkflowState::Running,
            created_at: self.now,
            stopped_at: None,
            started_by: by.to_owned(),
            canceled_by: None,
            workspace: if again.contains(&false) { old.workspace } else { id },
            rerun_of: Some(old.id),
            reruns: reruns + 1,
            auto_rerun: old.auto_rerun + u8::from(by == AUTO_RERUN),
            ..old.clone()
        };
        self.workflow_new(&new, super::intake::origin(&pipeline))?;
        self.txn.pipeline_workflow_add(old.pipeline, id, self.now)?;
        self.jobs_again(&new, jobs, &again)?;
        self.advance(id)?;
        Ok(id)
    }

    fn jobs_again(&mut self, new: &Workflow, jobs: &[Job], again: &[bool]) -> Result<(), Error> {
        let mut number = self.txn.job_last_number(new.project)?.0;
        for (old, again) in jobs.iter().zip(again) {
            let mut job = moved(old, new);
            if *again {
                job.number = old.number.map(|_| {
                    number += 1;
                    JobNumber(number)
                });
            } else {
                taken_over(&mut job, old);
            }
            self.txn.job_insert_like(&job, old.id)?;
            if !job.requires.is_empty() || !again {
                self.tell_new(&job)?;
            }
        }
        Ok(())
    }
}

/// The setup of a pipeline that was continued, with its reruns: they do not run again.
///
/// # Errors
/// When the store fails.
pub fn continued_setup(
    reader: &Reader<'_>,
    pipeline: PipelineId,
) -> Result<Vec<WorkflowId>, store::Error> {
    if !reader.pipeline_was_continued(pipeline)? {
        return Ok(Vec::new());
    }
    let runs = reader.workflow_list(pipeline)?;
    // The setup's comes before all that it led to.
    let is_setup = |id: &WorkflowId| Some(first_run(&runs, *id)) == runs.first().map(|run| run.id);
    Ok(runs.iter().map(|run| run.id).filter(is_setup).collect())
}

/// The run that this one, or one before it, repeats. A setup and what it leads to may share a name.
fn first_run(runs: &[Workflow], id: WorkflowId) -> WorkflowId {
    let repeats = |id: &WorkflowId| runs.iter().find(|run| run.id == *id)?.rerun_of;
    std::iter::successors(Some(id), repeats).last().unwrap_or(id)
}

fn indexes(jobs: &[Job], wanted: &[JobId]) -> Result<Vec<usize>, Error> {
    let index = |id: &JobId| jobs.iter().position(|job| job.id == *id);
    wanted.iter().map(|id| index(id).ok_or(Error::Missing("Job"))).collect()
}

/// The same job in another workflow, not begun.
fn moved(old: &Job, into: &Workflow) -> Job {
    let there = |id: JobId| family::job(into.id, family::ordinal_of(id));
    let edge = |edge: &Requires| Requires { on: there(edge.on), any_of: edge.any_of.clone() };
    Job {
        id: there(old.id),
        state: JobState::Blocked,
        requires: old.requires.iter().map(edge).collect(),
        serial_end: old.serial_end.map(there),
        created_at: into.created_at,
        queued_at: None,
        started_at: None,
        stopped_at: None,
        origin: None,
        decided_by: None,
        message: None,
        ..old.clone()
    }
}

/// Gives a job of a rerun the result that it has already.
fn taken_over(job: &mut Job, old: &Job) {
    job.state = old.state;
    job.origin = Some(old.source());
    (job.queued_at, job.started_at, job.stopped_at) =
        (old.queued_at, old.started_at, old.stopped_at);
    (job.decided_by, job.message) = (old.decided_by.clone(), old.message.clone());
}
