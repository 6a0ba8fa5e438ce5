//! Job groups: a named part of a workflow, called like a job.
//!
//! A group becomes its jobs between an entry and an exit job that do nothing, so that others can
//! require the whole group by one name. With a serial group the entry takes a lock, and a job that
//! runs whatever happened gives it back.

use super::{
    Context,
    invocation::{Call, CallKind},
    requires::{self, Require},
};
use crate::{
    diagnostic::Code,
    filter::Filters,
    syntax::{Node, Span},
};
use std::collections::HashSet;

/// What the call of a group takes.
const KEYS: [&str; 4] = ["requires", "filters", "name", "serial-group"];

impl Context<'_> {
    /// One entry of a workflow's `jobs`: a group's name, or a job's.
    pub(super) fn entry(&mut self, item: &Node, out: &mut Vec<Call>) {
        let name = item.as_text().or_else(|| item.as_map()?.entries.first().map(|e| &*e.key));
        let groups = self.library.main().map(|main| &main.groups);
        match groups.zip(name).and_then(|(groups, name)| groups.get(name)) {
            Some(group) => self.group(item, group, out),
            None => self.invocation(item, out),
        }
    }

    fn group(&mut self, item: &Node, group: &Node, out: &mut Vec<Call>) {
        let Some((reference, at, body)) = self.invocation_parts(item) else { return };
        self.report.push("job-group", &reference, at);
        self.report.only(&body, &KEYS, Code::UnexpectedKey);
        let top = self.top();
        let mut shell = self.invocation_shell(&reference, at, &body, &top);
        let prefix = if shell.is_named { shell.name.clone() } else { reference.clone() };
        let start = format!("{prefix}/group-start");
        if let Some(first) = out.iter().find(|call| call.name == start) {
            let message = format!("job group '{prefix}' is called twice in this workflow");
            let hint =
                format!("give each call its own `name:`; the first is at line {}", first.at.line);
            self.report.error(Code::Name, at, message, hint);
            self.report.pop();
            return;
        }
        let mut inner = vec![];
        for job in group
            .as_map()
            .and_then(|map| map.get("jobs"))
            .and_then(Node::as_list)
            .unwrap_or_default()
        {
            self.group_member(job, &mut inner);
        }
        let jobs = group.as_map().and_then(|map| map.get("jobs"));
        if let Some(jobs) = jobs.filter(|jobs| jobs.as_list().is_some_and(<[Node]>::is_empty)) {
            let message = "expected minimum item count: 1, found: 0";
            self.report.error(Code::WrongType, jobs.at, message, "list at least one job");
        }
        if jobs.is_none() {
            self.report.error(
                Code::MissingKey,
                group.at,
                "required key [jobs] not found",
                format!("list the jobs of group `{reference}` under `jobs:`"),
            );
        }
        requires::number_duplicates(&mut inner);
        let left = &mut self.requires_left;
        requires::resolve(&format!("job group '{reference}'"), &mut inner, left, self.report);
        for call in &mut inner {
            call.name = format!("{prefix}/{}", call.name);
            call.is_named = true;
            call.alias = None;
            call.requires.iter_mut().for_each(|r| r.name = format!("{prefix}/{}", r.name));
        }
        shell.name.clone_from(&prefix);
        surround(shell, inner, out);
        self.report.pop();
    }

    fn group_member(&mut self, job: &Node, inner: &mut Vec<Call>) {
        let name = job.as_text().or_else(|| job.as_map()?.entries.first().map(|e| &*e.key));
        let is_group = name.is_some_and(|name| {
            self.library.main().is_some_and(|main| main.groups.contains_key(name))
        });
        if is_group {
            self.report.error(
                Code::Recursion,
                job.at,
                "a job group cannot hold another job group",
                "list the jobs of the other group here",
            );
            return;
        }
        self.invocation(job, inner);
    }
}

/// Puts the entry before the group's roots, and the exits behind its leaves.
fn surround(shell: Call, mut inner: Vec<Call>, out: &mut Vec<Call>) {
    let prefix = shell.name.clone();
    let at = shell.at;
    let start = format!("{prefix}/group-start");
    let locked = shell.serial_group.is_some();
    for call in &mut inner {
        call.group_lock.clone_from(&shell.serial_group);
        call.inside = Some(prefix.clone());
    }
    let require =
        |name: &str, statuses: Vec<&'static str>| Require { name: name.into(), at, statuses };
    let required: HashSet<&str> =
        inner.iter().flat_map(|call| &call.requires).map(|require| require.name.as_str()).collect();
    let leaves: Vec<Require> = inner
        .iter()
        .filter(|call| !required.contains(call.name.as_str()))
        .map(|call| require(&call.name, vec![]))
        .collect();
    for call in inner.iter_mut().filter(|call| call.requires.is_empty()) {
        call.requires.push(require(&start, vec![]));
    }
    // The exit carries the group's name: whoever requires the group requires it.
    let end = Call { requires: leaves.clone(), ..synthetic(&prefix, at, CallKind::NoOp) };
    let unlock = locked.then(|| Call {
        requires: leaves.iter().map(|leaf| require(&leaf.name, vec!["terminal"])).collect(),
        serial_group: shell.serial_group.clone(),
        inside: Some(prefix.clone()),
        ..synthetic(&unlock_name(&prefix), at, CallKind::Unlock)
    });
    let kind = if locked { CallKind::Lock } else { CallKind::NoOp };
    out.push(Call { name: start, kind, is_named: true, inside: Some(prefix), ..shell });
    out.append(&mut inner);
    out.push(end);
    out.extend(unlock);
}

/// The job that gives back the lock of a job group, whatever happened in it.
pub(crate) fn unlock_name(group: &str) -> String {
    format!("{group}/group-unlock")
}

fn synthetic(name: &str, at: Span, kind: CallKind) -> Call {
    Call {
        reference: name.into(),
        at,
        name: name.into(),
        is_named: true,
        alias: None,
        is_copy: false,
        kind,
        requires: vec![],
        context: None,
        contexts: vec![],
        filters_written: None,
        // It stands or falls with the jobs it requires.
        filters: Filters::Decided(true),
        type_written: None,
        serial_group: None,
        group_lock: None,
        inside: None,
        job: None,
    }
}
