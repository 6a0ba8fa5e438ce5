//! From a planned trigger to a stored pipeline with its first jobs ready.

use super::Turn;
use crate::{
    Error,
    command::{Intake, Triggered},
    config::WAITING_MAX,
    handle::continuation,
};
use base::{
    event::Event,
    ids::{JobNumber, WorkflowId},
    limits::INFRASTRUCTURE_RETRIES,
    plan::{JobKind, JobSpec, PlannedJob, WorkflowPlan},
    state::{JobState, PipelineState, WorkflowState},
    trigger::{ConfigText, Trigger},
};
use control::supersede::{self, Origin};
use pipeline::Planned;
use std::collections::BTreeMap;
use store::{
    projects::Project,
    runs::{ConfigTexts, Job, JobType, Pipeline, PipelineError, Requires, Workflow, family},
};

/// Canceled by a newer pipeline; shown where a login is shown.
const AUTO_CANCEL: &str = "auto-cancel";

/// The name of the ref that a trigger builds.
fn ref_name(trigger: &Trigger) -> String {
    match (&trigger.vcs.branch, &trigger.vcs.tag) {
        (Some(branch), _) => format!("refs/heads/{branch}"),
        (None, Some(tag)) => format!("refs/tags/{tag}"),
        (None, None) => String::new(),
    }
}

/// Where the pipeline stands in the rule of auto-cancel.
pub(super) fn origin(pipeline: &Pipeline) -> Origin {
    Origin {
        project: pipeline.project,
        number: pipeline.number,
        branch: pipeline.vcs.branch.clone(),
        is_default_branch: pipeline.vcs.branch.as_ref() == Some(&pipeline.vcs.default_branch),
        kind: pipeline.kind,
    }
}

/// The plan, unless it is larger than identifiers can count.
fn checked(intake: &Intake) -> Result<&Planned, Vec<PipelineError>> {
    let tell = |error: &pipeline::PipelineError| PipelineError {
        kind: error.kind.clone(),
        message: error.message.clone(),
    };
    let planned = intake
        .planned
        .as_ref()
        .map_err(|rejected| rejected.errors.iter().map(tell).collect::<Vec<_>>())?;
    planned
        .plan
        .workflows
        .iter()
        .find_map(too_large)
        .map_or(Ok(planned), |message| Err(vec![PipelineError { kind: "plan".into(), message }]))
}

/// The configuration as it was found, and as it was processed.
fn texts(intake: &Intake, planned: Option<&Planned>) -> ConfigTexts {
    let source = match &intake.trigger.config {
        ConfigText::Found(text) => Some(text.clone()),
        ConfigText::Missing(_) => None,
    };
    let compiled = planned.map(|planned| planned.processed.clone());
    ConfigTexts { source, compiled, ..ConfigTexts::default() }
}

fn too_large(workflow: &WorkflowPlan) -> Option<String> {
    let copies_max = family::TASKS_MAX / (INFRASTRUCTURE_RETRIES as usize + 1);
    if workflow.jobs.len() > family::JOBS_MAX {
        return Some(format!(
            "workflow `{}` has {} jobs, and {} are possible: split it",
            workflow.name,
            workflow.jobs.len(),
            family::JOBS_MAX
        ));
    }
    let wide = |job: &&PlannedJob| match &job.kind {
        JobKind::Build { spec } => spec.parallelism as usize > copies_max,
        JobKind::Approval | JobKind::NoOp => false,
    };
    workflow.jobs.iter().find(wide).map(|job| {
        format!("job `{}` asks for a parallelism above {copies_max}: lower it", job.name)
    })
}

impl Turn<'_, '_, '_> {
    pub(super) fn trigger(&mut self, intake: &Intake) -> Result<Triggered, Error> {
        let project =
            self.txn.project_get(intake.trigger.project)?.ok_or(Error::Missing("Project"))?;
        self.room()?;
        if let Some(before) = self.repeated(intake)? {
            return Ok(before);
        }
        let checked = checked(intake);
        let errors = checked.as_ref().err().cloned().unwrap_or_default();
        let pipeline = self.pipeline_new(intake, errors);
        self.txn.pipeline_insert(&pipeline, &texts(intake, checked.as_deref().ok()))?;
        let (id, number, state) = (pipeline.id, pipeline.number, pipeline.state);
        self.tell(pipeline.project, &Event::PipelineCreated { pipeline: id, number, state })?;
        if let Ok(planned) = checked {
            // Parameters may switch workflows off for this pipeline alone.
            if let Some(branch) =
                pipeline.vcs.branch.as_ref().filter(|_| pipeline.parameters.is_empty())
            {
                self.txn.timer_set(pipeline.project, branch, &planned.timers)?;
            }
            self.start(&pipeline, &project, planned)?;
        }
        Ok(Triggered { pipeline: id, number, state, created_at: self.now, is_repeat: false })
    }

    /// More may wait.
    pub(super) fn room(&self) -> Result<(), Error> {
        if self.core.board.waiting_len() >= WAITING_MAX { Err(Error::Busy) } else { Ok(()) }
    }

    /// Goes on with a setup pipeline: its new workflows join those of the setup.
    pub(super) fn continue_pipeline(&mut self, intake: &Intake) -> Result<(), Error> {
        self.room()?;
        let mut pipeline = self.txn.pipeline_get(intake.id)?.ok_or(Error::Missing("Pipeline"))?;
        self.project_stands(pipeline.project)?;
        let setups = self.txn.workflow_list(intake.id)?;
        continuation::check(&pipeline, continuation::goes_on(&setups), self.now)?;
        if !setups.is_empty() && setups.iter().all(|setup| setup.canceled_by.is_some()) {
            // Its job runs on for the moment until its runner hears of it.
            return Err(Error::Conflict(
                "The setup workflow was canceled: its pipeline goes on no more.".into(),
            ));
        }
        let checked = checked(intake);
        pipeline.errors = checked.as_ref().err().cloned().unwrap_or_default();
        pipeline.state = PipelineState::Errored;
        pipeline.updated_at = self.now;
        let before = pipeline.workflows.len();
        if let Ok(planned) = checked.as_ref() {
            pipeline.state = PipelineState::Created;
            let new = planned.plan.workflows.iter();
            pipeline.workflows.extend(new.map(|_| family::workflow(self.core.ids.next(self.now))));
        }
        self.txn.pipeline_continue(&pipeline, &texts(intake, checked.as_deref().ok()))?;
        let event = Event::PipelineChanged { pipeline: pipeline.id, state: pipeline.state };
        self.tell(pipeline.project, &event)?;
        if let Ok(planned) = checked {
            for (id, plan) in pipeline.workflows[before..].iter().zip(&planned.plan.workflows) {
                self.workflow_start(&pipeline, *id, plan)?;
            }
        }
        Ok(())
    }

    /// The pipeline that this push and ref had already; otherwise they have this one from now on.
    fn repeated(&mut self, intake: &Intake) -> Result<Option<Triggered>, Error> {
        let Some(push) = intake.trigger.push else { return Ok(None) };
        let claimed = self.txn.push_pipeline_claim(push, &ref_name(&intake.trigger), intake.id)?;
        let Some(before) = claimed else { return Ok(None) };
        let found = self.txn.pipeline_get(before)?.ok_or(Error::Missing("Pipeline"))?;
        Ok(Some(Triggered {
            pipeline: found.id,
            number: found.number,
            state: found.state,
            created_at: found.created_at,
            is_repeat: true,
        }))
    }

    fn pipeline_new(&self, intake: &Intake, errors: Vec<PipelineError>) -> Pipeline {
        let trigger = &intake.trigger;
        let workflows = match &intake.planned {
            Ok(planned) if errors.is_empty() => planned.plan.workflows.len(),
            _ => 0,
        };
        let new_workflow = |_| family::workflow(self.core.ids.next(self.now));
        Pipeline {
            id: intake.id,
            project: trigger.project,
            number: intake.number,
            state: match &intake.planned {
                _ if !errors.is_empty() => PipelineState::Errored,
                Ok(planned) if planned.plan.setup => PipelineState::SetupPending,
                _ => PipelineState::Created,
            },
            kind: trigger.kind,
            actor: trigger.actor.clone(),
            received_at: trigger.received_at,
            created_at: self.now,
            updated_at: self.now,
            vcs: trigger.vcs.clone(),
            parameters: trigger.parameters.clone(),
            errors,
            workflows: (0..workflows).map(new_workflow).collect(),
            due: trigger.due.clone(),
            trust: intake.trust,
        }
    }

    fn start(
        &mut self,
        pipeline: &Pipeline,
        project: &Project,
        planned: &Planned,
    ) -> Result<(), Error> {
        let origin = origin(pipeline);
        if project.settings.autocancel {
            let older = |live: &&supersede::Live| supersede::stops(&origin, live);
            let stopped: Vec<WorkflowId> =
                self.core.live.values().filter(older).map(|live| live.workflow).collect();
            for workflow in stopped {
                // Any other error: it ended in the same breath.
                if let Err(Error::Store(error)) = self.cancel_workflow(workflow, AUTO_CANCEL) {
                    return Err(error.into());
                }
            }
        }
        for (id, plan) in pipeline.workflows.iter().zip(&planned.plan.workflows) {
            self.workflow_start(pipeline, *id, plan)?;
        }
        Ok(())
    }

    fn workflow_start(
        &mut self,
        pipeline: &Pipeline,
        id: WorkflowId,
        plan: &WorkflowPlan,
    ) -> Result<(), Error> {
        let workflow = Workflow {
            id,
            pipeline: pipeline.id,
            project: pipeline.project,
            name: plan.name.clone(),
            state: WorkflowState::Running,
            created_at: self.now,
            stopped_at: None,
            started_by: pipeline.actor.clone(),
            canceled_by: None,
            workspace: id,
            rerun_of: None,
            reruns: 0,
            auto_rerun: 0,
            max_auto_reruns: plan.max_auto_reruns,
        };
        self.workflow_new(&workflow, origin(pipeline))?;
        self.jobs_new(&workflow, plan)?;
        Ok(self.advance(id)?)
    }

    /// Stores a workflow, makes it live and tells it.
    pub(super) fn workflow_new(
        &mut self,
        workflow: &Workflow,
        origin: Origin,
    ) -> Result<(), Error> {
        self.txn.workflow_insert(workflow)?;
        let is_rerun = workflow.rerun_of.is_some();
        let live = supersede::Live { workflow: workflow.id, origin, is_rerun };
        self.core.live.insert(workflow.id, live);
        let event = Event::WorkflowCreated {
            workflow: workflow.id,
            pipeline: workflow.pipeline,
            name: workflow.name.clone(),
        };
        Ok(self.tell(workflow.project, &event)?)
    }

    fn jobs_new(&mut self, workflow: &Workflow, plan: &WorkflowPlan) -> Result<(), Error> {
        let ordinal = |index: usize| u16::try_from(index + 1).expect("intake bounds the jobs");
        let ids: BTreeMap<&str, u16> = plan
            .jobs
            .iter()
            .enumerate()
            .map(|(index, job)| (job.name.as_str(), ordinal(index)))
            .collect();
        let mut number = self.txn.job_last_number(workflow.project)?.0;
        for (index, planned) in plan.jobs.iter().enumerate() {
            let spec = match &planned.kind {
                JobKind::Build { spec } => Some(spec.as_ref()),
                JobKind::Approval | JobKind::NoOp => None,
            };
            number += u64::from(spec.is_some());
            let mut job = job_new(workflow, planned, ordinal(index), spec);
            job.number = spec.map(|_| JobNumber(number));
            job.requires = requires(workflow, planned, &ids);
            let end = planned.serial_end.as_deref().and_then(|name| ids.get(name));
            job.serial_end = end.map(|ordinal| family::job(workflow.id, *ordinal));
            self.txn.job_insert(&job, spec)?;
            if !job.requires.is_empty() {
                self.tell_new(&job)?;
            }
        }
        Ok(())
    }

    /// Tells a job that came into being as blocked; one without requirements moves on at once.
    pub(super) fn tell_new(&mut self, job: &Job) -> Result<(), Error> {
        let event = Event::JobChanged { job: job.id, workflow: job.workflow(), state: job.state };
        Ok(self.tell(job.project, &event)?)
    }
}

fn requires(workflow: &Workflow, planned: &PlannedJob, ids: &BTreeMap<&str, u16>) -> Vec<Requires> {
    let edge = |wanted: &base::plan::Requirement| {
        let on = family::job(workflow.id, *ids.get(wanted.job.as_str())?);
        Some(Requires { on, any_of: wanted.any_of.clone() })
    };
    planned.requires.iter().filter_map(edge).collect()
}

fn job_new(workflow: &Workflow, planned: &PlannedJob, ordinal: u16, spec: Option<&JobSpec>) -> Job {
    Job {
        id: family::job(workflow.id, ordinal),
        project: workflow.project,
        number: None,
        name: planned.name.clone(),
        kind: match planned.kind {
            JobKind::Build { .. } => JobType::Build,
            JobKind::Approval => JobType::Approval,
            JobKind::NoOp => JobType::NoOp,
        },
        state: JobState::Blocked,
        parallelism: spec.map_or(1, |spec| spec.parallelism.max(1)),
        requires: Vec::new(),
        contexts: planned.contexts.clone(),
        serial_group: planned.serial_group.clone(),
        serial_end: None,
        created_at: workflow.created_at,
        queued_at: None,
        started_at: None,
        stopped_at: None,
        origin: None,
        decided_by: None,
        message: None,
    }
}
