//! Slower, still, and on again.
//!
//! Why here: only the supervisor owns the sandbox, and its clocks must stand while the job does.
//! Invariants: time in which the job stands still is neither silence nor running time; what was
//! asked for meanwhile is done afterwards, in order; the log of every living run tells both ends
//! of a pause; a pause ends with the sandbox.
//! On failure: on a host without a freezer nothing stands still; the quota is then all there is.

use super::{Supervisor, chain, wire::Event};
use std::time::{Duration, Instant};

impl Supervisor {
    pub(super) fn freeze(&mut self, why: &str) {
        if self.frozen_since.is_some() {
            return;
        }
        let Some(sandbox) = &mut self.sandbox else { return };
        if let Err(error) = sandbox.freeze() {
            tracing::warn!(error = chain(&error), "the job could not be paused");
            return;
        }
        self.frozen_since = Some(Instant::now());
        self.say(&format!("\nPaused: {why}\n"));
        self.tell(Event::Frozen(true));
    }

    pub(super) fn thaw(&mut self) {
        if self.frozen_since.is_none() {
            return;
        }
        let Some(sandbox) = &mut self.sandbox else { return };
        if let Err(error) = sandbox.thaw() {
            tracing::warn!(error = chain(&error), "the job could not be let go on");
            return;
        }
        self.resume();
    }

    /// The clocks go on, and what was asked for in a pause is done.
    pub(super) fn resume(&mut self) {
        let Some(since) = self.frozen_since.take() else { return };
        let paused = since.elapsed();
        self.deadline = self.deadline.map(|deadline| deadline + paused);
        for run in &mut self.runs {
            let last_output = run.last_output();
            run.clock.thawed(last_output, paused);
        }
        self.say(&format!("\nResumed after {}\n", told(paused)));
        self.tell(Event::Frozen(false));
        for request in std::mem::take(&mut self.held_back) {
            self.carry_out(request);
        }
    }

    /// The class's own limit stays the most there is.
    pub(super) fn limit_cpu(&mut self, millis: Option<u32>) {
        let Some(sandbox) = &mut self.sandbox else { return };
        let own = self.cpu_millis;
        let limit = match (millis, own) {
            (Some(asked), Some(own)) => Some(asked.min(own)),
            (asked, own) => asked.or(own),
        };
        if let Err(error) = sandbox.set_cpu_millis(limit) {
            tracing::warn!(error = chain(&error), "the job's CPU time could not be limited");
        }
    }

    /// A line in the log of every run that lives.
    fn say(&mut self, text: &str) {
        let spools =
            self.runs.iter_mut().filter_map(|run| Some((run.id.step, run.spool.as_mut()?)));
        let grown: Vec<_> =
            spools.filter_map(|(step, spool)| Some(Event::Grown(step, spool.say(text)?))).collect();
        grown.into_iter().for_each(|event| self.tell(event));
    }
}

/// Whole seconds, as people say them.
fn told(span: Duration) -> String {
    match span.as_secs() {
        seconds @ 0..=119 => format!("{seconds} s"),
        seconds => format!("{} min {} s", seconds / 60, seconds % 60),
    }
}
