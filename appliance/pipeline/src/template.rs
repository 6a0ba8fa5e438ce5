//! Texts with `<< >>` in them: reading and filling in.
//!
//! Beside expressions there are sections, `<<# p >>…<</ p >>` (kept when `p` is true) and
//! `<<^ p >>…<</ p >>` (when it is false), and the escape `\<<` for a literal `<<`; an escaped
//! backslash (`\\<<`) is a backslash before an expression. A text that is one expression and
//! nothing else keeps the value's type.

mod read;

use crate::{
    diagnostic::{Code, nearest},
    expression::{Expr, ExpressionError, evaluate, pattern::Patterns, truthy},
    report::Report,
    scope::Scope,
    syntax::{Entry, Map, Node, Span, Text, Value},
};
use std::sync::Arc;

pub(crate) use read::read;

/// What stands in the place of a text that cannot be filled in. No key, name or type is judged by
/// it, so that one mistake is told once.
pub(crate) const BROKEN: &str = "<< >>";

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
    let mut errors = vec![];
    let filled = match read(text, node.at).as_deref() {
        Err(error) => Err(error.clone()),
        Ok([Piece::Value(expr)]) => {
            evaluate(expr, scope, &mut report.patterns).map(|value| placed(value, node.at))
        }
        Ok(pieces) => rendered(pieces, node.at, scope, &mut errors, report),
    };
    let filled = filled.map_err(|error| errors.push(error));
    errors.iter().for_each(|error| tell(error, text, node.at, scope, report));
    match filled {
        Ok(node) if errors.is_empty() => node,
        _ => Node::text(BROKEN, node.at),
    }
}

/// A text of several pieces; what is wrong with single pieces goes to `errors`.
fn rendered(
    pieces: &[Piece],
    at: Span,
    scope: &Scope<'_>,
    errors: &mut Vec<ExpressionError>,
    report: &mut Report,
) -> Result<Node, ExpressionError> {
    let mut out = String::new();
    render(pieces, scope, &mut out, errors, &mut report.patterns)?;
    if !report.spend_text(out.len()) {
        let message = "A compiled config YAML must be at most 8MB";
        return Err(ExpressionError::TooLong(message.into()));
    }
    Ok(Node::new(Value::Text(Text { text: out.into(), plain: false }), at))
}

/// A value keeps the place of its argument; one that no text holds stands where it is used.
fn placed(value: Node, at: Span) -> Node {
    if value.at.line == 0 { Node::new(value.value, at) } else { value }
}

fn render(
    pieces: &[Piece],
    scope: &Scope<'_>,
    out: &mut String,
    errors: &mut Vec<ExpressionError>,
    patterns: &mut Patterns,
) -> Result<(), ExpressionError> {
    for piece in pieces {
        match piece {
            Piece::Literal(text) => out.push_str(text),
            Piece::Value(expr) => match embedded(expr, scope, patterns) {
                Ok(text) => out.push_str(&text),
                Err(error) => errors.push(error),
            },
            Piece::Section { condition, negated, body } => {
                match evaluate(condition, scope, patterns) {
                    Ok(value) if truthy(&value) != *negated => {
                        render(body, scope, out, errors, patterns)?
                    }
                    Ok(_) => {}
                    Err(error) => errors.push(error),
                }
            }
        }
        if out.len() > TEXT_MAX {
            let message = format!("the text grows beyond {TEXT_MAX} bytes");
            return Err(ExpressionError::TooLong(message));
        }
    }
    Ok(())
}

/// A value as part of a text.
fn embedded(
    expr: &Expr,
    scope: &Scope<'_>,
    patterns: &mut Patterns,
) -> Result<String, ExpressionError> {
    let value = evaluate(expr, scope, patterns)?;
    value.scalar_text().ok_or_else(|| ExpressionError::NotText(value.type_name()))
}

/// Notes an expression's error with what probably was meant.
pub(crate) fn tell(
    error: &ExpressionError,
    text: &str,
    at: Span,
    scope: &Scope<'_>,
    report: &mut Report,
) {
    let code = match error {
        ExpressionError::Unknown(_) => Code::UnknownReference,
        ExpressionError::Pattern(_) => Code::Pattern,
        ExpressionError::TooLong(_) => Code::Limit,
        _ => Code::Expression,
    };
    let at = within(text, at, error, report);
    report.error_with(code, at, error.to_string(), || hint(error, text, scope));
}

/// What to do about an error.
fn hint(error: &ExpressionError, text: &str, scope: &Scope<'_>) -> String {
    const ESCAPE: &str =
        "write `\\<<` for a literal `<<`, for example in a here-document: `cat \\<<EOF`";
    match error {
        ExpressionError::Unknown(name) => unknown_hint(name, text, scope),
        ExpressionError::Unclosed { .. } => ESCAPE.into(),
        ExpressionError::Syntax { .. } if text.contains("<<") => {
            format!("an expression is `<< pipeline.git.branch == \"main\" >>`; {ESCAPE}")
        }
        ExpressionError::Syntax { .. } => {
            "an expression is `pipeline.git.branch == \"main\" and not pipeline.parameters.x`"
                .into()
        }
        ExpressionError::Operands { takes: "numbers", .. } => {
            "compare a parameter of type integer, without quotes, or use `==`".into()
        }
        ExpressionError::Operands { .. } => "compare texts: quote a text, `\"like this\"`".into(),
        ExpressionError::Pattern(error) => error.hint().into(),
        ExpressionError::NotText(_) => {
            "give the value a place of its own: `key: << parameters.x >>` and nothing else".into()
        }
        ExpressionError::TooLong(_) => {
            "parameters that hold parameters multiply; shorten the text".into()
        }
    }
}

fn unknown_hint(name: &str, text: &str, scope: &Scope<'_>) -> String {
    const PREFIXES: [&str; 4] = ["pipeline.parameters.", "pipeline.", "parameters.", "matrix."];
    let names = scope.names();
    let prefix = PREFIXES.iter().find(|prefix| name.starts_with(**prefix)).copied();
    // Behind a prefix that is right, only what follows it can be misspelt.
    let tails = names.iter().filter_map(|known| known.strip_prefix(prefix.unwrap_or_default()));
    if let Some(near) = nearest(&name[prefix.map_or(0, str::len)..], tails) {
        return format!("did you mean `{}{near}`?", prefix.unwrap_or_default());
    }
    if name.starts_with("pipeline.parameters.") && scope.declared.is_none() {
        return "pipeline parameters cannot be seen inside orbs, nor by each other; pass the value as a parameter"
            .into();
    }
    if name.starts_with("pipeline.parameters.") {
        return "declare it under `parameters` at the top of the configuration".into();
    }
    if name.starts_with("parameters.") {
        return "declare it under the `parameters` of the job, command or executor that holds this text".into();
    }
    if name.starts_with("matrix.") {
        return "matrix values can be used in the keys of the workflow's job beside `matrix:` alone"
            .into();
    }
    let prefixes =
        "known prefixes are `parameters.`, `matrix.`, `pipeline.` and `pipeline.parameters.`";
    match text.contains("<<") && !name.contains('.') {
        true => format!("{prefixes}; write `\\<<` for a literal `<<`"),
        false => prefixes.into(),
    }
}

/// The place of the expression itself, which may be lines below the scalar's start.
pub(crate) fn within(text: &str, at: Span, error: &ExpressionError, report: &Report) -> Span {
    match error.needle() {
        Some(needle) if !report.is_full() => {
            report.sources.locate(at, needle, text.lines().count())
        }
        _ => at,
    }
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
        check("<< pipeline.schedule.name >>", "string ");
        check("<< pipeline.event.github.pull_request.number >>", "null ");
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
