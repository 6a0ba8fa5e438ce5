//! The tree: values with the place they were written at.
//!
//! Units: lines and columns count from 1, columns in characters.

use std::sync::Arc;

/// Names one text: the configuration, or one orb. Inline orbs have their own although they share
/// the configuration's text, because names inside them are looked up in the orb.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct SourceId(pub u16);

/// A place in a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Span {
    pub source: SourceId,
    pub line: u32,
    pub column: u32,
}

/// A value and its place.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub value: Value,
    pub at: Span,
}

/// What a node holds.
#[derive(Debug, Clone)]
pub(crate) enum Value {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(Text),
    List(Arc<Vec<Node>>),
    Map(Arc<Map>),
}

/// A string; `plain` when written without quotes, so that an unquoted `y` can still be a boolean.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Text {
    pub text: Arc<str>,
    pub plain: bool,
}

/// A mapping in written order.
#[derive(Debug, Clone, Default)]
pub(crate) struct Map {
    pub entries: Vec<Entry>,
}

/// One key of a mapping.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub key: Arc<str>,
    pub key_at: Span,
    pub value: Node,
}

impl Map {
    pub(crate) fn get(&self, key: &str) -> Option<&Node> {
        self.entry(key).map(|entry| &entry.value)
    }

    pub(crate) fn entry(&self, key: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| &*entry.key == key)
    }

    pub(crate) fn keys(&self) -> impl Iterator<Item = &str> {
        self.entries.iter().map(|entry| &*entry.key)
    }

    /// Puts a value at its key's place, or last.
    pub(crate) fn set(&mut self, key: &str, value: Node) {
        match self.entries.iter_mut().find(|entry| &*entry.key == key) {
            Some(entry) => entry.value = value,
            None => {
                let key_at = value.at;
                self.entries.push(Entry { key: key.into(), key_at, value });
            }
        }
    }
}

impl Node {
    pub(crate) fn new(value: Value, at: Span) -> Self {
        Self { value, at }
    }

    pub(crate) fn null(at: Span) -> Self {
        Self::new(Value::Null, at)
    }

    pub(crate) fn text(text: &str, at: Span) -> Self {
        Self::new(Value::Text(Text { text: text.into(), plain: false }), at)
    }

    pub(crate) fn list(items: Vec<Node>, at: Span) -> Self {
        Self::new(Value::List(Arc::new(items)), at)
    }

    pub(crate) fn map(map: Map, at: Span) -> Self {
        Self::new(Value::Map(Arc::new(map)), at)
    }

    pub(crate) fn as_text(&self) -> Option<&str> {
        match &self.value {
            Value::Text(text) => Some(&text.text),
            _ => None,
        }
    }

    pub(crate) fn as_map(&self) -> Option<&Map> {
        match &self.value {
            Value::Map(map) => Some(map),
            _ => None,
        }
    }

    pub(crate) fn as_list(&self) -> Option<&[Node]> {
        match &self.value {
            Value::List(items) => Some(items),
            _ => None,
        }
    }

    pub(crate) fn is_null(&self) -> bool {
        matches!(self.value, Value::Null)
    }

    /// A scalar as text; `None` for lists and maps. Null is the empty text.
    pub(crate) fn scalar_text(&self) -> Option<String> {
        match &self.value {
            Value::Null => Some(String::new()),
            Value::Bool(on) => Some(on.to_string()),
            Value::Int(number) => Some(number.to_string()),
            Value::Float(number) => Some(super::scalar::float_text(*number)),
            Value::Text(text) => Some(text.text.to_string()),
            Value::List(_) | Value::Map(_) => None,
        }
    }

    /// The original service's name of the value's type, for messages.
    pub(crate) fn type_name(&self) -> &'static str {
        match self.value {
            Value::Null => "null",
            Value::Bool(_) => "boolean",
            Value::Int(_) => "integer",
            Value::Float(_) => "number",
            Value::Text(_) => "string",
            Value::List(_) => "list",
            Value::Map(_) => "map",
        }
    }

    /// The original service's name of the value's shape in schema messages.
    pub(crate) fn schema_name(&self) -> &'static str {
        match self.value {
            Value::Null => "Null",
            Value::Bool(_) => "Boolean",
            Value::Int(_) => "Integer",
            Value::Float(_) => "Double",
            Value::Text(_) => "String",
            Value::List(_) => "JSONArray",
            Value::Map(_) => "Mapping",
        }
    }

    /// Equal as values, wherever written; maps regardless of order, numbers by value.
    pub(crate) fn same(&self, other: &Self) -> bool {
        match (&self.value, &other.value) {
            (Value::Null, Value::Null) => true,
            (Value::Bool(a), Value::Bool(b)) => a == b,
            (Value::Int(a), Value::Int(b)) => a == b,
            (Value::Float(a), Value::Float(b)) => a == b,
            #[expect(clippy::cast_precision_loss, reason = "comparing as numbers is what is asked")]
            (Value::Int(a), Value::Float(b)) | (Value::Float(b), Value::Int(a)) => *a as f64 == *b,
            (Value::Text(a), Value::Text(b)) => a.text == b.text,
            (Value::List(a), Value::List(b)) => {
                Arc::ptr_eq(a, b)
                    || (a.len() == b.len() && a.iter().zip(b.iter()).all(|(a, b)| a.same(b)))
            }
            (Value::Map(a), Value::Map(b)) => {
                Arc::ptr_eq(a, b)
                    || (a.entries.len() == b.entries.len()
                        && a.entries
                            .iter()
                            .all(|e| b.get(&e.key).is_some_and(|other| e.value.same(other))))
            }
            _ => false,
        }
    }

    /// Whether the tree is deeper than `limit`; looks no further than that.
    pub(crate) fn is_deeper_than(&self, limit: usize) -> bool {
        let inside = |node: &Self| limit == 0 || node.is_deeper_than(limit - 1);
        match &self.value {
            Value::List(items) => items.iter().any(inside),
            Value::Map(map) => map.entries.iter().any(|entry| inside(&entry.value)),
            _ => false,
        }
    }

    /// Takes the tree's weight, roughly its bytes when written out, off `left`. False as soon as
    /// that is used up: shared parts count each time, because they are written each time.
    pub(crate) fn weigh(&self, left: &mut u64) -> bool {
        const NODE: u64 = 16;
        let text = match &self.value {
            Value::Text(text) => text.text.len(),
            _ => 0,
        };
        let own = NODE.saturating_add(u64::try_from(text).unwrap_or(u64::MAX));
        if own > *left {
            *left = 0;
            return false;
        }
        *left -= own;
        match &self.value {
            Value::List(items) => items.iter().all(|item| item.weigh(left)),
            Value::Map(map) => map.entries.iter().all(|entry| entry.value.weigh(left)),
            _ => true,
        }
    }

    /// The same tree, as if written in another source: an inline orb is a source of its own.
    pub(crate) fn moved_to(&self, source: SourceId) -> Self {
        let at = Span { source, ..self.at };
        let value = match &self.value {
            Value::List(items) => {
                Value::List(Arc::new(items.iter().map(|item| item.moved_to(source)).collect()))
            }
            Value::Map(map) => Value::Map(Arc::new(Map {
                entries: map
                    .entries
                    .iter()
                    .map(|entry| Entry {
                        key: entry.key.clone(),
                        key_at: Span { source, ..entry.key_at },
                        value: entry.value.moved_to(source),
                    })
                    .collect(),
            })),
            scalar => scalar.clone(),
        };
        Self { value, at }
    }
}
