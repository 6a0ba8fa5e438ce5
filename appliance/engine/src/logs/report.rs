//! The ends of steps and tasks, as far as output is concerned.
//!
//! A step's end and the rest of its output are one transaction. Steps of tasks that were lost end
//! without a report; a sweep, woken by events, seals what they left.

use super::{LogError, Logs, ReportError, Shared};
use crate::Handle;
use base::{
    ids::TaskId,
    protocol::{Progress, Refusal, Report, Reported},
};
use std::{
    collections::BTreeSet,
    sync::{Arc, Weak},
    time::Duration,
};

/// After an event, before the sweep looks for tasks that are over.
const SWEEP_AFTER: Duration = Duration::from_secs(5);

impl Logs {
    /// Hands a report to the engine, sealing the output of the steps that it ends. The caller has
    /// checked that the sender of a rest of output holds the task.
    ///
    /// # Errors
    /// [`base::protocol::Refusal::OutputMissing`] when output of such a step has to come first,
    /// else as [`Handle::report`].
    pub async fn report(&self, engine: &Handle, report: Report) -> Result<Reported, ReportError> {
        let task = report.task;
        let mut tails = Vec::new();
        let mut ended = Vec::new();
        for progress in &report.progress {
            if let Progress::StepEnded { step, output_bytes, rest, .. } = progress {
                self.append_rest(task, *step, *output_bytes, rest).await?;
                tails.push(self.finish(task, *step, *output_bytes).await?);
                ended.push(*step);
            }
        }
        let task_ended = matches!(report.progress.last(), Some(Progress::Ended { .. }));
        if task_ended {
            tails.extend(self.finish_task(task).await?);
        }
        let (reported, next) = engine.report_with(report, tails).await?;
        for step in ended {
            self.settle(task, step).await;
        }
        if task_ended {
            self.settle_task(task).await;
        }
        Ok(Reported { next: next.into_next(), ..reported })
    }

    /// A gap before the rest is told by [`Logs::finish`], which names the step.
    async fn append_rest(
        &self,
        task: TaskId,
        step: u32,
        end: u64,
        rest: &[u8],
    ) -> Result<(), LogError> {
        if rest.is_empty() {
            return Ok(());
        }
        match self.append(task, step, end.saturating_sub(rest.len() as u64), rest).await {
            Ok(_) | Err(LogError::Refused(Refusal::Gap { .. })) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Seals the output of tasks that are over without having said so.
    pub(super) async fn sweep(&self) -> Result<(), ReportError> {
        for task in self.tasks_over().await? {
            let tails = self.finish_task(task).await?;
            let save =
                move |txn: &mut store::Txn<'_>| tails.iter().try_for_each(|tail| tail.save(txn));
            self.shared.store.write(save).await.map_err(LogError::from)?;
            self.settle_task(task).await;
        }
        Ok(())
    }

    async fn tasks_over(&self) -> Result<Vec<TaskId>, LogError> {
        let tasks: BTreeSet<TaskId> = self.shared.slots().keys().map(|key| key.task).collect();
        if tasks.is_empty() {
            return Ok(Vec::new());
        }
        let over = |reader: &store::Reader<'_>, task: TaskId| {
            let row = reader.task_get(task)?;
            Ok::<_, LogError>(row.is_some_and(|row| row.stopped_at.is_some()))
        };
        let read = move |reader: &store::Reader<'_>| {
            let mut found = Vec::new();
            for task in tasks {
                if over(reader, task)? {
                    found.push(task);
                }
            }
            Ok(found)
        };
        self.shared.store.read(read).await
    }
}

/// Sweeps some time after something happened; without events it sleeps.
pub(super) async fn sweep_when_due(shared: Weak<Shared>) {
    let Some(mut events) = shared.upgrade().map(|shared| shared.store.events()) else { return };
    while events.changed().await.is_ok() {
        tokio::time::sleep(SWEEP_AFTER).await;
        events.mark_unchanged();
        let Some(shared) = shared.upgrade() else { return };
        let logs = Logs { shared: Arc::clone(&shared) };
        if let Err(error) = logs.sweep().await {
            // What was not sealed stays in memory and is tried again after the next event.
            tracing::warn!(error = %error, "output of lost tasks could not be sealed");
        }
    }
}
