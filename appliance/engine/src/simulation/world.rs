//! The world around the engine: runners that die and come back, people, time, and a disk that
//! tears transactions.

use super::{oracle::Oracle, plans, random::Random};
use crate::{
    Config,
    command::{Answer, Asking, Command, Outcome, RerunWanted},
    core::Core,
    ids::Ids,
};
use base::{
    ids::{Fence, JobId, PipelineId, PipelineNumber, ProjectId, PushId, RunnerId, TaskId},
    limits::LEASE,
    protocol::{Assignment, Progress, Refusal, Register, Report, Verdict},
    state::{JobState, StepState, TaskOutcome},
    time::Timestamp,
};
use control::board::Limits;
use std::time::Duration;
use store::{
    SiteKey, Store,
    projects::{Push, Settings},
    runs::Workflow,
};

pub(super) const LIMITS: Limits = Limits { slots: 4, per_project: 3 };

/// What happened, to be sure that everything did.
#[derive(Debug, Default)]
pub(super) struct Seen {
    workflows: u64,
    leases: u64,
    retries: u64,
    fenced: u64,
    gaps: u64,
    repeats: u64,
    torn: u64,
    cuts: u64,
    undelivered: u64,
    canceled: u64,
    approved: u64,
    reruns: u64,
    stops: u64,
}

impl Seen {
    fn all(&mut self) -> [&mut u64; 13] {
        [
            &mut self.workflows,
            &mut self.leases,
            &mut self.retries,
            &mut self.fenced,
            &mut self.gaps,
            &mut self.repeats,
            &mut self.torn,
            &mut self.cuts,
            &mut self.undelivered,
            &mut self.canceled,
            &mut self.approved,
            &mut self.reruns,
            &mut self.stops,
        ]
    }

    pub(super) fn add(&mut self, other: &Self) {
        let o = other;
        let others = [
            o.workflows,
            o.leases,
            o.retries,
            o.fenced,
            o.gaps,
            o.repeats,
            o.torn,
            o.cuts,
            o.undelivered,
            o.canceled,
            o.approved,
            o.reruns,
            o.stops,
        ];
        for (sum, more) in self.all().into_iter().zip(others) {
            *sum += more;
        }
    }

    pub(super) fn assert_everything_happened(mut self) {
        let told = format!("{self:?}");
        assert!(self.all().into_iter().all(|count| *count > 0), "something never happened: {told}");
    }
}

/// A task in the hands of a runner, which may have died since.
#[derive(Debug, Clone)]
struct Held {
    assignment: Assignment,
    runner: RunnerId,
    next: u64,
    stop: bool,
    is_dead: bool,
}

pub(super) struct World {
    pub(super) store: Store,
    pub(super) core: Option<Core>,
    pub(super) now: Timestamp,
    pub(super) oracle: Oracle,
    pub(super) seen: Seen,
    config: Config,
    ids: Ids,
    projects: Vec<ProjectId>,
    runners: Vec<RunnerId>,
    held: Vec<Held>,
    pipelines: u64,
    dir: tempfile::TempDir,
}

/// Memory where there is some: the simulation asks for thousands of durable commits.
fn scratch() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

fn open(dir: &tempfile::TempDir) -> Store {
    Store::open(&store::Config::new(dir.path().join("store")), SiteKey::new([7; 32])).unwrap()
}

fn prepare(store: &Store, now: Timestamp) -> Vec<ProjectId> {
    let make = move |txn: &mut store::Txn<'_>| {
        let mut made = Vec::new();
        for name in ["acme/relay", "acme/meter", "other/lab"] {
            let repo = name.parse().unwrap();
            let (project, _) = txn.project_ensure(&repo, &Settings::default(), now)?;
            if txn.context_by_name(project.org, "deploy")?.is_none() {
                txn.context_create(project.org, "deploy", now)?;
            }
            made.push(project.id);
        }
        Ok::<_, store::Error>(made)
    };
    store.write_blocking(make).unwrap()
}

impl World {
    pub(super) fn new(seed: u64) -> Self {
        let dir = scratch();
        let store = open(&dir);
        let now = Timestamp(1_700_000_000_000_000);
        let projects = prepare(&store, now);
        let config = Config { limits: LIMITS, ..Config::for_cores(2, "https://site") };
        let mut world = Self {
            store,
            core: None,
            now,
            oracle: Oracle::default(),
            seen: Seen::default(),
            config,
            ids: Ids::new(seed),
            projects,
            runners: Vec::new(),
            held: Vec::new(),
            pipelines: 0,
            dir,
        };
        world.core = Some(world.load());
        for name in ["one", "two", "three"] {
            world.register(name, name == "three");
        }
        world
    }

    pub(super) fn load(&self) -> Core {
        let (config, ids, now) = (self.config.clone(), self.ids.clone(), self.now);
        self.store.read_blocking(move |reader| Core::load(reader, &config, &ids, now)).unwrap()
    }

    fn register(&mut self, name: &str, lab: bool) {
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

    fn apply(&mut self, commands: Vec<Command>, asking: Vec<Asking>) -> Outcome {
        let now = self.now;
        let mut core = self.core.take().unwrap();
        let work = move |txn: &mut store::Txn<'_>| {
            let outcome = core.apply(txn, &commands, &asking, now)?;
            Ok::<_, store::Error>((core, outcome))
        };
        let (core, outcome) = self.store.write_blocking(work).unwrap();
        self.core = Some(core);
        outcome
    }

    fn one(&mut self, command: Command) -> Result<Answer, crate::Error> {
        self.apply(vec![command], vec![]).answers.pop().unwrap()
    }

    /// The service dies inside the transaction: nothing of it may remain.
    fn torn(&mut self, command: Command) {
        let now = self.now;
        let mut core = self.core.take().unwrap();
        let asking: Vec<Asking> =
            self.runners.iter().map(|runner| Asking { runner: *runner, free: 2 }).collect();
        let work = move |txn: &mut store::Txn<'_>| {
            drop(core.apply(txn, &[command], &asking, now)?);
            Err::<(), _>(store::Error::Closed)
        };
        self.store.write_blocking(work).unwrap_err();
        self.core = Some(self.load());
        self.seen.torn += 1;
    }

    /// The service dies between two transactions; now and then its store is opened anew, too.
    fn cut(&mut self, random: &mut Random) {
        if random.chance(10) {
            self.store.close().unwrap();
            self.store = open(&self.dir);
        }
        self.core = Some(self.load());
        self.seen.cuts += 1;
    }

    pub(super) fn step(&mut self, random: &mut Random) {
        self.now = self.now.plus(Duration::from_millis(random.below(500)));
        match random.below(100) {
            0..6 => self.trigger(random),
            6..36 => self.claim(random),
            36..70 => self.progress(random),
            70..74 => self.die(random),
            74..80 => self.time_passes(random),
            80..84 => self.people(random),
            84..88 => self.repeat(random),
            88..92 => self.late(random),
            92..94 => self.lose(random),
            94..97 => self.cut(random),
            _ => {
                let command = self.command(random).unwrap_or(Command::Sweep);
                self.torn(command);
            }
        }
    }

    fn trigger(&mut self, random: &mut Random) {
        self.pipelines += 1;
        let project = *random.pick(&self.projects).unwrap();
        let push = random.chance(30).then(|| PushId(self.ids.next(self.now)));
        if let Some(id) = push {
            let note = Push { id, project, at: self.now, actor: "ann".into(), refs: vec![] };
            self.store.write_blocking(move |txn| txn.push_note(&note)).unwrap();
        }
        let number = PipelineNumber(self.pipelines);
        let id = PipelineId(self.ids.next(self.now));
        let intake = plans::intake(random, project, id, number, push, self.now);
        let again = push.map(|_| crate::command::Intake {
            trigger: intake.trigger.clone(),
            id: PipelineId(self.ids.next(self.now)),
            number: PipelineNumber(self.pipelines + 1000),
            planned: intake.planned.clone(),
        });
        let made = self.one(Command::Trigger(Box::new(intake))).unwrap();
        let Answer::Triggered(made) = made else { panic!("{made:?}") };
        assert!(made.pipeline == id && !made.is_repeat);
        if let Some(again) = again {
            let Ok(Answer::Triggered(repeat)) = self.one(Command::Trigger(Box::new(again))) else {
                panic!("a repeated push is answered")
            };
            assert!(
                repeat.is_repeat && repeat.pipeline == id,
                "one pipeline for each push and ref"
            );
        }
    }

    fn claim(&mut self, random: &mut Random) {
        let runner = *random.pick(&self.runners).unwrap();
        let held = self.held.iter().filter(|held| held.runner == runner && !held.is_dead).count();
        let free = 2u32.saturating_sub(u32::try_from(held).unwrap());
        let outcome = self.apply(vec![], vec![Asking { runner, free }]);
        let undelivered = random.chance(5);
        for assignment in outcome.assignments.into_iter().flatten() {
            self.seen.leases += 1;
            self.oracle.leased(&assignment);
            if undelivered {
                self.seen.undelivered += 1;
                self.one(Command::Undelivered(assignment.task, assignment.fence)).unwrap();
            } else {
                self.seen.retries += u64::from(assignment.attempt.0 > 1);
                self.oracle.delivered(&assignment);
                self.held.push(Held { assignment, runner, next: 0, stop: false, is_dead: false });
            }
        }
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
                },
            ],
        };
        Report {
            task: held.assignment.task,
            fence: held.assignment.fence,
            first: held.next,
            progress,
        }
    }

    fn outcome(random: &mut Random, stop: bool) -> Option<TaskOutcome> {
        match random.below(20) {
            _ if stop => Some(TaskOutcome::Canceled),
            0..8 => None,
            8..15 => Some(TaskOutcome::Success),
            15..17 => Some(TaskOutcome::Failed),
            17 => Some(TaskOutcome::TimedOut),
            _ => Some(TaskOutcome::InfrastructureFail),
        }
    }

    fn progress(&mut self, random: &mut Random) {
        let alive: Vec<usize> =
            (0..self.held.len()).filter(|index| !self.held[*index].is_dead).collect();
        let Some(index) = random.pick(&alive).copied() else { return };
        let outcome = Self::outcome(random, self.held[index].stop);
        self.tell(index, outcome, random.chance(5));
    }

    /// A runner reports; `ahead` forgets one report before.
    fn tell(&mut self, index: usize, outcome: Option<TaskOutcome>, ahead: bool) {
        let held = self.held[index].clone();
        let mut report = self.report(&held, outcome);
        report.first += u64::from(ahead);
        let added = report.progress.len() as u64;
        match self.one(Command::Report(report)) {
            Ok(Answer::Verdict(verdict)) => {
                assert!(!ahead, "a report with a gap before it was taken");
                self.held[index].next += added;
                self.held[index].stop |= verdict == Verdict::Cancel;
                if outcome.is_some() {
                    self.held.remove(index);
                }
            }
            Err(crate::Error::Refused(Refusal::Gap { expected })) => {
                assert!(ahead && expected == held.next);
                self.seen.gaps += 1;
            }
            Err(crate::Error::Refused(Refusal::Fenced)) => {
                self.seen.fenced += 1;
                self.held.remove(index);
            }
            other => panic!("{other:?}"),
        }
    }

    /// A runner dies with all that it holds; the dead may still speak later.
    fn die(&mut self, random: &mut Random) {
        let Some(held) = random.pick(&self.held) else { return };
        let runner = held.runner;
        for held in self.held.iter_mut().filter(|held| held.runner == runner) {
            held.is_dead = true;
        }
    }

    fn time_passes(&mut self, random: &mut Random) {
        for _ in 0..=random.below(4) {
            self.now = self.now.plus(Duration::from_secs(9));
            self.heartbeats();
            self.one(Command::Sweep).unwrap();
        }
    }

    fn heartbeats(&mut self) {
        let until = self.now.plus(LEASE);
        let core = self.core.as_mut().unwrap();
        for held in self.held.iter_mut().filter(|held| !held.is_dead) {
            let (task, fence) = (held.assignment.task, held.assignment.fence);
            match core.board.renew(task, fence, Some(held.runner), until) {
                Verdict::Keep => {}
                Verdict::Cancel => {
                    self.seen.stops += u64::from(!held.stop);
                    held.stop = true;
                }
                Verdict::Lost => held.is_dead = true,
            }
        }
    }

    /// A runner reports the same once more: nothing may change.
    fn repeat(&mut self, random: &mut Random) {
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
            self.seen.repeats += 1;
        }
    }

    /// Somebody with an old fence, or dead and declared so, reports: nothing may change.
    fn late(&mut self, random: &mut Random) {
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
        self.seen.fenced += 1;
    }

    /// A runner came back without one of its tasks.
    fn lose(&mut self, random: &mut Random) {
        let Some(held) = random.pick(&self.held).cloned() else { return };
        self.one(Command::Lost(held.assignment.task, held.assignment.fence)).unwrap();
    }

    pub(super) fn workflows(&self, live_only: bool) -> Vec<Workflow> {
        let read = move |reader: &store::Reader<'_>| {
            if live_only {
                return reader.workflow_live();
            }
            let mut all = Vec::new();
            for age in reader.pipeline_ages(None)? {
                all.extend(reader.workflow_list(age.pipeline)?);
            }
            Ok(all)
        };
        self.store.read_blocking(read).unwrap()
    }

    fn jobs(&self, state: JobState) -> Vec<JobId> {
        let live = self.workflows(true);
        let read = move |reader: &store::Reader<'_>| {
            let mut found = Vec::new();
            for workflow in live {
                let jobs = reader.job_list(workflow.id)?;
                found.extend(jobs.into_iter().filter(|job| job.state == state).map(|job| job.id));
            }
            Ok::<_, store::Error>(found)
        };
        self.store.read_blocking(read).unwrap()
    }

    /// Something that a person, a runner or the time could ask for now.
    fn command(&mut self, random: &mut Random) -> Option<Command> {
        let by = || "bob".to_owned();
        match random.below(8) {
            0 => Some(Command::CancelWorkflow(random.pick(&self.workflows(true))?.id, by())),
            1 => Some(Command::CancelJob(*random.pick(&self.jobs(JobState::Running))?, by())),
            2 => Some(Command::CancelJob(*random.pick(&self.jobs(JobState::Queued))?, by())),
            3 | 4 => Some(Command::Approve(*random.pick(&self.jobs(JobState::OnHold))?, by())),
            5 => Some(Command::Sweep),
            _ => {
                let wanted = if random.chance(70) {
                    RerunWanted::FromFailed
                } else {
                    RerunWanted::FromStart
                };
                Some(Command::Rerun(random.pick(&self.workflows(false))?.id, wanted, by()))
            }
        }
    }

    fn people(&mut self, random: &mut Random) {
        let Some(command) = self.command(random) else { return };
        let told = format!("{command:?}");
        match (self.one(command), told) {
            (Ok(Answer::Rerun(_)), _) => self.seen.reruns += 1,
            (Ok(_), told) if told.starts_with("Approve") => self.seen.approved += 1,
            (Ok(_), told) if told.starts_with("Cancel") => self.seen.canceled += 1,
            (Ok(_) | Err(crate::Error::Rerun(_)), _) => {}
            (other, told) => panic!("{told}: {other:?}"),
        }
    }

    /// From here on every runner is healthy, every person approves, and nothing new comes.
    pub(super) fn come_to_an_end(&mut self) {
        let mut random = Random::new(1);
        for _ in 0..2000 {
            if self.workflows(true).is_empty() {
                break;
            }
            self.now = self.now.plus(Duration::from_secs(5));
            self.held.retain(|held| !held.is_dead);
            self.heartbeats();
            self.one(Command::Sweep).unwrap();
            for job in self.jobs(JobState::OnHold) {
                self.one(Command::Approve(job, "bob".into())).unwrap();
            }
            for _ in 0..3 {
                self.claim(&mut random);
            }
            while let Some(index) = self.held.iter().position(|held| !held.is_dead) {
                let outcome = Self::outcome(&mut random, self.held[index].stop);
                self.tell(index, outcome.or(Some(TaskOutcome::Success)), false);
            }
            self.check(false);
        }
        self.seen.workflows += self.workflows(false).len() as u64;
    }

    pub(super) fn task_held_twice(&self) -> Option<TaskId> {
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
