//! The forms of an entry: a name alone, or a name with its keys.

use super::KEYS;
use crate::{
    diagnostic::Code,
    expand::Context,
    syntax::{Entry, Map, Node, Span, Value},
};

impl Context<'_> {
    /// `name`, or `{name: {keys}}`.
    pub(in crate::expand) fn invocation_parts(
        &mut self,
        node: &Node,
    ) -> Option<(String, Span, Map)> {
        let top = self.top();
        match &node.value {
            Value::Text(_) => {
                let filled = self.fill(node, Some(&top));
                Some((filled.scalar_text().unwrap_or_default(), node.at, Map::default()))
            }
            Value::Map(map) => {
                match map.entries.as_slice() {
                    [Entry { key, key_at, value }] => match &value.value {
                        Value::Null => Some((key.to_string(), *key_at, Map::default())),
                        Value::Map(body) => Some((key.to_string(), *key_at, (**body).clone())),
                        _ => {
                            let message =
                                format!("expected type: Mapping, found: {}", value.schema_name());
                            self.report.error(Code::WrongType, value.at, message, format!("give the keys of `{key}` on lines of their own, indented below it"));
                            None
                        }
                    },
                    entries => self.misindented(node, entries),
                }
            }
            _ => {
                self.report.error(
                    Code::WrongType,
                    node.at,
                    format!("expected the name of a job, found {}", node.type_name()),
                    "write `- NAME`, or `- NAME:` with its keys indented below",
                );
                None
            }
        }
    }

    /// Notes an entry with several names. Keys of a call that are indented too little are taken as
    /// meant, so that what is wrong with them is told in the same run.
    fn misindented(&mut self, node: &Node, entries: &[Entry]) -> Option<(String, Span, Map)> {
        let meant = entries.split_first().filter(|(name, rest)| {
            name.value.is_null() && rest.iter().any(|entry| KEYS.contains(&&*entry.key))
        });
        let keys: Vec<&str> = entries.iter().map(|entry| &*entry.key).collect();
        let hint = match meant {
            Some((name, _)) => format!(
                "indent `{}` below `{}:` by two more spaces",
                keys[1..].join("`, `"),
                name.key
            ),
            None => "start each job with its own `- `".into(),
        };
        let message = format!(
            "a job of a workflow has exactly one name, found {}: {}",
            keys.len(),
            keys.join(", ")
        );
        self.report.error(Code::UnexpectedKey, node.at, message, hint);
        let (name, rest) = meant?;
        Some((name.key.to_string(), name.key_at, Map { entries: rest.to_vec() }))
    }
}
