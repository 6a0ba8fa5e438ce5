//! The text of `packed-refs`, and what a set of references may look like. Pure.

use gix_hash::ObjectId;
use std::{
    collections::{BTreeMap, btree_map},
    ops::Bound,
};

const HEADER: &str = "# pack-refs with: peeled fully-peeled sorted \n";

/// The longest reference name; Git keeps a name in one path component of a file elsewhere.
pub(crate) const NAME_MAX: usize = 250;

/// What one reference points at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RefEntry {
    /// The object itself.
    pub(crate) target: ObjectId,
    /// For an annotated tag, the first object that is none.
    pub(crate) peeled: Option<ObjectId>,
}

impl RefEntry {
    /// What the reference stands for once annotated tags are looked through.
    #[must_use]
    pub(crate) fn object(&self) -> ObjectId {
        self.peeled.unwrap_or(self.target)
    }
}

/// All references, sorted by name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct RefTable {
    entries: BTreeMap<String, RefEntry>,
}

impl RefTable {
    /// Reads the file's text; an error is the number of the first bad line, from 1.
    pub(crate) fn parse(text: &[u8]) -> Result<Self, usize> {
        let mut table = Self::default();
        let mut last: Option<String> = None;
        for (index, line) in text.split(|byte| *byte == b'\n').enumerate() {
            let bad = index + 1;
            match line.first() {
                None | Some(b'#') => {}
                Some(b'^') => {
                    let name = last.as_ref().ok_or(bad)?;
                    let entry = table.entries.get_mut(name).ok_or(bad)?;
                    entry.peeled = Some(ObjectId::from_hex(&line[1..]).map_err(|_| bad)?);
                }
                Some(_) => {
                    let (name, target) = parse_line(line).ok_or(bad)?;
                    table.set(name.to_owned(), RefEntry { target, peeled: None });
                    last = Some(name.to_owned());
                }
            }
        }
        Ok(table)
    }

    pub(crate) fn render(&self) -> Vec<u8> {
        let mut text = String::from(HEADER);
        for (name, entry) in &self.entries {
            text.push_str(&format!("{} {name}\n", entry.target));
            if let Some(peeled) = entry.peeled {
                text.push_str(&format!("^{peeled}\n"));
            }
        }
        text.into_bytes()
    }

    pub(crate) fn get(&self, name: &str) -> Option<&RefEntry> {
        self.entries.get(name)
    }

    pub(crate) fn set(&mut self, name: String, entry: RefEntry) {
        self.entries.insert(name, entry);
    }

    pub(crate) fn remove(&mut self, name: &str) {
        self.entries.remove(name);
    }

    pub(crate) fn iter(&self) -> btree_map::Iter<'_, String, RefEntry> {
        self.entries.iter()
    }

    /// Those whose name starts with `prefix`.
    pub(crate) fn below<'a>(
        &'a self,
        prefix: &'a str,
    ) -> impl Iterator<Item = (&'a str, &'a RefEntry)> {
        self.entries
            .range::<str, _>((Bound::Included(prefix), Bound::Unbounded))
            .take_while(move |(name, _)| name.starts_with(prefix))
            .map(|(name, entry)| (name.as_str(), entry))
    }

    /// A reference that cannot stand beside `name`, because one is a folder of the other.
    pub(crate) fn clash(&self, name: &str) -> Option<&str> {
        let as_folder = format!("{name}/");
        if let Some((below, _)) = self
            .entries
            .range::<str, _>((Bound::Included(as_folder.as_str()), Bound::Unbounded))
            .next()
            && below.starts_with(&as_folder)
        {
            return Some(below);
        }
        name.match_indices('/').find_map(|(at, _)| {
            self.entries.get_key_value(&name[..at]).map(|(above, _)| above.as_str())
        })
    }
}

fn parse_line(line: &[u8]) -> Option<(&str, ObjectId)> {
    let (hex, name) = line.split_at_checked(40)?;
    let name = std::str::from_utf8(name.strip_prefix(b" ")?).ok()?;
    let target = ObjectId::from_hex(hex).ok()?;
    name_problem(name).is_none().then_some((name, target))
}

/// Why `name` cannot be a reference here, in words for the one who pushed.
pub(crate) fn name_problem(name: &str) -> Option<String> {
    if !name.starts_with("refs/") || name.matches('/').count() < 2 {
        return Some("a reference starts with refs/heads/, refs/tags/ or refs/<kind>/".into());
    }
    if name.len() > NAME_MAX {
        return Some(format!("a reference name has at most {NAME_MAX} bytes"));
    }
    gix_validate::reference::name(name.into()).err().map(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "1111111111111111111111111111111111111111";
    const B: &str = "2222222222222222222222222222222222222222";

    fn check(text: &str, expected: Result<usize, usize>) {
        assert_eq!(RefTable::parse(text.as_bytes()).map(|t| t.entries.len()), expected, "{text}");
    }

    #[test]
    fn packed_refs_are_read_and_bad_lines_are_named() {
        check("", Ok(0));
        check(&format!("# pack-refs with: peeled\n{A} refs/heads/main\n"), Ok(1));
        check(&format!("{A} refs/tags/v1\n^{B}\n{B} refs/heads/x\n"), Ok(2));
        check(&format!("{A} refs/heads/main\n{A}\n"), Err(2));
        check(&format!("^{A}\n"), Err(1));
        check(&format!("{A} refs/heads/..\n"), Err(1));
    }

    #[test]
    fn what_is_written_is_read_back() {
        let text = format!("{HEADER}{A} refs/heads/main\n{B} refs/tags/v1\n^{A}\n");
        let table = RefTable::parse(text.as_bytes()).unwrap();
        assert_eq!(String::from_utf8(table.render()).unwrap(), text);
    }

    #[test]
    fn a_reference_cannot_be_a_folder_of_another() {
        let text = format!("{A} refs/heads/a/b\n{A} refs/heads/x\n");
        let table = RefTable::parse(text.as_bytes()).unwrap();
        assert_eq!(table.clash("refs/heads/a"), Some("refs/heads/a/b"));
        assert_eq!(table.clash("refs/heads/x/y"), Some("refs/heads/x"));
        assert_eq!(table.clash("refs/heads/a/c"), None);
        assert_eq!(table.clash("refs/heads/x"), None);
    }

    #[test]
    fn names_that_could_leave_their_place_are_refused() {
        for bad in [
            "HEAD",
            "refs/x",
            "refs/heads/",
            "refs/heads/../x",
            "refs/heads/a.lock",
            "refs/heads/a b",
            "refs/heads/-",
            "heads/main",
        ] {
            let expected_good = bad == "refs/heads/-";
            assert_eq!(name_problem(bad).is_none(), expected_good, "{bad}");
        }
        assert!(name_problem(&format!("refs/heads/{}", "x".repeat(300))).is_some());
    }
}
