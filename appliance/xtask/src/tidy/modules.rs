//! Every module opens with `//!`, and no module file is called `mod.rs` or after nothing.

use super::{Finding, Source};

/// Names that say nothing, and so attract everything.
const EMPTY_NAMES: [&str; 6] = ["utils", "util", "common", "misc", "helpers", "helper"];

pub(super) fn check(sources: &[Source]) -> Vec<Finding> {
    sources.iter().filter(|source| source.path.ends_with(".rs")).flat_map(check_one).collect()
}

fn check_one(source: &Source) -> Vec<Finding> {
    let mut findings = Vec::new();
    let stem = source.path.rsplit('/').next().unwrap_or_default().trim_end_matches(".rs");
    if !source.text.trim_start().starts_with("//!") {
        findings
            .push(format!("{}:1: open the module with `//!` and say why it is there", source.path));
    }
    if stem == "mod" || EMPTY_NAMES.contains(&stem) {
        findings.push(format!("{}: name the file after what it holds", source.path));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(path: &str, text: &str, findings: usize) {
        let source = Source { path: path.into(), text: text.into() };
        assert_eq!(check_one(&source).len(), findings, "{path}");
    }

    #[test]
    fn a_module_says_why_and_has_a_name() {
        check("a/src/queue.rs", "//! Why.\n", 0);
        check("a/src/queue.rs", "use x;\n", 1);
        check("a/src/mod.rs", "//! Why.\n", 1);
        check("a/src/utils.rs", "", 2);
    }
}
