//! Words that must not stand in the tree: paths of one machine, hosts of package registries, work
//! without an owner.

use super::{Finding, Source};

/// Split, so that this file does not find itself.
const WORDS: [(&str, &str, &str); 7] = [
    ("/home/", "user/", "a path of one machine"),
    ("static.", "crates.io", "the host of a package registry"),
    ("index.", "crates.io", "the host of a package registry"),
    ("files.", "pythonhosted", "the host of a package registry"),
    ("registry.", "npmjs", "the host of a package registry"),
    ("TO", "DO:", "work without an owner: do it, or open an issue"),
    ("FIX", "ME", "work without an owner: do it, or open an issue"),
];

pub(super) fn check(sources: &[Source]) -> Vec<Finding> {
    // The lock file is Cargo's, not ours.
    sources.iter().filter(|source| source.path != "Cargo.lock").flat_map(check_one).collect()
}

fn check_one(source: &Source) -> Vec<Finding> {
    let lines = source.text.lines().enumerate();
    lines
        .flat_map(|(at, line)| {
            let found = WORDS.iter().filter(move |(a, b, _)| line.contains(&format!("{a}{b}")));
            found.map(move |(a, b, why)| format!("{}:{}: `{a}{b}` is {why}", source.path, at + 1))
        })
        .collect()
}
