//! The value of an expression where some names have none: such a part decides nothing.

use crate::{
    expression::{Expr, ExpressionError, evaluate, pattern::Patterns},
    request::Values,
    scope::{Scope, value_node},
    syntax::{Node, Text, Value},
};

/// Whether somebody may look into the job by SSH; nobody can, here.
pub(super) const SSH: &str = "job.ssh.enabled";

/// Where the configuration came from; here always the repository.
pub(super) const CONFIG_SOURCE: &str = "pipeline.config_source";

/// Values that a trigger chooses, as parameters.
pub(super) const CHOSEN: &str = "pipeline.trigger_parameters.";

/// Only `false` does not.
pub(super) fn holds(node: &Node) -> bool {
    !matches!(node.value, Value::Bool(false))
}

/// A name's value; empty when this pipeline has none, `None` when no pipeline has.
pub(super) fn value(name: &str, values: &Values) -> Option<Node> {
    match name {
        SSH => Some(value_node(Value::Bool(false))),
        CONFIG_SOURCE => Some(text_node("vcs")),
        name if name.starts_with(CHOSEN) => None,
        name => values.lookup(name.strip_prefix("pipeline.")?),
    }
}

fn text_node(text: &str) -> Node {
    value_node(Value::Text(Text { text: text.into(), plain: false }))
}

/// Decides one expression.
pub(super) struct Decider<'a> {
    values: &'a Values,
    patterns: Patterns,
    /// The first name that had no value.
    pub(super) unknown: Option<String>,
}

impl<'a> Decider<'a> {
    pub(super) fn new(values: &'a Values) -> Self {
        Self { values, patterns: Patterns::default(), unknown: None }
    }

    /// The value of an expression; `None` when it depends on what is not known.
    pub(super) fn decide(&mut self, expr: &Expr) -> Result<Option<Node>, ExpressionError> {
        match expr {
            Expr::Name(name) => self.known(name),
            Expr::Not(inner) => {
                let value = self.decide(inner)?;
                Ok(value.map(|value| value_node(Value::Bool(!holds(&value)))))
            }
            Expr::And(left, right) => self.join(left, right, false),
            Expr::Or(left, right) => self.join(left, right, true),
            Expr::Compare(operator, left, right) => self.compare(operator, left, right),
            Expr::Literal(_) | Expr::Pattern(_) => self.plain(expr).map(Some),
        }
    }

    fn known(&mut self, name: &str) -> Result<Option<Node>, ExpressionError> {
        let found =
            value(name, self.values).ok_or_else(|| ExpressionError::Unknown(name.into()))?;
        if found.is_null() || found.as_text() == Some("") {
            self.unknown.get_or_insert_with(|| name.to_owned());
            return Ok(None);
        }
        Ok(Some(found))
    }

    /// `and` and `or`: one side that `decides` is enough, whatever the other is.
    fn join(
        &mut self,
        left: &Expr,
        right: &Expr,
        decides: bool,
    ) -> Result<Option<Node>, ExpressionError> {
        let first = self.decide(left)?;
        if first.as_ref().is_some_and(|node| holds(node) == decides) {
            return Ok(first);
        }
        let second = self.decide(right)?;
        match (&first, &second) {
            (None, Some(node)) if holds(node) != decides => Ok(None),
            _ => Ok(second),
        }
    }

    fn compare(
        &mut self,
        operator: &'static str,
        left: &Expr,
        right: &Expr,
    ) -> Result<Option<Node>, ExpressionError> {
        let left = self.decide(left)?;
        let right = match right {
            Expr::Pattern(_) => Some(right.clone()),
            other => self.decide(other)?.map(Expr::Literal),
        };
        let (Some(left), Some(right)) = (left, right) else { return Ok(None) };
        let whole = Expr::Compare(operator, Box::new(Expr::Literal(left)), Box::new(right));
        self.plain(&whole).map(Some)
    }

    /// What holds no names.
    fn plain(&mut self, expr: &Expr) -> Result<Node, ExpressionError> {
        let scope = Scope { pipeline: self.values, declared: None, parameters: None, matrix: None };
        evaluate(expr, &scope, &mut self.patterns)
    }
}
