//! A ratchet on file length: 400 lines, and a list of those that are longer, which only shrinks.
//!
//! The list is `appliance/xtask/long-files.txt`: path, length, and why. A file on it may not grow
//! by a line; one that came below the limit must leave it.

use super::{Finding, Source};
use anyhow::Context;
use std::{collections::BTreeMap, path::Path};

const LINES_MAX: usize = 400;
const LIST: &str = "appliance/xtask/long-files.txt";

pub(super) fn check(sources: &[Source], root: &Path) -> anyhow::Result<Vec<Finding>> {
    let list =
        std::fs::read_to_string(root.join(LIST)).with_context(|| format!("cannot read {LIST}"))?;
    let allowed = parse(&list)?;
    let lengths: BTreeMap<&str, usize> = sources
        .iter()
        .filter(|source| source.path.ends_with(".rs"))
        .map(|source| (source.path.as_str(), source.text.lines().count()))
        .collect();
    Ok(compare(&lengths, &allowed))
}

fn parse(list: &str) -> anyhow::Result<BTreeMap<&str, usize>> {
    let lines = list.lines().filter(|line| !line.starts_with('#') && !line.trim().is_empty());
    lines
        .map(|line| {
            let mut words = line.split_whitespace();
            let path = words.next().unwrap_or_default();
            let length = words.next().and_then(|word| word.parse().ok());
            anyhow::ensure!(words.next().is_some(), "{LIST}: `{path}` lacks its reason");
            Ok((path, length.with_context(|| format!("{LIST}: `{path}` lacks its length"))?))
        })
        .collect()
}

fn compare(lengths: &BTreeMap<&str, usize>, allowed: &BTreeMap<&str, usize>) -> Vec<Finding> {
    let too_long = lengths.iter().filter_map(|(path, length)| {
        let bound = allowed.get(path).copied().unwrap_or(LINES_MAX);
        (*length > bound)
            .then(|| format!("{path}: {length} lines, at most {bound}: look for the seam"))
    });
    let slack = allowed.iter().filter_map(|(path, bound)| match lengths.get(path) {
        Some(length) if length == bound && *length > LINES_MAX => None,
        Some(length) if *length > LINES_MAX => (length < bound)
            .then(|| format!("{LIST}: {path} shrank to {length} lines: write that down")),
        _ => Some(format!("{LIST}: {path} needs no exception any more: remove its line")),
    });
    too_long.chain(slack).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(length: usize, allowed: Option<usize>, findings: usize) {
        let lengths = BTreeMap::from([("a.rs", length)]);
        let allowed = allowed.map(|bound| ("a.rs", bound)).into_iter().collect();
        assert_eq!(compare(&lengths, &allowed).len(), findings, "{length} {allowed:?}");
    }

    #[test]
    fn the_list_only_shrinks() {
        check(400, None, 0);
        check(401, None, 1);
        check(500, Some(500), 0);
        check(501, Some(500), 1);
        check(450, Some(500), 1);
        check(300, Some(500), 1);
    }
}
