//! Named executors: `executor: name`, `{name: …, arguments}` or `{orb/name: {arguments}}`.

use super::Context;
use crate::{
    definition::{self, EXECUTOR, KINDS},
    diagnostic::{Code, nearest},
    library::Kind,
    parameter,
    syntax::{Map, Node, Span, Value},
};
use std::sync::Arc;

type Given = Vec<(Arc<str>, Span, Node)>;

impl Context<'_> {
    /// The keys of the executor that a (filled in) reference means.
    pub(super) fn executor(&mut self, reference: &Node) -> Option<Map> {
        let (name, at, given) = self.executor_reference(reference)?;
        let library = self.library;
        let Some(element) = library.find(Kind::Executor, &name, at.source) else {
            library.unknown(Kind::Executor, &name, at, &[], self.report);
            return Some(anything(at));
        };
        self.report.push("executor", &name, at);
        let arguments = parameter::bind(&element.declared, &given, &[], at, self.report);
        let scope = self.inside(&arguments, element.node.at.source);
        let filled = self.fill(&element.node, Some(&scope));
        let map = filled.as_map().map(|map| Map {
            entries: map
                .entries
                .iter()
                .filter(|entry| !["parameters", "description"].contains(&&*entry.key))
                .cloned()
                .collect(),
        });
        match &map {
            Some(map) => {
                self.report.only(map, &EXECUTOR, Code::UnexpectedKey);
                if !definition::has_one_kind(map, &KINDS, element.at, self.report) {
                    self.report.pop();
                    return None;
                }
            }
            None => {
                let message = format!("expected type: Mapping, found: {}", filled.schema_name());
                self.report.error(
                    Code::WrongType,
                    element.at,
                    message,
                    "an executor holds `docker:`, `machine:` or `macos:`",
                );
            }
        }
        self.report.pop();
        Some(map.unwrap_or_else(|| anything(at)))
    }

    fn executor_reference(&mut self, reference: &Node) -> Option<(String, Span, Given)> {
        match &reference.value {
            Value::Text(text) => Some((text.text.to_string(), reference.at, vec![])),
            Value::Map(map) => match (map.entry("name"), map.entries.as_slice()) {
                (Some(name), _) => {
                    let Some(text) = name.value.scalar_text().filter(|_| !name.value.is_null())
                    else {
                        let found = name.value.schema_name();
                        self.report.error(
                            Code::WrongType,
                            name.value.at,
                            format!("expected type: String, found: {found}"),
                            "name one executor: `executor: {name: NAME, …}`",
                        );
                        return None;
                    };
                    let given = map
                        .entries
                        .iter()
                        .filter(|entry| &*entry.key != "name")
                        .map(|entry| (entry.key.clone(), entry.key_at, entry.value.clone()))
                        .collect();
                    Some((text, name.value.at, given))
                }
                (None, [entry]) if nearest(&entry.key, ["name"]).is_some() => {
                    self.report.error(
                        Code::MissingKey,
                        entry.key_at,
                        "required key [name] not found",
                        format!("`{}` should be `name`", entry.key),
                    );
                    None
                }
                (None, [entry]) => {
                    let given =
                        entry.value.as_map().map(|map| &map.entries[..]).unwrap_or_default();
                    let given =
                        given.iter().map(|e| (e.key.clone(), e.key_at, e.value.clone())).collect();
                    Some((entry.key.to_string(), entry.key_at, given))
                }
                _ => {
                    self.report.error(
                        Code::MissingKey,
                        reference.at,
                        "required key [name] not found",
                        "write `executor: {name: NAME, …}`",
                    );
                    None
                }
            },
            Value::Null => {
                self.report.error(
                    Code::MissingKey,
                    reference.at,
                    "executor is empty",
                    "name an executor: `executor: NAME`",
                );
                None
            }
            _ => {
                let message = format!("expected type: String, found: {}", reference.schema_name());
                self.report.error(
                    Code::WrongType,
                    reference.at,
                    message,
                    "name one executor: `executor: NAME`, or `executor: {name: NAME, …}`",
                );
                None
            }
        }
    }
}

/// Stands in for an executor that could not be read, so that one mistake is told once.
pub(super) fn anything(at: Span) -> Map {
    let mut map = Map::default();
    map.set("machine", Node::new(Value::Bool(true), at));
    map
}
