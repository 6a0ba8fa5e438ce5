//! People and their pushes, and the end of all troubles.

use super::World;
use crate::{
    command::{Answer, Command, RerunWanted},
    simulation::{plans, random::Random},
};
use base::{
    ids::{JobId, PipelineId, PipelineNumber, PushId},
    state::{JobState, TaskOutcome},
};
use std::time::Duration;
use store::{projects::Push, runs::Workflow};

impl World {
    pub(super) fn trigger(&mut self, random: &mut Random) {
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
            trust: intake.trust,
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

    pub(in crate::simulation) fn workflows(&self, live_only: bool) -> Vec<Workflow> {
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
    pub(super) fn command(&mut self, random: &mut Random) -> Option<Command> {
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

    pub(super) fn people(&mut self, random: &mut Random) {
        let Some(command) = self.command(random) else { return };
        let told = format!("{command:?}");
        match (self.one(command), told) {
            (Ok(Answer::Rerun(_)), _) => self.seen.count("reruns"),
            (Ok(_), told) if told.starts_with("Approve") => self.seen.count("approved"),
            (Ok(_), told) if told.starts_with("Cancel") => self.seen.count("canceled"),
            (Ok(_) | Err(crate::Error::Rerun(_)), _) => {}
            (other, told) => panic!("{told}: {other:?}"),
        }
    }

    /// From here on every runner is healthy, every person approves, and nothing new comes.
    pub(in crate::simulation) fn come_to_an_end(&mut self) {
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
                self.tell(index, outcome.or(Some(TaskOutcome::Success)), false, false);
            }
            self.check(false);
        }
        self.seen.add_to("workflows", self.workflows(false).len() as u64);
    }
}
