//! A tree to a value.

use super::{Expr, ExpressionError, pattern::Patterns};
use crate::{
    scope::Scope,
    syntax::{Node, Value},
};
use std::cmp::Ordering;

/// What counts as true: all but `false`, null, zero, NaN and the empty text. An empty list of
/// steps counts as false, too, so that `condition: << parameters.after >>` works.
pub(crate) fn truthy(node: &Node) -> bool {
    match &node.value {
        Value::Null => false,
        Value::Bool(on) => *on,
        Value::Int(number) => *number != 0,
        Value::Float(number) => *number != 0.0 && !number.is_nan(),
        Value::Text(text) => !text.text.is_empty(),
        Value::List(items) => !items.is_empty(),
        Value::Map(map) => !map.entries.is_empty(),
    }
}

/// Evaluates in a scope.
pub(crate) fn evaluate(
    expr: &Expr,
    scope: &Scope<'_>,
    patterns: &mut Patterns,
) -> Result<Node, ExpressionError> {
    match expr {
        Expr::Literal(node) => Ok(node.clone()),
        Expr::Name(name) => scope.lookup(name),
        Expr::Pattern(text) => Err(ExpressionError::syntax(
            "a /pattern/ can stand only after `matches`",
            &format!("/{text}"),
        )),
        Expr::Not(inner) => {
            let value = evaluate(inner, scope, patterns)?;
            Ok(Node::new(Value::Bool(!truthy(&value)), value.at))
        }
        Expr::And(left, right) => {
            let value = evaluate(left, scope, patterns)?;
            if truthy(&value) { evaluate(right, scope, patterns) } else { Ok(value) }
        }
        Expr::Or(left, right) => {
            let value = evaluate(left, scope, patterns)?;
            if truthy(&value) { Ok(value) } else { evaluate(right, scope, patterns) }
        }
        Expr::Compare(operator, left, right) => {
            let left = evaluate(left, scope, patterns)?;
            let holds = compare(operator, &left, right, scope, patterns)?;
            Ok(Node::new(Value::Bool(holds), left.at))
        }
    }
}

fn compare(
    operator: &'static str,
    left: &Node,
    right: &Expr,
    scope: &Scope<'_>,
    patterns: &mut Patterns,
) -> Result<bool, ExpressionError> {
    if operator == "matches" {
        return matches(left, right, scope, patterns);
    }
    let right = evaluate(right, scope, patterns)?;
    match operator {
        "==" => Ok(equal(left, &right)),
        "!=" => Ok(!equal(left, &right)),
        "starts-with" => match (text(left), text(&right)) {
            (Some(text), Some(prefix)) => Ok(text.starts_with(prefix)),
            _ => Err(operands(operator, "strings", left, &right)),
        },
        // A value that this trigger does not have is neither more nor less.
        _ if left.is_null() || right.is_null() => Ok(false),
        _ => {
            let order = match (number(left), number(&right)) {
                (Some(a), Some(b)) => a.partial_cmp(&b),
                _ => return Err(operands(operator, "numbers", left, &right)),
            };
            Ok(match operator {
                "<" => order == Some(Ordering::Less),
                "<=" => matches!(order, Some(Ordering::Less | Ordering::Equal)),
                ">" => order == Some(Ordering::Greater),
                _ => matches!(order, Some(Ordering::Greater | Ordering::Equal)),
            })
        }
    }
}

fn matches(
    left: &Node,
    right: &Expr,
    scope: &Scope<'_>,
    patterns: &mut Patterns,
) -> Result<bool, ExpressionError> {
    let pattern = match right {
        Expr::Pattern(pattern) => pattern.clone(),
        other => match evaluate(other, scope, patterns)? {
            node if node.as_text().is_some() => node.as_text().unwrap_or_default().to_owned(),
            node => return Err(operands("matches", "strings", left, &node)),
        },
    };
    match text(left) {
        Some(text) => Ok(patterns.get(&pattern)?.matches(text)),
        None => Err(operands("matches", "strings", left, left)),
    }
}

/// A text; a value that this trigger does not have is the empty one.
fn text(node: &Node) -> Option<&str> {
    if node.is_null() { Some("") } else { node.as_text() }
}

/// Whether two values are equal; one that this trigger does not have equals the empty text.
pub(crate) fn equal(a: &Node, b: &Node) -> bool {
    let is_blank = |node: &Node| text(node) == Some("");
    a.same(b) || (is_blank(a) && is_blank(b))
}

fn number(node: &Node) -> Option<f64> {
    match node.value {
        #[expect(
            clippy::cast_precision_loss,
            reason = "comparisons are made on numbers of any size"
        )]
        Value::Int(number) => Some(number as f64),
        Value::Float(number) => Some(number),
        _ => None,
    }
}

fn operands(
    operator: &'static str,
    takes: &'static str,
    left: &Node,
    right: &Node,
) -> ExpressionError {
    let (left, right) = (left.type_name(), right.type_name());
    ExpressionError::Operands { operator, takes, left, right }
}
