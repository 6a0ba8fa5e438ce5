//! Dynamic configuration: which parameters the continued configuration gets.
//!
//! The key itself (once, six hours) is the engine's; here are the rules that need both texts.

use crate::{
    diagnostic::Diagnostic,
    parameter::{self, Declarations, Owner},
    report::Report,
    request::parameter_node,
    syntax::{Node, SourceId, Value, load},
};
use base::trigger::ParameterValue;
use indexmap::IndexMap;
use std::time::Duration;

/// How long a pipeline can be continued, as on the original service.
pub const CONTINUATION_LIFE: Duration = Duration::from_secs(6 * 3600);

/// Why a pipeline cannot be continued with these parameters.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ContinuationError {
    /// A parameter is declared in both configurations, passed to the continuation, and was given
    /// to the trigger with another value than the setup's default.
    #[error("Conflicting pipeline parameters.")]
    Conflict(Vec<String>),
    /// A text that is no configuration.
    #[error("the configuration cannot be read: {}", .0.message)]
    Unreadable(Box<Diagnostic>),
}

/// The pipeline parameters of the continued configuration: those passed, and those of the trigger
/// that it declares. That passed ones are declared is checked when it is compiled.
///
/// # Errors
/// [`ContinuationError`]: a conflict, with the names, or unreadable YAML.
pub fn continue_parameters(
    setup: &str,
    continued: &str,
    passed: &IndexMap<String, ParameterValue>,
    triggered: &IndexMap<String, ParameterValue>,
) -> Result<IndexMap<String, ParameterValue>, ContinuationError> {
    let (setup, continued) = (declarations(setup)?, declarations(continued)?);
    let is_default = |name: &str, value: &ParameterValue| {
        let default = setup.get(name).and_then(|declared| declared.default.as_ref());
        default.is_some_and(|default| default.same(&parameter_node(value)))
    };
    let conflicts: Vec<String> = passed
        .keys()
        .filter(|name| setup.contains_key(name.as_str()) && continued.contains_key(name.as_str()))
        .filter(|name| triggered.get(*name).is_some_and(|value| !is_default(name, value)))
        .cloned()
        .collect();
    if !conflicts.is_empty() {
        return Err(ContinuationError::Conflict(conflicts));
    }
    let mut parameters = passed.clone();
    for (name, value) in triggered.iter().filter(|(name, _)| continued.contains_key(name.as_str()))
    {
        parameters.entry(name.clone()).or_insert_with(|| value.clone());
    }
    Ok(parameters)
}

fn declarations(text: &str) -> Result<Declarations, ContinuationError> {
    let mut report = Report::default();
    let source = report.sources.add(".circleci/config.yml", text.into());
    match load::load(text, source) {
        Ok(loaded) => {
            let node = loaded.root.as_map().and_then(|map| map.get("parameters"));
            Ok(parameter::declare(node, Owner::Pipeline, None, &mut report))
        }
        Err(error) => {
            report.error(crate::Code::Syntax, error.at, error.message, error.hint);
            let (mut found, _) = report.finish();
            Err(ContinuationError::Unreadable(Box::new(found.remove(0))))
        }
    }
}

/// Pipeline parameters written as a YAML (or JSON) map; `None` when the text is no map of scalars.
#[must_use]
pub fn parameter_map(text: &str) -> Option<IndexMap<String, ParameterValue>> {
    let loaded = load::load(text, SourceId(0)).ok()?;
    let map = loaded.root.as_map()?;
    let value = |node: &Node| match &node.value {
        Value::Bool(on) => Some(ParameterValue::Boolean(*on)),
        Value::Int(number) => Some(ParameterValue::Integer(*number)),
        _ => node.scalar_text().map(ParameterValue::String),
    };
    map.entries.iter().map(|entry| Some((entry.key.to_string(), value(&entry.value)?))).collect()
}

/// Names and types of the pipeline parameters of a configuration, for forms: name, type, default,
/// members of an enum. Empty when the text cannot be read.
#[must_use]
pub fn declared_parameters(text: &str) -> Vec<DeclaredParameter> {
    let Ok(loaded) = load::load(text, SourceId(0)) else { return vec![] };
    let mut report = Report::default();
    let node = loaded.root.as_map().and_then(|map| map.get("parameters")).cloned();
    parameter::declare(node.as_ref(), Owner::Pipeline, None, &mut report)
        .into_iter()
        .map(|(name, declared)| DeclaredParameter {
            name: name.to_string(),
            kind: declared.kind.name(),
            default: declared.default.as_ref().and_then(Node::scalar_text).unwrap_or_default(),
            members: match declared.kind {
                parameter::Type::Enum(members) => members,
                _ => vec![],
            },
        })
        .collect()
}

/// A pipeline parameter as a form shows it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct DeclaredParameter {
    /// Its name.
    pub name: String,
    /// `string`, `boolean`, `integer` or `enum`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// As text.
    pub default: String,
    /// Of an enum.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub members: Vec<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    const SETUP: &str = "version: 2.1\nsetup: true\nparameters:\n  a: {type: string, default: x}\n  b: {type: integer, default: 1}\n";
    const NEXT: &str = "version: 2.1\nparameters:\n  a: {type: string, default: y}\n  c: {type: boolean, default: false}\n";

    fn given(pairs: &[(&str, &str)]) -> IndexMap<String, ParameterValue> {
        pairs
            .iter()
            .map(|(name, value)| ((*name).to_owned(), ParameterValue::String((*value).to_owned())))
            .collect()
    }

    fn check(passed: &[(&str, &str)], triggered: &[(&str, &str)], expected: Result<&[&str], &str>) {
        let found = continue_parameters(SETUP, NEXT, &given(passed), &given(triggered));
        let names =
            found.map(|found| found.into_keys().collect::<Vec<_>>()).map_err(|e| e.to_string());
        assert_eq!(
            names,
            expected.map(|n| n.iter().map(|n| (*n).to_owned()).collect()).map_err(str::to_owned)
        );
    }

    #[test]
    fn parameters_are_passed_on_and_conflicts_refused() {
        check(&[("a", "z")], &[], Ok(&["a"]));
        check(&[("a", "z")], &[("a", "x")], Ok(&["a"]));
        check(&[("a", "z")], &[("a", "q")], Err("Conflicting pipeline parameters."));
        check(&[], &[("a", "q"), ("b", "2")], Ok(&["a"]));
    }

    #[test]
    fn declared_parameters_are_listed_for_forms() {
        let found = declared_parameters("parameters: {e: {type: enum, enum: [p, q], default: q}}");
        assert_eq!(
            (found[0].kind, found[0].default.as_str(), found[0].members.len()),
            ("enum", "q", 2)
        );
    }
}
