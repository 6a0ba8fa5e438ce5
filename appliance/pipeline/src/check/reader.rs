//! Reading typed values out of maps, each mistake noted once in the original's words.

use crate::{
    diagnostic::Code,
    report::Report,
    syntax::{Map, Node, Span, Value},
    template::BROKEN,
};

/// A map being read.
pub(super) struct Reader<'a> {
    pub map: &'a Map,
    pub at: Span,
    pub report: &'a mut Report,
}

impl<'a> Reader<'a> {
    /// A reader of a node that must be a map.
    pub(super) fn of(node: &'a Node, report: &'a mut Report) -> Option<Self> {
        match node.as_map() {
            Some(map) => Some(Self { map, at: node.at, report }),
            None => {
                wrong_type(node, "Mapping", report);
                None
            }
        }
    }

    /// Notes every key that is not among `known`.
    pub(super) fn only(&mut self, known: &[&str]) {
        self.report.only(self.map, known, Code::UnexpectedKey);
    }

    /// A value that is there and not null.
    pub(super) fn get(&self, key: &str) -> Option<&'a Node> {
        self.map.get(key).filter(|node| !node.is_null())
    }

    /// A value that must be there.
    pub(super) fn require(&mut self, key: &str) -> Option<&'a Node> {
        let found = self.get(key);
        if found.is_none() {
            self.report.error(
                Code::MissingKey,
                self.at,
                format!("required key [{key}] not found"),
                format!("add `{key}:`"),
            );
        }
        found
    }

    /// A text; numbers and booleans are taken as written, as the original does.
    pub(super) fn text(&mut self, key: &str) -> Option<String> {
        let node = self.get(key)?;
        text(node, self.report)
    }

    pub(super) fn required_text(&mut self, key: &str) -> Option<String> {
        let node = self.require(key)?;
        text(node, self.report)
    }

    pub(super) fn boolean(&mut self, key: &str) -> bool {
        match self.get(key).map(|node| (&node.value, node)) {
            None => false,
            Some((Value::Bool(on), _)) => *on,
            Some((_, node)) => {
                wrong_type(node, "Boolean", self.report);
                false
            }
        }
    }

    /// A text or a list of texts.
    pub(super) fn texts(&mut self, key: &str) -> Option<Vec<String>> {
        let node = self.get(key)?;
        Some(texts(node, self.report))
    }
}

pub(super) fn texts(node: &Node, report: &mut Report) -> Vec<String> {
    match &node.value {
        Value::List(items) => items
            .iter()
            .flat_map(|item| match &item.value {
                // An alias or parameter that holds a list is spliced.
                Value::List(_) => texts(item, report),
                _ => text(item, report).into_iter().collect(),
            })
            .collect(),
        _ => text(node, report).into_iter().collect(),
    }
}

pub(super) fn text(node: &Node, report: &mut Report) -> Option<String> {
    let found = node.scalar_text();
    if found.is_none() {
        wrong_type(node, "String", report);
    }
    found
}

pub(super) fn wrong_type(node: &Node, expected: &str, report: &mut Report) {
    if node.as_text() == Some(BROKEN) {
        return;
    }
    let message = match (expected, node.as_list()) {
        ("JSONArray", Some(_)) => "expected minimum item count: 1, found: 0".to_owned(),
        _ => format!("expected type: {expected}, found: {}", node.schema_name()),
    };
    let hint = match (expected, &node.value) {
        ("String", Value::Map(_)) => "quote a text that holds `: ` or starts with `{`",
        ("Mapping", Value::Text(_)) => "write `key: value` lines, indented below",
        ("JSONArray", Value::Map(_)) => "start each entry with `- `",
        ("JSONArray", Value::List(_)) => "list at least one entry",
        ("JSONArray", _) => "write a list: `- item` lines, or `[item]`",
        ("String", Value::List(_)) => "write one text; this key takes no list",
        ("Mapping", Value::List(_)) => "write `key: value` lines without `- `",
        ("Boolean", _) => "write `true` or `false` without quotes",
        ("Integer", _) => "write a number without quotes",
        _ => "write `key: value` lines, indented below",
    };
    report.error(Code::WrongType, node.at, message, hint);
}
