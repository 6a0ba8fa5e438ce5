//! Identifiers of one workflow, its jobs and their tasks are one family.
//!
//! ```text
//! workflow  tttttttt-tttt-7rrr-vrrr-rrrr 0000 0000
//! job       the same                     jjjj 0000    its ordinal in the workflow, from 1
//! task      the same                     jjjj kkkk    its ordinal in the job, from 1
//! ```
//!
//! Why: "the jobs of this workflow" and "the tasks of this job" are ranges of a primary key, and
//! the parents of a task are known without looking. That spares three indexes, each a page written
//! per trivial job. They remain version 7: sorted by age. Of the 42 bits that are left in each millisecond
//! the engine's count and the rest is random.

use base::ids::{JobId, TaskId, WorkflowId};
use std::ops::RangeInclusive;
use uuid::Uuid;

/// Jobs that one workflow can have; two bytes hold their ordinal.
pub const JOBS_MAX: usize = u16::MAX as usize;

/// Tasks that one job can have over all attempts.
pub const TASKS_MAX: usize = u16::MAX as usize;

const JOB: u128 = 0xffff_0000;
const TASK: u128 = 0xffff;

/// Makes a workflow's identifier of any UUID.
#[must_use]
pub fn workflow(id: Uuid) -> WorkflowId {
    WorkflowId(Uuid::from_u128(id.as_u128() & !(JOB | TASK)))
}

/// The job with this ordinal, from 1.
#[must_use]
pub fn job(workflow: WorkflowId, ordinal: u16) -> JobId {
    JobId(Uuid::from_u128(workflow.0.as_u128() | u128::from(ordinal) << 16))
}

/// The task with this ordinal, from 1.
#[must_use]
pub fn task(job: JobId, ordinal: u16) -> TaskId {
    TaskId(Uuid::from_u128(job.0.as_u128() | u128::from(ordinal)))
}

/// The workflow of a job.
#[must_use]
pub fn workflow_of(job: JobId) -> WorkflowId {
    workflow(job.0)
}

/// The job of a task.
#[must_use]
pub fn job_of(task: TaskId) -> JobId {
    JobId(Uuid::from_u128(task.0.as_u128() & !TASK))
}

/// A job's ordinal in its workflow.
#[must_use]
pub fn ordinal_of(job: JobId) -> u16 {
    u16::try_from((job.0.as_u128() & JOB) >> 16).expect("two bytes were masked out")
}

/// First and last possible identifier of a workflow's jobs.
pub(crate) fn jobs_range(of: WorkflowId) -> (Uuid, Uuid) {
    (job(of, 1).0, Uuid::from_u128(of.0.as_u128() | JOB | TASK))
}

/// First and last possible task of a job.
#[must_use]
pub fn tasks_of(job: JobId) -> RangeInclusive<TaskId> {
    let (first, last) = tasks_range(job);
    TaskId(first)..=TaskId(last)
}

/// First and last possible identifier of a job's tasks.
pub(crate) fn tasks_range(of: JobId) -> (Uuid, Uuid) {
    (task(of, 1).0, Uuid::from_u128(of.0.as_u128() | TASK))
}

/// Whether an identifier is one in so many by its random bits, so that a choice follows from it alone.
pub(super) const fn is_one_in(id: Uuid, many: u128) -> bool {
    (id.as_u128() >> 32).is_multiple_of(many)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_choice_follows_from_the_random_bits_and_not_from_the_count_before_them() {
        let id = |count: u128, random: u128| {
            Uuid::from_u128(9 << 80 | 7 << 76 | count << 64 | 2 << 62 | random << 32)
        };
        let chosen = |count| (0..640).filter(|random| is_one_in(id(count, *random), 64)).count();
        assert_eq!([0, 1, 64].map(chosen), [10; 3]);
    }

    #[test]
    fn parents_are_read_from_the_identifier() {
        let workflow_id = workflow(Uuid::from_u128(0x0193_5a5a_5a5a_7abc_8def_0123_4567_89ab));
        let job_id = job(workflow_id, JOBS_MAX as u16);
        let task_id = task(job_id, TASKS_MAX as u16);
        assert_eq!(job_of(task_id), job_id);
        assert_eq!(workflow_of(job_id), workflow_id);
        assert_eq!(ordinal_of(job_id), u16::MAX);
        let (first, last) = jobs_range(workflow_id);
        assert!(first <= job_id.0 && job_id.0 <= last);
        let (first, last) = tasks_range(job_id);
        assert!(first <= task_id.0 && task_id.0 <= last);
        assert!(tasks_range(job(workflow_id, 1)).1 < job(workflow_id, 2).0);
        assert_eq!(workflow_id.0.get_version_num(), 7);
    }
}
