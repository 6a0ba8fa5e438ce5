//! What was read last, as long as nothing has been written since.
//!
//! Why: looking up the access key, the bucket and the row of a small object costs more than sending
//! it, and between two writes the answers are the same.
//! Invariants: all items of a [`Shelf`] were read from one state of the database, which is told by
//! the number of its commits. One more commit, whatever it wrote, and nothing of it is given out
//! any more: a key revoked or an object replaced is seen by every request that follows the answer.
//! Bounds: the weight in bytes that a shelf was made with; one that is full is emptied.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

/// Bytes of objects and of what is known of them.
const OBJECTS_MAX: usize = 3 << 20;

/// Bytes of buckets, of access keys, and of sessions.
const OTHERS_MAX: usize = 256 << 10;

/// The shelves of the room.
pub(crate) struct Cache {
    pub(crate) keys: Shelf<Option<crate::keys::Holder>>,
    /// Whether that goes on which a session's key was made for.
    pub(crate) sessions: Shelf<bool>,
    pub(crate) buckets: Shelf<crate::bucket::Bucket>,
    /// By bucket and key, with a slash between.
    pub(crate) objects: Shelf<crate::located::Located>,
}

impl Cache {
    pub(crate) fn new() -> Self {
        Self {
            keys: Shelf::new(OTHERS_MAX),
            sessions: Shelf::new(OTHERS_MAX),
            buckets: Shelf::new(OTHERS_MAX),
            objects: Shelf::new(OBJECTS_MAX),
        }
    }
}

/// What an item holds in memory, roughly.
pub(crate) trait Weight {
    /// In bytes.
    fn weight(&self) -> usize;
}

/// Items by name.
pub(crate) struct Shelf<T> {
    max: usize,
    kept: Mutex<Kept<T>>,
}

struct Kept<T> {
    state: u64,
    weight: usize,
    items: HashMap<String, Arc<T>>,
}

impl<T: Weight> Shelf<T> {
    fn new(max: usize) -> Self {
        Self { max, kept: Mutex::new(Kept { state: 0, weight: 0, items: HashMap::new() }) }
    }

    /// An item that was read from this state.
    pub(crate) fn get(&self, state: u64, name: &str) -> Option<Arc<T>> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.state == state { kept.items.get(name).cloned() } else { None }
    }

    /// Keeps an item that was read from this state or a later one.
    pub(crate) fn put(&self, state: u64, name: String, item: &Arc<T>) {
        let weight = item.weight() + 2 * name.len();
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if state < kept.state || weight > self.max / 8 {
            return;
        }
        if state > kept.state || kept.weight + weight > self.max {
            (kept.state, kept.weight) = (state, 0);
            kept.items.clear();
        }
        if kept.items.insert(name, Arc::clone(item)).is_none() {
            kept.weight += weight;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Weight for usize {
        fn weight(&self) -> usize {
            *self
        }
    }

    fn check(shelf: &Shelf<usize>, state: u64, name: &str, expected: Option<usize>) {
        assert_eq!(shelf.get(state, name).as_deref().copied(), expected, "{name} in {state}");
    }

    #[test]
    fn one_commit_more_and_nothing_is_given_out() {
        let shelf = Shelf::new(1000);
        shelf.put(7, "a".into(), &Arc::new(10));
        check(&shelf, 7, "a", Some(10));
        check(&shelf, 8, "a", None);
        shelf.put(8, "b".into(), &Arc::new(11));
        check(&shelf, 8, "a", None);
        check(&shelf, 8, "b", Some(11));
    }

    #[test]
    fn what_was_read_before_a_commit_is_not_kept_behind_it() {
        let shelf = Shelf::new(1000);
        shelf.put(8, "new".into(), &Arc::new(10));
        shelf.put(7, "old".into(), &Arc::new(10));
        check(&shelf, 8, "old", None);
        check(&shelf, 7, "old", None);
        check(&shelf, 8, "new", Some(10));
    }

    #[test]
    fn a_full_shelf_is_emptied_and_a_large_item_is_not_taken() {
        let shelf = Shelf::new(1000);
        for number in 0..100 {
            shelf.put(1, number.to_string(), &Arc::new(100));
            let kept = shelf.kept.lock().unwrap();
            assert!(kept.weight <= 1000 && kept.items.len() <= 9, "{}", kept.weight);
        }
        shelf.put(1, "large".into(), &Arc::new(500));
        check(&shelf, 1, "large", None);
        check(&shelf, 1, "99", Some(100));
    }
}
