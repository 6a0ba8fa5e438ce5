//! Files that somebody reads: nobody removes them.
//!
//! Why: an object in many parts is opened part by part, and its last ones may come an hour after it was
//! found; by then it may be deleted, and collected.
//! Bounds: the parts of all objects that are being read; each reader lets go of them at its end.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// How many readers each file has; clones share it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Reads(Arc<Mutex<All>>);

#[derive(Debug, Default)]
struct All {
    files: HashMap<String, Readers>,
    /// Files whose last reader is done and that were to be removed meanwhile.
    left: Vec<String>,
}

#[derive(Debug, Default)]
struct Readers {
    count: u32,
    /// It is to be removed.
    doomed: bool,
}

impl Reads {
    /// Counts a reader of these files, until what is returned is dropped.
    pub(crate) fn hold(&self, paths: Vec<String>) -> Held {
        if !paths.is_empty() {
            let mut all = self.all();
            for path in &paths {
                all.files.entry(path.clone()).or_default().count += 1;
            }
        }
        Held { reads: self.clone(), paths }
    }

    /// Somebody reads the file: it is given back by [`Reads::left`] after its last reader.
    pub(crate) fn put_off(&self, path: &str) -> bool {
        let mut all = self.all();
        let file = all.files.get_mut(path);
        file.map(|readers| readers.doomed = true).is_some()
    }

    /// Takes the files that were put off and that nobody reads any more.
    pub(crate) fn left(&self) -> Vec<String> {
        std::mem::take(&mut self.all().left)
    }

    fn all(&self) -> MutexGuard<'_, All> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl All {
    fn let_go(&mut self, path: String) {
        let Some(readers) = self.files.get_mut(&path) else { return };
        readers.count -= 1;
        if readers.count > 0 {
            return;
        }
        let doomed = readers.doomed;
        self.files.remove(&path);
        if doomed {
            self.left.push(path);
        }
    }
}

/// Files of one reader.
#[derive(Debug)]
pub(crate) struct Held {
    reads: Reads,
    paths: Vec<String>,
}

impl Drop for Held {
    fn drop(&mut self) {
        if self.paths.is_empty() {
            return;
        }
        let mut all = self.reads.all();
        for path in self.paths.drain(..) {
            all.let_go(path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_held_until_its_last_reader_is_done() {
        let reads = Reads::default();
        let first = reads.hold(vec!["a".into(), "b".into(), "a".into()]);
        let second = reads.hold(vec!["a".into()]);
        assert!(reads.put_off("a") && !reads.put_off("c"));
        drop(first);
        assert!(reads.left().is_empty() && !reads.put_off("b"));
        drop(second);
        assert_eq!(reads.left(), ["a"]);
        assert!(reads.left().is_empty() && !reads.put_off("a"));
    }
}
