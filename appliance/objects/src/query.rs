//! The query of an address, taken apart.
//!
//! Why a type: every request has one, and text by text it would cost an allocation for each name
//! and each value.
//! Invariants: names and values are decoded and stand in their order; broken UTF-8 is replaced, and
//! such a parameter fits no signature.

use percent_encoding::percent_decode_str;
use std::ops::Range;

/// Parameters in their order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Query {
    /// All names and values, one behind the other.
    text: String,
    pairs: Vec<(Range<usize>, Range<usize>)>,
}

impl Query {
    /// Takes apart what follows the question mark.
    pub(crate) fn parse(query: &str) -> Self {
        let count = query.bytes().filter(|byte| *byte == b'&').count() + 1;
        let mut found = Self {
            text: String::with_capacity(query.len()),
            pairs: Vec::with_capacity(if query.is_empty() { 0 } else { count }),
        };
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let pair = (found.decoded(name), found.decoded(value));
            found.pairs.push(pair);
        }
        found
    }

    /// Adds a parameter that is decoded already.
    pub(crate) fn push(&mut self, name: &str, value: &str) {
        let pair = (self.added(name), self.added(value));
        self.pairs.push(pair);
    }

    fn decoded(&mut self, text: &str) -> Range<usize> {
        if !text.bytes().any(|byte| matches!(byte, b'%' | b'+')) {
            return self.added(text);
        }
        let mut bytes = Vec::with_capacity(text.len());
        for (at, word) in text.split('+').enumerate() {
            bytes.extend_from_slice(if at > 0 { b" " } else { b"" });
            bytes.extend(percent_decode_str(word));
        }
        self.added(&String::from_utf8_lossy(&bytes))
    }

    fn added(&mut self, text: &str) -> Range<usize> {
        let start = self.text.len();
        self.text.push_str(text);
        start..self.text.len()
    }

    /// Names with their values.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        let text = |range: &Range<usize>| &self.text[range.clone()];
        self.pairs.iter().map(move |(name, value)| (text(name), text(value)))
    }

    /// The first value of that name.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.iter().find(|(known, _)| *known == name).map(|(_, value)| value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_are_decoded() {
        let query = Query::parse("a=%2Fb&c&&d=1+2&a=%C3%BC&e=%C3++%2B");
        let found: Vec<_> = query.iter().collect();
        let expected = [("a", "/b"), ("c", ""), ("d", "1 2"), ("a", "ü"), ("e", "\u{fffd}  +")];
        assert_eq!(found, expected);
        assert_eq!(query.get("a"), Some("/b"));
        assert_eq!(query.get("f"), None);
        assert_eq!(Query::parse(""), Query::default());
    }

    #[test]
    fn what_is_added_is_not_decoded() {
        let mut query = Query::parse("a=1");
        query.push("b", "%2F");
        assert_eq!(query.get("b"), Some("%2F"));
    }
}
