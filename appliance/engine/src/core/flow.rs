//! How a workflow moves: jobs enter states, others become ready, the whole gets its state.

use super::Turn;
use base::{
    event::Event,
    ids::{JobId, TaskId, WorkflowId},
    plan::{Executor, JobSpec},
    state::{JobState, TaskOutcome, WorkflowState},
};
use control::{
    board::{SerialGroup, Waiting},
    rerun::Rerun,
    task::{self, Next},
    workflow::{self as graph, Edge, Kind, Node},
};
use store::{
    Error,
    projects::Project,
    runs::{Job, JobType, Task, Workflow, family},
};

/// The login shown for what the service starts by itself.
pub(super) const AUTO_RERUN: &str = "auto-rerun";

/// A job as the graph sees it.
pub(super) fn nodes(jobs: &[Job]) -> Vec<Node> {
    let index = |id: JobId| usize::from(family::ordinal_of(id)) - 1;
    let node = |job: &Job| Node {
        state: job.state,
        kind: match job.kind {
            JobType::Build => Kind::Build,
            JobType::Approval => Kind::Approval,
            JobType::NoOp => Kind::NoOp,
        },
        requires: job
            .requires
            .iter()
            .map(|edge| Edge { on: index(edge.on), any_of: edge.any_of.clone() })
            .collect(),
    };
    jobs.iter().map(node).collect()
}

/// The task of a node's attempt. The ordinal follows from both, so that it needs no row to be known.
pub(super) fn task_id(job: &Job, node: u32, attempt: u32) -> TaskId {
    let ordinal = (attempt - 1) * job.parallelism + node + 1;
    family::task(job.id, u16::try_from(ordinal).expect("intake bounds parallelism times attempts"))
}

/// How a node ended, once nothing follows. A node that was never leased ends with a stop.
pub(super) fn node_outcome(task: Option<&Task>, stop: bool) -> Option<TaskOutcome> {
    let Some(task) = task else { return stop.then_some(TaskOutcome::Canceled) };
    let waits_again = task.runner.is_none();
    match task.outcome {
        None if waits_again && stop => Some(TaskOutcome::Canceled),
        None => None,
        Some(outcome) => match task::after_end(outcome, task.attempt, stop) {
            Next::Done(outcome) => Some(outcome),
            Next::Retry(_) => None,
        },
    }
}

/// The runner class of a specification; plain classes have no slash.
pub(super) fn runner_class(spec: &JobSpec) -> Option<String> {
    spec.resource_class.clone().filter(|class| class.contains('/'))
}

/// The attempt that a node waits for, when it does.
pub(super) fn waiting_attempt(task: Option<&Task>) -> Option<u32> {
    let Some(task) = task else { return Some(1) };
    match task.outcome {
        None => task.runner.is_none().then_some(task.attempt.0),
        Some(outcome) => match task::after_end(outcome, task.attempt, false) {
            Next::Retry(attempt) => Some(attempt.0),
            Next::Done(_) => None,
        },
    }
}

impl Turn<'_, '_, '_> {
    pub(super) fn project(&self, of: &Job) -> Result<Project, Error> {
        let missing = || Error::Missing(format!("project {}", of.project));
        self.txn.project_get(of.project)?.ok_or_else(missing)
    }

    /// Puts a job into a state, tells it and writes it.
    pub(super) fn enter(&mut self, job: &mut Job, state: JobState) -> Result<(), Error> {
        job.state = state;
        if state == JobState::Queued && job.queued_at.is_none() {
            job.queued_at = Some(self.now);
        }
        if state.is_terminal() {
            job.stopped_at = Some(self.now);
        }
        self.txn.job_save(job)?;
        if state.is_terminal() {
            self.serial_settle(job)?;
        }
        let event = Event::JobChanged { job: job.id, workflow: job.workflow(), state };
        self.tell(job.project, &event)
    }

    /// Gives a serial group back that nothing of the job's lock holds any more.
    pub(super) fn serial_settle(&mut self, job: &Job) -> Result<(), Error> {
        let lock = job.lock();
        if self.core.board.serial_has(lock)
            && !holds_serial(&self.txn.job_list(job.workflow())?, lock)
        {
            self.core.board.serial_free(lock);
        }
        Ok(())
    }

    /// Moves a workflow as far as its jobs allow.
    pub(super) fn advance(&mut self, id: WorkflowId) -> Result<(), Error> {
        let Some(mut workflow) = self.txn.workflow_get(id)? else { return Ok(()) };
        let mut jobs = self.txn.job_list(id)?;
        let mut nodes = nodes(&jobs);
        let changes = graph::settle(&mut nodes, |index| self.gate(&workflow, &mut jobs[index]))?;
        for (index, state) in changes {
            self.enter(&mut jobs[index], state)?;
            if state == JobState::Queued {
                self.queue(&jobs[index])?;
            }
        }
        self.conclude(&mut workflow, &jobs)
    }

    /// What a build job enters when it is reached. A reason not to run it is noted in the job.
    fn gate(&mut self, workflow: &Workflow, job: &mut Job) -> Result<JobState, Error> {
        let project = self.project(job)?;
        if let Some(why) = self.context_refusal(job, &project)? {
            job.message = Some(why);
            return Ok(JobState::Unauthorized);
        }
        if let Some(JobSpec { executor: Executor::Unsupported { message }, .. }) =
            self.txn.job_spec(job.id)?
        {
            job.message = Some(message);
            return Ok(JobState::Failed);
        }
        if self.is_outrun(workflow, job, &project)? {
            job.message = Some("a newer pipeline of the project has its serial group".into());
            return Ok(JobState::NotRun);
        }
        Ok(JobState::Queued)
    }

    /// Reference: in a serial group, a job of a lower pipeline number than one that waits or runs
    /// in the same project is passed over.
    fn is_outrun(&self, workflow: &Workflow, job: &Job, project: &Project) -> Result<bool, Error> {
        let Some(name) = &job.serial_group else { return Ok(false) };
        let group = SerialGroup { org: project.repo.org().to_owned(), name: name.clone() };
        let board = &self.core.board;
        if board.serial().get(&group) == Some(&job.lock()) {
            return Ok(false);
        }
        let own = self.core.live.get(&workflow.id).map(|live| live.origin.number);
        let rivals = board.waiting().chain(board.leases().map(|lease| &lease.waiting));
        let is_newer = |rival: &Waiting| {
            let live = self.core.live.get(&family::workflow_of(rival.job));
            rival.project == job.project
                && rival.serial.as_ref() == Some(&group)
                && live.map(|live| live.origin.number) > own
        };
        Ok(rivals.into_iter().any(is_newer))
    }

    /// Puts all nodes of a job that wait on the board.
    pub(super) fn queue(&mut self, job: &Job) -> Result<(), Error> {
        let project = self.project(job)?;
        let spec = self.txn.job_spec(job.id)?;
        let class = spec.as_ref().and_then(runner_class);
        let newest = self.txn.task_list_newest(job.id)?;
        for node in 0..job.parallelism {
            let last = newest.iter().find(|task| task.node == node);
            if let Some(attempt) = waiting_attempt(last) {
                let waiting = waiting(job, &project, class.clone(), task_id(job, node, attempt));
                self.core.board.wait(waiting);
            }
        }
        Ok(())
    }

    /// Takes all nodes of a job that wait off the board.
    pub(super) fn withdraw(&mut self, job: &Job) -> Result<(), Error> {
        for id in self.core.board.waiting_of(job.project, job.id) {
            self.core.board.withdraw(job.project, id);
            if let Some(task) = self.txn.task_get(id)? {
                self.close_unreceived(task)?;
            }
        }
        Ok(())
    }

    /// Ends a task that was leased but never received: each lease told is followed by an end told.
    pub(super) fn close_unreceived(&mut self, mut task: Task) -> Result<(), Error> {
        let job = task.job();
        let outcome = TaskOutcome::Canceled;
        (task.outcome, task.stopped_at) = (Some(outcome), Some(self.now));
        self.txn.task_save(&task)?;
        let project = self.txn.job_get(job)?.map(|job| job.project);
        let event = Event::TaskEnded { task: task.id, job, attempt: task.attempt, outcome };
        self.txn.event_append(self.now, project, &event).map(drop)
    }

    /// Gives the workflow the state that follows from its jobs; at its end, frees what it had.
    pub(super) fn conclude(&mut self, workflow: &mut Workflow, jobs: &[Job]) -> Result<(), Error> {
        let states = jobs.iter().map(|job| job.state);
        let state = graph::state(states, workflow.canceled_by.is_some());
        if state == workflow.state {
            return Ok(());
        }
        workflow.state = state;
        if state.is_terminal() {
            workflow.stopped_at = Some(self.now);
            self.core.live.remove(&workflow.id);
        }
        self.txn.workflow_save(workflow)?;
        let event = Event::WorkflowChanged { workflow: workflow.id, state };
        self.tell(workflow.project, &event)?;
        self.rerun_by_itself(workflow, jobs)
    }

    fn rerun_by_itself(&mut self, workflow: &Workflow, jobs: &[Job]) -> Result<(), Error> {
        let by_hand = workflow.rerun_of.is_some() && workflow.started_by != AUTO_RERUN;
        let wanted = workflow.state == WorkflowState::Failed
            && workflow.canceled_by.is_none()
            && workflow.auto_rerun < workflow.max_auto_reruns;
        if !wanted || by_hand {
            return Ok(());
        }
        match self.rerun_planned(workflow, jobs, &Rerun::FromFailed, AUTO_RERUN) {
            Ok(_) => Ok(()),
            Err(crate::Error::Store(error)) => Err(error),
            // Refused, for example because it was rerun too often: it stays failed.
            Err(_) => Ok(()),
        }
    }
}

/// Whether the jobs of a lock have their serial group: from the first start of one until the job that
/// gives it back has ended, and all of them.
pub(super) fn holds_serial(jobs: &[Job], lock: JobId) -> bool {
    let is_over = jobs.iter().all(|job| job.id != lock || job.state.is_terminal());
    let begun = |job: &&Job| job.serial_group.is_some() && job.started_at.is_some();
    let own = jobs.iter().filter(|job| job.lock() == lock && job.origin.is_none());
    own.filter(begun).any(|job| !is_over || !job.state.is_terminal())
}

/// A task as the board keeps it.
pub(super) fn waiting(
    job: &Job,
    project: &Project,
    class: Option<String>,
    task: TaskId,
) -> Waiting {
    let serial = job
        .serial_group
        .as_ref()
        .map(|name| SerialGroup { org: project.repo.org().to_owned(), name: name.clone() });
    Waiting {
        task,
        job: job.id,
        project: job.project,
        class,
        serial,
        lock: job.lock(),
        jobs_max: project.settings.jobs_max,
        since: job.queued_at.unwrap_or(job.created_at),
    }
}
