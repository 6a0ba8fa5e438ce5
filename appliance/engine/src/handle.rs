//! What others hold of the engine. Clones are cheap; every answer to a change means that it is on
//! disk.

pub(crate) mod continuation;

use crate::{
    Config, Error, RerunWanted, Triggered,
    clock::wall,
    command::{Answer, Asking, By, Command, Intake},
    compile::planned,
    engine::{Delivery, Input},
    govern,
    ids::Ids,
    logs::Tail,
};
use base::{
    ids::{Cursor, JobId, PipelineId, PipelineNumber, ProjectId, RunnerId, WorkflowId},
    limits::CLAIM_WAIT,
    protocol::{Claim, Claimed, Heartbeat, Register, Registered, Report, Reported, Verdicts},
    time::Timestamp,
    trigger::Trigger,
};
use control::{board::Held, governor::Decision};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use store::{Store, access::NewAudit, projects::Project};
use tokio::sync::{mpsc, oneshot, watch};

/// The engine, for everybody else.
#[derive(Debug, Clone)]
pub struct Handle {
    to: mpsc::Sender<Input>,
    store: Store,
    config: Arc<Config>,
    ids: Ids,
    governing: Arc<govern::Shared>,
    /// The last pipeline number given out in each project. A number is chosen before compiling,
    /// because the configuration may name it; one that comes to nothing leaves a gap.
    numbers: Arc<Mutex<BTreeMap<ProjectId, u64>>>,
    /// As the loop told it last.
    known: Arc<Mutex<Status>>,
}

/// A question that changes nothing is answered within this. A loop that waits for a slow disk does not
/// answer, and the governor and those who look must not wait for the disk as well.
const ANSWER_MAX: Duration = Duration::from_secs(1);

/// How full the engine is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Status {
    /// Tasks that wait for a runner.
    pub waiting: usize,
    /// Tasks in the hands of runners.
    pub leased: u32,
    /// Tasks that may be in the hands of runners.
    pub slots: u32,
    /// Every runner that ever registered.
    pub runners: Vec<RunnerStatus>,
}

/// The live side of a runner; the store knows the rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RunnerStatus {
    /// Which.
    pub id: RunnerId,
    /// Tasks that it holds.
    pub busy: u32,
    /// When it was heard last; `None` when not since the start of the service.
    pub seen_at: Option<Timestamp>,
}

impl Handle {
    pub(crate) fn new(to: mpsc::Sender<Input>, store: Store, config: Config, ids: Ids) -> Self {
        let governing = Arc::new(govern::Shared::new(config.limits.slots, wall()));
        Self {
            to,
            store,
            config: Arc::new(config),
            ids,
            governing,
            numbers: Arc::default(),
            known: Arc::default(),
        }
    }

    /// Compiles and plans a trigger and stores its pipeline with everything that follows from it.
    /// A configuration that cannot be used makes a pipeline in state `errored`. A push and ref that
    /// were told before are answered with the pipeline they have.
    ///
    /// # Errors
    /// [`Error::Missing`] for an unknown project, [`Error::Busy`] when too much waits, else as usual.
    pub async fn trigger(&self, trigger: Trigger) -> Result<Triggered, Error> {
        let (project, last) = self.project(trigger.project)?;
        let (number, id) = self.next_number(trigger.project, last);
        let config = Arc::clone(&self.config);
        let compile = move || {
            let (branch, tag) = (trigger.vcs.branch.as_deref(), trigger.vcs.tag.as_deref());
            let trust = pipeline::trust_of(&project.settings.protected, branch, tag);
            let planned = planned(&trigger, id, number, &project.repo, &config.orbs, false);
            Intake { trigger, id, number, trust, planned }
        };
        let intake = tokio::task::spawn_blocking(compile).await;
        let intake = intake.map_err(|_| Error::Store(store::Error::Panicked))?;
        match self.change(Command::Trigger(Box::new(intake))).await? {
            Answer::Triggered(triggered) => Ok(triggered),
            other => Err(unexpected(&other)),
        }
    }

    fn project(&self, id: ProjectId) -> Result<(Project, PipelineNumber), Error> {
        self.store.look(|reader| {
            let project = reader.project_get(id)?.ok_or(Error::Missing("Project"))?;
            Ok((project, reader.pipeline_last_number(id)?))
        })
    }

    /// Both at once: a greater number has a greater identifier.
    fn next_number(
        &self,
        project: ProjectId,
        last: PipelineNumber,
    ) -> (PipelineNumber, PipelineId) {
        let mut numbers = self.numbers.lock().unwrap_or_else(PoisonError::into_inner);
        let given = numbers.entry(project).or_insert(0);
        *given = last.0.max(*given) + 1;
        (PipelineNumber(*given), PipelineId(self.ids.next(wall())))
    }

    /// Makes a runner known; the same name is the same runner.
    ///
    /// # Errors
    /// When it cannot be stored.
    pub async fn register(&self, register: Register) -> Result<Registered, Error> {
        match self.change(Command::Register(register)).await? {
            Answer::Registered(runner) => Ok(Registered { runner }),
            other => Err(unexpected(&other)),
        }
    }

    /// Waits for work, at most as long as asked and [`CLAIM_WAIT`]. An empty answer before that
    /// means: send a heartbeat, there is news about what you hold.
    ///
    /// # Errors
    /// [`base::protocol::Refusal::UnknownRunner`] when it has to register first.
    pub async fn claim(&self, claim: Claim) -> Result<Claimed, Error> {
        let (claimant, mut answer) = oneshot::channel();
        let asking = Asking { runner: claim.runner, free: claim.free_slots };
        self.send(Input::Claim(asking, claimant)).await?;
        let waited = tokio::time::timeout(claim.wait.min(CLAIM_WAIT), &mut answer).await;
        let delivery = match waited {
            Ok(answered) => Some(answered.map_err(|_| Error::Stopping)?),
            Err(_) => {
                // Work may have been committed in the same moment: it is taken, not lost.
                answer.close();
                answer.try_recv().ok()
            }
        };
        let assignments = delivery.transpose()?.map(Delivery::take).unwrap_or_default();
        Ok(Claimed { assignments })
    }

    /// Renews leases; says for each task what to do with it.
    ///
    /// # Errors
    /// [`base::protocol::Refusal::UnknownRunner`] when it has to register first.
    pub async fn heartbeat(&self, heartbeat: Heartbeat) -> Result<Verdicts, Error> {
        let (reply, answer) = oneshot::channel();
        self.send(Input::Heartbeat(heartbeat, reply)).await?;
        answer.await.map_err(|_| Error::Stopping)?
    }

    /// Takes a report; the same numbers again are ignored. Says what to do with the task, and may
    /// bring another in its place.
    ///
    /// # Errors
    /// [`Error::Refused`] when the lease is lost or reports are missing in between.
    pub async fn report(&self, report: Report) -> Result<Reported, Error> {
        let (answer, next) = self.change_for(Command::Report(report)).await?;
        match answer {
            Answer::Reported(reported) => Ok(Reported { next: next.into_next(), ..reported }),
            other => Err(unexpected(&other)),
        }
    }

    /// [`Handle::report`] that also seals output, in the same transaction; see [`crate::logs`]. The
    /// next task is apart: dropped before it is told, it returns to the queue.
    pub(crate) async fn report_with(
        &self,
        report: Report,
        tails: Vec<Tail>,
    ) -> Result<(Reported, Delivery), Error> {
        let (answer, next) = self.change_for(Command::ReportWith(report, tails)).await?;
        match answer {
            Answer::Reported(reported) => Ok((reported, next)),
            other => Err(unexpected(&other)),
        }
    }

    /// Stops a workflow: what waits at once, what runs as soon as its runner hears of it.
    ///
    /// # Errors
    /// [`Error::Missing`], or [`Error::Conflict`] when it has ended.
    pub async fn cancel_workflow(&self, id: WorkflowId, by: impl Into<By>) -> Result<(), Error> {
        self.change(by.into().ask(|by| Command::CancelWorkflow(id, by))).await.map(drop)
    }

    /// Stops one job; what depends on it goes on as its requirements say.
    ///
    /// # Errors
    /// [`Error::Missing`], or [`Error::Conflict`] when it has ended.
    pub async fn cancel_job(&self, id: JobId, by: impl Into<By>) -> Result<(), Error> {
        self.change(by.into().ask(|by| Command::CancelJob(id, by))).await.map(drop)
    }

    /// Runs a workflow again, as a new workflow of the same pipeline, whose identifier it returns.
    ///
    /// # Errors
    /// [`Error::Missing`] or [`Error::Rerun`].
    pub async fn rerun(
        &self,
        id: WorkflowId,
        wanted: RerunWanted,
        by: impl Into<By>,
    ) -> Result<WorkflowId, Error> {
        match self.change(by.into().ask(|by| Command::Rerun(id, wanted, by))).await? {
            Answer::Rerun(workflow) => Ok(workflow),
            other => Err(unexpected(&other)),
        }
    }

    /// Approves an approval job.
    ///
    /// # Errors
    /// [`Error::Missing`], or [`Error::Conflict`] when it does not wait for that.
    pub async fn approve(&self, id: JobId, by: impl Into<By>) -> Result<(), Error> {
        self.change(by.into().ask(|by| Command::Approve(id, by))).await.map(drop)
    }

    /// Settings of a project were stored: its jobs that wait heed them, too. A loop that has ended
    /// reads them at its next start.
    pub async fn project_changed(&self, id: ProjectId) {
        if let Err(error) = self.change(Command::ProjectChanged(id)).await {
            tracing::warn!(error = %error, "settings of a project reach what waits at the next start");
        }
    }

    /// Deletes a project, with a line in the audit log. From then on it is gone for everybody; its
    /// runs go by [`crate::removal`].
    ///
    /// # Errors
    /// [`Error::Missing`], or [`Error::Conflict`] while something of it goes on.
    pub async fn remove_project(&self, id: ProjectId, deed: NewAudit) -> Result<(), Error> {
        self.change(Command::RemoveProject(id, deed)).await?;
        self.numbers.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
        Ok(())
    }

    /// Why a job waits; `None` when it does not wait for a runner, or the disk holds up the answer.
    ///
    /// # Errors
    /// [`Error::Stopping`].
    pub async fn explain(&self, id: JobId) -> Result<Option<Held>, Error> {
        Ok(self.ask(|reply| Input::Explain(id, reply)).await?.flatten())
    }

    /// The oldest jobs that wait for a runner, at most so many, and why each waits; none while the disk
    /// holds up the answer.
    ///
    /// # Errors
    /// [`Error::Stopping`].
    pub async fn held(&self, most: usize) -> Result<Vec<(JobId, Held)>, Error> {
        Ok(self.ask(|reply| Input::Held(most, reply)).await?.unwrap_or_default())
    }

    /// How full the engine is, and when runners were heard; as it was last while the disk holds up the
    /// answer.
    ///
    /// # Errors
    /// [`Error::Stopping`].
    pub async fn status(&self) -> Result<Status, Error> {
        let told = self.ask(Input::Status).await?;
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(status) = told {
            *known = status;
        }
        Ok(known.clone())
    }

    /// The answer to a question; `None` when it does not come soon.
    async fn ask<T>(
        &self,
        question: impl FnOnce(oneshot::Sender<T>) -> Input,
    ) -> Result<Option<T>, Error> {
        let (reply, answer) = oneshot::channel();
        let asked = async {
            self.send(question(reply)).await?;
            answer.await.map_err(|_| Error::Stopping)
        };
        tokio::time::timeout(ANSWER_MAX, asked).await.ok().transpose()
    }

    /// Follows the place of the last committed event.
    #[must_use]
    pub fn subscribe(&self) -> watch::Receiver<Cursor> {
        self.store.events()
    }

    /// Commits what waits, answers runners with nothing, and ends the loop. Running jobs run on:
    /// their runners come back to the next start.
    pub async fn drain(&self) {
        let (reply, drained) = oneshot::channel();
        if self.send(Input::Drain(reply)).await.is_ok() {
            // An error means that the loop has ended already.
            drop(drained.await);
        }
    }

    /// Follows what happens.
    pub(crate) fn events(&self) -> watch::Receiver<Cursor> {
        self.store.events()
    }

    pub(crate) fn shared(&self) -> &govern::Shared {
        &self.governing
    }

    /// The governor has decided anew.
    pub(crate) fn decided(&self, decision: Decision) {
        // A loop that has ended admits nothing any more; one that takes nothing hears the next.
        drop(self.to.try_send(Input::Decided(Box::new(decision))));
    }

    async fn change(&self, command: Command) -> Result<Answer, Error> {
        self.change_for(command).await.map(|(answer, _)| answer)
    }

    /// What a change led to, and the task that it brought.
    async fn change_for(&self, command: Command) -> Result<(Answer, Delivery), Error> {
        let (reply, answer) = oneshot::channel();
        self.send(Input::Change(command, Some(reply))).await?;
        answer.await.map_err(|_| Error::Stopping)?
    }

    async fn send(&self, input: Input) -> Result<(), Error> {
        self.to.send(input).await.map_err(|_| Error::Stopping)
    }
}

/// The loop answered a command with the answer of another: a bug, contained here.
fn unexpected(answer: &Answer) -> Error {
    tracing::error!("the engine gave an answer of the wrong kind: {answer:?}");
    Error::Store(store::Error::Panicked)
}
