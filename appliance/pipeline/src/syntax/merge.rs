//! Merge keys: `<<: *defaults` puts another map's entries in its place.
//!
//! Order matters for the processed form: an entry stands where its key was met first, and a key
//! written in the map itself wins over a merged one wherever it stands.

use super::node::{Entry, Map, Node, Span, Value};
use std::{collections::HashMap, sync::Arc};

/// A key met twice in one map; the later wins.
pub(crate) struct Duplicate {
    pub key: Arc<str>,
    pub at: Span,
    /// Line of the earlier one.
    pub first: u32,
}

/// Builds a map from its written pairs. `Err` is a merge of something that is not a map.
pub(super) fn build(
    pairs: Vec<(Arc<str>, bool, Span, Node)>,
) -> Result<(Map, Vec<Duplicate>), Span> {
    let mut map = Builder::default();
    for (key, is_merge, key_at, value) in pairs {
        if !is_merge {
            map.own(Entry { key, key_at, value });
            continue;
        }
        match &value.value {
            Value::Map(other) => map.merge(other),
            Value::List(items) => {
                for item in items.iter() {
                    map.merge(item.as_map().ok_or(item.at)?);
                }
            }
            Value::Null => {}
            _ => return Err(value.at),
        }
    }
    Ok((Map { entries: map.entries.into_iter().map(|(entry, _)| entry).collect() }, map.duplicates))
}

#[derive(Default)]
struct Builder {
    entries: Vec<(Entry, bool)>,
    places: HashMap<Arc<str>, usize>,
    duplicates: Vec<Duplicate>,
}

impl Builder {
    fn place(&self, key: &str) -> Option<usize> {
        // Most maps are small, where looking is cheaper than hashing.
        if self.places.is_empty() {
            return self.entries.iter().position(|(entry, _)| &*entry.key == key);
        }
        self.places.get(key).copied()
    }

    fn push(&mut self, entry: Entry, own: bool) {
        const HASH_FROM: usize = 16;
        let place = self.entries.len();
        if place == HASH_FROM {
            self.places =
                self.entries.iter().enumerate().map(|(i, (e, _))| (e.key.clone(), i)).collect();
        }
        if place >= HASH_FROM {
            self.places.insert(entry.key.clone(), place);
        }
        self.entries.push((entry, own));
    }

    fn own(&mut self, entry: Entry) {
        match self.place(&entry.key) {
            Some(place) => {
                if self.entries[place].1 {
                    let first = self.entries[place].0.key_at.line;
                    let key = entry.key.clone();
                    self.duplicates.push(Duplicate { key, at: entry.key_at, first });
                }
                self.entries[place] = (entry, true);
            }
            None => self.push(entry, true),
        }
    }

    fn merge(&mut self, other: &Map) {
        for entry in &other.entries {
            if self.place(&entry.key).is_none() {
                self.push(entry.clone(), false);
            }
        }
    }
}
