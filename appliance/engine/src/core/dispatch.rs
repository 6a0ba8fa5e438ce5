//! Hands out work: who asks gets what is due, with everything needed to run it.

use super::Turn;
use crate::command::Asking;
use base::units::Bytes;
use base::{
    event::Event,
    ids::{Attempt, Fence, RunnerId, TaskId},
    limits::{JOB_RUNTIME_MAX, LEASE},
    protocol::{Assignment, Register, Variable},
    state::{JobState, PipelineState},
};
use control::{
    board::{Held, Serves, Waiting},
    governor::learned::peak_p95,
};
use std::{sync::Arc, time::Duration};
use store::{
    Error,
    projects::Project,
    runs::{Job, Pipeline, RunnerRow, Task},
};

/// How long a job may take to reach its peak of memory.
const GROWS: Duration = Duration::from_secs(60);

/// What a runner that introduces itself so can take.
pub(super) fn serves(register: &Register) -> Serves {
    Serves {
        classes: register.resource_classes.iter().cloned().collect(),
        plain: register.serves_plain_classes,
    }
}

/// Node and attempt, from a task's ordinal in its job.
fn node_and_attempt(job: &Job, task: TaskId) -> (u32, Attempt) {
    let ordinal = u32::try_from(task.0.as_u128() & 0xffff).expect("two bytes were masked out") - 1;
    (ordinal % job.parallelism, Attempt(ordinal / job.parallelism + 1))
}

/// An error that belongs to one job, not to the whole transaction.
fn is_of_the_job(error: &Error) -> bool {
    matches!(error, Error::Missing(_) | Error::Sealed { .. } | Error::Form { .. })
}

/// What a job ends in that cannot have its secrets.
fn state_of(error: &Error) -> JobState {
    match error {
        Error::Missing(_) => JobState::Unauthorized,
        _ => JobState::InfrastructureFail,
    }
}

impl Turn<'_, '_, '_> {
    pub(super) fn register(&mut self, register: &Register) -> Result<RunnerId, crate::Error> {
        let known = self.txn.runner_by_name(&register.name)?;
        let id = known.map_or_else(|| RunnerId(self.core.ids.next(self.now)), |row| row.id);
        let row = RunnerRow { id, registered_at: self.now, register: register.clone() };
        self.txn.runner_save(&row)?;
        self.core.runners.insert(id, serves(register));
        Ok(id)
    }

    /// Leases as much as is due and fits to one runner.
    pub(super) fn assign(&mut self, asking: Asking) -> Result<Vec<Assignment>, Error> {
        let mut list = Vec::new();
        while list.len() < asking.free as usize {
            let Some(serves) = self.core.runners.get(&asking.runner) else { break };
            let Some(next) = self.core.next(serves) else { break };
            let next = next.clone();
            if let Some(held) = self.hungers(&next)? {
                self.core.hungry.insert(next.task, held);
                continue;
            }
            if let Some(assignment) = self.lease(&next, asking.runner)? {
                list.push(assignment);
            }
        }
        Ok(list)
    }

    /// Whether the job's last runs needed more memory than is free. Where nothing runs, one job is
    /// always tried: a wrong memory of ours must not hold it for ever.
    fn hungers(&self, next: &Waiting) -> Result<Option<Held>, Error> {
        let Some(free) = self.core.decision.memory_free else { return Ok(None) };
        if self.core.board.leased() == 0 {
            return Ok(None);
        }
        let peak = |task: &Waiting| -> Result<Bytes, Error> {
            let peaks = self.txn.job_peaks(task.job)?;
            Ok(peak_p95(&peaks).unwrap_or_default())
        };
        // What has just begun has not yet taken what it will take.
        let young = self.core.board.leases().filter(|lease| self.now.since(lease.since) < GROWS);
        let mut promised = Bytes::default();
        for lease in young {
            promised.0 = promised.0.saturating_add(peak(&lease.waiting)?.0);
        }
        let (need, free) = (peak(next)?, Bytes(free.0.saturating_sub(promised.0)));
        Ok((need > free).then_some(Held::Memory { need, free }))
    }

    /// Leases one task. `None` when its job turned out not to be runnable; the job has ended then.
    fn lease(&mut self, next: &Waiting, runner: RunnerId) -> Result<Option<Assignment>, Error> {
        let missing = || Error::Missing(format!("job {}", next.job));
        let mut job = self.txn.job_get(next.job)?.ok_or_else(missing)?;
        let project = self.project(&job)?;
        if let Some(why) = self.context_refusal(&job, &project)? {
            return self.refuse(job, why, JobState::Unauthorized);
        }
        let secrets = match self.txn.project_secrets(job.project, &job.contexts) {
            Err(error) if is_of_the_job(&error) => {
                let why = format!("{error}: put it right, then rerun the workflow");
                return self.refuse(job, why, state_of(&error));
            }
            secrets => secrets?,
        };
        let task = self.task_leased(&job, next.task, runner)?;
        let until = self.now.plus(LEASE);
        self.core.board.lease((job.project, task.id), runner, task.fence, self.now, until);
        if job.started_at.is_none() {
            job.started_at = Some(self.now);
        }
        if job.state != JobState::Running {
            self.enter(&mut job, JobState::Running)?;
        }
        let event = Event::TaskLeased {
            task: task.id,
            job: job.id,
            attempt: task.attempt,
            runner,
            fence: task.fence,
        };
        self.tell(job.project, &event)?;
        self.assignment(&job, &task, project, secrets).map(Some)
    }

    fn task_leased(&mut self, job: &Job, id: TaskId, runner: RunnerId) -> Result<Task, Error> {
        let (node, attempt) = node_and_attempt(job, id);
        let last = self.txn.task_list_newest(job.id)?.into_iter().find(|task| task.node == node);
        let task = Task {
            id,
            node,
            attempt,
            runner: Some(runner),
            fence: Fence(last.map_or(0, |task| task.fence.0) + 1),
            next_report: 0,
            leased_at: self.now,
            started_at: None,
            stopped_at: None,
            outcome: None,
            message: None,
            peak_memory: None,
        };
        self.txn.task_save(&task)?;
        Ok(task)
    }

    /// Ends a job that cannot be given out, for example because a context was removed meanwhile.
    fn refuse(
        &mut self,
        mut job: Job,
        why: String,
        state: JobState,
    ) -> Result<Option<Assignment>, Error> {
        tracing::warn!(job.id = %job.id, why, "a job cannot be handed out");
        job.message = Some(why);
        self.withdraw(&job)?;
        self.stop_leases(&job);
        if self.holds_lease(&job) {
            // Nodes that run already are stopped first; their end concludes the job.
            job.decided_by.get_or_insert_with(|| "appliance".to_owned());
            self.txn.job_save(&job)?;
            return Ok(None);
        }
        self.enter(&mut job, state)?;
        self.advance(job.workflow())?;
        Ok(None)
    }

    fn assignment(
        &mut self,
        job: &Job,
        task: &Task,
        project: Project,
        mut secrets: Vec<Variable>,
    ) -> Result<Assignment, Error> {
        let missing = |what: &str| Error::Missing(format!("{what} of job {}", job.id));
        let workflow = self.txn.workflow_get(job.workflow())?.ok_or_else(|| missing("workflow"))?;
        let pipeline =
            self.txn.pipeline_get(workflow.pipeline)?.ok_or_else(|| missing("pipeline"))?;
        let spec = self.txn.job_spec(job.id)?.ok_or_else(|| missing("specification"))?;
        self.setup(&pipeline, &mut secrets)?;
        Ok(Assignment {
            task: task.id,
            fence: task.fence,
            attempt: task.attempt,
            node_index: task.node,
            node_total: job.parallelism,
            job: job.id,
            job_name: job.name.clone(),
            job_number: job.number.ok_or_else(|| missing("number"))?,
            workflow: workflow.id,
            workspace: workflow.workspace,
            pipeline: pipeline.id,
            pipeline_number: pipeline.number,
            organization: Some(project.org),
            project: job.project,
            repo: project.repo,
            vcs: pipeline.vcs,
            actor: pipeline.actor,
            build_url: format!("{}/jobs/{}", self.core.config.url, job.id),
            spec: Arc::new(spec),
            secrets,
            network: project.settings.network,
            runtime_max: JOB_RUNTIME_MAX,
        })
    }

    /// A job of a setup workflow gets the key that continues its pipeline.
    fn setup(&mut self, pipeline: &Pipeline, secrets: &mut Vec<Variable>) -> Result<(), Error> {
        if !matches!(pipeline.state, PipelineState::SetupPending | PipelineState::Setup) {
            return Ok(());
        }
        let value = self.txn.continuation_key(pipeline.id)?;
        secrets.push(Variable { name: "CIRCLE_CONTINUATION_KEY".into(), value });
        if pipeline.state == PipelineState::SetupPending {
            let state = PipelineState::Setup;
            self.txn.pipeline_state_set(pipeline.id, state, self.now)?;
            let event = Event::PipelineChanged { pipeline: pipeline.id, state };
            self.tell(pipeline.project, &event)?;
        }
        Ok(())
    }

    /// Whether a runner holds a node of the job.
    pub(super) fn holds_lease(&self, job: &Job) -> bool {
        self.core.board.leases().any(|lease| lease.waiting.job == job.id)
    }

    /// Asks all runners that hold a node of the job to stop it.
    pub(super) fn stop_leases(&mut self, job: &Job) {
        let of_job = |lease: &&control::board::Lease| lease.waiting.job == job.id;
        let tasks: Vec<TaskId> =
            self.core.board.leases().filter(of_job).map(|lease| lease.waiting.task).collect();
        for task in tasks {
            self.wake.extend(self.core.board.stop(task));
        }
    }
}
