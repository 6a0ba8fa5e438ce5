//! What waits, what is leased, and whose turn it is.
//!
//! Why: every hand-out decision reads this one value. It is derived from the store: rebuilt from it
//! at start and after a failed write, and equal to it in between.
//! Invariants: a task is waiting or leased, never both; leases never exceed the slots, nor a
//! project its share; one lock of a serial group at a time, from its first lease to its end.
//! Fairness: the project with the fewest leases goes first, of equals the one served longest ago;
//! within a project the oldest task (identifiers sort by age).
//! Limits: grows with the jobs that have not ended, which the engine bounds at intake.

mod clock;
mod held;

pub use held::Held;

use base::{
    ids::{Fence, JobId, ProjectId, RunnerId, TaskId},
    protocol::Verdict,
    time::Timestamp,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    ops::RangeInclusive,
    time::Duration,
};

/// How long a job waits for its serial group before it is canceled, as on the original service.
pub const SERIAL_WAIT_MAX: Duration = Duration::from_secs(5 * 3600);

/// A serial group of one organisation.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct SerialGroup {
    /// The organisation's name.
    pub org: String,
    /// The group's name.
    pub name: String,
}

/// A task that waits for a runner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    /// Which.
    pub task: TaskId,
    /// Of which job.
    pub job: JobId,
    /// Whose turn it takes.
    pub project: ProjectId,
    /// The runner class it asks for; `None` is served by every runner of plain classes.
    pub class: Option<String>,
    /// The group that it must have for itself, or together with others of its lock.
    pub serial: Option<SerialGroup>,
    /// Holds that group for it: the job itself, or the one whose end gives it back.
    pub lock: JobId,
    /// Its project's own bound, below [`Limits::per_project`].
    pub jobs_max: Option<u32>,
    /// When it became ready, or the clock was set since.
    pub since: Timestamp,
}

/// A task in a runner's hands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// The task as it waited.
    pub waiting: Waiting,
    /// Who holds it.
    pub runner: RunnerId,
    /// Its right to write.
    pub fence: Fence,
    /// When it was given.
    pub since: Timestamp,
    /// When it is lost, unless the runner is heard.
    pub until: Timestamp,
    /// A stop was asked for.
    pub stop: bool,
}

/// How much may run at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Tasks in all.
    pub slots: u32,
    /// Tasks of one project.
    pub per_project: u32,
}

impl Limits {
    fn share(self, of: &Waiting) -> u32 {
        of.jobs_max.map_or(self.per_project, |own| own.min(self.per_project))
    }
}

/// What a runner can take.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Serves {
    /// Runner classes.
    pub classes: BTreeSet<String>,
    /// Jobs without a runner class.
    pub plain: bool,
}

impl Serves {
    fn takes(&self, waiting: &Waiting) -> bool {
        waiting.class.as_ref().map_or(self.plain, |class| self.classes.contains(class))
    }
}

/// The state of all tasks that have not ended.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Board {
    waiting: BTreeMap<ProjectId, BTreeMap<TaskId, Waiting>>,
    leases: BTreeMap<TaskId, Lease>,
    serial: BTreeMap<SerialGroup, JobId>,
    /// When a project was served last, counted in hand-outs. Forgotten at a restart: it only
    /// breaks ties.
    served: BTreeMap<ProjectId, u64>,
    turn: u64,
}

fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

impl Board {
    /// Adds a task that is ready.
    pub fn wait(&mut self, waiting: Waiting) {
        debug_assert!(!self.leases.contains_key(&waiting.task), "a leased task cannot wait");
        self.waiting.entry(waiting.project).or_default().insert(waiting.task, waiting);
    }

    /// The project's own bound is another from now on, also for what waits already.
    pub fn bound(&mut self, project: ProjectId, jobs_max: Option<u32>) {
        let waiting = self.waiting.get_mut(&project).into_iter().flat_map(BTreeMap::values_mut);
        let leased = self.leases.values_mut().map(|lease| &mut lease.waiting);
        for task in waiting.chain(leased.filter(|task| task.project == project)) {
            task.jobs_max = jobs_max;
        }
    }

    /// Takes a waiting task away, for example because it was canceled.
    pub fn withdraw(&mut self, project: ProjectId, task: TaskId) -> Option<Waiting> {
        let queue = self.waiting.get_mut(&project)?;
        let found = queue.remove(&task);
        if queue.is_empty() {
            self.waiting.remove(&project);
        }
        found
    }

    /// Puts back a lease that the store knows; used when the board is rebuilt.
    pub fn restore(&mut self, lease: Lease) {
        if let Some(group) = &lease.waiting.serial {
            self.serial.insert(group.clone(), lease.waiting.lock);
        }
        self.leases.insert(lease.waiting.task, lease);
    }

    /// Keeps a serial group for a lock of which a job was leased before, until it is given back.
    pub fn serial_take(&mut self, group: SerialGroup, lock: JobId) {
        self.serial.insert(group, lock);
    }

    /// The lock is over: its serial group is free.
    pub fn serial_free(&mut self, lock: JobId) {
        self.serial.retain(|_, holder| *holder != lock);
    }

    /// Whether the lock has a serial group.
    #[must_use]
    pub fn serial_has(&self, lock: JobId) -> bool {
        self.serial.values().any(|holder| *holder == lock)
    }

    /// The task whose turn it is among those that `serves` can take.
    #[must_use]
    pub fn next(&self, serves: &Serves, limits: Limits) -> Option<&Waiting> {
        self.next_but(serves, limits, &BTreeMap::new())
    }

    /// The same, passing over the tasks of `held`.
    #[must_use]
    pub fn next_but(
        &self,
        serves: &Serves,
        limits: Limits,
        held: &BTreeMap<TaskId, Held>,
    ) -> Option<&Waiting> {
        if self.leased() >= limits.slots {
            return None;
        }
        let used = self.leased_by_project();
        let rank = |project: &ProjectId| {
            let leased = used.get(project).copied().unwrap_or(0);
            (leased, self.served.get(project).copied().unwrap_or(0), *project)
        };
        let mut order: Vec<_> = self.waiting.keys().map(rank).collect();
        order.retain(|(leased, ..)| *leased < limits.per_project);
        order.sort_unstable();
        order.iter().find_map(|(.., project)| {
            let leased = used.get(project).copied().unwrap_or(0);
            let fits = |waiting: &&Waiting| {
                leased < limits.share(waiting)
                    && serves.takes(waiting)
                    && self.serial_holder(waiting).is_none()
                    && !held.contains_key(&waiting.task)
            };
            self.waiting[project].values().find(fits)
        })
    }

    /// Leases a waiting task. `None` when it does not wait.
    pub fn lease(
        &mut self,
        (project, task): (ProjectId, TaskId),
        runner: RunnerId,
        fence: Fence,
        now: Timestamp,
        until: Timestamp,
    ) -> Option<&Lease> {
        let waiting = self.withdraw(project, task)?;
        self.turn += 1;
        self.served.insert(project, self.turn);
        self.restore(Lease { waiting, runner, fence, since: now, until, stop: false });
        self.leases.get(&task)
    }

    /// Ends a lease.
    pub fn release(&mut self, task: TaskId) -> Option<Lease> {
        self.leases.remove(&task)
    }

    /// The lease that `fence` names, if it is still good.
    #[must_use]
    pub fn holder(&self, task: TaskId, fence: Fence) -> Option<&Lease> {
        self.leases.get(&task).filter(|lease| lease.fence == fence)
    }

    /// The lease of a task.
    #[must_use]
    pub fn lease_of(&self, task: TaskId) -> Option<&Lease> {
        self.leases.get(&task)
    }

    /// The runner was heard: its lease is good until then. Says what it should do with the task.
    pub fn renew(
        &mut self,
        task: TaskId,
        fence: Fence,
        runner: Option<RunnerId>,
        until: Timestamp,
    ) -> Verdict {
        match self.leases.get_mut(&task) {
            Some(lease) if lease.fence == fence && runner.is_none_or(|who| who == lease.runner) => {
                lease.until = lease.until.max(until);
                if lease.stop { Verdict::Cancel } else { Verdict::Keep }
            }
            _ => Verdict::Lost,
        }
    }

    /// Asks the holder to stop; it learns so with its next heartbeat.
    pub fn stop(&mut self, task: TaskId) -> Option<RunnerId> {
        let lease = self.leases.get_mut(&task)?;
        lease.stop = true;
        Some(lease.runner)
    }

    /// Tasks whose runner was not heard in time.
    #[must_use]
    pub fn expired(&self, now: Timestamp) -> Vec<TaskId> {
        let late = |(task, lease): (&TaskId, &Lease)| (lease.until <= now).then_some(*task);
        self.leases.iter().filter_map(late).collect()
    }

    /// Tasks that waited too long for their serial group.
    #[must_use]
    pub fn overdue(&self, now: Timestamp) -> Vec<TaskId> {
        self.serial_waiting()
            .filter(|waiting| waiting.since.plus(SERIAL_WAIT_MAX) <= now)
            .map(|waiting| waiting.task)
            .collect()
    }

    /// When to look again for [`Self::expired`] and [`Self::overdue`].
    #[must_use]
    pub fn deadline(&self) -> Option<Timestamp> {
        let leases = self.leases.values().map(|lease| lease.until);
        let serial = self.serial_waiting().map(|waiting| waiting.since.plus(SERIAL_WAIT_MAX));
        leases.chain(serial).min()
    }

    /// The lease that was given last: the one to give up first.
    #[must_use]
    pub fn youngest(&self) -> Option<&Lease> {
        self.leases.values().max_by_key(|lease| (lease.since, lease.waiting.task))
    }

    /// All leases, by task.
    pub fn leases(&self) -> impl Iterator<Item = &Lease> {
        self.leases.values()
    }

    /// All waiting tasks, by project and age.
    pub fn waiting(&self) -> impl Iterator<Item = &Waiting> {
        self.waiting.values().flat_map(BTreeMap::values)
    }

    /// Who has which serial group.
    #[must_use]
    pub fn serial(&self) -> &BTreeMap<SerialGroup, JobId> {
        &self.serial
    }

    /// How many tasks wait.
    #[must_use]
    pub fn waiting_len(&self) -> usize {
        self.waiting.values().map(BTreeMap::len).sum()
    }

    /// The first task between these two that waits.
    #[must_use]
    pub fn waiting_in(&self, tasks: RangeInclusive<TaskId>) -> Option<&Waiting> {
        self.waiting.values().find_map(|queue| queue.range(tasks.clone()).next()).map(|(_, it)| it)
    }

    /// The tasks of one job that wait.
    #[must_use]
    pub fn waiting_of(&self, project: ProjectId, job: JobId) -> Vec<TaskId> {
        let queue = self.waiting.get(&project);
        let all = queue.into_iter().flat_map(BTreeMap::values);
        all.filter(|waiting| waiting.job == job).map(|waiting| waiting.task).collect()
    }

    /// Tasks in the hands of runners.
    #[must_use]
    pub fn leased(&self) -> u32 {
        count(self.leases.len())
    }

    /// Why this task waits; `None` when it does not.
    #[must_use]
    pub fn explain<'a>(
        &self,
        task: TaskId,
        limits: Limits,
        mut runners: impl Iterator<Item = &'a Serves>,
    ) -> Option<Held> {
        let waiting = self.waiting.values().find_map(|queue| queue.get(&task))?;
        let used = self.leased_by_project().get(&waiting.project).copied().unwrap_or(0);
        Some(match self.serial_holder(waiting) {
            _ if !runners.any(|serves| serves.takes(waiting)) => {
                Held::NoRunner { class: waiting.class.clone() }
            }
            Some((group, by)) => Held::Serial { group: group.clone(), by },
            None if used >= limits.share(waiting) => {
                Held::Project { used, bound: limits.share(waiting) }
            }
            None if self.leased() >= limits.slots => {
                Held::Slots { used: self.leased(), bound: limits.slots }
            }
            None => Held::Turn,
        })
    }

    fn serial_waiting(&self) -> impl Iterator<Item = &Waiting> {
        self.waiting().filter(|waiting| self.serial_holder(waiting).is_some())
    }

    /// The other job that has the group which `waiting` needs.
    fn serial_holder<'a>(&self, waiting: &'a Waiting) -> Option<(&'a SerialGroup, JobId)> {
        let group = waiting.serial.as_ref()?;
        let holder = *self.serial.get(group)?;
        (holder != waiting.lock).then_some((group, holder))
    }

    fn leased_by_project(&self) -> BTreeMap<ProjectId, u32> {
        let mut used = BTreeMap::new();
        for lease in self.leases.values() {
            *used.entry(lease.waiting.project).or_default() += 1;
        }
        used
    }
}

#[cfg(test)]
#[path = "board_tests.rs"]
mod tests;
