//! Matrices: one invocation to many.
//!
//! Decisions where the original's documents disagree: copies are listed with the alphabetically
//! first parameter as the outer loop, and a copy's default name joins its values in the same
//! order (`test-14.17.6-docker`). Values in `exclude` are filled in like all others.

use super::Context;
use crate::{
    diagnostic::Code,
    scope::{Arguments, Scope},
    syntax::{Map, Node, Value},
};

/// Copies of one matrix; the original documents 128 for its API, larger ones were seen to work.
const COPIES_MAX: usize = 1024;

/// A matrix read.
pub(super) struct Matrix {
    pub alias: Option<String>,
    /// One set of values for each copy, sorted by parameter name.
    pub copies: Vec<Arguments>,
}

impl Context<'_> {
    /// Reads a `matrix:`; `None` after an error that leaves nothing to expand.
    pub(super) fn matrix(&mut self, node: &Node, scope: &Scope<'_>) -> Option<Matrix> {
        const KEYS: [&str; 3] = ["parameters", "exclude", "alias"];
        let filled = self.fill(node, Some(scope));
        let Some(map) = filled.as_map() else {
            let message = format!("expected type: Mapping, found: {}", filled.schema_name());
            self.report.error(
                Code::Matrix,
                node.at,
                message,
                "a matrix holds `parameters`, `exclude` and `alias`",
            );
            return None;
        };
        self.report.only(map, &KEYS, Code::Matrix);
        let parameters = self.matrix_parameters(map, &filled)?;
        let excluded = self.matrix_excluded(map, &parameters);
        let all = product(&parameters);
        for out in excluded.iter().filter(|out| !all.iter().any(|copy| equal(copy, out))) {
            let at = out.values().next().map_or(node.at, |value| value.at);
            self.report.warn(
                Code::Matrix,
                at,
                "this entry of `exclude` is no combination of the matrix",
                "give values that are listed under `parameters`",
            );
        }
        let copies = all
            .into_iter()
            .filter(|copy| !excluded.iter().any(|out| equal(copy, out)))
            .collect::<Vec<_>>();
        if copies.is_empty() {
            self.report.error(
                Code::Matrix,
                node.at,
                "the matrix leaves no job: all combinations are excluded",
                "remove an entry of `exclude`",
            );
        }
        Some(Matrix { alias: map.get("alias").and_then(Node::scalar_text), copies })
    }

    fn matrix_parameters(&mut self, map: &Map, filled: &Node) -> Option<Vec<(String, Vec<Node>)>> {
        let Some(parameters) =
            map.get("parameters").and_then(Node::as_map).filter(|p| !p.entries.is_empty())
        else {
            self.report.error(
                Code::Matrix,
                filled.at,
                "required key [parameters] not found",
                "list the values of at least one parameter under `parameters`",
            );
            return None;
        };
        let mut list = vec![];
        for entry in &parameters.entries {
            match &entry.value.value {
                Value::List(values) if !values.is_empty() => {
                    list.push((entry.key.to_string(), values.to_vec()))
                }
                Value::List(_) => self.report.error(
                    Code::Matrix,
                    entry.value.at,
                    format!("matrix parameter '{}' has no values", entry.key),
                    "list at least one value",
                ),
                _ => self.report.error(
                    Code::Matrix,
                    entry.value.at,
                    format!("expected type: JSONArray, found: {}", entry.value.schema_name()),
                    format!("write `{}: [value, …]`", entry.key),
                ),
            }
        }
        list.sort_by(|a, b| a.0.cmp(&b.0));
        let copies = list.iter().fold(1_usize, |n, (_, values)| n.saturating_mul(values.len()));
        if copies > COPIES_MAX {
            self.report.error(
                Code::Limit,
                filled.at,
                format!("the matrix makes {copies} jobs, at most {COPIES_MAX} are allowed"),
                "split it over several workflows",
            );
            return None;
        }
        (list.len() == parameters.entries.len()).then_some(list)
    }

    fn matrix_excluded(&mut self, map: &Map, parameters: &[(String, Vec<Node>)]) -> Vec<Arguments> {
        let mut excluded = vec![];
        for item in map.get("exclude").and_then(Node::as_list).unwrap_or_default() {
            let given = item.as_map();
            let is_whole = given.is_some_and(|given| {
                given.entries.len() == parameters.len()
                    && parameters.iter().all(|(name, _)| given.get(name).is_some())
            });
            match given.filter(|_| is_whole) {
                Some(given) => excluded
                    .push(given.entries.iter().map(|e| (e.key.clone(), e.value.clone())).collect()),
                None => {
                    let names: Vec<&str> =
                        parameters.iter().map(|(name, _)| name.as_str()).collect();
                    self.report.error(
                        Code::Matrix,
                        item.at,
                        "an entry of `exclude` must give a value to every matrix parameter",
                        format!("give all of: {}", names.join(", ")),
                    );
                }
            }
        }
        if let Some(other) = map.get("exclude").filter(|node| node.as_list().is_none()) {
            self.report.error(
                Code::Matrix,
                other.at,
                format!("expected type: JSONArray, found: {}", other.schema_name()),
                "list the combinations to leave out, each with all parameters, or remove `exclude`",
            );
        }
        excluded
    }
}

/// All combinations, the first parameter changing slowest.
fn product(parameters: &[(String, Vec<Node>)]) -> Vec<Arguments> {
    parameters.iter().fold(vec![Arguments::new()], |copies, (name, values)| {
        copies
            .iter()
            .flat_map(|copy| {
                values.iter().map(move |value| {
                    let mut next = copy.clone();
                    next.insert(name.as_str().into(), value.clone());
                    next
                })
            })
            .collect()
    })
}

fn equal(copy: &Arguments, other: &Arguments) -> bool {
    copy.iter().all(|(name, value)| other.get(name).is_some_and(|o| o.same(value)))
}

/// The part of a copy's name that tells it from the others.
pub(super) fn suffix(copy: &Arguments) -> String {
    copy.values()
        .map(|value| value.scalar_text().unwrap_or_else(|| value.type_name().into()))
        .collect::<Vec<_>>()
        .join("-")
}
