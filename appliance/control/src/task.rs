//! From tasks to their job: the result of parallel copies, and what follows a lost one.
//!
//! ```text
//!  Ready ──► Leased ──► Ended(outcome)
//!    ▲          │  └──► Ended(InfrastructureFail), and a new task of the next attempt is Ready
//!    └── never received by its runner
//! ```
//!
//! Invariants: a task is leased to one runner at a time and ends once; a job ends when the newest
//! attempt of each of its nodes has ended.

use base::{
    ids::Attempt,
    limits::INFRASTRUCTURE_RETRIES,
    state::{JobState, TaskOutcome},
};

/// What follows the end of a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// The node is done.
    Done(TaskOutcome),
    /// The machine failed it: the node runs again as this attempt.
    Retry(Attempt),
}

/// Decides whether a task that ended this way is tried again. A stop that was asked for turns a
/// loss into a cancellation.
#[must_use]
pub fn after_end(outcome: TaskOutcome, attempt: Attempt, stop_asked: bool) -> Next {
    match outcome {
        TaskOutcome::InfrastructureFail if stop_asked => Next::Done(TaskOutcome::Canceled),
        TaskOutcome::InfrastructureFail if attempt.0 <= INFRASTRUCTURE_RETRIES => {
            Next::Retry(Attempt(attempt.0 + 1))
        }
        other => Next::Done(other),
    }
}

/// The job's state from the newest attempt of each node, once all have ended.
///
/// The first of these that any node has: canceled, failed, timed out, failed by the machine.
#[must_use]
pub fn job_result(nodes: impl IntoIterator<Item = Option<TaskOutcome>>) -> Option<JobState> {
    let outcomes: Vec<TaskOutcome> = nodes.into_iter().collect::<Option<_>>()?;
    let order = [
        (TaskOutcome::Canceled, JobState::Canceled),
        (TaskOutcome::Failed, JobState::Failed),
        (TaskOutcome::TimedOut, JobState::TimedOut),
        (TaskOutcome::InfrastructureFail, JobState::InfrastructureFail),
    ];
    let worst = order.into_iter().find(|(outcome, _)| outcomes.contains(outcome));
    Some(worst.map_or(JobState::Success, |(_, state)| state))
}

#[cfg(test)]
mod tests {
    use super::*;
    use TaskOutcome as O;

    fn check(outcome: O, attempt: u32, stop_asked: bool, expected: Next) {
        assert_eq!(after_end(outcome, Attempt(attempt), stop_asked), expected);
    }

    #[test]
    fn only_the_machines_failures_are_retried_and_not_for_ever() {
        check(O::Success, 1, false, Next::Done(O::Success));
        check(O::Failed, 1, false, Next::Done(O::Failed));
        check(O::InfrastructureFail, 1, false, Next::Retry(Attempt(2)));
        check(O::InfrastructureFail, INFRASTRUCTURE_RETRIES, false, Next::Retry(Attempt(6)));
        check(O::InfrastructureFail, 6, false, Next::Done(O::InfrastructureFail));
        check(O::InfrastructureFail, 1, true, Next::Done(O::Canceled));
        check(O::Success, 1, true, Next::Done(O::Success));
    }

    #[test]
    fn a_job_waits_for_all_its_nodes_and_takes_the_worst() {
        assert_eq!(job_result([Some(O::Failed), None]), None);
        assert_eq!(job_result([Some(O::Success), Some(O::Success)]), Some(JobState::Success));
        assert_eq!(job_result([Some(O::TimedOut), Some(O::Failed)]), Some(JobState::Failed));
        assert_eq!(job_result([Some(O::Canceled), Some(O::Failed)]), Some(JobState::Canceled));
        let lost = [Some(O::InfrastructureFail), Some(O::Success)];
        assert_eq!(job_result(lost), Some(JobState::InfrastructureFail));
    }
}
