//! One entry of a workflow's `jobs`: its own keys, its matrix copies and the job's arguments.

mod keys;
mod parts;

use super::{
    Context,
    job::{Around, Expanded},
    matrix::{self, Matrix},
    requires::Require,
};
use crate::{
    diagnostic::{Code, nearest},
    filter::Filters,
    library::{Element, Kind},
    parameter,
    scope::{Arguments, Scope},
    syntax::{Entry, Map, Node, Span},
};
use std::sync::Arc;

/// What a call does when it is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CallKind {
    Build,
    Approval,
    NoOp,
    Release,
    Lock,
    Unlock,
}

/// One job of one workflow, expanded.
#[derive(Debug)]
pub(crate) struct Call {
    /// The job as referred to, `orb/job` included.
    pub reference: String,
    pub at: Span,
    /// Final once the workflow has told duplicates apart.
    pub name: String,
    /// The name was given with `name:`.
    pub is_named: bool,
    /// What a copy of a matrix can be required by besides its name.
    pub alias: Option<String>,
    /// One of a matrix: requiring the alias means all of them.
    pub is_copy: bool,
    pub kind: CallKind,
    pub requires: Vec<Require>,
    /// As written, for the processed form.
    pub context: Option<Node>,
    pub contexts: Vec<String>,
    /// As written, for the processed form.
    pub filters_written: Option<Node>,
    pub filters: Filters,
    pub type_written: Option<Node>,
    pub serial_group: Option<String>,
    /// Serial group of the job group that it belongs to.
    pub group_lock: Option<String>,
    /// The job group, by its name in this workflow, that it is inside of.
    pub inside: Option<String>,
    /// The processed job; absent for approvals and their like.
    pub job: Option<Expanded>,
}

/// Keys of an invocation, which no parameter of a job may be named like; all others are its
/// arguments.
pub(crate) const KEYS: [&str; 10] = [
    "requires",
    "name",
    "context",
    "type",
    "filters",
    "matrix",
    "pre-steps",
    "post-steps",
    "serial-group",
    "override-with",
];

impl Context<'_> {
    /// All calls that one entry of `jobs` makes: one, or a matrix of them.
    pub(super) fn invocation(&mut self, node: &Node, out: &mut Vec<Call>) {
        let Some((reference, at, body)) = self.invocation_parts(node) else { return };
        self.report.push("job", &reference, at);
        let top = self.top();
        match body.get("matrix").filter(|matrix| !matrix.is_null()) {
            None => out.extend(self.one(&reference, at, &body, &top, None)),
            Some(node) => {
                if let Some(matrix) = self.matrix(node, &top) {
                    self.copies(&reference, at, &body, &matrix, out);
                }
            }
        }
        self.report.pop();
    }

    /// Jobs that no workflow calls (perhaps because its call is broken), with all their defaults,
    /// so that their mistakes are told in the same run.
    pub(crate) fn uncalled(&mut self) -> Vec<(String, Span, Expanded)> {
        let mut jobs = vec![];
        for (name, element) in self.library.main().into_iter().flat_map(|main| &main.jobs) {
            let needs_arguments =
                element.declared.values().any(|declared| declared.default.is_none());
            let is_build = element.node.as_map().is_some_and(|map| map.get("type").is_none());
            if self.called.contains(&**name) || needs_arguments || !is_build {
                continue;
            }
            self.report.push("job", name, element.at);
            let arguments = parameter::bind(&element.declared, &[], &[], element.at, self.report);
            let job = self.job(element, &arguments, &Around::default());
            self.report.pop();
            jobs.extend(job.map(|job| (name.to_string(), element.at, job)));
        }
        jobs
    }

    fn copies(
        &mut self,
        reference: &str,
        at: Span,
        body: &Map,
        matrix: &Matrix,
        out: &mut Vec<Call>,
    ) {
        for copy in &matrix.copies {
            let scope = Scope { matrix: Some(copy), ..self.top() };
            let Some(mut call) = self.one(reference, at, body, &scope, Some(copy)) else {
                continue;
            };
            call.alias = Some(matrix.alias.clone().unwrap_or_else(|| reference.to_owned()));
            call.is_copy = true;
            if !call.is_named {
                call.name = format!("{}-{}", call.name, matrix::suffix(copy));
                call.is_named = true;
            }
            out.push(call);
        }
    }

    fn one(
        &mut self,
        reference: &str,
        at: Span,
        body: &Map,
        scope: &Scope<'_>,
        copy: Option<&Arguments>,
    ) -> Option<Call> {
        if !self.spend_call(at) {
            return None;
        }
        let filled = self.filled_body(body, scope);
        let library = self.library;
        let chosen = self.overridden(&filled, reference, at);
        let element = library.find(Kind::Job, &chosen, at.source);
        self.called.insert(chosen.clone());
        let kind = self.call_kind(&filled, element);
        let needs_job = matches!(kind, CallKind::Build);
        if library.is_lost(Kind::Job, &chosen, at.source) {
            // Told already; the call stays, so that those who require it are not blamed.
            return Some(self.plain_call(reference, at, &filled, kind));
        }
        if element.is_none() && needs_job {
            let groups: Vec<&str> =
                library.main().map(|m| m.groups.keys().map(|k| &**k).collect()).unwrap_or_default();
            // The workflow calls it; a job that does not exist calls nothing.
            self.report.pop();
            library.unknown(Kind::Job, &chosen, at, &groups, self.report);
            self.report.push("job", reference, at);
            return Some(self.plain_call(reference, at, &filled, kind));
        }
        let mut call = self.plain_call(reference, at, &filled, kind);
        let given = arguments(&filled, copy, at);
        match element.filter(|_| needs_job) {
            Some(element) => {
                let arguments = parameter::bind(&element.declared, &given, &KEYS, at, self.report);
                let around = Around {
                    before: filled.get("pre-steps").filter(|n| !n.is_null()).cloned(),
                    after: filled.get("post-steps").filter(|n| !n.is_null()).cloned(),
                };
                call.job = self.job(element, &arguments, &around);
            }
            None => self.unexpected(&given, element),
        }
        Some(call)
    }

    /// Arguments of what runs no job: none, but those of a job whose name it bears.
    fn unexpected(&mut self, given: &[(Arc<str>, Span, Node)], element: Option<&Element>) {
        let taken =
            |name: &Arc<str>| element.is_some_and(|element| element.declared.contains_key(name));
        for (name, at, _) in given.iter().filter(|(name, ..)| !taken(name)) {
            let hint = nearest(name, KEYS).map_or_else(
                || format!("permitted keys: {}", KEYS.join(", ")),
                |near| format!("did you mean `{near}`?"),
            );
            let message = format!("Unexpected argument(s): {name}");
            self.report.error(Code::UnexpectedArgument, *at, message, hint);
        }
    }

    /// A group's call: the keys of an invocation without a job behind it.
    pub(super) fn invocation_shell(
        &mut self,
        reference: &str,
        at: Span,
        body: &Map,
        scope: &Scope<'_>,
    ) -> Call {
        let filled = self.filled_body(body, scope);
        self.plain_call(reference, at, &filled, CallKind::NoOp)
    }

    fn filled_body(&mut self, body: &Map, scope: &Scope<'_>) -> Map {
        let entries = body
            .entries
            .iter()
            .filter(|entry| &*entry.key != "matrix")
            .map(|entry| Entry {
                key: entry.key.clone(),
                key_at: entry.key_at,
                value: self.fill(&entry.value, Some(scope)),
            })
            .collect();
        Map { entries }
    }

    /// `override-with` replaces the job by an orb's, if the orb has it.
    fn overridden(&mut self, body: &Map, reference: &str, at: Span) -> String {
        match body.get("override-with").and_then(Node::as_text) {
            Some(other) if self.library.find(Kind::Job, other, at.source).is_some() => {
                other.to_owned()
            }
            _ => reference.to_owned(),
        }
    }

    fn call_kind(&mut self, body: &Map, element: Option<&Element>) -> CallKind {
        let own = element.and_then(|element| element.node.as_map()).and_then(|map| map.get("type"));
        let Some(node) = body.get("type").or(own).filter(|node| !node.is_null()) else {
            return CallKind::Build;
        };
        const TYPES: [&str; 6] = ["build", "approval", "no-op", "release", "lock", "unlock"];
        match node.as_text() {
            Some("build") => CallKind::Build,
            Some("approval") => CallKind::Approval,
            Some("no-op") => CallKind::NoOp,
            Some("release") => {
                self.report.warn(
                    Code::NoEffect,
                    node.at,
                    "a job of type release succeeds at once here: there is no release agent",
                    "release with a `run` step",
                );
                CallKind::Release
            }
            Some("lock") => CallKind::Lock,
            Some("unlock") => CallKind::Unlock,
            other => {
                let hint = nearest(other.unwrap_or_default(), TYPES).map_or_else(
                    || format!("known types: {}", TYPES.join(", ")),
                    |near| format!("did you mean `{near}`?"),
                );
                self.report.error(Code::Value, node.at, "Input not a valid enum value", hint);
                CallKind::Build
            }
        }
    }
}

/// Arguments of the job: the keys that are not the invocation's, and the matrix copy's values.
fn arguments(body: &Map, copy: Option<&Arguments>, at: Span) -> Vec<(Arc<str>, Span, Node)> {
    let mut given: Vec<_> = body
        .entries
        .iter()
        .filter(|entry| !KEYS.contains(&&*entry.key))
        .map(|entry| (entry.key.clone(), entry.key_at, entry.value.clone()))
        .collect();
    for (name, value) in copy.into_iter().flatten() {
        given.retain(|(key, ..)| key != name);
        let place = if value.at.line == 0 { at } else { value.at };
        given.push((name.clone(), place, value.clone()));
    }
    given
}
