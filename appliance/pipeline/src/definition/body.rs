//! The bodies of elements, whether or not anything calls them: names and references.
//!
//! Why: expansion reports what a call reaches; a mistake in a command that nobody calls yet is
//! worth telling before somebody does. In a configuration these are warnings (the original lets
//! them pass), but for references to undeclared parameters; in an orb they are errors, but for tags
//! that are closed and no expression.

use crate::{
    diagnostic::{Code, Severity, nearest},
    expand::BUILT_IN,
    expression::{Expr, ExpressionError},
    library::{Element, Kind, Library, Namespace},
    report::Report,
    syntax::{Entry, Node, Value},
    template::{self, Piece},
};

/// Checks the bodies of all elements of a namespace.
pub(super) fn check(space: &Namespace, library: &Library, severity: Severity, report: &mut Report) {
    for (kind, elements) in [
        (Kind::Job, &space.jobs),
        (Kind::Command, &space.commands),
        (Kind::Executor, &space.executors),
    ] {
        for element in elements.values() {
            Body { kind, element, library, severity }.check(report);
        }
    }
}

struct Body<'a> {
    kind: Kind,
    element: &'a Element,
    library: &'a Library,
    severity: Severity,
}

impl Body<'_> {
    fn check(&self, report: &mut Report) {
        let Some(map) = self.element.node.as_map() else { return };
        for entry in
            map.entries.iter().filter(|entry| !["parameters", "description"].contains(&&*entry.key))
        {
            self.references(&entry.value, report);
            match &*entry.key {
                "steps" => self.steps(&entry.value, report),
                "executor" if self.kind == Kind::Job => self.executor(&entry.value, report),
                _ => {}
            }
        }
    }

    fn references(&self, node: &Node, report: &mut Report) {
        match &node.value {
            Value::Text(text) if template::is_template(&text.text) => match template::read(&text.text, node.at) {
                Ok(pieces) => pieces.iter().for_each(|piece| self.piece(piece, node, &text.text, report)),
                Err(error) => report.add(
                    self.severity_of(&error),
                    Code::Expression,
                    template::within(&text.text, node.at, &error, report),
                    error.to_string(),
                    Some("write `\\<<` for a literal `<<`, for example in a here-document: `cat \\<<EOF`".into()),
                ),
            },
            Value::List(items) => items.iter().for_each(|item| self.references(item, report)),
            Value::Map(map) => map.entries.iter().for_each(|entry| self.references(&entry.value, report)),
            _ => {}
        }
    }

    /// A tag that is closed and no expression fails when it is reached; published orbs have such.
    fn severity_of(&self, error: &ExpressionError) -> Severity {
        match error {
            ExpressionError::Syntax { .. } => Severity::Warning,
            _ => self.severity,
        }
    }

    fn piece(&self, piece: &Piece, node: &Node, text: &str, report: &mut Report) {
        match piece {
            Piece::Literal(_) => {}
            Piece::Value(expr) => self.expression(expr, node, text, report),
            Piece::Section { condition, body, .. } => {
                self.expression(condition, node, text, report);
                body.iter().for_each(|piece| self.piece(piece, node, text, report));
            }
        }
    }

    fn expression(&self, expr: &Expr, node: &Node, text: &str, report: &mut Report) {
        match expr {
            Expr::Name(name) => {
                let Some(parameter) = name.strip_prefix("parameters.") else { return };
                let declared = &self.element.declared;
                if declared.contains_key(parameter) {
                    return;
                }
                let error = ExpressionError::Unknown(name.clone());
                let hint = || {
                    nearest(parameter, declared.keys().map(|key| &**key)).map_or_else(
                        || format!("declare it under the `parameters` of the {}", self.kind.name()),
                        |near| format!("did you mean `parameters.{near}`?"),
                    )
                };
                let at = template::within(text, node.at, &error, report);
                report.error_with(Code::UnknownReference, at, error.to_string(), hint);
            }
            Expr::Not(inner) => self.expression(inner, node, text, report),
            Expr::And(left, right) | Expr::Or(left, right) | Expr::Compare(_, left, right) => {
                self.expression(left, node, text, report);
                self.expression(right, node, text, report);
            }
            Expr::Literal(_) | Expr::Pattern(_) => {}
        }
    }

    fn steps(&self, node: &Node, report: &mut Report) {
        match &node.value {
            Value::List(items) => items.iter().for_each(|item| self.steps(item, report)),
            Value::Text(text) if !template::is_template(&text.text) => {
                self.step(&text.text, node, report)
            }
            Value::Map(map) => match map.entries.as_slice() {
                [Entry { key, value, .. }] if matches!(&**key, "when" | "unless") => {
                    value
                        .as_map()
                        .and_then(|map| map.get("steps"))
                        .into_iter()
                        .for_each(|steps| self.steps(steps, report));
                }
                [Entry { key, value, .. }] if &**key == "steps" => self.steps(value, report),
                [Entry { key, key_at, .. }] => self.step(key, &Node::null(*key_at), report),
                _ => {}
            },
            _ => {}
        }
    }

    fn step(&self, name: &str, node: &Node, report: &mut Report) {
        if BUILT_IN.contains(&name)
            || self.library.find(Kind::Command, name, node.at.source).is_some()
        {
            return;
        }
        self.library.unknown_as(self.severity, Kind::Command, name, node.at, &BUILT_IN, report);
    }

    fn executor(&self, node: &Node, report: &mut Report) {
        let (name, at) = match (
            &node.value,
            node.as_map().map(|map| (map.entry("name"), map.entries.as_slice())),
        ) {
            (Value::Text(text), _) => (text.text.to_string(), node.at),
            (_, Some((Some(name), _))) => {
                (name.value.as_text().unwrap_or_default().to_owned(), name.value.at)
            }
            // A misspelt `name` is told where a job is expanded.
            (_, Some((None, [entry]))) if nearest(&entry.key, ["name"]).is_none() => {
                (entry.key.to_string(), entry.key_at)
            }
            _ => return,
        };
        // A name that is empty is told where a job is expanded.
        if !name.is_empty()
            && !template::is_template(&name)
            && self.library.find(Kind::Executor, &name, at.source).is_none()
        {
            self.library.unknown_as(self.severity, Kind::Executor, &name, at, &[], report);
        }
    }
}
