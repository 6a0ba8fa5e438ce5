//! What a job has to tell, kept until the control side has taken it.
//!
//! Why: the job never waits for the link. Output lies in its step's file, reports in the journal;
//! both leave through two lanes of their own, so that a line of output need not wait for the
//! control side to commit a report.
//! Invariants: reports leave in order and by number; the end of a step leaves after all of its
//! output; after [`Delivered::Lost`] nothing leaves any more.
//! On failure: a lost link is tried again, ever more slowly, for as long as the job's folder
//! stands. A journal that cannot be written costs the memory of a restart, not the job.

use crate::{
    folder::{Folder, private},
    journal::{Entry, Journal, Memory},
    mask::Patterns,
};
use base::protocol::{Held, Progress, Verdict};
use std::{
    collections::{BTreeMap, VecDeque},
    io::Write,
    sync::{Mutex, MutexGuard, PoisonError},
};
use tokio::sync::watch;

mod lanes;
mod patience;

pub(crate) use lanes::Delivered;
pub(crate) use patience::Patience;

/// What one job has to tell.
pub(crate) struct Outbox {
    folder: Folder,
    held: Held,
    patterns: Patterns,
    state: Mutex<State>,
    /// The end of the task was taken before a restart.
    is_over: bool,
    /// Counts changes, so that the lanes wake.
    changed: watch::Sender<u64>,
    /// What the control side answered last.
    heard: watch::Sender<Verdict>,
}

struct State {
    journal: Journal,
    /// Reports not yet taken; the first has the number `first`.
    reports: VecDeque<Progress>,
    first: u64,
    outputs: BTreeMap<u32, Output>,
    /// A part of this step's output is on its way.
    sending: Option<u32>,
}

/// How much of a step's output there is, and how much was taken.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Output {
    length: u64,
    taken: u64,
}

impl Outbox {
    /// The outbox of the task `held`, continuing where `memory` left off.
    #[must_use]
    pub(crate) fn new(
        folder: Folder,
        held: Held,
        patterns: Patterns,
        journal: Journal,
        memory: &Memory,
    ) -> Self {
        let taken = usize::try_from(memory.reports_taken).unwrap_or(usize::MAX);
        let reports = memory.reports.iter().skip(taken).cloned().collect();
        let outputs = step_numbers(&memory.reports)
            .map(|step| (step, found(&folder, memory, step)))
            .collect();
        let is_over = matches!(memory.reports.last(), Some(Progress::Ended { .. }))
            && taken >= memory.reports.len();
        let state = State { journal, reports, first: memory.reports_taken, outputs, sending: None };
        Self {
            folder,
            held,
            patterns,
            state: Mutex::new(state),
            is_over,
            changed: watch::Sender::new(0),
            heard: watch::Sender::new(Verdict::Keep),
        }
    }

    /// Adds a report.
    pub(crate) fn report(&self, progress: Progress) {
        let mut state = self.state();
        state.note(&Entry::Report(progress.clone()));
        state.reports.push_back(progress);
        drop(state);
        self.wake();
    }

    /// Remembers something that the control side need not know.
    pub(crate) fn note(&self, entry: &Entry) {
        self.state().note(entry);
    }

    /// Adds text of the runner's own to a step's output.
    pub(crate) fn say(&self, step: u32, text: &str) {
        let masked = self.patterns.mask(text);
        let path = self.folder.output(step);
        if let Err(error) = private(&path).and_then(|mut file| file.write_all(masked.as_bytes())) {
            tracing::warn!(path = %path.display(), %error, "could not write step output");
            return;
        }
        let length = std::fs::metadata(&path).map_or(0, |file| file.len());
        self.grown(step, length);
    }

    /// A step's output has become this long.
    pub(crate) fn grown(&self, step: u32, length: u64) {
        let mut state = self.state();
        let output = state.outputs.entry(step).or_default();
        output.length = output.length.max(length);
        drop(state);
        self.wake();
    }

    /// How long a step's output is.
    #[must_use]
    pub(crate) fn length(&self, step: u32) -> u64 {
        self.state().outputs.get(&step).map_or(0, |output| output.length)
    }

    /// The text with this job's secrets hidden.
    #[must_use]
    pub(crate) fn masked(&self, text: &str) -> String {
        self.patterns.mask(text)
    }

    /// The task and its fence.
    #[must_use]
    pub(crate) const fn held(&self) -> Held {
        self.held
    }

    /// Whether an answer to a report said that the job is to stop. Sooner than a heartbeat's: a job
    /// that is canceled between two steps does not begin the next.
    #[must_use]
    pub(crate) fn is_canceled(&self) -> bool {
        *self.heard.borrow() == Verdict::Cancel
    }

    /// Waits for such an answer.
    pub(crate) async fn canceled(&self) {
        // The sender lives here and cannot be gone.
        let _ = self.heard.subscribe().wait_for(|heard| *heard == Verdict::Cancel).await;
    }

    fn wake(&self) {
        self.changed.send_modify(|count| *count = count.wrapping_add(1));
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn note(&mut self, entry: &Entry) {
        if let Err(error) = self.journal.append(entry) {
            tracing::warn!(%error, "a restart of the runner will not remember this");
        }
    }
}

fn step_numbers(reports: &[Progress]) -> impl Iterator<Item = u32> + '_ {
    reports.iter().filter_map(|progress| match progress {
        Progress::StepStarted { step, .. } => Some(*step),
        _ => None,
    })
}

fn found(folder: &Folder, memory: &Memory, step: u32) -> Output {
    Output {
        length: std::fs::metadata(folder.output(step)).map_or(0, |file| file.len()),
        taken: memory.output_taken.get(&step).copied().unwrap_or(0),
    }
}
