//! The processed form: what `config process` prints.
//!
//! Shape, as observed on the original: `version: 2`, `jobs`, `workflows`; jobs in the order of
//! their first use; an invocation's keys always as `filters`, `type`, `requires`, `context`.
//! The comments of older outputs that repeat the source are left out, as in newer ones.

use crate::{
    compiled::{Compiled, CompiledWorkflow},
    expand::{
        requires::Require,
        workflow::{Call, CallKind},
    },
    scope::NOWHERE,
    syntax::{Entry, Map, Node, Value, emit},
};
use std::{collections::HashMap, sync::Arc};

/// The processed form as YAML.
#[must_use]
pub fn process(compiled: &Compiled) -> String {
    compiled.processed.clone()
}

pub(crate) fn text(compiled: &Compiled) -> String {
    let mut out = String::new();
    for line in &compiled.header {
        out.push_str("# ");
        out.push_str(line);
        out.push('\n');
    }
    out.push_str(&emit::document(&tree(compiled)));
    out
}

/// The processed form as a tree.
pub(crate) fn tree(compiled: &Compiled) -> Map {
    let mut root = Map::default();
    root.set("version", number(2));
    let jobs = compiled.jobs.iter().map(|(name, job)| entry(name, job.node.clone())).collect();
    root.set("jobs", map(jobs));
    root.set("workflows", map(workflows(compiled)));
    root
}

fn workflows(compiled: &Compiled) -> Vec<Entry> {
    let mut list: Vec<Entry> = vec![];
    for (index, workflow) in compiled.workflows.iter().enumerate() {
        if compiled.version_place == Some(index) {
            list.push(entry("version", number(2)));
        }
        list.push(entry(&workflow.workflow.name, body(workflow)));
    }
    if list.iter().all(|entry| &*entry.key != "version") {
        list.push(entry("version", number(2)));
    }
    list
}

fn body(compiled: &CompiledWorkflow) -> Node {
    let workflow = &compiled.workflow;
    let mut entries = vec![];
    if let Some(triggers) = &workflow.triggers {
        entries.push(entry("triggers", triggers.clone()));
    }
    let keys = workflow.calls.iter().zip(&compiled.keys);
    let shown: Shown<'_> =
        keys.map(|(call, key)| (&*call.name, key.as_deref().unwrap_or(&call.name))).collect();
    let jobs = workflow.calls.iter().map(|call| invocation(call, &shown)).collect();
    entries.push(entry("jobs", Node::list(jobs, NOWHERE)));
    if workflow.max_auto_reruns > 0 {
        entries.push(entry("max_auto_reruns", number(workflow.max_auto_reruns.into())));
    }
    map(entries)
}

/// The names that calls have in the processed form: their jobs' keys, which can differ.
type Shown<'a> = HashMap<&'a str, &'a str>;

fn invocation(call: &Call, shown: &Shown<'_>) -> Node {
    let mut keys = vec![];
    if let Some(filters) = &call.filters_written {
        keys.push(entry("filters", filters.clone()));
    }
    let kind = match call.kind {
        CallKind::Build => None,
        CallKind::Approval => Some("approval"),
        CallKind::NoOp => Some("no-op"),
        CallKind::Release => Some("release"),
        CallKind::Lock => Some("lock"),
        CallKind::Unlock => Some("unlock"),
    };
    match (&call.type_written, kind) {
        (Some(written), _) => keys.push(entry("type", written.clone())),
        (None, Some(kind)) => keys.push(entry("type", Node::text(kind, NOWHERE))),
        (None, None) => {}
    }
    if !call.requires.is_empty() {
        let list = call.requires.iter().map(|require| requirement(require, shown)).collect();
        keys.push(entry("requires", Node::list(list, NOWHERE)));
    }
    if let Some(context) = &call.context {
        keys.push(entry("context", context.clone()));
    }
    if let Some(group) = &call.serial_group {
        keys.push(entry("serial-group", Node::text(group, NOWHERE)));
    }
    let name = shown.get(&*call.name).copied().unwrap_or(&call.name);
    if keys.is_empty() { Node::text(name, NOWHERE) } else { map(vec![entry(name, map(keys))]) }
}

fn requirement(require: &Require, shown: &Shown<'_>) -> Node {
    let name = shown.get(&*require.name).copied().unwrap_or(&require.name);
    match require.statuses.as_slice() {
        [] => Node::text(name, NOWHERE),
        statuses => {
            let list = statuses.iter().map(|status| Node::text(status, NOWHERE)).collect();
            map(vec![entry(name, Node::list(list, NOWHERE))])
        }
    }
}

fn number(value: i64) -> Node {
    Node::new(Value::Int(value), NOWHERE)
}

fn entry(key: &str, value: Node) -> Entry {
    Entry { key: key.into(), key_at: NOWHERE, value }
}

fn map(entries: Vec<Entry>) -> Node {
    Node::new(Value::Map(Arc::new(Map { entries })), NOWHERE)
}
