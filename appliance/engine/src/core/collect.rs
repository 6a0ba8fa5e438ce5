//! What runners tell, and what follows when they fall silent.

use super::{
    Turn,
    flow::{node_outcome, task_id, waiting},
};
use crate::{Error, command::Asking, logs::Tail};
use base::{
    event::Event,
    ids::{Fence, TaskId},
    limits::LEASE,
    protocol::{Progress, Refusal, Report, Reported, Verdict},
    state::{JobState, StepState, TaskOutcome},
    time::Timestamp,
    units::Bytes,
};
use control::governor::learned::PEAKS_MAX;
use control::task::{Next, after_end, job_result};
use std::collections::BTreeMap;
use store::runs::{Job, Step, Task, family};

/// How a task ended.
struct End {
    outcome: TaskOutcome,
    message: Option<String>,
    peak_memory: Option<u64>,
    at: Timestamp,
}

/// What one report changes. Of each step only what it has become is written and told: what was
/// never committed did not happen.
#[derive(Default)]
struct Changed {
    steps: BTreeMap<u32, Step>,
    end: Option<End>,
}

impl Turn<'_, '_, '_> {
    /// A report, and the rest of the output of the steps that it ends.
    pub(super) fn report_with(
        &mut self,
        report: &Report,
        tails: &[Tail],
    ) -> Result<Reported, Error> {
        let reported = self.report(report)?;
        for tail in tails {
            tail.save(self.txn)?;
        }
        Ok(reported)
    }

    /// A report. Whoever ends a task may take the next at once: one commit, and one answer.
    pub(super) fn report(&mut self, report: &Report) -> Result<Reported, Error> {
        let holder = |turn: &Self| {
            turn.core.board.holder(report.task, report.fence).map(|lease| lease.runner)
        };
        let runner = holder(self);
        let verdict = self.take(report)?;
        let is_over = holder(self).is_none();
        let next = match runner.filter(|_| is_over && report.wants_next) {
            Some(runner) => self.assign(Asking { runner, free: 1 })?.pop(),
            None => None,
        };
        Ok(Reported { verdict, next: next.map(Box::new) })
    }

    fn take(&mut self, report: &Report) -> Result<Verdict, Error> {
        let Some(mut task) = self.txn.task_get(report.task)? else {
            return Err(Refusal::Fenced.into());
        };
        let after = report.first.saturating_add(report.progress.len() as u64);
        if task.fence == report.fence && task.stopped_at.is_some() && after <= task.next_report {
            // The answer to the last report was lost, and it is told again.
            return Ok(Verdict::Keep);
        }
        if self.core.board.holder(report.task, report.fence).is_none() {
            return Err(Refusal::Fenced.into());
        }
        if report.first > task.next_report {
            return Err(Refusal::Gap { expected: task.next_report }.into());
        }
        let verdict = self.core.board.renew(task.id, task.fence, None, self.now.plus(LEASE));
        let job = self.txn.job_get(task.job())?.ok_or(Error::Missing("Job"))?;
        let seen = usize::try_from(task.next_report - report.first).unwrap_or(usize::MAX);
        let mut changed = Changed::default();
        for progress in report.progress.iter().skip(seen) {
            if changed.end.is_none() {
                self.progress(&mut changed, &mut task, progress)?;
            }
            task.next_report += 1;
        }
        for step in changed.steps.values() {
            self.step(&job, step)?;
        }
        match changed.end {
            Some(end) => self.task_end(job, task, end)?,
            None => self.txn.task_save(&task)?,
        }
        Ok(verdict)
    }

    fn progress(
        &mut self,
        changed: &mut Changed,
        task: &mut Task,
        progress: &Progress,
    ) -> Result<(), store::Error> {
        match progress {
            Progress::Started { at } => task.started_at = Some(*at),
            Progress::StepStarted { step, name, at, background } => {
                let begun = step_begun(task.id, *step, name.clone(), *at, *background);
                changed.steps.insert(*step, begun);
            }
            Progress::StepEnded { step, state, exit_code, at, output_bytes, .. } => {
                let begun = match changed.steps.remove(step) {
                    Some(begun) => Some(begun),
                    None => self.txn.step_get(task.id, *step)?,
                };
                let mut ended =
                    begun.unwrap_or_else(|| step_begun(task.id, *step, String::new(), *at, false));
                (ended.state, ended.exit_code) = (*state, *exit_code);
                (ended.stopped_at, ended.output_bytes) = (Some(*at), *output_bytes);
                changed.steps.insert(*step, ended);
            }
            Progress::Artifact { path, key, size } => {
                self.txn.artifact_save(task.id, path, key, *size)?;
            }
            Progress::Tests { tests } => self.txn.tests_save(task.id, task.next_report, tests)?,
            Progress::Ended { outcome, message, peak_memory, at } => {
                let (message, peak_memory) = (message.clone(), *peak_memory);
                changed.end = Some(End { outcome: *outcome, message, peak_memory, at: *at });
            }
        }
        Ok(())
    }

    fn step(&mut self, job: &Job, step: &Step) -> Result<(), store::Error> {
        self.txn.step_save(step)?;
        let event =
            Event::StepChanged { task: step.task, job: job.id, step: step.step, state: step.state };
        self.tell(job.project, &event)
    }

    /// Ends a task; retries it, or lets its job and workflow go on.
    fn task_end(&mut self, job: Job, mut task: Task, end: End) -> Result<(), store::Error> {
        self.steps_close(&job, task.id, end.at)?;
        (task.outcome, task.stopped_at) = (Some(end.outcome), Some(end.at));
        (task.message, task.peak_memory) = (end.message, end.peak_memory);
        if let Some(peak) = end.peak_memory {
            let of = (job.project, job.name.as_str());
            self.txn.job_peak_learn(of, task.id, Bytes(peak), PEAKS_MAX)?;
        }
        self.txn.task_save(&task)?;
        self.core.board.release(task.id);
        let event = Event::TaskEnded {
            task: task.id,
            job: job.id,
            attempt: task.attempt,
            outcome: end.outcome,
        };
        self.tell(job.project, &event)?;
        let stop = job.decided_by.is_some();
        match after_end(end.outcome, task.attempt, stop) {
            Next::Retry(attempt) => self.node_again(job, task_id_of(&task, attempt.0)),
            Next::Done(_) => self.node_done(job, &task, stop),
        }
    }

    /// Steps that were still open when their task ended were stopped with it.
    fn steps_close(&mut self, job: &Job, task: TaskId, at: Timestamp) -> Result<(), store::Error> {
        for mut step in self.txn.step_list(task)? {
            if step.state == StepState::Running {
                (step.state, step.stopped_at) = (StepState::Canceled, Some(at));
                self.step(job, &step)?;
            }
        }
        Ok(())
    }

    /// A node waits again: for its next attempt, or because its runner never received it.
    fn node_again(
        &mut self,
        mut job: Job,
        make: impl FnOnce(&Job) -> TaskId,
    ) -> Result<(), store::Error> {
        let project = self.project(&job)?;
        let spec = self.txn.job_spec(job.id)?;
        let class = spec.as_ref().and_then(super::flow::runner_class);
        let task = make(&job);
        self.core.board.wait(waiting(&job, &project, class, task));
        self.back_to_queue(&mut job)
    }

    fn back_to_queue(&mut self, job: &mut Job) -> Result<(), store::Error> {
        if self.holds_lease(job) || job.state != JobState::Running {
            return Ok(());
        }
        self.enter(job, JobState::Queued)
    }

    /// A node is through; the job ends with its last one.
    fn node_done(&mut self, mut job: Job, task: &Task, stop: bool) -> Result<(), store::Error> {
        let newest = self.txn.task_list_newest(job.id)?;
        let of_node = |node| newest.iter().find(|task| task.node == node);
        let outcomes = (0..job.parallelism).map(|node| node_outcome(of_node(node), stop));
        let Some(state) = job_result(outcomes) else {
            return self.back_to_queue(&mut job);
        };
        if job.message.is_none() {
            let failed = |task: &&Task| task.outcome != Some(TaskOutcome::Success);
            let told = newest.iter().filter(failed).find_map(|task| task.message.clone());
            job.message = told.or_else(|| task.message.clone());
        }
        self.enter(&mut job, state)?;
        self.advance(job.workflow())
    }

    pub(super) fn lost(&mut self, task: TaskId, fence: Fence) -> Result<(), Error> {
        if self.core.board.holder(task, fence).is_some() {
            self.lose(task, "its runner does not know of it any more")?;
        }
        Ok(())
    }

    /// Ends a leased task whose runner is gone.
    fn lose(&mut self, id: TaskId, why: &str) -> Result<(), store::Error> {
        let missing = || store::Error::Missing(format!("task {id}"));
        let task = self.txn.task_get(id)?.ok_or_else(missing)?;
        let job = self.txn.job_get(task.job())?.ok_or_else(missing)?;
        tracing::warn!(task.id = %id, task.attempt = task.attempt.0, "a task was lost: {why}");
        let message = Some(format!("attempt {} was lost: {why}", task.attempt));
        let outcome = TaskOutcome::InfrastructureFail;
        self.task_end(job, task, End { outcome, message, peak_memory: None, at: self.now })
    }

    /// Gives up the task that was leased last: it runs again when the machine allows.
    pub(super) fn give_up(&mut self, why: &str) -> Result<(), Error> {
        let youngest = self.core.board.youngest().map(|lease| lease.waiting.task);
        match youngest {
            Some(task) => Ok(self.lose(task, why)?),
            None => Ok(()),
        }
    }

    /// The runner never saw the task: the same attempt waits again, under a new fence to come.
    pub(super) fn undelivered(&mut self, id: TaskId, fence: Fence) -> Result<(), Error> {
        if self.core.board.holder(id, fence).is_none() {
            return Ok(());
        }
        let mut task = self.txn.task_get(id)?.ok_or(Error::Missing("Task"))?;
        let mut job = self.txn.job_get(task.job())?.ok_or(Error::Missing("Job"))?;
        self.core.board.release(id);
        task.runner = None;
        self.txn.task_save(&task)?;
        if job.decided_by.is_some() {
            self.close_unreceived(task.clone())?;
            return Ok(self.node_done(job, &task, true)?);
        }
        if job.started_at == Some(task.leased_at) && !self.holds_lease(&job) {
            // As if it had never been given out, its serial group included.
            job.started_at = None;
            self.txn.job_save(&job)?;
            self.serial_settle(&job)?;
        }
        Ok(self.node_again(job, |_| id)?)
    }

    /// Looks for leases and waits that are over.
    pub(super) fn sweep(&mut self) -> Result<(), Error> {
        for task in self.core.board.expired(self.now) {
            self.lose(task, "its runner was not heard for the length of a lease")?;
        }
        for task in self.core.board.overdue(self.now) {
            self.overdue(task)?;
        }
        Ok(())
    }

    fn overdue(&mut self, task: TaskId) -> Result<(), Error> {
        let Some(mut job) = self.txn.job_get(family::job_of(task))? else { return Ok(()) };
        if job.state != JobState::Queued {
            return Ok(());
        }
        job.message = Some("waited too long for its serial group".into());
        self.withdraw(&job)?;
        self.enter(&mut job, JobState::Canceled)?;
        Ok(self.advance(job.workflow())?)
    }
}

fn task_id_of(task: &Task, attempt: u32) -> impl FnOnce(&Job) -> TaskId {
    let node = task.node;
    move |job| task_id(job, node, attempt)
}

fn step_begun(task: TaskId, step: u32, name: String, at: Timestamp, background: bool) -> Step {
    Step {
        task,
        step,
        name,
        background,
        state: StepState::Running,
        exit_code: None,
        started_at: at,
        stopped_at: None,
        output_bytes: 0,
    }
}
