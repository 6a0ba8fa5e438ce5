//! What a name inside `<< >>` means at one place.
//!
//! Scopes are lexical: an element sees its own parameters and never its caller's. Pipeline
//! parameters are visible in the configuration, but not in orbs; pipeline values are visible in both.

use crate::{
    expression::ExpressionError,
    request::Values,
    syntax::{Node, SourceId, Span, Value},
};
use indexmap::IndexMap;
use std::sync::Arc;

/// Values bound to parameters, by name.
pub(crate) type Arguments = IndexMap<Arc<str>, Node>;

/// What can be seen at one place.
#[derive(Clone, Copy)]
pub(crate) struct Scope<'a> {
    pub pipeline: &'a Values,
    /// `pipeline.parameters`, when visible.
    pub declared: Option<&'a Arguments>,
    pub parameters: Option<&'a Arguments>,
    pub matrix: Option<&'a Arguments>,
}

impl<'a> Scope<'a> {
    /// The same place with other parameters.
    pub(crate) fn with_parameters(self, parameters: &'a Arguments, source: SourceId) -> Self {
        // Inside an orb the pipeline's parameters are out of sight.
        let declared = self.declared.filter(|_| source == SourceId(0));
        Self { parameters: Some(parameters), matrix: None, declared, ..self }
    }

    /// The value of a name.
    pub(crate) fn lookup(&self, name: &str) -> Result<Node, ExpressionError> {
        let found = if let Some(parameter) = name.strip_prefix("parameters.") {
            self.parameters.and_then(|known| known.get(parameter)).cloned()
        } else if let Some(parameter) = name.strip_prefix("matrix.") {
            self.matrix.and_then(|known| known.get(parameter)).cloned()
        } else if let Some(parameter) = name.strip_prefix("pipeline.parameters.") {
            self.declared.and_then(|known| known.get(parameter)).cloned()
        } else if let Some(value) = name.strip_prefix("pipeline.") {
            self.pipeline.lookup(value)
        } else {
            None
        };
        found.ok_or_else(|| ExpressionError::Unknown(name.into()))
    }

    /// Names that could have been meant, for a suggestion.
    pub(crate) fn names(&self) -> Vec<String> {
        let prefixed = |prefix: &str, known: Option<&Arguments>| {
            known
                .map(|known| known.keys().map(|key| format!("{prefix}.{key}")).collect::<Vec<_>>())
                .unwrap_or_default()
        };
        let mut names = prefixed("parameters", self.parameters);
        names.extend(prefixed("matrix", self.matrix));
        names.extend(prefixed("pipeline.parameters", self.declared));
        names.extend(Values::names().iter().map(|name| format!("pipeline.{name}")));
        names
    }
}

/// Where values stand that no text holds: those of the trigger.
pub(crate) const NOWHERE: Span = Span { source: SourceId(0), line: 0, column: 0 };

/// A node for a value that no text holds.
pub(crate) fn value_node(value: Value) -> Node {
    Node::new(value, NOWHERE)
}
