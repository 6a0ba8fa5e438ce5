//! One invocation of a job to its processed form: executor and steps in place, nothing to fill in.
//!
//! Order of keys, as observed: the executor's keys first, then the job's own in written order, an
//! own key winning at the executor's place; the executor's `environment` joins the job's as a
//! list; `resource_class` and `shell` written inside an executor's `machine` come last.

use super::{Context, executor};
use crate::{
    definition::{self, JOB_KINDS, KINDS},
    diagnostic::Code,
    library::Element,
    report::Calls,
    scope::Arguments,
    syntax::{Entry, Map, Node, Span, Value},
};
use std::collections::HashSet;

/// A job with nothing left to fill in.
#[derive(Debug)]
pub(crate) struct Expanded {
    /// As the processed form has it.
    pub node: Node,
    /// For each of its steps the commands through which it came.
    pub calls: Vec<Calls>,
}

/// Steps that an invocation puts around a job's own.
#[derive(Debug, Default)]
pub(super) struct Around {
    pub before: Option<Node>,
    pub after: Option<Node>,
}

impl Context<'_> {
    /// The processed job, or `None` when it is not a map.
    pub(super) fn job(
        &mut self,
        element: &Element,
        arguments: &Arguments,
        around: &Around,
    ) -> Option<Expanded> {
        let Some(body) = element.node.as_map() else {
            let message = format!("expected type: Mapping, found: {}", element.node.schema_name());
            self.report.error(
                Code::WrongType,
                element.at,
                message,
                "give the job an executor and `steps`",
            );
            return None;
        };
        let scope = self.inside(arguments, element.node.at.source);
        self.step_calls.clear();
        self.job_depth = self.report.depth();
        let mut job = Map::default();
        let mut inherited = Inherited::default();
        let runs = definition::has_one_kind(body, &JOB_KINDS, element.at, self.report);
        if !runs {
            inherited = Inherited::take(executor::anything(element.at), &mut job);
        } else if let Some(reference) = body.get("executor") {
            let filled = self.fill(reference, Some(&scope));
            let mut executor =
                self.executor(&filled).unwrap_or_else(|| executor::anything(reference.at));
            if KINDS.iter().any(|kind| body.get(kind).is_some()) {
                // The job's own counts, and no part of the executor's.
                executor.entries.retain(|entry| !KINDS.contains(&&*entry.key));
            }
            inherited = Inherited::take(executor, &mut job);
        }
        let from_executor = job.entries.len();
        for entry in &body.entries {
            let value = match &*entry.key {
                "parameters" | "description" | "executor" => continue,
                kind if !runs && KINDS.contains(&kind) => continue,
                "steps" => {
                    let mut steps = vec![];
                    around.before.iter().for_each(|list| self.listed(list, None, &mut steps));
                    self.has_steps(&entry.value);
                    self.listed(&entry.value, Some(&scope), &mut steps);
                    around.after.iter().for_each(|list| self.listed(list, None, &mut steps));
                    Node::list(steps, entry.value.at)
                }
                "environment" => inherited.environment(&self.fill(&entry.value, Some(&scope))),
                _ => self.fill(&entry.value, Some(&scope)),
            };
            place(&mut job, from_executor, entry, value);
        }
        inherited.finish(&mut job, element.at);
        let node = Node::map(job, element.at);
        let calls = std::mem::take(&mut self.step_calls);
        self.spend_job(&node).then_some(Expanded { node, calls })
    }
}

/// Puts a key of the job's own at the place of the executor's, or last.
fn place(job: &mut Map, from_executor: usize, entry: &Entry, value: Node) {
    let (inherited, _) = job.entries.split_at_mut(from_executor);
    match inherited.iter_mut().find(|e| e.key == entry.key) {
        Some(found) => found.value = value,
        None => job.entries.push(Entry { key: entry.key.clone(), key_at: entry.key_at, value }),
    }
}

/// What a named executor hands to a job beyond its plain keys.
#[derive(Default)]
struct Inherited {
    is_named: bool,
    environment: Option<Node>,
    last: Vec<Entry>,
}

impl Inherited {
    fn take(executor: Map, job: &mut Map) -> Self {
        let mut inherited = Self { is_named: true, ..Self::default() };
        for mut entry in executor.entries {
            match (&*entry.key, &entry.value.value) {
                ("environment", _) => inherited.environment = Some(entry.value),
                ("machine", Value::Map(machine)) => {
                    let (last, kept): (Vec<Entry>, Vec<Entry>) = machine
                        .entries
                        .iter()
                        .cloned()
                        .partition(|e| ["resource_class", "shell"].contains(&&*e.key));
                    inherited.last = last;
                    entry.value = match kept.is_empty() {
                        true => Node::new(Value::Bool(true), entry.value.at),
                        false => Node::map(Map { entries: kept }, entry.value.at),
                    };
                    job.entries.push(entry);
                }
                _ => job.entries.push(entry),
            }
        }
        inherited
    }

    /// The job's environment with the executor's before it.
    fn environment(&mut self, own: &Node) -> Node {
        if !self.is_named {
            return own.clone();
        }
        let own_list = variables(own);
        let mut list = self.environment.take().map(|node| variables(&node)).unwrap_or_default();
        let own_names: HashSet<Option<&str>> = own_list.iter().map(name_of).collect();
        list.retain(|node| !own_names.contains(&name_of(node)));
        list.extend(own_list);
        Node::list(list, own.at)
    }

    fn finish(self, job: &mut Map, at: Span) {
        let mut last = self.last;
        if let Some(environment) = self.environment {
            let list = Node::list(variables(&environment), environment.at);
            last.push(Entry { key: "environment".into(), key_at: at, value: list });
        }
        for entry in last {
            if job.get(&entry.key).is_none() {
                job.entries.push(entry);
            }
        }
    }
}

/// The variable that one of [`variables`] sets; a text is `NAME=value`.
fn name_of(variable: &Node) -> Option<&str> {
    match &variable.value {
        Value::Map(map) => map.entries.first().map(|entry| &*entry.key),
        _ => variable.as_text().map(|text| text.split_once('=').map_or(text, |(name, _)| name)),
    }
}

/// An `environment` as a list with one variable each; other shapes pass through to be refused.
fn variables(node: &Node) -> Vec<Node> {
    match &node.value {
        Value::Map(map) => map
            .entries
            .iter()
            .map(|entry| Node::map(Map { entries: vec![entry.clone()] }, entry.key_at))
            .collect(),
        Value::List(items) => items
            .iter()
            .flat_map(|item| match item.as_map() {
                Some(_) => variables(item),
                None => vec![item.clone()],
            })
            .collect(),
        Value::Null => vec![],
        _ => vec![node.clone()],
    }
}
