//! Rules of elements as written, whether or not anything uses them.
//!
//! Why: expansion sees only what is called; a misspelt key in an unused job should be told, too.
//! An unused job that is null is let through, as on the original.

mod body;

use crate::{
    diagnostic::{Code, Severity, nearest},
    expand::BUILT_IN,
    library::{Element, Kind, Library, Namespace},
    parameter,
    report::Report,
    syntax::{Map, Node, Span},
};

/// Top-level keys with a meaning; all others are ignored (they hold YAML anchors).
pub(crate) const TOP: [&str; 11] = [
    "version",
    "setup",
    "orbs",
    "parameters",
    "executors",
    "commands",
    "jobs",
    "job-groups",
    "workflows",
    "experimental",
    "build_agent",
];

/// What a job holds.
pub(crate) const JOB: [&str; 18] = [
    "docker",
    "machine",
    "macos",
    "executor",
    "steps",
    "environment",
    "working_directory",
    "shell",
    "parallelism",
    "resource_class",
    "retention",
    "circleci_ip_ranges",
    "branches",
    "type",
    "plan_name",
    "description",
    "parameters",
    "max_time",
];

/// What says where a job runs.
pub(crate) const KINDS: [&str; 3] = ["docker", "machine", "macos"];

/// The same for a job, which may name an executor.
pub(crate) const JOB_KINDS: [&str; 4] = ["docker", "machine", "macos", "executor"];

const COMMAND: [&str; 3] = ["description", "parameters", "steps"];

pub(crate) const EXECUTOR: [&str; 9] = [
    "docker",
    "machine",
    "macos",
    "environment",
    "working_directory",
    "shell",
    "resource_class",
    "description",
    "parameters",
];

/// What an orb holds, inline or packed.
pub(crate) const ORB: [&str; 9] = [
    "version",
    "description",
    "display",
    "orbs",
    "jobs",
    "commands",
    "executors",
    "examples",
    "parameters",
];

/// Built-in steps that the configuration's own commands hide.
pub(crate) fn hidden_built_ins(main: &Namespace) -> impl Iterator<Item = &str> {
    let hidden = |name: &&str| BUILT_IN.contains(name) || *name == "when";
    main.commands.keys().map(|name| &**name).filter(hidden)
}

/// Checks all elements of the configuration. It runs last, so that a finding that a call reached
/// is told with its chain.
pub(crate) fn check(root: &Map, library: &Library, is_2_1: bool, report: &mut Report) {
    top_level(root, report);
    if !is_2_1 {
        newer_sections(root, report);
    }
    let Some(main) = library.main() else { return };
    elements(main, library, is_2_1, report);
    if is_2_1 {
        body::check(main, library, Severity::Warning, report);
    }
}

/// Checks all elements of an orb.
pub(crate) fn check_orb(root: &Map, library: &Library, report: &mut Report) {
    report.only(root, &ORB, Code::UnexpectedKey);
    if let Some(main) = library.main() {
        elements(main, library, true, report);
        body::check(main, library, Severity::Error, report);
    }
}

fn elements(main: &Namespace, library: &Library, is_2_1: bool, report: &mut Report) {
    for (name, job) in &main.jobs {
        if !(is_2_1 && stands_for(Kind::Job, job, library, report)) {
            element(name, job, "job", &JOB, is_2_1, report);
        }
    }
    if !is_2_1 {
        return;
    }
    job_groups(main, report);
    for (name, command) in &main.commands {
        if stands_for(Kind::Command, command, library, report) {
            continue;
        }
        element(name, command, "command", &COMMAND, is_2_1, report);
        if command.node.as_map().is_some_and(|map| map.get("steps").is_none()) {
            report.error(
                Code::MissingKey,
                command.at,
                "required key [steps] not found",
                format!("add `steps:` to command `{name}`"),
            );
        }
    }
    for (name, executor) in &main.executors {
        if !stands_for(Kind::Executor, executor, library, report) {
            element(name, executor, "executor", &EXECUTOR, is_2_1, report);
        }
    }
    for name in hidden_built_ins(main) {
        if let Some(command) = main.commands.get(name) {
            let message = format!(
                "Command '{name}' in commands.{name} may override built-in CircleCI command '{name}'"
            );
            report.warn(
                Code::Override,
                command.at,
                message,
                "rename the command unless this is meant",
            );
        }
    }
}

/// Whether an element is only the name of another; notes it when that means nothing.
fn stands_for(kind: Kind, element: &Element, library: &Library, report: &mut Report) -> bool {
    let Some(name) = element.alias() else { return false };
    let at = element.node.at;
    if library.find(kind, name, at.source).is_none() {
        library.unknown(kind, name, at, &[], report);
    }
    true
}

/// What version 2 does not have.
fn newer_sections(root: &Map, report: &mut Report) {
    const NEWER: [&str; 5] = ["orbs", "parameters", "commands", "executors", "job-groups"];
    let written =
        root.entries.iter().filter(|e| NEWER.contains(&&*e.key) && e.value.as_map().is_some());
    for entry in written {
        let message = format!("`{}` need version 2.1", entry.key);
        report.error(Code::Version, entry.key_at, message, "write `version: 2.1`");
    }
}

fn job_groups(main: &Namespace, report: &mut Report) {
    for (name, group) in &main.groups {
        if main.jobs.contains_key(name) {
            report.error(
                Code::Name,
                group.at,
                format!("'{name}' names a job and a job group"),
                "rename one of them",
            );
        }
        if let Some(map) = group.as_map() {
            report.only(map, &["jobs"], Code::UnexpectedKey);
        }
    }
}

/// A key that nearly is one with a meaning is probably misspelt.
fn top_level(root: &Map, report: &mut Report) {
    for entry in root.entries.iter().filter(|entry| !TOP.contains(&&*entry.key)) {
        if let Some(near) = nearest(&entry.key, TOP).filter(|near| root.get(near).is_none()) {
            report.warn(
                Code::UnexpectedKey,
                entry.key_at,
                format!("the top-level key `{}` is not known and ignored", entry.key),
                format!("did you mean `{near}`?"),
            );
        }
    }
}

fn element(
    name: &str,
    element: &Element,
    kind: &str,
    known: &[&str],
    is_2_1: bool,
    report: &mut Report,
) {
    if element.node.is_null() && kind == "job" {
        return;
    }
    let Some(map) = element.node.as_map() else {
        let message = format!("expected type: Mapping, found: {}", element.node.schema_name());
        report.error(
            Code::WrongType,
            element.at,
            message,
            format!("give {kind} `{name}` its keys on lines of their own, indented below"),
        );
        return;
    };
    check_name(name, element, kind, report);
    parameter::described(map, report);
    report.only(map, known, Code::UnexpectedKey);
    if let (Some(entry), false) = (map.entry("parameters"), is_2_1) {
        report.error(
            Code::Version,
            entry.key_at,
            "parameters need version 2.1",
            "write `version: 2.1`",
        );
    }
    executors(map, kind, element, report);
}

fn executors(map: &Map, kind: &str, element: &Element, report: &mut Report) {
    let keys: &[&str] = match kind {
        "job" => &JOB_KINDS,
        "executor" => &KINDS,
        _ => return,
    };
    let is_build = map.get("type").and_then(Node::as_text).is_none_or(|kind| kind == "build");
    if is_build {
        has_one_kind(map, keys, element.at, report);
    }
    let inner = map
        .get("machine")
        .and_then(Node::as_map)
        .and_then(|machine| machine.entry("resource_class"));
    if let (Some(inner), Some(_)) = (inner, map.get("resource_class")) {
        report.error(
            Code::Value,
            inner.key_at,
            "resource_class stands here and beside `machine`",
            "keep one of them",
        );
    }
    if kind == "job" && is_build && map.get("steps").is_none() {
        report.error(
            Code::MissingKey,
            element.at,
            "required key [steps] not found",
            "add `steps:`",
        );
    }
}

/// Whether exactly one of `keys` says where a job runs, beside an executor whose own it replaces;
/// notes it otherwise.
pub(crate) fn has_one_kind(map: &Map, keys: &[&str], at: Span, report: &mut Report) -> bool {
    let found: Vec<&str> = keys.iter().copied().filter(|key| map.get(key).is_some()).collect();
    let (what, hint) = match found.as_slice() {
        [_] | [_, "executor"] => return true,
        [] => (
            format!("required key [{}] not found", keys.join("], [")),
            "say where it runs, for example `docker: [{image: cimg/base:stable}]` or `machine: true`"
                .to_owned(),
        ),
        several => (several.join(", "), format!("keep one of: {}", several.join(", "))),
    };
    let message = format!("{} subschemas matched instead of one: {what}", found.len());
    report.error(Code::MissingKey, at, message, hint);
    false
}

/// Names start with a letter; the original also takes capitals and dots in practice.
fn check_name(name: &str, element: &Element, kind: &str, report: &mut Report) {
    if name.trim().is_empty() || name.contains(['\n', '<', '>']) {
        report.error(
            Code::Name,
            element.at,
            format!("'{name}' cannot name a {kind}"),
            "use letters, digits, `_` and `-`",
        );
    }
}
