//! `tests glob`: files by pattern, sorted, without a shell.

use crate::agent::{AgentError, walk};
use globset::{GlobBuilder, GlobSet, GlobSetBuilder};
use std::path::Path;

/// The files that match any of the patterns.
pub(super) fn find(patterns: &[&str]) -> Result<Vec<String>, AgentError> {
    if patterns.is_empty() {
        return Err(AgentError::Refused(
            "`tests glob` needs a pattern, for example \"spec/**/*_spec.rb\"".into(),
        ));
    }
    let set = compile(patterns)?;
    let mut roots: Vec<String> = patterns.iter().map(|pattern| root_of(pattern)).collect();
    roots.sort_unstable();
    roots.dedup();
    let mut found = Vec::new();
    for root in roots {
        for path in walk::below(Path::new(&root))? {
            let name = path.strip_prefix("./").unwrap_or(&path);
            if set.is_match(name) && path.is_file() {
                found.push(name.to_string_lossy().into_owned());
            }
        }
    }
    found.sort_unstable();
    found.dedup();
    Ok(found)
}

fn compile(patterns: &[&str]) -> Result<GlobSet, AgentError> {
    let refused = |error: globset::Error| AgentError::Refused(error.to_string());
    let mut set = GlobSetBuilder::new();
    for pattern in patterns {
        let pattern = pattern.trim_start_matches("./");
        set.add(GlobBuilder::new(pattern).literal_separator(true).build().map_err(refused)?);
    }
    set.build().map_err(refused)
}

/// The folder above the first part that is not literal: nothing else need be walked.
fn root_of(pattern: &str) -> String {
    let literal = &pattern[..pattern.find(['*', '?', '[', '{']).unwrap_or(pattern.len())];
    match literal.rfind('/') {
        Some(0) => "/".into(),
        Some(end) => literal[..end].to_owned(),
        None => ".".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn check(patterns: &[&str], expected: &[&str]) {
        let root = tempfile::tempdir().unwrap();
        for file in
            ["spec/a_spec.rb", "spec/deep/b_spec.rb", "spec/help.rb", "test/c.py", "test/d.js"]
        {
            let path = root.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        let prefix = root.path().to_str().unwrap();
        let patterns: Vec<String> =
            patterns.iter().map(|pattern| format!("{prefix}/{pattern}")).collect();
        let patterns: Vec<&str> = patterns.iter().map(String::as_str).collect();
        let found: Vec<String> = find(&patterns)
            .unwrap()
            .iter()
            .map(|name| name[prefix.len() + 1..].to_owned())
            .collect();
        assert_eq!(found, expected, "{patterns:?}");
    }

    #[test]
    fn patterns_find_files() {
        check(&["spec/*_spec.rb"], &["spec/a_spec.rb"]);
        check(&["spec/**/*_spec.rb"], &["spec/a_spec.rb", "spec/deep/b_spec.rb"]);
        check(&["test/?.{py,js}", "spec/help.rb"], &["spec/help.rb", "test/c.py", "test/d.js"]);
        check(&["spec/[a-c]_spec.rb"], &["spec/a_spec.rb"]);
        check(&["none/**"], &[]);
    }

    #[test]
    fn only_what_can_match_is_walked() {
        assert_eq!(root_of("spec/**/*.rb"), "spec");
        assert_eq!(root_of("*.rb"), ".");
        assert_eq!(root_of("/a/b*/c"), "/a");
        assert_eq!(root_of("/*"), "/");
    }
}
