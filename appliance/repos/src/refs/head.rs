//! The default branch: what `HEAD` names.

use super::{RefStore, RefTable};
use crate::{durable, error::Error};
use std::fs;

/// Tried in this order when `HEAD` names a branch that is not there.
const USUAL: [&str; 2] = ["refs/heads/main", "refs/heads/master"];

impl RefStore {
    /// The branch that `HEAD` names, by its full name; it may not be born yet.
    pub(crate) fn head(&self) -> Result<String, Error> {
        let path = self.dir.join("HEAD");
        let text = fs::read_to_string(&path).map_err(Error::file("read", path))?;
        let target = text.strip_prefix("ref: ").map(str::trim_end).unwrap_or(USUAL[0]);
        Ok(target.to_owned())
    }

    /// Lets `HEAD` name a branch, durably.
    pub(crate) fn set_head(&self, branch: &str) -> Result<(), Error> {
        durable::replace(&self.dir.join("HEAD"), format!("ref: {branch}\n").as_bytes())
    }
}

/// The branch that stands for the repository: what `HEAD` names if it is there, else a usual
/// name, else the first; `HEAD`'s own word when there is no branch at all.
pub(crate) fn effective_head(named: &str, table: &RefTable) -> String {
    let is_there = |name: &&str| table.get(name).is_some();
    std::iter::once(named)
        .chain(USUAL)
        .find(is_there)
        .or_else(|| table.below("refs/heads/").next().map(|(name, _)| name))
        .unwrap_or(named)
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(named: &str, branches: &[&str], expected: &str) {
        let id = "1111111111111111111111111111111111111111";
        let text: String = branches.iter().map(|b| format!("{id} refs/heads/{b}\n")).collect();
        let table = RefTable::parse(text.as_bytes()).unwrap();
        assert_eq!(
            effective_head(&format!("refs/heads/{named}"), &table),
            format!("refs/heads/{expected}")
        );
    }

    #[test]
    fn the_default_branch_follows_what_was_pushed() {
        check("main", &[], "main");
        check("main", &["main", "a"], "main");
        check("main", &["master", "a"], "master");
        check("main", &["trunk", "zoo"], "trunk");
        check("trunk", &["main", "trunk"], "trunk");
    }
}
