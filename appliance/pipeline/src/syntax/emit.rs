//! A tree as YAML text in the original's style: block form, lists not indented below their key.

use super::{
    node::{Map, Node, Value},
    quote::{self, Style},
    scalar,
};

/// Writes a map as a document.
pub(crate) fn document(map: &Map) -> String {
    let mut out = String::new();
    entries(map, 0, &mut out);
    out
}

fn pad(indent: usize, out: &mut String) {
    out.extend(std::iter::repeat_n(' ', indent));
}

fn entries(map: &Map, indent: usize, out: &mut String) {
    for (index, entry) in map.entries.iter().enumerate() {
        if index > 0 || out.is_empty() || out.ends_with('\n') {
            pad(indent, out);
        }
        text(&entry.key, true, indent, out);
        out.push(':');
        below_key(&entry.value, indent, out);
    }
}

/// The value of a key, from behind its colon.
fn below_key(node: &Node, indent: usize, out: &mut String) {
    match &node.value {
        Value::Map(map) if !map.entries.is_empty() => {
            out.push('\n');
            entries(map, indent + 2, out);
        }
        Value::List(items) if !items.is_empty() => {
            out.push('\n');
            list(items, indent, out);
        }
        _ => {
            out.push(' ');
            leaf(node, indent, out);
            out.push('\n');
        }
    }
}

fn list(items: &[Node], indent: usize, out: &mut String) {
    for (index, item) in items.iter().enumerate() {
        if index > 0 || out.ends_with('\n') {
            pad(indent, out);
        }
        out.push_str("- ");
        match &item.value {
            // The first key stands on the dash's line.
            Value::Map(map) if !map.entries.is_empty() => entries(map, indent + 2, out),
            Value::List(items) if !items.is_empty() => list(items, indent + 2, out),
            _ => {
                leaf(item, indent, out);
                out.push('\n');
            }
        }
    }
}

fn leaf(node: &Node, indent: usize, out: &mut String) {
    match &node.value {
        Value::Null => out.push_str("null"),
        Value::Bool(on) => out.push_str(if *on { "true" } else { "false" }),
        Value::Int(number) => out.push_str(&number.to_string()),
        Value::Float(number) => out.push_str(&scalar::float_text(*number)),
        Value::Text(value) => text(&value.text, false, indent, out),
        Value::List(_) => out.push_str("[]"),
        Value::Map(_) => out.push_str("{}"),
    }
}

fn text(value: &str, is_key: bool, indent: usize, out: &mut String) {
    match quote::style(value, is_key) {
        Style::Plain => out.push_str(value),
        Style::Single => {
            out.push('\'');
            out.push_str(&value.replace('\'', "''"));
            out.push('\'');
        }
        Style::Double => quote::double(value, out),
        Style::Literal => literal(value, indent + 2, out),
    }
}

/// `|` with the mark that keeps the line breaks at the end as they are.
fn literal(value: &str, indent: usize, out: &mut String) {
    out.push('|');
    if value.starts_with([' ', '\n']) {
        out.push('2');
    }
    match (value.ends_with('\n'), value.ends_with("\n\n") || value == "\n") {
        (false, _) => out.push('-'),
        (true, true) => out.push('+'),
        (true, false) => {}
    }
    let body = value.strip_suffix('\n').unwrap_or(value);
    for line in body.split('\n') {
        out.push('\n');
        if !line.is_empty() {
            pad(indent, out);
            out.push_str(line);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::syntax::{SourceId, load};

    fn check(value: &str, expected: &str) {
        let mut map = Map::default();
        map.set("k", Node::text(value, crate::scope::NOWHERE));
        let written = document(&map);
        assert_eq!(written, expected);
        let read = load::load(&written, SourceId(0)).unwrap().root;
        assert_eq!(read.as_map().unwrap().get("k").unwrap().as_text(), Some(value), "{written}");
    }

    #[test]
    fn texts_are_written_as_the_original_does_and_read_back_the_same() {
        check("a b", "k: a b\n");
        check("", "k: ''\n");
        check("true", "k: 'true'\n");
        check("1.0", "k: '1.0'\n");
        check("022", "k: '022'\n");
        check("2019-01-01", "k: '2019-01-01'\n");
        check("#e.g.", "k: '#e.g.'\n");
        check("a: b", "k: 'a: b'\n");
        check("it's", "k: it's\n");
        check("'", "k: ''''\n");
        check("a\nb\n", "k: |\n  a\n  b\n");
        check("a\nb", "k: |-\n  a\n  b\n");
        check("a\n\n", "k: |+\n  a\n\n");
        check(" a\nb", "k: |2-\n   a\n  b\n");
        check("a \nb", "k: \"a \\nb\"\n");
        check("a\tb", "k: \"a\\tb\"\n");
        check("grün", "k: grün\n");
        check("{{ .Branch }}", "k: '{{ .Branch }}'\n");
        check("- x", "k: '- x'\n");
        check("-x", "k: -x\n");
    }

    #[test]
    fn lists_are_not_indented_below_their_key() {
        let source = "a:\n- b\n- c: 1\n  d:\n  - e\n- - f\n  - g\n- []\n- {}\nh: null\n";
        let read = load::load(source, SourceId(0)).unwrap().root;
        assert_eq!(document(read.as_map().unwrap()), source);
    }
}
