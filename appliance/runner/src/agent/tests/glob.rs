//! `tests glob`: files by pattern, sorted, without a shell.

use crate::agent::{AgentError, walk};
use pipeline::glob::Glob;
use std::path::Path;

/// The files that match any of the patterns.
pub(super) fn find(patterns: &[&str]) -> Result<Vec<String>, AgentError> {
    if patterns.is_empty() {
        let message = "`tests glob` needs a pattern, for example \"spec/**/*_spec.rb\"";
        return Err(AgentError::Refused(message.into()));
    }
    let mut found = Vec::new();
    for pattern in patterns {
        let glob = Glob::new(pattern).map_err(|error| AgentError::Refused(error.to_string()))?;
        for path in walk::below(Path::new(root_of(pattern, &glob)))? {
            let name = path.strip_prefix("./").unwrap_or(&path).to_string_lossy();
            if glob.matches(&name) && path.is_file() {
                found.push(name.into_owned());
            }
        }
    }
    found.sort_unstable();
    found.dedup();
    Ok(found)
}

/// The folder in which all matches lie: nothing else need be walked.
fn root_of<'a>(pattern: &str, glob: &'a Glob) -> &'a str {
    match (glob.start(), pattern.starts_with('/')) {
        ("", true) => "/",
        ("", false) => ".",
        (start, _) => start,
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
}
