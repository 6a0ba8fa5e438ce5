//! Conditions of `when` and `unless`: logic statements, values and bare expressions.
//!
//! They are evaluated when the configuration is compiled, never while a job runs.

use crate::{
    diagnostic::{Code, nearest},
    expression::{self, truthy},
    report::Report,
    scope::Scope,
    syntax::{Map, Node, Value},
    template,
};

/// Nesting of logic statements, as on the original service.
const DEPTH_MAX: usize = 100;

const STATEMENTS: [&str; 5] = ["and", "or", "not", "equal", "matches"];

/// Where a condition stands decides what it may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// Of a workflow: bare strings are expressions.
    Workflow,
    /// Of a step: bare strings are values.
    Step,
}

/// Whether the condition holds; `false` after an error, which is noted.
pub(crate) fn holds(node: &Node, place: Place, scope: &Scope<'_>, report: &mut Report) -> bool {
    statement(node, place, scope, report, 0)
}

fn statement(
    node: &Node,
    place: Place,
    scope: &Scope<'_>,
    report: &mut Report,
    depth: usize,
) -> bool {
    if depth > DEPTH_MAX {
        report.error(
            Code::Logic,
            node.at,
            format!("logic statements nested more than {DEPTH_MAX} deep"),
            "flatten them: `and` and `or` take lists of any length",
        );
        return false;
    }
    match &node.value {
        Value::Map(map) => logic(node, map, place, scope, report, depth),
        Value::List(_) => {
            report.error(
                Code::Logic,
                node.at,
                "expected a logic statement, found a list",
                "put the list under `and:`, `or:` or `equal:`",
            );
            false
        }
        Value::Text(text)
            if place == Place::Workflow && depth == 0 && !template::is_template(&text.text) =>
        {
            bare(node, &text.text, scope, report)
        }
        Value::Text(text)
            if place == Place::Step && depth == 0 && reads_as_expression(&text.text) =>
        {
            report.warn(
                Code::Logic,
                node.at,
                "a text as a step's condition is not evaluated: it always holds",
                "write a logic statement, for example `equal: [main, << pipeline.git.branch >>]`",
            );
            true
        }
        _ => truthy(&template::fill(node, scope, report)),
    }
}

/// Whether somebody meant this text to be evaluated.
fn reads_as_expression(text: &str) -> bool {
    !template::is_template(text)
        && ["pipeline.", "parameters."].iter().any(|prefix| text.contains(prefix))
}

/// A bare string as an expression. The empty string is false.
pub(crate) fn bare(node: &Node, text: &str, scope: &Scope<'_>, report: &mut Report) -> bool {
    if text.trim().is_empty() {
        return false;
    }
    let parsed = expression::parse(text, node.at);
    match parsed.and_then(|expr| expression::evaluate(&expr, scope, &mut report.patterns)) {
        Ok(value) => truthy(&value),
        Err(error) => {
            template::tell(&error, text, node.at, scope, report);
            false
        }
    }
}

fn logic(
    node: &Node,
    map: &Map,
    place: Place,
    scope: &Scope<'_>,
    report: &mut Report,
    depth: usize,
) -> bool {
    let [entry] = map.entries.as_slice() else {
        let found = if map.entries.is_empty() { "none" } else { "several" };
        report.error(
            Code::Logic,
            node.at,
            format!("a logic statement has exactly one key, found {found}"),
            "combine several under `and:` or `or:`",
        );
        return false;
    };
    let value = &entry.value;
    match &*entry.key {
        "not" => !statement(value, place, scope, report, depth + 1),
        "matches" => matches(value, scope, report),
        key @ ("and" | "or" | "equal") => {
            let Some(items) = arguments(value, key, scope, report) else { return false };
            match key {
                "equal" => equal(&items, scope, report),
                // Every part is checked, even when the first decides, so that no mistake hides.
                _ => {
                    let results: Vec<bool> = items
                        .iter()
                        .map(|item| statement(item, place, scope, report, depth + 1))
                        .collect();
                    if key == "and" {
                        results.iter().all(|r| *r)
                    } else {
                        results.iter().any(|r| *r)
                    }
                }
            }
        }
        key => {
            let hint = match nearest(key, STATEMENTS) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("known statements: {}", STATEMENTS.join(", ")),
            };
            report.error(
                Code::Logic,
                entry.key_at,
                format!("unknown logic statement `{key}`"),
                hint,
            );
            false
        }
    }
}

fn arguments(value: &Node, key: &str, scope: &Scope<'_>, report: &mut Report) -> Option<Vec<Node>> {
    let whole = if value.as_list().is_some() {
        value.clone()
    } else {
        template::fill(value, scope, report)
    };
    match whole.as_list() {
        Some([]) => {
            let message = format!("`{key}` needs at least one argument");
            report.error(
                Code::Logic,
                value.at,
                message,
                format!("write `{key}: [a, b]`, or remove it"),
            );
        }
        Some(items) => return Some(items.to_vec()),
        None => report.error(
            Code::Logic,
            value.at,
            format!("`{key}` takes a list, found {}", value.type_name()),
            format!("write `{key}: [a, b]`"),
        ),
    }
    None
}

fn equal(items: &[Node], scope: &Scope<'_>, report: &mut Report) -> bool {
    let values: Vec<Node> = items.iter().map(|item| template::fill(item, scope, report)).collect();
    values.windows(2).all(|pair| expression::equal(&pair[0], &pair[1]))
}

fn matches(value: &Node, scope: &Scope<'_>, report: &mut Report) -> bool {
    let part = |key: &str| value.as_map().and_then(|map| map.get(key));
    let (Some(pattern), Some(text)) = (part("pattern"), part("value")) else {
        report.error(
            Code::Logic,
            value.at,
            "`matches` takes a map with the keys `pattern` and `value`",
            "write `matches: { pattern: \"^release/.*$\", value: << pipeline.git.branch >> }`",
        );
        return false;
    };
    if let Some(map) = value.as_map() {
        report.only(map, &["pattern", "value"], Code::Logic);
    }
    let filled = template::fill(pattern, scope, report);
    let text = template::fill(text, scope, report);
    let (Some(source), Some(text)) = (filled.as_text(), text.scalar_text()) else {
        report.error(
            Code::Logic,
            value.at,
            "`matches` takes a string for `pattern` and for `value`",
            "quote the pattern: `pattern: \"^release/.*$\"`",
        );
        return false;
    };
    match report.patterns.get(source) {
        Ok(pattern) => pattern.matches(&text),
        Err(error) => {
            report.error(Code::Pattern, pattern.at, error.to_string(), error.hint());
            false
        }
    }
}
