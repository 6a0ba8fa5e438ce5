//! From a trigger to a plan in one call: what the engine asks for.

use crate::{
    compile::compile,
    compiled::Compiled,
    diagnostic::{Code, Diagnostic, Severity},
    orbs::Orbs,
    plan::{PlanValues, plan, schedules},
    processed::process,
    request::{Request, Values},
};
use base::{
    ids::{PipelineId, PipelineNumber, RepoName},
    plan::Plan,
    trigger::{ConfigText, Due, Trigger},
};
use serde::{Deserialize, Serialize};

/// A trigger that leads to work (or, when nothing matches, to an empty plan).
#[derive(Debug, Clone)]
pub struct Planned {
    /// What will run.
    pub plan: Plan,
    /// The processed form, for people and the API.
    pub processed: String,
    /// Workflows with `triggers` that run for the branch by themselves: name and cron expression.
    pub timers: Vec<(String, String)>,
    /// What is worth telling although it runs.
    pub warnings: Vec<Diagnostic>,
}

/// A trigger whose configuration cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejected {
    /// As API v2 tells them; at least one.
    pub errors: Vec<PipelineError>,
    /// The same with everything known.
    pub diagnostics: Vec<Diagnostic>,
    /// References to orbs that were not given, filled in.
    pub absent: Vec<String>,
}

/// One entry of `errors` of a pipeline in API v2.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PipelineError {
    /// `config` or `config-fetch`.
    #[serde(rename = "type")]
    pub kind: String,
    /// `file:line:column: text`.
    pub message: String,
}

impl From<&Diagnostic> for PipelineError {
    fn from(diagnostic: &Diagnostic) -> Self {
        let kind = if diagnostic.code == Code::Fetch { "config-fetch" } else { "config" };
        let hint = diagnostic.hint.as_ref().map(|hint| format!(" ({hint})")).unwrap_or_default();
        Self {
            kind: kind.into(),
            message: format!("{}: {}{hint}", diagnostic.place(), diagnostic.message),
        }
    }
}

/// Compiles and plans the configuration of a trigger.
///
/// # Errors
/// [`Rejected`] when there is no configuration or it has errors.
pub fn plan_trigger(
    trigger: &Trigger,
    id: PipelineId,
    number: PipelineNumber,
    repo: &RepoName,
    orbs: &Orbs,
) -> Result<Planned, Rejected> {
    let values = Values::from_trigger(trigger, id, number, repo);
    planned(trigger, values, orbs, false)
}

/// The same for a configuration that continues a setup pipeline; the trigger has the setup's
/// commit, the continued text and its parameters.
///
/// # Errors
/// [`Rejected`] when it has errors, one of which is to be a setup configuration itself.
pub fn plan_continuation(
    trigger: &Trigger,
    id: PipelineId,
    number: PipelineNumber,
    repo: &RepoName,
    orbs: &Orbs,
) -> Result<Planned, Rejected> {
    let values = Values::from_trigger(trigger, id, number, repo);
    planned(trigger, values, orbs, true)
}

fn planned(
    trigger: &Trigger,
    values: Values,
    orbs: &Orbs,
    continuation: bool,
) -> Result<Planned, Rejected> {
    let text = match &trigger.config {
        ConfigText::Found(text) => text,
        ConfigText::Missing(reason) => return Err(missing(reason)),
    };
    let request = Request {
        file: String::new(),
        values,
        parameters: trigger.parameters.clone(),
        orbs: orbs.clone(),
        continuation,
    };
    let compilation = compile(text, &request);
    match compilation.config {
        Some(config) => Ok(Planned {
            plan: plan(&config, &plan_values(trigger, continuation)),
            timers: timers(&config, trigger),
            processed: process(&config),
            warnings: compilation.diagnostics,
        }),
        None => Err(Rejected {
            errors: compilation
                .diagnostics
                .iter()
                .filter(|d| d.is_error())
                .map(PipelineError::from)
                .collect(),
            diagnostics: compilation.diagnostics,
            absent: compilation.absent,
        }),
    }
}

fn plan_values(trigger: &Trigger, continuation: bool) -> PlanValues {
    let scheduled = match &trigger.due {
        // The workflow that was due is the setup's; what it leads to has names of its own.
        Some(Due::Workflow { name }) if !continuation => Some(name.clone()),
        _ => None,
    };
    PlanValues { scheduled, ..PlanValues::from_vcs(&trigger.vcs) }
}

fn timers(config: &Compiled, trigger: &Trigger) -> Vec<(String, String)> {
    let Some(branch) = &trigger.vcs.branch else { return vec![] };
    schedules(config)
        .into_iter()
        .filter(|scheduled| scheduled.admits(branch))
        .map(|scheduled| (scheduled.workflow.to_owned(), scheduled.text.to_owned()))
        .collect()
}

fn missing(reason: &str) -> Rejected {
    let diagnostic = Diagnostic {
        severity: Severity::Error,
        code: Code::Fetch,
        message: reason.to_owned(),
        file: ".circleci/config.yml".into(),
        line: 0,
        column: 0,
        source_line: String::new(),
        chain: vec![],
        hint: None,
    };
    Rejected {
        errors: vec![PipelineError::from(&diagnostic)],
        diagnostics: vec![diagnostic],
        absent: vec![],
    }
}
