//! From elements and invocations to jobs without parameters, commands, matrices or conditions.
//!
//! One module for each concept; all share the [`Context`]. Invariants: work is bounded by a
//! budget of steps and jobs, because commands that call commands multiply.

mod executor;
mod group;
mod invocation;
pub(crate) mod job;
mod matrix;
pub(crate) mod requires;
mod steps;
pub(crate) mod workflow;

pub(crate) use group::unlock_name;
pub(crate) use invocation::KEYS as CALL_KEYS;
pub(crate) use steps::BUILT_IN;

use crate::{
    diagnostic::Code,
    library::Library,
    report::{Calls, Report},
    request::Values,
    scope::{Arguments, Scope},
    syntax::{Node, SourceId, Span},
    template,
};
use std::collections::HashSet;

/// Steps of all jobs together, before a configuration is refused as too large.
const STEPS_MAX: usize = 200_000;

/// Weight of all jobs together (see [`Node::weigh`]): eight times what may come out in the end.
const WEIGHT_MAX: u64 = 64 << 20;

/// Jobs of all workflows together, matrices expanded.
const CALLS_MAX: usize = 10_000;

/// What every expansion needs.
pub(crate) struct Context<'a> {
    pub library: &'a Library,
    pub values: &'a Values,
    /// Pipeline parameters.
    pub declared: &'a Arguments,
    /// Version 2 has no `<< >>`.
    pub templates: bool,
    pub report: &'a mut Report,
    steps_left: usize,
    weight_left: u64,
    calls_left: usize,
    requires_left: usize,
    /// Lists of steps inside each other right now, through commands and conditions.
    depth: usize,
    /// Calls of the job that is expanded now start at this depth of the report's chain.
    job_depth: usize,
    /// For each step of that job the commands through which it came.
    step_calls: Vec<Calls>,
    /// Definitions of the commands inside whose text the steps of now are written, outermost first;
    /// steps that were handed over are written by a caller, and start anew.
    bodies: Vec<Span>,
    /// Jobs of the configuration that some workflow called.
    called: HashSet<String>,
}

impl<'a> Context<'a> {
    pub(crate) fn new(
        library: &'a Library,
        values: &'a Values,
        declared: &'a Arguments,
        templates: bool,
        report: &'a mut Report,
    ) -> Self {
        Self {
            library,
            values,
            declared,
            templates,
            report,
            steps_left: STEPS_MAX,
            weight_left: WEIGHT_MAX,
            calls_left: CALLS_MAX,
            requires_left: requires::REQUIRES_MAX,
            depth: 0,
            job_depth: 0,
            step_calls: vec![],
            bodies: vec![],
            called: HashSet::new(),
        }
    }

    /// The scope of a place outside of all elements.
    pub(crate) fn top(&self) -> Scope<'a> {
        Scope {
            pipeline: self.values,
            declared: Some(self.declared),
            parameters: None,
            matrix: None,
        }
    }

    /// The scope inside an element written in `source`.
    pub(crate) fn inside<'b>(&self, parameters: &'b Arguments, source: SourceId) -> Scope<'b>
    where
        'a: 'b,
    {
        let top: Scope<'b> = self.top();
        top.with_parameters(parameters, source)
    }

    /// Fills in a node; without a scope it was filled in by its writer already.
    pub(crate) fn fill(&mut self, node: &Node, scope: Option<&Scope<'_>>) -> Node {
        match scope {
            Some(scope) if self.templates => template::fill(node, scope, self.report),
            _ => node.clone(),
        }
    }

    /// Takes a finished job from the budget; false when it is used up.
    fn spend_job(&mut self, job: &Node) -> bool {
        let fits = job.weigh(&mut self.weight_left);
        if !fits {
            let message = "A compiled config YAML must be at most 8MB".to_owned();
            self.report.error(
                Code::Limit,
                job.at,
                message,
                "parameters and commands multiply what they hold; split the configuration",
            );
        }
        fits
    }

    /// Takes one call of a job from the budget; false when it is used up.
    fn spend_call(&mut self, at: Span) -> bool {
        if self.calls_left == 0 {
            let message = format!("more than {CALLS_MAX} jobs in all workflows together");
            self.report.error(
                Code::Limit,
                at,
                message,
                "make the matrices smaller, or split the configuration",
            );
            return false;
        }
        self.calls_left -= 1;
        true
    }

    /// Takes one step from the budget; false when it is used up.
    fn spend(&mut self, at: Span) -> bool {
        if self.steps_left == 0 {
            let message = format!("more than {STEPS_MAX} steps in all jobs together");
            self.report.error(
                Code::Limit,
                at,
                message,
                "commands that call commands multiply; split the configuration",
            );
            return false;
        }
        self.steps_left -= 1;
        true
    }
}
