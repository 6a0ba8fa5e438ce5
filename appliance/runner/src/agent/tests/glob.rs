//! `tests glob`: files by pattern, sorted, without a shell.
//!
//! Limits: only folders that a match may lie in are looked into, and those that cannot be are passed over.

use crate::agent::{
    AgentError,
    walk::{self, Closed},
};
use pipeline::glob::Glob;
use std::{borrow::Cow, path::Path};

/// The files that match any of the patterns.
pub(super) fn find(patterns: &[&str]) -> Result<Vec<String>, AgentError> {
    if patterns.is_empty() {
        let message = "`tests glob` needs a pattern, for example \"spec/**/*_spec.rb\"";
        return Err(AgentError::Refused(message.into()));
    }
    let mut found = Vec::new();
    for pattern in patterns {
        let glob = Glob::new(pattern).map_err(|error| AgentError::Refused(error.to_string()))?;
        found.extend(matching(Path::new(root_of(pattern, &glob)), &glob)?);
    }
    found.sort_unstable();
    found.dedup();
    Ok(found)
}

fn matching(root: &Path, glob: &Glob) -> Result<impl Iterator<Item = String>, AgentError> {
    let enters = |folder: &Path| glob.may_lie_below(&name_of(folder));
    let keeps = |path: &Path| glob.matches(&name_of(path)) && path.is_file();
    let found = walk::some_below(root, Closed::PassedOver, enters, keeps)?;
    Ok(found.into_iter().map(|path| name_of(&path).into_owned()))
}

/// As patterns name it.
fn name_of(path: &Path) -> Cow<'_, str> {
    path.strip_prefix(".").unwrap_or(path).to_string_lossy()
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
    use std::{fs, os::unix::fs::PermissionsExt};

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
    fn folders_beside_the_way_are_not_looked_into() {
        let root = tempfile::tempdir().unwrap();
        for folder in ["spec/deep/deeper", "other/deep"] {
            fs::create_dir_all(root.path().join(folder)).unwrap();
        }
        fs::write(root.path().join("spec/a.rb"), "").unwrap();
        let listed = |pattern: &str| {
            let glob = Glob::new(&format!("{}/{pattern}", root.path().display())).unwrap();
            let entered = std::cell::RefCell::new(Vec::new());
            let enters = |folder: &Path| {
                let enters = glob.may_lie_below(&name_of(folder));
                let name = folder.strip_prefix(root.path()).unwrap().to_owned();
                entered.borrow_mut().extend(enters.then_some(name));
                enters
            };
            walk::some_below(root.path(), Closed::PassedOver, enters, |_| true).unwrap();
            entered.into_inner()
        };
        assert!(listed("*.rb").is_empty());
        assert_eq!(listed("s*/*.rb"), [Path::new("spec")]);
        let all = ["other", "other/deep", "spec", "spec/deep", "spec/deep/deeper"];
        assert_eq!(listed("**/*.rb"), all.map(Path::new));
    }

    /// Root lists every folder; whoever else runs this test sees the closed one.
    #[test]
    fn what_cannot_be_listed_is_passed_over_by_patterns_alone() {
        let root = tempfile::tempdir().unwrap();
        let closed = root.path().join("closed");
        fs::create_dir(&closed).unwrap();
        fs::write(root.path().join("b.rb"), "").unwrap();
        fs::set_permissions(&closed, fs::Permissions::from_mode(0o0)).unwrap();
        let found = find(&[&format!("{}/**/*.rb", root.path().display())]).unwrap();
        assert_eq!(found, [root.path().join("b.rb").to_string_lossy()]);
        let is_refused = walk::below(root.path()).is_err();
        assert_eq!(is_refused, fs::read_dir(&closed).is_err(), "an archive would lack it");
    }
}
