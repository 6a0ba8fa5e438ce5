//! How a job is stopped, what becomes of its background steps, and its last report.

use super::{Job, Order, StepEnd, StepError, now};
use crate::{
    control_plane::ControlPlane,
    outbox::Delivered,
    supervised::Gone,
    supervisor::wire::{End, How, Request, RunId, View},
    walk::Item,
};
use base::{
    protocol::Progress,
    state::{StepState, TaskOutcome},
};
use std::{sync::OnceLock, time::Duration};
use tokio::sync::watch;

/// What a canceled job's programs have to put things in order.
const CANCEL_GRACE: Duration = Duration::from_secs(10);

/// What background steps have at the job's end.
const BACKGROUND_GRACE: Duration = Duration::from_millis(500);

/// The supervisor keeps the job's time; this is for a step of our own that hangs meanwhile.
const OVERTIME_GRACE: Duration = Duration::from_secs(5);

/// The time of a job, over all its steps.
#[derive(Default)]
pub(super) struct Clock {
    /// The supervisor counts from here on.
    begun: watch::Sender<bool>,
    over: watch::Sender<bool>,
}

/// Counts a job among those that are over and tell so, until it is dropped. Whoever stops the runner
/// gives them a moment: a supervisor whose job is over for everybody else would wait for the next runner.
#[derive(Default)]
pub(crate) struct Telling {
    jobs: watch::Sender<usize>,
    counts: OnceLock<()>,
}

impl Telling {
    /// For one more job of those that `jobs` counts.
    pub(crate) fn among(jobs: &watch::Sender<usize>) -> Self {
        Self { jobs: jobs.clone(), counts: OnceLock::new() }
    }

    pub(super) fn begin(&self) {
        if self.counts.set(()).is_ok() {
            self.jobs.send_modify(|jobs| *jobs += 1);
        }
    }
}

impl Drop for Telling {
    fn drop(&mut self) {
        if self.counts.get().is_some() {
            self.jobs.send_modify(|jobs| *jobs -= 1);
        }
    }
}

impl<C: ControlPlane> Job<C> {
    /// Ends when the job is to stop, and then stops it.
    pub(super) async fn stopped(&self) -> StepEnd {
        let mut orders = self.orders.clone();
        let outcome = tokio::select! {
            _ = orders.wait_for(|order| *order == Order::Cancel) => TaskOutcome::Canceled,
            () = self.outbox.canceled() => TaskOutcome::Canceled,
            () = self.overtime() => TaskOutcome::TimedOut,
        };
        // A supervisor that is gone has stopped everything.
        let _ = self.stop_all(CANCEL_GRACE).await;
        self.state().cut = Some(outcome);
        let state = if outcome == TaskOutcome::Canceled {
            StepState::Canceled
        } else {
            StepState::TimedOut
        };
        StepEnd { state, exit_code: None }
    }

    /// Counts the job's time; that of finding its image is bounded alike, and apart.
    pub(super) async fn keep_time(&self) -> Delivered {
        let span = self.assignment.runtime_max + OVERTIME_GRACE;
        let mut begun = self.clock.begun.subscribe();
        tokio::select! {
            () = self.unpaused(span) => {}
            _ = begun.changed() => self.unpaused(span).await,
        }
        self.clock.over.send_replace(true);
        std::future::pending().await
    }

    /// From here on the job's time counts.
    pub(crate) fn time_begins(&self) {
        self.clock.begun.send_if_modified(|begun| !std::mem::replace(begun, true));
    }

    async fn overtime(&self) {
        // The sender lives here and cannot be gone.
        let _ = self.clock.over.subscribe().wait_for(|over| *over).await;
    }

    /// Ends every run and waits until all have ended.
    async fn stop_all(&self, grace: Duration) -> Result<(), Gone> {
        for run in living(&self.supervised.view(), |_| true) {
            self.supervised.ask(&Request::Stop { run, grace }).await?;
        }
        self.supervised.until(|view| living(view, |_| true).is_empty().then_some(())).await
    }

    /// A step of our own that was begun by a runner before us is done again; what is left of it
    /// must not be in the way.
    pub(super) async fn end_cut_short(
        &self,
        number: u32,
        item: &Item<'_>,
    ) -> Result<(), StepError> {
        match item {
            Item::Entry(_) | Item::Service(..) => return Ok(()),
            Item::Step(step) if matches!(step.action, base::plan::Action::Run(_)) => return Ok(()),
            _ => {}
        }
        let of_step = |run: RunId| run.step == number;
        for run in living(&self.supervised.view(), of_step) {
            self.supervised.ask(&Request::Stop { run, grace: Duration::ZERO }).await?;
        }
        Ok(self.supervised.until(|view| living(view, of_step).is_empty().then_some(())).await?)
    }

    /// Steps in the background that were begun before and not ended.
    pub(super) fn remember_background(&self, reports: &[Progress]) {
        let mut state = self.state();
        for report in reports {
            match report {
                Progress::StepStarted { step, background: true, .. } => state.beside.push(*step),
                Progress::StepEnded { step, .. } => state.beside.retain(|other| other != step),
                _ => {}
            }
        }
    }

    /// Reports background steps that have ended by themselves.
    pub(super) fn end_background_steps(&self) {
        let view = self.supervised.view();
        let beside = self.state().beside.clone();
        for step in beside {
            if let Some(Some(end)) = view.runs.get(&RunId { step, nth: 0 }) {
                self.end_background_step(step, end);
            }
        }
    }

    fn end_background_step(&self, step: u32, end: &End) {
        if end.oom_kills > 0 && !matches!(end.how, How::Code(0)) {
            self.tell_out_of_memory(step, end);
        }
        let (state, exit_code) = match &end.how {
            How::Code(0) => (StepState::Success, Some(0)),
            How::Code(code) => {
                self.outbox.say(step, &format!("\nExited with code exit status {code}\n"));
                (StepState::Failed, Some(*code))
            }
            How::Signal(signal) => (StepState::Failed, Some(128 + signal)),
            // Ended with its job, as such a step is meant to.
            How::Stopped => (StepState::Success, None),
            How::Idle => {
                self.outbox.say(step, "\nToo long with no output (see `no_output_timeout`)\n");
                (StepState::TimedOut, None)
            }
            How::Overtime => (StepState::TimedOut, None),
            How::DiskFull { .. } | How::DiskShort { .. } | How::FilesShort { .. } => {
                (StepState::Failed, None)
            }
            How::NotStarted { message } => {
                self.outbox.say(step, &format!("{message}\n"));
                (StepState::Failed, None)
            }
            How::Lost => (StepState::Failed, None),
        };
        self.state().beside.retain(|other| *other != step);
        self.end_step(step, &StepEnd { state, exit_code });
    }

    /// Ends what still runs and reports the end of the task.
    pub(super) async fn end(&self, walked: TaskOutcome) {
        let _ = self.stop_all(BACKGROUND_GRACE).await;
        self.end_background_steps();
        let left = std::mem::take(&mut self.state().beside);
        for step in left {
            self.end_step(step, &StepEnd { state: StepState::Canceled, exit_code: None });
        }
        let state = self.state();
        let outcome = state.cut.unwrap_or(walked);
        let (message, peak_memory) = (state.message.clone(), state.peak_memory);
        drop(state);
        let message = message.map(|text| self.outbox.masked(&text));
        self.outbox.report(Progress::Ended { outcome, message, peak_memory, at: now() });
    }
}

fn living(view: &View, which: impl Fn(RunId) -> bool) -> Vec<RunId> {
    let ends = view.runs.iter().filter(|(run, end)| end.is_none() && which(**run));
    ends.map(|(run, _)| *run).collect()
}
