//! Runners: they claim, report, die, and speak when nobody expects it any more.

use super::World;
use crate::{
    command::{Answer, Asking, Command},
    simulation::random::Random,
};
use base::{
    ids::{Fence, RunnerId, TaskId},
    limits::LEASE,
    protocol::{Assignment, Progress, Refusal, Register, Report, Reported, Verdict},
    state::{StepState, TaskOutcome},
};

/// A task in the hands of a runner, which may have died since.
#[derive(Debug, Clone)]
pub(super) struct Held {
    pub(super) assignment: Assignment,
    runner: RunnerId,
    next: u64,
    pub(super) stop: bool,
    pub(super) is_dead: bool,
}

impl World {
    pub(super) fn register(&mut self, name: &str, lab: bool) {
        let register = Register {
            name: name.into(),
            hostname: "here".into(),
            version: "1".into(),
            slots: 2,
            resource_classes: if lab { vec!["acme/lab".into()] } else { vec![] },
            serves_plain_classes: true,
        };
        let answer = self.one(Command::Register(register)).unwrap();
        let Answer::Registered(id) = answer else { panic!("{answer:?}") };
        if !self.runners.contains(&id) {
            self.runners.push(id);
        }
    }

    pub(super) fn claim(&mut self, random: &mut Random) {
        let runner = *random.pick(&self.runners).unwrap();
        let held = self.held.iter().filter(|held| held.runner == runner && !held.is_dead).count();
        let free = 2u32.saturating_sub(u32::try_from(held).unwrap());
        let outcome = self.apply(vec![], vec![Asking { runner, free }]);
        let undelivered = random.chance(5);
        for assignment in outcome.assignments.into_iter().flatten() {
            if undelivered {
                self.seen.count("leases");
                self.oracle.leased(&assignment);
                self.seen.count("undelivered");
                self.one(Command::Undelivered(assignment.task, assignment.fence)).unwrap();
            } else {
                self.take_on(assignment, runner);
            }
        }
    }

    fn take_on(&mut self, assignment: Assignment, runner: RunnerId) {
        self.seen.count("leases");
        self.oracle.leased(&assignment);
        self.seen.add_to("retries", u64::from(assignment.attempt.0 > 1));
        self.oracle.delivered(&assignment);
        self.held.push(Held { assignment, runner, next: 0, stop: false, is_dead: false });
    }

    fn report(&self, held: &Held, outcome: Option<TaskOutcome>) -> Report {
        let at = self.now;
        let step = u32::try_from(held.next).unwrap();
        let progress = match outcome {
            Some(outcome) => {
                let message = Some("told".into());
                vec![Progress::Ended { outcome, message, peak_memory: Some(1), at }]
            }
            None => vec![
                Progress::StepStarted { step, name: "step".into(), at, background: false },
                Progress::StepEnded {
                    step,
                    state: StepState::Success,
                    exit_code: Some(0),
                    at,
                    output_bytes: 9,
                    rest: Vec::new(),
                },
            ],
        };
        Report {
            task: held.assignment.task,
            fence: held.assignment.fence,
            first: held.next,
            progress,
            wants_next: false,
        }
    }

    pub(super) fn outcome(random: &mut Random, stop: bool) -> Option<TaskOutcome> {
        match random.below(20) {
            _ if stop => Some(TaskOutcome::Canceled),
            0..8 => None,
            8..15 => Some(TaskOutcome::Success),
            15..17 => Some(TaskOutcome::Failed),
            17 => Some(TaskOutcome::TimedOut),
            _ => Some(TaskOutcome::InfrastructureFail),
        }
    }

    pub(super) fn progress(&mut self, random: &mut Random) {
        let alive: Vec<usize> =
            (0..self.held.len()).filter(|index| !self.held[*index].is_dead).collect();
        let Some(index) = random.pick(&alive).copied() else { return };
        let outcome = Self::outcome(random, self.held[index].stop);
        self.tell(index, outcome, random.chance(5), random.chance(50));
    }

    /// A runner reports; `ahead` forgets one report before. One that dies at the end of a task takes
    /// no other.
    pub(super) fn tell(
        &mut self,
        index: usize,
        outcome: Option<TaskOutcome>,
        ahead: bool,
        wants_next: bool,
    ) {
        let held = self.held[index].clone();
        let mut report = self.report(&held, outcome);
        report.first += u64::from(ahead);
        report.wants_next = wants_next;
        let added = report.progress.len() as u64;
        match self.one(Command::Report(report)) {
            Ok(Answer::Reported(Reported { verdict, next })) => {
                assert!(!ahead, "a report with a gap before it was taken");
                self.held[index].next += added;
                self.held[index].stop |= verdict == Verdict::Cancel;
                if outcome.is_some() {
                    self.held.remove(index);
                }
                if let Some(next) = next {
                    assert!(outcome.is_some() && wants_next, "nobody asked for another task");
                    self.seen.count("next");
                    self.take_on(*next, held.runner);
                }
            }
            Err(crate::Error::Refused(Refusal::Gap { expected })) => {
                assert!(ahead && expected == held.next);
                self.seen.count("gaps");
            }
            Err(crate::Error::Refused(Refusal::Fenced)) => {
                self.seen.count("fenced");
                self.held.remove(index);
            }
            other => panic!("{other:?}"),
        }
    }

    /// A runner dies with all that it holds; the dead may still speak later.
    pub(super) fn die(&mut self, random: &mut Random) {
        let Some(held) = random.pick(&self.held) else { return };
        let runner = held.runner;
        for held in self.held.iter_mut().filter(|held| held.runner == runner) {
            held.is_dead = true;
        }
    }

    pub(super) fn heartbeats(&mut self) {
        let until = self.now.plus(LEASE);
        let core = self.core.as_mut().unwrap();
        for held in self.held.iter_mut().filter(|held| !held.is_dead) {
            let (task, fence) = (held.assignment.task, held.assignment.fence);
            match core.board.renew(task, fence, Some(held.runner), until) {
                Verdict::Keep => {}
                Verdict::Cancel => {
                    self.seen.add_to("stops", u64::from(!held.stop));
                    held.stop = true;
                }
                Verdict::Lost => held.is_dead = true,
            }
        }
    }

    /// A runner reports the same once more: nothing may change.
    pub(super) fn repeat(&mut self, random: &mut Random) {
        let alive = self.held.iter().filter(|held| !held.is_dead && held.next > 0);
        let Some(held) = random.pick(&alive.cloned().collect::<Vec<_>>()).cloned() else { return };
        let mut report = self.report(&held, None);
        report.first = held.next - 2;
        let before = self.store.events();
        let before = *before.borrow();
        if self.one(Command::Report(report)).is_ok() {
            assert_eq!(
                *self.store.events().borrow(),
                before,
                "a repeated report changed something"
            );
            self.seen.count("repeats");
        }
    }

    /// Somebody with an old fence, or dead and declared so, reports: nothing may change.
    pub(super) fn late(&mut self, random: &mut Random) {
        let Some(held) = random.pick(&self.held).cloned() else { return };
        let fence = held.assignment.fence;
        let is_good =
            self.core.as_ref().unwrap().board.holder(held.assignment.task, fence).is_some();
        let mut report = self.report(&held, Some(TaskOutcome::Success));
        if is_good {
            report.fence = Fence(fence.0 - 1);
        }
        let before = *self.store.events().borrow();
        let answer = self.one(Command::Report(report));
        assert!(matches!(answer, Err(crate::Error::Refused(Refusal::Fenced))), "{answer:?}");
        assert_eq!(*self.store.events().borrow(), before, "a fenced report changed something");
        self.seen.count("fenced");
    }

    /// A runner came back without one of its tasks.
    pub(super) fn lose(&mut self, random: &mut Random) {
        let Some(held) = random.pick(&self.held).cloned() else { return };
        self.one(Command::Lost(held.assignment.task, held.assignment.fence)).unwrap();
    }

    /// The guard has held for a minute: the youngest task is given up with the reason, and waits
    /// again if it may; the others stay where they are.
    pub(super) fn give_up(&mut self) {
        let board = &self.core.as_ref().unwrap().board;
        let Some(youngest) = board.youngest().map(|lease| lease.waiting.task) else { return };
        let others = board.leased() - 1;
        let why = "given up, the guard held for a minute: cpu-thermal 88.0 °C of 80";
        self.one(Command::GiveUp(why.into())).unwrap();
        assert_eq!(self.core.as_ref().unwrap().board.leased(), others);
        let task = self.store.read_blocking(move |reader| reader.task_get(youngest));
        let task = task.unwrap_or_else(|error: store::Error| panic!("{error}")).unwrap();
        assert_eq!(task.outcome, Some(TaskOutcome::InfrastructureFail));
        assert!(task.message.is_some_and(|told| told.ends_with(why)), "the reason is told");
        self.seen.count("given up");
    }

    pub(in crate::simulation) fn task_held_twice(&self) -> Option<TaskId> {
        let good = |held: &&Held| {
            let core = self.core.as_ref().unwrap();
            !held.is_dead
                && core.board.holder(held.assignment.task, held.assignment.fence).is_some()
        };
        let mut tasks: Vec<TaskId> =
            self.held.iter().filter(good).map(|held| held.assignment.task).collect();
        tasks.sort();
        tasks.windows(2).find(|pair| pair[0] == pair[1]).map(|pair| pair[0])
    }
}
