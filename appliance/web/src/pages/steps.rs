//! The steps of one task, and what is shown while there are none. Pure.

use super::{
    log::{self, Window},
    look::{Look, Looks},
    moment,
};
use base::{
    state::{JobState, StepState},
    time::Timestamp,
};
use maud::{Markup, html};
use store::runs::{Step, Task};

/// Links to the copies of a job that runs in parallel.
pub(super) fn nodes(tasks: &[Task], shown: u32) -> Markup {
    html! {
        nav.nodes aria-label="Parallel runs" {
            @for task in tasks {
                @let look = task_look(task);
                a href=(format!("?node={}", task.node)) aria-current=[(task.node == shown).then_some("page")] {
                    (look.icon(task.outcome.map_or("running", |outcome| outcome.as_str())))
                    (task.node)
                }
            }
        }
    }
}

/// The copy that is shown when none is asked for: of a job that is over the first that failed.
pub(super) fn first_shown(state: JobState, tasks: &[Task]) -> u32 {
    let failed = |task: &&Task| matches!(task_look(task), Look::Bad | Look::Error);
    tasks.iter().filter(|_| state.is_terminal()).find(failed).map_or(0, |task| task.node)
}

fn task_look(task: &Task) -> Look {
    use base::state::TaskOutcome::{Canceled, Failed, InfrastructureFail, Success, TimedOut};
    match task.outcome {
        None => Look::Running,
        Some(Success) => Look::Good,
        Some(Failed | TimedOut) => Look::Bad,
        Some(Canceled) => Look::Stopped,
        Some(InfrastructureFail) => Look::Error,
    }
}

/// Nothing has run yet: says why, never a bare spinner.
pub(super) fn waiting(state: JobState, why: Option<&str>) -> Markup {
    html! {
        section.empty {
            h2 { (state.word()) }
            @match (state, why) {
                (JobState::Queued, Some(why)) => p { "This job waits for a runner. " (sentence(why)) },
                (JobState::Queued, None) => p { "This job waits for a runner." },
                (JobState::Blocked, _) => p { "This job waits for the jobs that it requires." },
                (state, _) if state.is_terminal() => p { "This job ended before any step ran." },
                _ => p { "The first step begins in a moment." },
            }
        }
    }
}

/// `held: slots 2 of 2` as a sentence.
fn sentence(why: &str) -> String {
    let text = why.strip_prefix("held: ").unwrap_or(why);
    let mut letters = text.chars();
    letters
        .next()
        .map_or(String::new(), |first| format!("{}{}.", first.to_uppercase(), letters.as_str()))
}

/// The steps of a task in order; `place` is the job's page.
pub(super) fn list(
    place: &str,
    state: JobState,
    task: &Task,
    steps: &[(Step, Option<Window>)],
    now: Timestamp,
) -> Markup {
    html! {
        @if steps.is_empty() { (waiting(state, None)) }
        ol.steps data-task=(task.id) {
            @for (step, window) in steps { (item(place, task, step, window.as_ref(), now)) }
        }
    }
}

fn item(place: &str, task: &Task, step: &Step, window: Option<&Window>, now: Timestamp) -> Markup {
    let permalink = format!("{place}?node={}&step={}#S{}", task.node, step.step, step.step);
    html! {
        li.step.(step.state.look().class()) id=(format!("step-{}", step.step)) {
            details id=(format!("S{}", step.step)) open[window.is_some()] data-step=(step.step) {
                summary {
                    (step.state.look().icon(step.state.word()))
                    span.step-name { (step.name) }
                    @if step.background { span.pill { "background" } }
                    @if let Some(code) = step.exit_code.filter(|code| *code != 0) { span.pill.bad { "exit " (code) } }
                    @if step.state == StepState::TimedOut { span.pill.bad { "timed out" } }
                    span.took { (moment::took(Some(step.started_at), step.stopped_at, now)) }
                }
                (log::panel(step, window, &permalink))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use base::{
        ids::{Attempt, Fence, TaskId},
        state::TaskOutcome,
        time::Timestamp,
    };
    use uuid::Uuid;

    fn task(node: u32, outcome: Option<TaskOutcome>) -> Task {
        Task {
            id: TaskId(Uuid::from_u128(node.into())),
            node,
            attempt: Attempt(1),
            runner: None,
            fence: Fence(1),
            next_report: 0,
            leased_at: Timestamp(0),
            started_at: None,
            stopped_at: None,
            outcome,
            message: None,
            peak_memory: None,
        }
    }

    fn check(state: JobState, outcomes: &[Option<TaskOutcome>], expected: u32) {
        let tasks: Vec<Task> =
            (0..).zip(outcomes).map(|(node, outcome)| task(node, *outcome)).collect();
        assert_eq!(first_shown(state, &tasks), expected, "{outcomes:?}");
    }

    #[test]
    fn the_first_copy_that_failed_is_shown_once_the_job_is_over() {
        use TaskOutcome::{Canceled, Failed, InfrastructureFail, Success, TimedOut};
        check(JobState::Failed, &[], 0);
        check(JobState::Success, &[Some(Success), Some(Success)], 0);
        check(JobState::Failed, &[Some(Success), Some(Failed), Some(TimedOut)], 1);
        check(JobState::Failed, &[Some(Canceled), Some(Success), Some(TimedOut)], 2);
        check(JobState::InfrastructureFail, &[Some(Success), Some(InfrastructureFail)], 1);
        // The page of a job that goes on does not change under its reader.
        check(JobState::Running, &[None, Some(Failed)], 0);
    }

    #[test]
    fn why_a_job_waits_reads_as_a_sentence() {
        assert_eq!(sentence("held: slots 2 of 2"), "Slots 2 of 2.");
        assert_eq!(sentence(""), "");
    }
}
