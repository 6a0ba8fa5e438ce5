//! `requires`: what it names, and which jobs of the workflow that is.

use super::invocation::Call;
use crate::{
    diagnostic::{Code, nearest},
    report::Report,
    syntax::{Node, Span, Value},
    template::BROKEN,
};
use base::state::JobState;
use std::collections::{HashMap, HashSet};

/// Requirements of all workflows together, each matrix counted job by job: matrices that require
/// each other multiply. What comes out in the end has room for no more.
pub(super) const REQUIRES_MAX: usize = 200_000;

/// One entry of `requires`.
#[derive(Debug, Clone)]
pub(crate) struct Require {
    /// As written; after resolution the name of one job.
    pub name: String,
    pub at: Span,
    /// As written; none means success.
    pub statuses: Vec<&'static str>,
}

/// Statuses with the states that they stand for.
const STATUSES: [(&str, &[JobState]); 6] = [
    ("success", &[JobState::Success]),
    ("failed", &[JobState::Failed, JobState::TimedOut, JobState::InfrastructureFail]),
    ("canceled", &[JobState::Canceled]),
    ("unauthorized", &[JobState::Unauthorized]),
    ("not_run", &[JobState::NotRun]),
    (
        "terminal",
        &[
            JobState::Success,
            JobState::Failed,
            JobState::TimedOut,
            JobState::InfrastructureFail,
            JobState::Canceled,
            JobState::Unauthorized,
            JobState::NotRun,
        ],
    ),
];

impl Require {
    /// The states that satisfy it.
    pub(crate) fn states(&self) -> Vec<JobState> {
        let mut states: Vec<JobState> = STATUSES
            .iter()
            .filter(|(name, _)| {
                self.statuses.contains(name) || (self.statuses.is_empty() && *name == "success")
            })
            .flat_map(|(_, states)| states.iter().copied())
            .collect();
        states.sort();
        states.dedup();
        states
    }
}

/// Reads a `requires` list.
pub(super) fn read(node: Option<&Node>, report: &mut Report) -> Vec<Require> {
    let Some(node) = node.filter(|node| !node.is_null()) else { return vec![] };
    let items = match &node.value {
        Value::List(items) => &items[..],
        Value::Text(_) => std::slice::from_ref(node),
        _ => {
            let message = format!("expected type: JSONArray, found: {}", node.schema_name());
            report.error(Code::WrongType, node.at, message, "write `requires: [job]`");
            return vec![];
        }
    };
    let mut found: Vec<Require> = items.iter().flat_map(|item| entry(item, report)).collect();
    found.retain(|require| require.name != BROKEN);
    found
}

fn entry(item: &Node, report: &mut Report) -> Vec<Require> {
    match &item.value {
        Value::Map(map) => map
            .entries
            .iter()
            .map(|entry| Require {
                name: entry.key.to_string(),
                at: entry.key_at,
                statuses: statuses(&entry.value, report),
            })
            .collect(),
        // A parameter that holds a list of names.
        Value::List(items) => items.iter().flat_map(|item| entry(item, report)).collect(),
        Value::Null => vec![],
        _ => vec![Require {
            name: item.scalar_text().unwrap_or_default(),
            at: item.at,
            statuses: vec![],
        }],
    }
}

fn statuses(node: &Node, report: &mut Report) -> Vec<&'static str> {
    let items = node.as_list().unwrap_or_else(|| std::slice::from_ref(node));
    if items.is_empty() {
        let hint = "name a status: `[success, failed]`, or require the job by its name alone";
        report.error(Code::Requires, node.at, "expected minimum item count: 1, found: 0", hint);
    }
    let mut found = vec![];
    for item in items {
        let text = item.as_text().unwrap_or_default();
        match STATUSES.iter().find(|(name, _)| *name == text) {
            Some((name, _)) => found.push(*name),
            None => {
                let names = STATUSES.map(|(name, _)| name);
                let hint = nearest(text, names).map_or_else(
                    || format!("known statuses: {}", names.join(", ")),
                    |near| format!("did you mean `{near}`?"),
                );
                report.error(
                    Code::Requires,
                    item.at,
                    format!("'{text}' is not a status that can be required"),
                    hint,
                );
            }
        }
    }
    found
}

/// Gives copies of a name their suffixes: several calls of one name become `name-1`, `name-2` …
pub(super) fn number_duplicates(calls: &mut [Call]) {
    let mut counts: HashMap<String, usize> = HashMap::new();
    for call in calls.iter() {
        *counts.entry(call.name.clone()).or_default() += 1;
    }
    let mut next: HashMap<String, usize> = HashMap::new();
    let mut taken: HashSet<String> =
        counts.iter().filter(|(_, n)| **n == 1).map(|(name, _)| name.clone()).collect();
    let is_double = |call: &&mut Call| counts.get(&call.name).is_some_and(|n| *n > 1);
    for call in calls.iter_mut().filter(is_double) {
        let number = next.entry(call.name.clone()).or_default();
        let name = loop {
            *number += 1;
            let name = format!("{}-{number}", call.name);
            // A number that somebody gave by hand is passed over.
            if taken.insert(name.clone()) {
                break name;
            }
        };
        call.alias.get_or_insert_with(|| call.name.clone());
        call.name = name;
    }
}

/// Replaces names by those of the jobs that are meant, and notes those that mean none or several.
/// `place` is the workflow or job group, as messages name it; `left` is what may still be required.
pub(super) fn resolve(place: &str, calls: &mut [Call], left: &mut usize, report: &mut Report) {
    let mut by_name: HashMap<String, usize> = HashMap::new();
    let mut by_alias: HashMap<String, Vec<usize>> = HashMap::new();
    for (index, call) in calls.iter().enumerate() {
        by_name.insert(call.name.clone(), index);
        if let Some(alias) = &call.alias {
            by_alias.entry(alias.clone()).or_default().push(index);
        }
    }
    let names: Vec<String> = calls.iter().map(|call| call.name.clone()).collect();
    let is_matrix: Vec<bool> = calls.iter().map(|call| call.is_copy).collect();
    let groups: Vec<Option<String>> = calls.iter().map(|call| call.inside.clone()).collect();
    for (index, call) in calls.iter_mut().enumerate() {
        let mut resolved: Vec<Require> = vec![];
        let mut known: HashSet<usize> = HashSet::new();
        for require in std::mem::take(&mut call.requires) {
            let targets: Vec<usize> =
                match (by_name.get(&require.name), by_alias.get(&require.name)) {
                    (Some(target), _) => vec![*target],
                    (None, Some(list)) => {
                        list.iter().copied().filter(|target| *target != index).collect()
                    }
                    (None, None) => vec![],
                };
            let is_ambiguous =
                targets.len() > 1 && targets.iter().any(|target| !is_matrix[*target]);
            if targets.is_empty() || is_ambiguous {
                unresolved(place, &call.name, &require, targets.len(), &names, report);
                continue;
            }
            let group = targets.iter().find_map(|target| groups[*target].as_ref());
            if let Some(group) = group.filter(|group| !sees(call, group)) {
                let message = format!(
                    "Job '{}' requires '{}', which is inside job group '{group}'",
                    call.name, require.name
                );
                report.error(Code::Requires, require.at, message, format!("require `{group}`"));
                continue;
            }
            let new = targets.into_iter().filter(|target| known.insert(*target));
            for target in new {
                if !spend(left, require.at, report) {
                    return;
                }
                resolved.push(Require { name: names[target].clone(), ..require.clone() });
            }
        }
        call.requires = resolved;
    }
}

/// Takes one requirement from the budget; false when it is used up.
fn spend(left: &mut usize, at: Span, report: &mut Report) -> bool {
    if *left == 0 {
        let message = format!("more than {REQUIRES_MAX} requirements in all workflows together");
        let hint =
            "put one job (`type: no-op`) between the many that require and the many required";
        report.error(Code::Limit, at, message, hint);
        return false;
    }
    *left -= 1;
    true
}

/// Whether a call may require the jobs inside a group: its own, and its exit.
fn sees(call: &Call, group: &str) -> bool {
    call.inside.as_deref() == Some(group) || call.name == group
}

fn unresolved(
    place: &str,
    job: &str,
    require: &Require,
    found: usize,
    names: &[String],
    report: &mut Report,
) {
    let message = format!(
        "Job '{job}' requires '{}', which is the name of {found} other jobs in {place}",
        require.name
    );
    let others = names.iter().map(String::as_str).filter(|name| *name != job);
    let hint = || match (found, nearest(&require.name, others)) {
        (0, Some(near)) => format!("did you mean `{near}`?"),
        (0, None) => format!("add the job to {place}, or remove the requirement"),
        _ => "You can give a job within a workflow an explicit name by adding a name key".into(),
    };
    report.error_with(Code::Requires, require.at, message, hint);
}

/// Notes a cycle, naming the jobs on it.
pub(super) fn check_cycles(workflow: &str, calls: &[Call], report: &mut Report) {
    let index: HashMap<&str, usize> =
        calls.iter().enumerate().map(|(i, call)| (call.name.as_str(), i)).collect();
    let edges: Vec<Vec<usize>> = calls
        .iter()
        .map(|call| {
            call.requires.iter().filter_map(|r| index.get(r.name.as_str()).copied()).collect()
        })
        .collect();
    let Some(cycle) = find_cycle(&edges) else { return };
    let mut names: Vec<&str> = cycle.iter().map(|i| calls[*i].name.as_str()).collect();
    names.push(names[0]);
    let first = &calls[cycle[0]];
    let at = first.requires.first().map_or(first.at, |require| require.at);
    report.error(
        Code::Requires,
        at,
        format!(
            "the jobs of workflow '{workflow}' require each other in a cycle: {}",
            names.join(" → ")
        ),
        "remove one of these requirements",
    );
}

/// A cycle of a graph, without recursion: workflows may have thousands of jobs in a row.
fn find_cycle(edges: &[Vec<usize>]) -> Option<Vec<usize>> {
    let mut done = vec![false; edges.len()];
    let mut on_path = vec![false; edges.len()];
    for root in 0..edges.len() {
        let mut path: Vec<(usize, usize)> = vec![];
        if !done[root] {
            path.push((root, 0));
            on_path[root] = true;
        }
        while let Some((node, next)) = path.last_mut() {
            match edges[*node].get(*next).copied() {
                Some(target) if on_path[target] => {
                    let start = path.iter().position(|(node, _)| *node == target)?;
                    return Some(path[start..].iter().map(|(node, _)| *node).collect());
                }
                Some(target) => {
                    *next += 1;
                    if !done[target] {
                        on_path[target] = true;
                        path.push((target, 0));
                    }
                }
                None => {
                    (done[*node], on_path[*node]) = (true, false);
                    path.pop();
                }
            }
        }
    }
    None
}
