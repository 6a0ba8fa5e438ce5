//! The closed list of what can be asked of the engine's transaction, and the answers.

use crate::logs::Tail;
use base::{
    event::Event,
    ids::{Fence, JobId, PipelineId, PipelineNumber, ProjectId, RunnerId, TaskId, WorkflowId},
    protocol::{Assignment, Register, Report, Reported},
    state::PipelineState,
    time::Timestamp,
    trigger::Trigger,
    trust::Trust,
};
use pipeline::{Planned, Rejected};
use store::access::NewAudit;

/// A trigger with its compiled plan, ready to be stored.
#[derive(Debug)]
pub struct Intake {
    /// As it came.
    pub trigger: Trigger,
    /// Chosen before compiling, because the configuration may name it.
    pub id: PipelineId,
    /// Chosen before compiling, too.
    pub number: PipelineNumber,
    /// Of its branch or tag, by what the project protects now; of a continuation, as it was.
    pub trust: Trust,
    /// What will run, or why nothing can.
    pub planned: Result<Planned, Rejected>,
}

/// What to run again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RerunWanted {
    /// All jobs.
    FromStart,
    /// Those that did not succeed, and what depends on them.
    FromFailed,
    /// These, and what depends on them.
    Jobs(Vec<JobId>),
}

/// Who asks for a change, and the line that tells it in the audit log.
#[derive(Debug, Clone)]
pub struct By {
    login: String,
    deed: Option<NewAudit>,
}

impl By {
    /// The command that they ask for, which is carried out and noted, or neither.
    pub(crate) fn ask(self, command: impl FnOnce(String) -> Command) -> Command {
        let command = command(self.login);
        match self.deed {
            Some(deed) => Command::Noted(Box::new(command), deed),
            None => command,
        }
    }
}

/// A deed to be noted, by who does it.
impl From<NewAudit> for By {
    fn from(deed: NewAudit) -> Self {
        Self { login: deed.actor.clone(), deed: Some(deed) }
    }
}

/// Somebody of whom no log is kept.
impl From<&str> for By {
    fn from(login: &str) -> Self {
        Self { login: login.to_owned(), deed: None }
    }
}

/// Something that changes the store.
#[derive(Debug)]
pub enum Command {
    /// A pipeline comes into being.
    Trigger(Box<Intake>),
    /// A setup pipeline goes on with another configuration.
    Continue(Box<Intake>),
    /// A runner introduces itself.
    Register(Register),
    /// A runner tells of a task.
    Report(Report),
    /// A runner tells of a task whose output is sealed together with that.
    ReportWith(Report, Vec<Tail>),
    /// A runner says that it does not hold a task which it was given.
    Lost(TaskId, Fence),
    /// An assignment did not reach its runner.
    Undelivered(TaskId, Fence),
    /// A person stops a workflow.
    CancelWorkflow(WorkflowId, String),
    /// A person stops a job.
    CancelJob(JobId, String),
    /// A person reruns a workflow.
    Rerun(WorkflowId, RerunWanted, String),
    /// A person approves.
    Approve(JobId, String),
    /// Settings of a project were changed.
    ProjectChanged(ProjectId),
    /// An administrator deletes a project, with a line for the audit log.
    RemoveProject(ProjectId, NewAudit),
    /// The guard has held for long: the youngest task is given up, for this reason.
    GiveUp(String),
    /// The governor holds jobs back otherwise than before.
    Tell(Event),
    /// Time has passed: leases and waits may be over.
    Sweep,
    /// Another, with its line for the audit log.
    Noted(Box<Self>, NewAudit),
}

impl Command {
    /// Whoever asks for work in passing gets none: the service ends.
    pub(crate) fn want_nothing(&mut self) {
        if let Self::Report(report) | Self::ReportWith(report, _) = self {
            report.wants_next = false;
        }
    }
}

/// What a trigger led to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Triggered {
    /// The pipeline.
    pub pipeline: PipelineId,
    /// Its number in the project.
    pub number: PipelineNumber,
    /// `created`, or `errored` with the reasons in the store.
    pub state: PipelineState,
    /// When it was stored.
    pub created_at: Timestamp,
    /// This push and ref had its pipeline already.
    pub is_repeat: bool,
}

/// The answer to a [`Command`].
#[derive(Debug)]
pub enum Answer {
    /// To `Trigger`.
    Triggered(Triggered),
    /// To `Register`.
    Registered(RunnerId),
    /// To `Report` and `ReportWith`.
    Reported(Reported),
    /// To `Rerun`: the new workflow.
    Rerun(WorkflowId),
    /// To all others.
    Done,
}

/// A runner that waits for work.
#[derive(Debug, Clone, Copy)]
pub struct Asking {
    /// Who.
    pub runner: RunnerId,
    /// How much it can take.
    pub free: u32,
}

/// What one transaction led to.
#[derive(Debug, Default)]
pub struct Outcome {
    /// One for each command, in order.
    pub answers: Vec<Result<Answer, crate::Error>>,
    /// One list for each runner that waited, in order; empty when it waits on.
    pub assignments: Vec<Vec<Assignment>>,
    /// Runners that should send a heartbeat soon, because a task of theirs is to be stopped.
    pub wake: Vec<RunnerId>,
}
