//! The world around the engine: runners that die and come back, people, time, and a disk that
//! tears transactions.

mod people;
mod runners;
mod seen;

use super::{oracle::Oracle, random::Random};
use crate::{
    Config,
    command::{Answer, Asking, Command, Outcome},
    core::Core,
    ids::Ids,
};
use base::{
    ids::{ProjectId, RunnerId},
    time::Timestamp,
};
use control::board::Limits;
use runners::Held;
pub(super) use seen::Seen;
use std::time::Duration;
use store::{SiteKey, Store, projects::Settings};

pub(super) const LIMITS: Limits = Limits { slots: 4, per_project: 3 };

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
        self.seen.count("torn");
    }

    /// The service dies between two transactions; now and then its store is opened anew, too.
    fn cut(&mut self, random: &mut Random) {
        if random.chance(10) {
            self.store.close().unwrap();
            self.store = open(&self.dir);
        }
        self.core = Some(self.load());
        self.seen.count("cuts");
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
            92..93 => self.lose(random),
            93..94 => self.give_up(),
            94..97 => self.cut(random),
            _ => {
                let command = self.command(random).unwrap_or(Command::Sweep);
                self.torn(command);
            }
        }
    }

    fn time_passes(&mut self, random: &mut Random) {
        for _ in 0..=random.below(4) {
            self.now = self.now.plus(Duration::from_secs(9));
            self.heartbeats();
            self.one(Command::Sweep).unwrap();
        }
    }
}
