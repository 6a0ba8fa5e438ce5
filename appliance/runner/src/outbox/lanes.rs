//! The two lanes on which reports and output leave.

use super::{Outbox, Output, Patience, State};
use crate::{
    control_plane::{ControlPlane, Trouble},
    journal::Entry,
};
use base::{
    limits::OUTPUT_FRAME_MAX,
    protocol::{Assignment, Progress, Refusal, Report, Reported, Verdict},
};
use bytes::Bytes;
use std::{fs::File, io, os::unix::fs::FileExt, time::Duration};
use tokio::{
    sync::watch,
    time::{Instant, timeout_at},
};

/// Reports in one request, and their bytes: test results may be large, and a request should not be.
/// One alone may be larger; who adds it keeps it within what the control side accepts.
const REPORTS_AT_ONCE: usize = 64;
const REPORT_BYTES: usize = 4 << 20;

/// Frames that are not full leave at most this often: a flood then goes in few full frames, while
/// a single line leaves at once.
const FRAME_SPACING: Duration = Duration::from_millis(2);

/// Between full frames of a step that goes on the lane rests for so many times as long as the last
/// one took: what a flood costs the other side, it takes from the job that prints on the same
/// machine, and the log keeps on disk until there is time for it. Once the step has ended, the rest
/// leaves as fast as it is taken.
const FLOOD_REST: u32 = 3;
const FLOOD_REST_MAX: Duration = Duration::from_millis(50);

/// What is left of the output of steps that ended goes with the report of their end up to here: a
/// short step then costs one request, not two.
const REST_MAX: u64 = 4 << 10;

/// How long a report waits for the next: each is a commit on the other side, and a short job is told
/// in one. A step is seen this much later at most; its output and the end of a job do not wait.
const GATHER: Duration = Duration::from_millis(50);

/// How a delivery ended.
#[derive(Debug)]
pub(crate) enum Delivered {
    /// The control side knows the end of the task, and may have given another in its place.
    All(Option<Box<Assignment>>),
    /// The task is not this runner's any more.
    Lost,
}

impl Outbox {
    /// Delivers until the end of the task was taken or the task was lost.
    pub(crate) async fn deliver(&self, control: &impl ControlPlane, wants_next: bool) -> Delivered {
        if self.is_over {
            return Delivered::All(None);
        }
        tokio::select! {
            end = self.deliver_reports(control, wants_next) => end,
            end = self.deliver_output(control) => end,
        }
    }

    async fn deliver_reports(&self, control: &impl ControlPlane, wants_next: bool) -> Delivered {
        let mut changes = self.changed.subscribe();
        let mut patience = Patience::default();
        loop {
            if !self.is_report_due() {
                changed(&mut changes).await;
                continue;
            }
            self.gather(&mut changes).await;
            let Some(mut report) = self.reports_due() else { continue };
            let next = report.first + report.progress.len() as u64;
            let ended = matches!(report.progress.last(), Some(Progress::Ended { .. }));
            report.wants_next = ended && wants_next;
            match control.report(&report).await {
                Ok(Reported { verdict: Verdict::Lost, .. }) => return Delivered::Lost,
                Ok(reported) => {
                    patience = Patience::default();
                    self.reports_taken(next);
                    if ended {
                        return Delivered::All(reported.next);
                    }
                    let verdict = reported.verdict;
                    self.heard
                        .send_if_modified(|heard| std::mem::replace(heard, verdict) != verdict);
                }
                // Taken before, and the answer was lost.
                Err(Trouble::Refused(Refusal::Gap { expected })) if expected > report.first => {
                    let all = ended && expected >= next;
                    self.reports_taken(expected);
                    if all {
                        return Delivered::All(None);
                    }
                }
                // Its end is sent again once the output was.
                Err(Trouble::Refused(Refusal::OutputMissing { step, expected })) => {
                    self.output_wanted(step, expected);
                }
                // Results that nobody takes cost the results, not the job.
                Err(Trouble::Rejected { message }) if self.give_up_tests(&message) => {}
                Err(trouble) if is_final(&trouble) => {
                    tracing::warn!(task = %self.held.task, error = trouble.told(), "the task is given up");
                    return Delivered::Lost;
                }
                Err(trouble) => patience.wait(&trouble).await,
            }
        }
    }

    /// Waits a moment for what belongs in the same report; each is a commit on the other side.
    async fn gather(&self, changes: &mut watch::Receiver<u64>) {
        let until = Instant::now() + GATHER;
        while !self.is_complete() && timeout_at(until, changed(changes)).await.is_ok() {}
    }

    /// The last report is here and nothing holds it back: there is nothing to wait for.
    fn is_complete(&self) -> bool {
        let state = self.state();
        matches!(state.reports.back(), Some(Progress::Ended { .. }))
            && state.reports.iter().all(|progress| state.may_leave(progress))
    }

    async fn deliver_output(&self, control: &impl ControlPlane) -> Delivered {
        let mut changes = self.changed.subscribe();
        let mut patience = Patience::default();
        let mut last = Instant::now() - FRAME_SPACING;
        let mut rested = last;
        loop {
            let Some((step, output)) = self.output_due() else {
                changed(&mut changes).await;
                continue;
            };
            if output.length - output.taken < OUTPUT_FRAME_MAX as u64 {
                tokio::time::sleep_until(last + FRAME_SPACING).await;
            } else {
                self.rest(step, rested, &mut changes).await;
            }
            // More may have come meanwhile, or its end has taken it along.
            let Some((step, output)) = self.output_due() else { continue };
            let frame = match self.frame(step, output) {
                Ok(frame) => frame,
                Err(error) => {
                    tracing::error!(task = %self.held.task, step, %error, "spooled output is lost");
                    self.output_taken(step, output.length);
                    continue;
                }
            };
            last = Instant::now();
            let end = output.taken + frame.len() as u64;
            self.sending(Some(step));
            let sent = control.output(self.held, step, output.taken, frame).await;
            self.sending(None);
            match sent {
                Ok(()) => {
                    rested = Instant::now() + rest_after(last.elapsed());
                    patience = Patience::default();
                    self.output_taken(step, end);
                }
                Err(Trouble::Refused(Refusal::Gap { expected })) if expected != output.taken => {
                    self.output_taken(step, expected);
                }
                Err(Trouble::Rejected { message }) => {
                    tracing::error!(task = %self.held.task, step, message, "step output was rejected");
                    self.output_taken(step, output.length);
                }
                Err(trouble) if is_final(&trouble) => return Delivered::Lost,
                Err(trouble) => patience.wait(&trouble).await,
            }
        }
    }

    fn is_report_due(&self) -> bool {
        let state = self.state();
        state.reports.front().is_some_and(|progress| state.may_leave(progress))
    }

    /// The reports that may leave now: up to the first whose step has more output still here than it
    /// takes along.
    fn reports_due(&self) -> Option<Report> {
        let state = self.state();
        let mut room = REST_MAX;
        let due = state.reports.iter().take_while(|progress| {
            let left = state.left(progress).filter(|left| *left <= room);
            room -= left.unwrap_or(0);
            left.is_some()
        });
        let mut bytes = 0;
        let fits = |progress: &&Progress| {
            let first = bytes == 0;
            bytes += size(progress);
            first || bytes <= REPORT_BYTES
        };
        let mut progress: Vec<Progress> =
            due.take(REPORTS_AT_ONCE).take_while(fits).cloned().collect();
        let first = state.first;
        drop(state);
        progress.iter_mut().for_each(|progress| self.rest_add(progress));
        let (task, fence) = (self.held.task, self.held.fence);
        (!progress.is_empty()).then_some(Report { task, fence, first, progress, wants_next: false })
    }

    /// Adds what is left of the output of a step that ends; the other side asks for what is missing.
    fn rest_add(&self, progress: &mut Progress) {
        let Progress::StepEnded { step, output_bytes, rest, .. } = progress else { return };
        let output = Output { length: *output_bytes, ..self.output_of(*step) };
        if output.taken < output.length
            && let Ok(frame) = self.frame(*step, output)
            && frame.len() as u64 == output.length - output.taken
        {
            *rest = frame.into();
        }
    }

    /// Empties the first test results that wait, so that the rest can be told; false when there are
    /// none. Its number stays, because the control side counts.
    fn give_up_tests(&self, why: &str) -> bool {
        let mut state = self.state();
        let held = |progress: &&mut Progress| matches!(progress, Progress::Tests { tests } if !tests.is_empty());
        let Some(Progress::Tests { tests }) = state.reports.iter_mut().find(held) else {
            return false;
        };
        let lost = std::mem::take(tests).len();
        drop(state);
        tracing::error!(task = %self.held.task, lost, why, "test results were rejected and are not kept");
        true
    }

    fn reports_taken(&self, next: u64) {
        let mut state = self.state();
        let count = usize::try_from(next.saturating_sub(state.first)).unwrap_or(usize::MAX);
        let count = count.min(state.reports.len());
        let State { reports, outputs, .. } = &mut *state;
        for progress in reports.drain(..count) {
            if let Progress::StepEnded { step, output_bytes, .. } = progress {
                outputs.entry(step).or_default().taken = output_bytes;
            }
        }
        state.first += count as u64;
        let first = state.first;
        state.note(&Entry::ReportsTaken(first));
    }

    /// Waits until a time, or until the step has ended.
    async fn rest(&self, step: u32, until: Instant, changes: &mut watch::Receiver<u64>) {
        while self.goes_on(step) {
            if timeout_at(until, changed(changes)).await.is_err() {
                return;
            }
        }
    }

    /// Whether a step has not ended as far as is known here.
    fn goes_on(&self, step: u32) -> bool {
        let ends = |progress: &Progress| matches!(progress, Progress::StepEnded { step: of, .. } if *of == step);
        !self.state().reports.iter().any(ends)
    }

    /// The latest step with output first: somebody may be watching it.
    fn output_due(&self) -> Option<(u32, Output)> {
        let state = self.state();
        state
            .outputs
            .iter()
            .rev()
            .find(|(step, output)| output.taken < output.length && !state.ends(**step))
            .map(|(step, output)| (*step, *output))
    }

    fn sending(&self, step: Option<u32>) {
        self.state().sending = step;
        self.wake();
    }

    fn output_of(&self, step: u32) -> Output {
        self.state().outputs.get(&step).copied().unwrap_or_default()
    }

    fn output_taken(&self, step: u32, offset: u64) {
        let mut state = self.state();
        let output = state.outputs.entry(step).or_default();
        output.taken = offset.min(output.length);
        let taken = output.taken;
        state.note(&Entry::OutputTaken(step, taken));
        drop(state);
        // The end of the step may have waited for this.
        self.wake();
    }

    /// The other side wants a step's output from `expected`. What a power cut took, or the disk does not
    /// give any more, is not waited for: the step then ends where its output does.
    fn output_wanted(&self, step: u32, expected: u64) {
        let kept = std::fs::metadata(self.folder.output(step)).map_or(0, |file| file.len());
        let one = Output { taken: expected, length: expected + 1 };
        let is_there = kept > expected && self.frame(step, one).is_ok();
        let kept = if is_there { kept } else { expected };
        let mut state = self.state();
        for progress in &mut state.reports {
            if let Progress::StepEnded { step: of, output_bytes, .. } = progress
                && *of == step
                && *output_bytes > kept
            {
                let lost = *output_bytes - kept;
                tracing::error!(task = %self.held.task, step, lost, "spooled output is lost");
                *output_bytes = kept;
            }
        }
        drop(state);
        self.output_taken(step, expected);
    }

    fn frame(&self, step: u32, output: Output) -> io::Result<Bytes> {
        let due = usize::try_from(output.length - output.taken).unwrap_or(OUTPUT_FRAME_MAX);
        let mut frame = vec![0; due.min(OUTPUT_FRAME_MAX)];
        let length = File::open(self.folder.output(step))?.read_at(&mut frame, output.taken)?;
        if length == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        frame.truncate(length);
        Ok(frame.into())
    }
}

impl State {
    fn may_leave(&self, progress: &Progress) -> bool {
        self.left(progress).is_some()
    }

    /// The bytes of output that a report takes along; `None` while they have to leave before it.
    fn left(&self, progress: &Progress) -> Option<u64> {
        let Progress::StepEnded { step, output_bytes, .. } = progress else { return Some(0) };
        let taken = self.outputs.get(step).map_or(0, |output| output.taken);
        let left = output_bytes.saturating_sub(taken);
        (left == 0 || left <= REST_MAX && self.sending != Some(*step)).then_some(left)
    }

    /// The end of the step waits to be told, and takes along what is left.
    fn ends(&self, step: u32) -> bool {
        let end = |progress: &&Progress| matches!(progress, Progress::StepEnded { step: of, .. } if *of == step);
        self.reports.iter().find(end).is_some_and(|end| self.may_leave(end))
    }
}

/// How long the lane rests after a full frame that took so long.
fn rest_after(took: Duration) -> Duration {
    took.saturating_mul(FLOOD_REST).min(FLOOD_REST_MAX)
}

/// Bytes of a report as it is sent.
fn size(progress: &Progress) -> usize {
    serde_json::to_vec(progress).map_or(0, |json| json.len())
}

/// Asking again cannot help.
fn is_final(trouble: &Trouble) -> bool {
    matches!(
        trouble,
        Trouble::Refused(Refusal::Fenced | Refusal::Gap { .. }) | Trouble::Rejected { .. }
    )
}

async fn changed(changes: &mut watch::Receiver<u64>) {
    // The sender lives in the outbox itself and cannot be gone.
    let _ = changes.changed().await;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(took: u64, rest: u64) {
        assert_eq!(rest_after(Duration::from_millis(took)), Duration::from_millis(rest), "{took}");
    }

    #[test]
    fn a_flood_takes_a_quarter_of_the_time_and_never_stands_still() {
        check(0, 0);
        check(2, 6);
        check(30_000, 50);
    }
}
