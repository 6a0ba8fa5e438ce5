//! `appliance run`: a working copy's workflows right here, with no server.
//!
//! Why with the same driver: a job that is green here must be green there, so only the control
//! side differs: [`place::Place`] keeps caches, layers and artifacts in a folder and prints what
//! a server would store.
//! Invariants: jobs run in the same sandboxes, from a copy of the working copy; nothing is written
//! into it. Caches are kept between runs, workspaces are not; the numbers of jobs and pipelines go on.
//! On failure: a configuration error names file, line and column, as on the server.

use crate::{
    config::HostConfig,
    folder::Folder,
    host::{Host, HostError},
    supervised::Supervised,
};
use base::{
    ids::{PipelineId, PipelineNumber, ProjectId, RepoName},
    plan::{JobKind, Plan},
    protocol::{ImageSource, Variable},
    time::Timestamp,
    trigger::{ConfigText, ParameterValue, Trigger, TriggerKind, Vcs},
};
use indexmap::IndexMap;
use numbers::Numbers;
use own::Own;
use place::Place;
use std::{
    collections::BTreeSet,
    future::Future,
    path::{Path, PathBuf},
    pin::Pin,
    sync::Arc,
};
use uuid::Uuid;

mod archive;
mod git_dir;
mod git_index;
mod graph;
mod lines;
mod names;
mod numbers;
mod own;
mod place;
mod working_copy;

/// Prints one line of one job.
pub type Print = Arc<dyn Fn(&str, &str) + Send + Sync>;

/// What comes later, or a text for people that says why it does not.
pub type Pending<'a, T> = Pin<Box<dyn Future<Output = Result<T, String>> + Send + 'a>>;

/// Where the images of `docker:` jobs come from.
pub trait Images: Send + Sync {
    /// An image by the name that the configuration gives it. Its layers' addresses are their
    /// digests.
    fn find<'a>(&'a self, reference: &'a str) -> Pending<'a, ImageSource>;

    /// Writes the layer of that digest, as it is kept, into a file.
    fn fetch<'a>(&'a self, digest: &'a str, into: &'a Path) -> Pending<'a, ()>;
}

/// What to run, and where to keep what stays.
pub struct Options {
    /// The working copy.
    pub directory: PathBuf,
    /// Only these workflows; all when empty.
    pub workflows: Vec<String>,
    /// Only this job, without the jobs that it requires.
    pub job: Option<String>,
    /// Pipeline parameters.
    pub parameters: IndexMap<String, ParameterValue>,
    /// Orbs that the configuration may use.
    pub orbs: pipeline::Orbs,
    /// Secret variables of all jobs.
    pub environment: Vec<Variable>,
    /// Approves every approval; otherwise what waits for one is not run.
    pub approve: bool,
    /// Jobs side by side.
    pub slots: u32,
    /// Where caches and artifacts are kept.
    pub keep: PathBuf,
    /// Where images come from.
    pub images: Arc<dyn Images>,
    /// How jobs run here; its `data` is for this run alone.
    pub host: HostConfig,
    /// Prints one line: the job's name (empty for what concerns no job), and the text.
    pub print: Print,
}

/// Why nothing was run, or not to the end.
#[derive(Debug, thiserror::Error)]
pub enum LocalError {
    /// The configuration cannot be used; one line for each error, with its place.
    #[error("the configuration cannot be used:\n{0}")]
    Configuration(String),
    /// The working copy cannot be used.
    #[error("could not {attempt} {path}")]
    WorkingCopy {
        /// What was tried.
        attempt: &'static str,
        /// Where.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// What an earlier run stored is in the way, or nothing can be stored.
    #[error(
        "could not prepare {path}: remove it yourself, or name another place by XDG_CACHE_HOME"
    )]
    Artifacts {
        /// The working copy's artifacts.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// Too many runs of one working copy.
    #[error("{most} runs of this working copy go on already: wait for one to end")]
    Crowded {
        /// As many as there may be.
        most: u32,
    },
    /// Nothing has the name that was asked for.
    #[error("no {kind} is named `{name}`: there are {known}")]
    Unknown {
        /// `workflow` or `job`.
        kind: &'static str,
        /// The name.
        name: String,
        /// Those that exist.
        known: String,
    },
    /// This machine cannot run jobs.
    #[error("this machine cannot run jobs")]
    Host(#[from] HostError),
}

/// Runs the workflows until they end, or `interrupt` completes, which cancels them. True when
/// every job that ran succeeded.
pub async fn run(
    options: Options,
    interrupt: impl Future<Output = ()>,
) -> Result<bool, LocalError> {
    let copy = working_copy::read(&options.directory)?;
    let project = copy.project.clone();
    copy.note.iter().for_each(|line| (options.print)("", line));
    let numbers = Numbers::new(&options.keep, &project);
    let number = PipelineNumber(numbers.take("pipelines", 1)?);
    let id = PipelineId(Uuid::new_v4());
    let (plan, vcs, repo) = plan(&options, copy, id, number)?;
    let plan = chosen(plan, &options)?;
    if plan.workflows.is_empty() {
        (options.print)("", "No workflow matches: nothing to run");
        return Ok(true);
    }
    let host = Host::prepare(options.host.clone())?;
    // Of a run that was killed: its jobs have the ids of ours, and end in a moment.
    for left in Folder::all(&host.jobs()) {
        Supervised::dismiss(&host, left).await;
    }
    let place = Arc::new(Place::new(
        options.keep.clone(),
        Own::take(&options.keep, &project)?,
        project,
        options.directory.clone(),
        options.images.clone(),
        options.print.clone(),
    ));
    contexts(&plan).iter().for_each(|line| (options.print)("", line));
    let jobs = plan.workflows.iter().map(|workflow| workflow.jobs.len() as u64).sum();
    let run = graph::Run {
        options: &options,
        host: host.clone(),
        place,
        vcs,
        repo,
        several: plan.workflows.len() > 1,
        pipeline: (id, number),
        first_job: numbers.take("jobs", jobs)?,
    };
    let result = run.all(&plan, interrupt).await;
    host.sweep_rules();
    result
}

fn plan(
    options: &Options,
    copy: working_copy::Copy,
    id: PipelineId,
    number: PipelineNumber,
) -> Result<(Plan, Vcs, RepoName), LocalError> {
    let trigger = Trigger {
        project: ProjectId(Uuid::nil()),
        kind: TriggerKind::Explicit,
        actor: copy.actor,
        received_at: Timestamp(crate::job::now().0),
        vcs: copy.vcs.clone(),
        config: ConfigText::Found(copy.config),
        parameters: options.parameters.clone(),
        push: None,
        due: None,
    };
    let planned = pipeline::plan_trigger(&trigger, id, number, &copy.repo, &options.orbs);
    match planned {
        Ok(planned) => Ok((planned.plan, copy.vcs, copy.repo)),
        Err(rejected) => {
            let lines: Vec<String> =
                rejected.errors.into_iter().map(|error| error.message).collect();
            Err(LocalError::Configuration(lines.join("\n")))
        }
    }
}

/// What is said of the contexts that jobs of the plan ask for: no server gives them here.
fn contexts(plan: &Plan) -> Vec<String> {
    let jobs = plan.workflows.iter().flat_map(|workflow| &workflow.jobs);
    let names: BTreeSet<&String> = jobs.flat_map(|job| &job.contexts).collect();
    let line = |name| {
        format!("The context `{name}` is not here: give its variables with --env NAME=VALUE (-e)")
    };
    names.into_iter().map(line).collect()
}

/// The plan cut down to what was asked for.
fn chosen(mut plan: Plan, options: &Options) -> Result<Plan, LocalError> {
    let unknown = |kind, name: &str, known: Vec<&str>| LocalError::Unknown {
        kind,
        name: name.to_owned(),
        known: known.join(", "),
    };
    for name in &options.workflows {
        if !plan.workflows.iter().any(|workflow| workflow.name == *name) {
            let known = plan.workflows.iter().map(|workflow| workflow.name.as_str()).collect();
            return Err(unknown("workflow", name, known));
        }
    }
    let names = &options.workflows;
    plan.workflows.retain(|workflow| names.is_empty() || names.contains(&workflow.name));
    let Some(name) = &options.job else { return Ok(plan) };
    let known: Vec<&str> =
        plan.workflows.iter().flat_map(|w| w.jobs.iter().map(|job| job.name.as_str())).collect();
    if !known.contains(&name.as_str()) {
        return Err(unknown("job", name, known));
    }
    for workflow in &mut plan.workflows {
        workflow.jobs.retain(|job| job.name == *name && matches!(job.kind, JobKind::Build { .. }));
        workflow.jobs.iter_mut().for_each(|job| job.requires.clear());
    }
    plan.workflows.retain(|workflow| !workflow.jobs.is_empty());
    // One name in two workflows is one job here.
    plan.workflows.truncate(1);
    Ok(plan)
}
