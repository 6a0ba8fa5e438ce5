//! The jobs of all workflows in one map, checked, as the processed form has them.
//!
//! Jobs that are equal share one entry; another job of a known name takes a number. Contexts are
//! counted here, because their limit is over all workflows.

use crate::{
    check,
    compiled::{CompiledJob, CompiledWorkflow},
    diagnostic::Code,
    expand::{
        job::Expanded,
        workflow::{CallKind, Workflow},
    },
    report::Report,
    syntax::Span,
};
use indexmap::IndexMap;
use std::{collections::HashSet, sync::Arc};

/// Different contexts over all workflows, as on the original service.
pub(crate) const CONTEXTS_MAX: usize = 100;

/// Puts the jobs of all workflows into one map, as the processed form has them.
pub(crate) struct Assembly<'a> {
    pub jobs: IndexMap<String, CompiledJob>,
    pub report: &'a mut Report,
    contexts: HashSet<String>,
}

impl<'a> Assembly<'a> {
    pub(crate) fn new(report: &'a mut Report) -> Self {
        Self { jobs: IndexMap::new(), report, contexts: HashSet::new() }
    }
}

impl Assembly<'_> {
    /// Takes a workflow's jobs over.
    pub(crate) fn workflow(&mut self, mut workflow: Workflow) -> CompiledWorkflow {
        let (name, at) = (workflow.name.clone(), workflow.at);
        self.report.push("workflow", &name, at);
        let mut keys = vec![];
        for call in &mut workflow.calls {
            self.contexts.extend(call.contexts.iter().cloned());
            if self.contexts.len() > CONTEXTS_MAX {
                self.report.error(
                    Code::Limit,
                    call.at,
                    format!("more than {CONTEXTS_MAX} different contexts in all workflows"),
                    "put variables that belong together into one context",
                );
            }
            let key = match (call.kind, call.job.take()) {
                (CallKind::Build, Some(job)) => self.job(&call.name, &call.reference, call.at, job),
                _ => None,
            };
            keys.push(key);
        }
        self.report.pop();
        CompiledWorkflow { workflow, keys }
    }

    /// The key of a job; another job that has the name already takes a number.
    fn job(&mut self, name: &str, reference: &str, at: Span, job: Expanded) -> Option<String> {
        let mut key = name.to_owned();
        let mut number = 0;
        while let Some(known) = self.jobs.get(&key) {
            if known.node.same(&job.node) {
                return Some(key);
            }
            number += 1;
            key = format!("{name}-{number}");
        }
        self.report.push("job", reference, at);
        let spec = check::job::read(&job, self.report);
        self.report.pop();
        let spec = Arc::new(spec?);
        self.jobs.insert(key.clone(), CompiledJob { node: job.node, calls: job.calls, spec });
        Some(key)
    }
}

/// Checks jobs that do not run.
pub(crate) fn check_uncalled(jobs: &[(String, Span, Expanded)], report: &mut Report) {
    for (name, at, job) in jobs {
        report.push("job", name, *at);
        check::job::read(job, report);
        report.pop();
    }
}
