//! What must hold, checked from the outside: by the events, by the rows, by what runners were given.

use super::world::{LIMITS, World};
use base::{
    event::Event,
    ids::{Attempt, Cursor, Fence, JobId, TaskId, WorkflowId},
    protocol::Assignment,
    state::{JobState, WorkflowState},
};
use std::collections::{BTreeMap, BTreeSet};
use store::runs::{Job, Workflow, family};

/// What the events tell, and what was delivered.
pub(super) struct Oracle {
    cursor: Cursor,
    jobs: BTreeMap<JobId, JobState>,
    workflows: BTreeMap<WorkflowId, WorkflowState>,
    leased: BTreeSet<TaskId>,
    ended: BTreeSet<TaskId>,
    delivered: BTreeSet<(JobId, u32, Attempt)>,
    fences: BTreeMap<(JobId, u32), Fence>,
}

impl Default for Oracle {
    fn default() -> Self {
        Self {
            cursor: Cursor(0),
            jobs: BTreeMap::new(),
            workflows: BTreeMap::new(),
            leased: BTreeSet::new(),
            ended: BTreeSet::new(),
            delivered: BTreeSet::new(),
            fences: BTreeMap::new(),
        }
    }
}

impl Oracle {
    /// A task was leased: the fence of its node has grown.
    pub(super) fn leased(&mut self, given: &Assignment) {
        let before = self.fences.insert((given.job, given.node_index), given.fence);
        assert!(before < Some(given.fence), "the fence of {} did not grow", given.job_name);
    }

    /// A runner begins to run: never the same node of the same attempt twice.
    pub(super) fn delivered(&mut self, given: &Assignment) {
        let fresh = self.delivered.insert((given.job, given.node_index, given.attempt));
        assert!(fresh, "{} ran twice in attempt {}", given.job_name, given.attempt);
    }

    fn follow(&mut self, recorded: &base::event::Recorded) {
        assert_eq!(recorded.cursor.0, self.cursor.0 + 1, "events have no gaps");
        self.cursor = recorded.cursor;
        match &recorded.event {
            Event::WorkflowCreated { workflow, .. } => {
                let before = self.workflows.insert(*workflow, WorkflowState::Running);
                assert_eq!(before, None);
            }
            Event::WorkflowChanged { workflow, state } => {
                let before = self.workflows.insert(*workflow, *state).unwrap();
                assert!(!before.is_terminal(), "a workflow changed after its end");
            }
            Event::JobChanged { job, state, .. } => {
                let before = self.jobs.insert(*job, *state);
                assert!(
                    before.is_none_or(|state| !state.is_terminal()),
                    "a job changed after its end"
                );
            }
            Event::TaskLeased { task, .. } => {
                assert!(!self.ended.contains(task), "a task was leased after its end");
                self.leased.insert(*task);
            }
            Event::TaskEnded { task, .. } => {
                assert!(self.leased.contains(task), "a task ended that was never leased");
                assert!(self.ended.insert(*task), "a task ended twice");
            }
            _ => {}
        }
    }
}

impl World {
    pub(super) fn check(&mut self, rows: bool) {
        self.check_memory();
        self.check_events();
        if rows {
            self.check_rows();
        }
    }

    /// What the engine remembers is what the store says.
    fn check_memory(&self) {
        let (core, fresh) = (self.core.as_ref().unwrap(), self.load());
        let waiting = |core: &crate::core::Core| core.board.waiting().cloned().collect::<Vec<_>>();
        assert_eq!(waiting(core), waiting(&fresh), "waiting tasks");
        let leases = |core: &crate::core::Core| {
            let fields = |lease: &control::board::Lease| {
                (lease.waiting.clone(), lease.runner, lease.fence, lease.stop)
            };
            core.board.leases().map(fields).collect::<Vec<_>>()
        };
        assert_eq!(leases(core), leases(&fresh), "leases");
        assert_eq!(core.live, fresh.live, "live workflows");
        assert_eq!(core.board.serial(), fresh.board.serial(), "serial groups");
        assert_eq!(core.runners, fresh.runners, "runners");
        assert!(core.board.leased() <= LIMITS.slots, "more leases than slots");
        assert_eq!(self.task_held_twice(), None, "two runners hold one task");
    }

    fn check_events(&mut self) {
        loop {
            let after = self.oracle.cursor;
            let read = move |reader: &store::Reader<'_>| reader.event_list(after, 500);
            let list = self.store.read_blocking(read).unwrap();
            if list.is_empty() {
                return;
            }
            for recorded in &list {
                self.oracle.follow(recorded);
            }
        }
    }

    /// Rows and events tell the same.
    fn check_rows(&self) {
        for (workflow, jobs) in self.rows() {
            let told = self.oracle.workflows.get(&workflow.id);
            assert_eq!(told, Some(&workflow.state), "a workflow's last event");
            assert_eq!(workflow.stopped_at.is_some(), workflow.state.is_terminal());
            for job in jobs {
                let told = self.oracle.jobs.get(&job.id);
                assert_eq!(told, Some(&job.state), "the last event of {}", job.name);
                assert_eq!(job.stopped_at.is_some(), job.state.is_terminal());
            }
        }
    }

    fn rows(&self) -> Vec<(Workflow, Vec<Job>)> {
        let all = self.workflows(false);
        let read = move |reader: &store::Reader<'_>| {
            let with_jobs = |workflow: Workflow| {
                let jobs = reader.job_list(workflow.id)?;
                Ok::<_, store::Error>((workflow, jobs))
            };
            all.into_iter().map(with_jobs).collect::<Result<Vec<_>, _>>()
        };
        self.store.read_blocking(read).unwrap()
    }

    pub(super) fn check_end(&mut self) {
        self.check(true);
        assert!(self.workflows(true).is_empty(), "everything comes to an end");
        let core = self.core.as_ref().unwrap();
        assert_eq!((core.board.waiting_len(), core.board.leased()), (0, 0));
        assert_eq!(self.oracle.leased, self.oracle.ended, "each leased task ended once");
        for (workflow, jobs) in self.rows() {
            check_result(&workflow, &jobs);
            for job in &jobs {
                check_requirements(&workflow, job, &jobs);
            }
        }
    }
}

fn check_result(workflow: &Workflow, jobs: &[Job]) {
    use JobState as J;
    let any = |states: &[JobState]| jobs.iter().any(|job| states.contains(&job.state));
    let failed = any(&[J::Failed, J::TimedOut, J::InfrastructureFail]);
    let all_well = jobs.iter().all(|job| job.state == J::Success);
    match workflow.state {
        WorkflowState::Success => assert!(!failed && !any(&[J::Canceled, J::Unauthorized])),
        WorkflowState::Failed => assert!(failed),
        WorkflowState::Canceled => assert!(any(&[J::Canceled, J::NotRun])),
        WorkflowState::Unauthorized => assert!(!failed && any(&[J::Unauthorized])),
        WorkflowState::NotRun => assert!(jobs.iter().all(|job| job.state == J::NotRun)),
        other => panic!("{other} is no end"),
    }
    assert_eq!(all_well && !jobs.is_empty(), workflow.state == WorkflowState::Success && all_well);
}

/// A job ran only when its requirements were met, and was passed over only for a reason.
fn check_requirements(workflow: &Workflow, job: &Job, jobs: &[Job]) {
    let met = job.requires.iter().all(|edge| {
        let on = &jobs[usize::from(family::ordinal_of(edge.on)) - 1];
        let seen = match on.state {
            JobState::TimedOut | JobState::InfrastructureFail => JobState::Failed,
            state => state,
        };
        edge.any_of.contains(&seen)
    });
    match job.state {
        JobState::NotRun => {
            let reason = !met || workflow.canceled_by.is_some() || job.message.is_some();
            assert!(
                reason || job.origin.is_some(),
                "{} was passed over without a reason",
                job.name
            );
        }
        JobState::Canceled | JobState::Unauthorized => {}
        _ => assert!(met || job.origin.is_some(), "{} ran without its requirements", job.name),
    }
}
