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
    initials: Initials,
}

/// With which bytes names begin. A request is asked for dozens of names that it does not have: most
/// are told from its own by this alone.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Initials(u64);

impl Initials {
    /// Bytes that differ in their upper bits may share a place.
    fn of(name: &str) -> Self {
        Self(name.bytes().next().map_or(0, |first| 1 << (first % 64)))
    }

    fn add(&mut self, name: &str) {
        self.0 |= Self::of(name).0;
    }

    /// No name begins as this one does.
    fn exclude(self, name: &str) -> bool {
        self.0 & Self::of(name).0 == 0 && !name.is_empty()
    }
}

impl Query {
    /// Takes apart what follows the question mark.
    pub(crate) fn parse(query: &str) -> Self {
        let count = query.bytes().filter(|byte| *byte == b'&').count() + 1;
        let mut found = Self {
            text: String::with_capacity(query.len()),
            pairs: Vec::with_capacity(if query.is_empty() { 0 } else { count }),
            initials: Initials::default(),
        };
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let pair = (found.decoded(name), found.decoded(value));
            found.initials.add(&found.text[pair.0.clone()]);
            found.pairs.push(pair);
        }
        found
    }

    /// Adds a parameter that is decoded already.
    pub(crate) fn push(&mut self, name: &str, value: &str) {
        let pair = (self.added(name), self.added(value));
        self.initials.add(name);
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
        if self.initials.exclude(name) {
            return None;
        }
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

    fn check(query: &str, name: &str, value: Option<&str>) {
        assert_eq!(Query::parse(query).get(name), value, "{name} of {query}");
    }

    #[test]
    fn a_name_is_found_whatever_it_begins_with() {
        check("acl&tagging=1", "acl", Some(""));
        check("acl&tagging=1", "tagging", Some("1"));
        check("acl&tagging=1", "policy", None);
        // These share the place of their initials.
        check("Acl", "\u{1}cl", None);
        check("%61cl=1", "acl", Some("1"));
        check("=1", "", Some("1"));
        check("%C3%BC=1", "ü", Some("1"));
        check("", "acl", None);
    }

    #[test]
    fn what_is_added_is_not_decoded() {
        let mut query = Query::parse("a=1");
        query.push("b", "%2F");
        assert_eq!(query.get("b"), Some("%2F"));
    }
}
