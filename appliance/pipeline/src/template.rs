//! Texts with `<< >>` in them: reading and filling in.
//!
//! Beside expressions there are sections, `<<# p >>…<</ p >>` (kept when `p` is true) and
//! `<<^ p >>…<</ p >>` (when it is false), and the escape `\<<` for a literal `<<`; an escaped
//! backslash (`\\<<`) is a backslash before an expression. A text that is one expression and
//! nothing else keeps the value's type.

mod read;

use crate::{
    diagnostic::{Code, nearest},
    expression::{Expr, ExpressionError, evaluate, truthy},
    report::Report,
    scope::Scope,
    syntax::{Entry, Map, Node, Span, Text, Value},
};
use std::sync::Arc;

pub(crate) use read::read;

/// Text that one scalar may grow to; more is a mistake, and a bound for the work done.
const TEXT_MAX: usize = 8 << 20;

/// Part of a text.
#[derive(Debug)]
pub(crate) enum Piece {
    Literal(String),
    Value(Expr),
    Section { condition: Expr, negated: bool, body: Vec<Piece> },
}

/// Whether a text needs filling in at all.
pub(crate) fn is_template(text: &str) -> bool {
    text.contains("<<")
}

/// Fills in a whole tree. Parts without `<<` are shared with the original.
pub(crate) fn fill(node: &Node, scope: &Scope<'_>, report: &mut Report) -> Node {
    changed(node, scope, report).unwrap_or_else(|| node.clone())
}

/// `None` when nothing had to be filled in.
fn changed(node: &Node, scope: &Scope<'_>, report: &mut Report) -> Option<Node> {
    match &node.value {
        Value::Text(text) if is_template(&text.text) => {
            Some(fill_text(node, &text.text, scope, report))
        }
        Value::List(items) => {
            let filled = changed_items(items, |item| changed(item, scope, report))?;
            Some(Node::list(filled, node.at))
        }
        Value::Map(map) => {
            let filled = changed_items(&map.entries, |entry| {
                changed(&entry.value, scope, report).map(|value| Entry {
                    key: entry.key.clone(),
                    key_at: entry.key_at,
                    value,
                })
            })?;
            Some(Node::new(Value::Map(Arc::new(Map { entries: filled })), node.at))
        }
        _ => None,
    }
}

/// Copies a list only once its first changed item is found.
fn changed_items<T: Clone>(items: &[T], mut change: impl FnMut(&T) -> Option<T>) -> Option<Vec<T>> {
    let mut copy: Option<Vec<T>> = None;
    for (index, item) in items.iter().enumerate() {
        match (change(item), &mut copy) {
            (Some(new), Some(copy)) => copy.push(new),
            (Some(new), None) => {
                let mut list = items[..index].to_vec();
                list.push(new);
                copy = Some(list);
            }
            (None, Some(copy)) => copy.push(item.clone()),
            (None, None) => {}
        }
    }
    copy
}

fn fill_text(node: &Node, text: &str, scope: &Scope<'_>, report: &mut Report) -> Node {
    let result = read(text, node.at).and_then(|pieces| match pieces.as_slice() {
        [Piece::Value(expr)] => evaluate(expr, scope).map(|value| placed(value, node.at)),
        _ => {
            let mut out = String::new();
            render(&pieces, scope, &mut out)?;
            if !report.spend_text(out.len()) {
                return Err(ExpressionError::Operands(
                    "A compiled config YAML must be at most 8MB".into(),
                ));
            }
            Ok(Node::new(Value::Text(Text { text: out.into(), plain: false }), node.at))
        }
    });
    result.unwrap_or_else(|error| {
        tell(&error, text, node.at, scope, report);
        // Something harmless, so that one mistake is told once.
        Node::text("unknown", node.at)
    })
}

/// A value keeps the place of its argument; one that no text holds stands where it is used.
fn placed(value: Node, at: Span) -> Node {
    if value.at.line == 0 { Node::new(value.value, at) } else { value }
}

fn render(pieces: &[Piece], scope: &Scope<'_>, out: &mut String) -> Result<(), ExpressionError> {
    for piece in pieces {
        match piece {
            Piece::Literal(text) => out.push_str(text),
            Piece::Value(expr) => {
                let value = evaluate(expr, scope)?;
                let text = value.scalar_text().ok_or_else(|| {
                    ExpressionError::Operands(format!(
                        "a {} cannot stand inside a text",
                        value.type_name()
                    ))
                })?;
                out.push_str(&text);
            }
            Piece::Section { condition, negated, body } => {
                if truthy(&evaluate(condition, scope)?) != *negated {
                    render(body, scope, out)?;
                }
            }
        }
        if out.len() > TEXT_MAX {
            return Err(ExpressionError::Operands(format!(
                "the text grows beyond {TEXT_MAX} bytes"
            )));
        }
    }
    Ok(())
}

/// Notes an expression's error with what probably was meant.
pub(crate) fn tell(
    error: &ExpressionError,
    text: &str,
    at: Span,
    scope: &Scope<'_>,
    report: &mut Report,
) {
    let at = within(text, at, error, report);
    match error {
        ExpressionError::Unknown(_)
            if report.is_told(Code::UnknownReference, &error.to_string(), at) =>
        {
            report.error(Code::UnknownReference, at, error.to_string());
        }
        ExpressionError::Unknown(name) => {
            let names = scope.names();
            let hint = match nearest(name, names.iter().map(String::as_str)) {
                Some(near) => format!("did you mean `{near}`?"),
                None if name.starts_with("pipeline.parameters.") && scope.declared.is_none() => {
                    "pipeline parameters cannot be seen inside orbs; pass the value as a parameter".into()
                }
                None if name.starts_with("parameters.") => {
                    "declare it under the `parameters` of the job, command or executor that holds this text".into()
                }
                None => "known prefixes are `parameters.`, `matrix.`, `pipeline.` and `pipeline.parameters.`".into(),
            };
            report.error_with(Code::UnknownReference, at, error.to_string(), hint);
        }
        ExpressionError::Syntax(_) | ExpressionError::Unclosed { .. } if text.contains("<<") => {
            report.error_with(
                Code::Expression,
                at,
                error.to_string(),
                "write `\\<<` for a literal `<<`, for example in a here-document: `cat \\<<EOF`",
            );
        }
        _ => report.error(Code::Expression, at, error.to_string()),
    }
}

/// The place of the expression itself, which may be lines below the scalar's start.
pub(crate) fn within(text: &str, at: Span, error: &ExpressionError, report: &Report) -> Span {
    let needle = match error {
        ExpressionError::Unknown(name) => name,
        ExpressionError::Unclosed { tag, .. } => tag,
        _ => return at,
    };
    report.sources.locate(at, needle, text.lines().count())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{request::Values, scope::Arguments};

    fn check(text: &str, expected: &str) {
        let at = crate::scope::NOWHERE;
        let parameters: Arguments = [
            ("p".into(), Node::text("x", at)),
            ("empty".into(), Node::text("", at)),
            ("on".into(), Node::new(Value::Bool(true), at)),
            ("n".into(), Node::new(Value::Int(3), at)),
        ]
        .into_iter()
        .collect();
        let pipeline = Values::local();
        let scope = Scope {
            pipeline: &pipeline,
            declared: None,
            parameters: Some(&parameters),
            matrix: None,
        };
        let mut report = Report::default();
        let node = fill(&Node::text(text, at), &scope, &mut report);
        let (found, _) = report.finish();
        let shown = match found.first() {
            Some(diagnostic) => format!("{}: {}", diagnostic.code.as_str(), diagnostic.message),
            None => format!("{} {}", node.type_name(), node.scalar_text().unwrap_or_default()),
        };
        assert_eq!(shown, expected, "{text}");
    }

    #[test]
    fn whole_expressions_keep_their_type_and_others_become_text() {
        check("<< parameters.n >>", "integer 3");
        check("<<parameters.on>>", "boolean true");
        check("a << parameters.n >> b", "string a 3 b");
        check("<< pipeline.git.tag >>", "string ");
        check("<< pipeline.schedule.name >>", "null ");
    }

    #[test]
    fn escapes_and_sections() {
        check(r"cat \<<EOF", "string cat <<EOF");
        check(r".\\<< parameters.p >>.zip", r"string .\x.zip");
        check("a<<# parameters.on >>b<</ parameters.on >>c", "string abc");
        check("a<<^ parameters.on >>b<</ parameters.on >>c", "string ac");
        check("<<#parameters.empty>>b<</parameters.empty>>", "string ");
        check("a\n  <<# parameters.on >>\n  b\n  <</ parameters.on >>\nc", "string a\n  b\nc");
        check("a\n  <<# parameters.empty >>\n  b\n  <</ parameters.empty >>\nc", "string a\nc");
        check("a\n  <<# parameters.on >>b\n<</ parameters.on >>", "string a\n  b\n");
    }

    #[test]
    fn the_expression_language_is_understood() {
        check("<< parameters.n > 2 and \"big\" or \"small\" >>", "string big");
        check("<< not parameters.empty and 1 >>", "integer 1");
        check("<< parameters.p matches /[xy]/ >>", "boolean true");
        check("<< parameters.p == 3 >>", "boolean false");
        check("<< pipeline.git.branch starts-with \"ma\" >>", "boolean true");
    }

    #[test]
    fn mistakes_are_told() {
        check(
            "<< parameters.q >>",
            "unknown-reference: Arguments referenced without declared parameters: parameters.q",
        );
        check(
            "cat <<EOF",
            "expression: Unclosed '<<' tag in string: \"<<EOF\" (`<<` without its `>>`)",
        );
        check(
            "<< parameters.p < 3 >>",
            "expression: `<` compares numbers only, not string with integer",
        );
        check(
            "<<# parameters.p >>x",
            "expression: the section of `parameters.p` is not closed: `<</ parameters.p >>` is missing",
        );
    }
}
