//! From a compiled configuration to a plan: filters applied for one branch or tag.
//!
//! A job whose filter refuses is left out; requirements on it are dropped with it; a job whose
//! requirements were all left out does not run either.

use crate::{
    compiled::{Compiled, CompiledWorkflow},
    cron::Cron,
    expand::{
        unlock_name,
        workflow::{Call, CallKind, Schedule},
    },
};
use base::{
    plan::{JobKind, Plan, PlannedJob, Requirement, WorkflowPlan},
    trigger::Vcs,
};
use std::collections::HashMap;

/// What a plan depends on besides the compiled configuration.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PlanValues {
    /// Branch that is built.
    pub branch: Option<String>,
    /// Tag that is built.
    pub tag: Option<String>,
    /// Run only this workflow, because its own schedule fired. Otherwise workflows with
    /// `triggers` do not run.
    pub scheduled: Option<String>,
}

impl PlanValues {
    /// For the commit of a trigger.
    #[must_use]
    pub fn from_vcs(vcs: &Vcs) -> Self {
        Self { branch: vcs.branch.clone(), tag: vcs.tag.clone(), scheduled: None }
    }
}

/// A workflow that its configuration schedules.
#[derive(Debug, Clone, Copy)]
pub struct Scheduled<'a> {
    /// Its name.
    pub workflow: &'a str,
    /// When it runs, UTC.
    pub cron: Cron,
    /// The same as written.
    pub text: &'a str,
    schedule: &'a Schedule,
}

impl Scheduled<'_> {
    /// Whether it runs for the configuration of this branch.
    #[must_use]
    pub fn admits(&self, branch: &str) -> bool {
        self.schedule.branches.as_ref().is_none_or(|rule| rule.admits(branch))
    }
}

/// All schedules that the configuration holds.
#[must_use]
pub fn schedules(compiled: &Compiled) -> Vec<Scheduled<'_>> {
    compiled
        .workflows
        .iter()
        .flat_map(|compiled| {
            compiled.workflow.schedules.iter().map(|schedule| Scheduled {
                workflow: &compiled.workflow.name,
                cron: schedule.cron,
                text: &schedule.text,
                schedule,
            })
        })
        .collect()
}

/// The plan for one branch or tag.
#[must_use]
pub fn plan(compiled: &Compiled, values: &PlanValues) -> Plan {
    let runs = |workflow: &&CompiledWorkflow| match &values.scheduled {
        Some(name) => workflow.workflow.name == *name && workflow.workflow.triggers.is_some(),
        None => workflow.workflow.triggers.is_none(),
    };
    let workflows = compiled
        .workflows
        .iter()
        .filter(runs)
        .map(|workflow| planned(compiled, workflow, values))
        .filter(|workflow| !workflow.jobs.is_empty())
        .collect();
    Plan { workflows, setup: compiled.setup }
}

fn planned(compiled: &Compiled, source: &CompiledWorkflow, values: &PlanValues) -> WorkflowPlan {
    let workflow = &source.workflow;
    let kept = kept(source, values);
    let is_kept: HashMap<&str, bool> =
        workflow.calls.iter().zip(&kept).map(|(call, kept)| (call.name.as_str(), *kept)).collect();
    let mut jobs = vec![];
    for ((call, key), _) in
        workflow.calls.iter().zip(&source.keys).zip(&kept).filter(|(_, kept)| **kept)
    {
        let kind = match (call.kind, key.as_ref().and_then(|key| compiled.jobs.get(key))) {
            (CallKind::Build, Some(job)) => JobKind::Build { spec: job.spec.clone() },
            (CallKind::Approval, _) => JobKind::Approval,
            _ => JobKind::NoOp,
        };
        let requires = call
            .requires
            .iter()
            .filter(|require| is_kept.get(require.name.as_str()) == Some(&true))
            .map(|require| Requirement { job: require.name.clone(), any_of: require.states() })
            .collect();
        jobs.push(PlannedJob {
            name: call.name.clone(),
            kind,
            requires,
            contexts: call.contexts.clone(),
            serial_group: serial_group(call),
            serial_end: serial_end(call),
        });
    }
    WorkflowPlan { name: workflow.name.clone(), jobs, max_auto_reruns: workflow.max_auto_reruns }
}

/// The jobs of a locked job group take its serial group together; the job at its entry does nothing.
fn serial_group(call: &Call) -> Option<String> {
    match call.kind {
        CallKind::Lock | CallKind::Unlock => None,
        _ => call.serial_group.clone().or_else(|| call.group_lock.clone()),
    }
}

/// A locked job group gives its serial group back when all of it has ended.
fn serial_end(call: &Call) -> Option<String> {
    let is_own = call.serial_group.is_some() || call.group_lock.is_none();
    call.inside.as_deref().filter(|_| !is_own).map(unlock_name)
}

/// Which calls stay. Requirements are looked at before those who require them.
fn kept(source: &CompiledWorkflow, values: &PlanValues) -> Vec<bool> {
    let calls = &source.workflow.calls;
    let index: HashMap<&str, usize> =
        calls.iter().enumerate().map(|(i, call)| (call.name.as_str(), i)).collect();
    let mut kept: Vec<bool> = calls
        .iter()
        .map(|call| call.filters.admits(values.branch.as_deref(), values.tag.as_deref()))
        .collect();
    let mut dependants: Vec<Vec<usize>> = vec![vec![]; calls.len()];
    let mut waiting: Vec<usize> = vec![0; calls.len()];
    for (i, call) in calls.iter().enumerate() {
        for target in call.requires.iter().filter_map(|require| index.get(require.name.as_str())) {
            dependants[*target].push(i);
            waiting[i] += 1;
        }
    }
    let mut remaining: Vec<usize> = waiting.clone();
    let mut alive: Vec<usize> = vec![0; calls.len()];
    let mut ready: Vec<usize> = (0..calls.len()).filter(|i| waiting[*i] == 0).collect();
    while let Some(i) = ready.pop() {
        kept[i] &= waiting[i] == 0 || alive[i] > 0;
        for dependant in &dependants[i] {
            alive[*dependant] += usize::from(kept[i]);
            remaining[*dependant] -= 1;
            if remaining[*dependant] == 0 {
                ready.push(*dependant);
            }
        }
    }
    kept
}
