//! `environment`: a map, a list of maps or a list of `NAME=value`.
//!
//! What a value becomes in the shell, as observed on the original: booleans are `1` and `0`,
//! whole numbers of more than six digits take exponent form (a warning says to quote them), null
//! is empty.

use super::reader::wrong_type;
use crate::{
    diagnostic::Code,
    report::Report,
    syntax::{Node, Span, Value},
};
use indexmap::IndexMap;

/// Reads the variables in order; a later one of the same name wins.
pub(super) fn read(node: Option<&Node>, report: &mut Report) -> IndexMap<String, String> {
    let mut variables = IndexMap::new();
    if let Some(node) = node.filter(|node| !node.is_null()) {
        collect(node, &mut variables, report);
    }
    variables
}

fn collect(node: &Node, variables: &mut IndexMap<String, String>, report: &mut Report) {
    match &node.value {
        Value::Map(map) => {
            for entry in &map.entries {
                if let Some(value) = value(&entry.key, &entry.value, report) {
                    put(&entry.key, value, entry.key_at, variables, report);
                }
            }
        }
        Value::List(items) => items.iter().for_each(|item| collect(item, variables, report)),
        Value::Text(text) => match text.text.split_once('=') {
            Some((name, value)) => put(name, value.to_owned(), node.at, variables, report),
            None => report.error(
                Code::WrongType,
                node.at,
                format!("'{}' is not a variable", text.text),
                "write `NAME: value`, or `NAME=value` in a list",
            ),
        },
        _ => wrong_type(node, "Mapping", report),
    }
}

fn put(
    name: &str,
    value: String,
    at: Span,
    variables: &mut IndexMap<String, String>,
    report: &mut Report,
) {
    if name.is_empty() || name.contains(['=', '\0']) {
        report.error(
            Code::Name,
            at,
            format!("'{name}' cannot name an environment variable"),
            "use letters, digits and `_`",
        );
        return;
    }
    if value.contains('\0') {
        report.error(
            Code::Value,
            at,
            format!("the value of {name} holds a NUL character"),
            "remove it",
        );
        return;
    }
    variables.insert(name.to_owned(), value);
}

fn value(name: &str, node: &Node, report: &mut Report) -> Option<String> {
    match &node.value {
        Value::Bool(on) => Some(if *on { "1" } else { "0" }.into()),
        Value::Int(number) => {
            let text = go_number(*number);
            if text != number.to_string() {
                report.warn(
                    Code::NoEffect,
                    node.at,
                    format!("{name} reaches the shell as {text}"),
                    format!("quote it to keep it as written: {name}: \"{number}\""),
                );
            }
            Some(text)
        }
        _ => {
            let text = node.scalar_text();
            if text.is_none() {
                wrong_type(node, "String", report);
            }
            text
        }
    }
}

/// A whole number as the original hands it to the shell: seven digits and more as `1.234567e+06`.
fn go_number(number: i64) -> String {
    const EXPONENT_FROM: u64 = 1_000_000;
    if number.unsigned_abs() < EXPONENT_FROM {
        return number.to_string();
    }
    #[expect(clippy::cast_precision_loss, reason = "the original loses the same digits")]
    let text = format!("{:e}", number as f64);
    match text.split_once('e') {
        Some((digits, exponent)) => format!("{digits}e+{exponent:0>2}"),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::syntax::{SourceId, load};

    fn check(yaml: &str, expected: &[(&str, &str)]) {
        let node = load::load(yaml, SourceId(0)).unwrap().root;
        let mut report = Report::default();
        let found = read(Some(&node), &mut report);
        let found: Vec<(&str, &str)> =
            found.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        assert_eq!(found, expected, "{yaml}");
    }

    #[test]
    fn values_reach_the_shell_as_on_the_original() {
        check(
            "{A: true, B: no, C: 5, D: , E: 1.10}",
            &[("A", "1"), ("B", "0"), ("C", "5"), ("D", ""), ("E", "1.1")],
        );
        check("A: 1234567", &[("A", "1.234567e+06")]);
        check("A: 999999", &[("A", "999999")]);
        check("A: '1234567'", &[("A", "1234567")]);
        check("A: 2019-01-01", &[("A", "2019-01-01")]);
        check("[{A: x}, B=y=z, {A: w}]", &[("A", "w"), ("B", "y=z")]);
    }
}
