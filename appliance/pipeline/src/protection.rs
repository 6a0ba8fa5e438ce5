//! Which branches and tags a project protects, and so the level of what builds them.
//!
//! Why here: the patterns are those of `filters`, with one meaning everywhere.
//! Invariants: a branch and a tag of one name are different things; a pattern that cannot be read
//! gives nobody anything: it keeps pushes off, and makes no pipeline a protected one.

use crate::{expression::pattern::Patterns, filter::Name};
use base::trust::{ProtectedRefs, Trust};

/// Patterns of branches, and of tags, in one project.
const PATTERNS_MAX: usize = 50;

/// Characters in one of them.
const LENGTH_MAX: usize = 250;

/// Why patterns cannot be kept.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProtectionError {
    /// More than can be looked through at every push.
    #[error("at most {PATTERNS_MAX} patterns of {0} can be protected")]
    TooMany(&'static str),
    /// Nothing is named so.
    #[error("a pattern of {0} has 1 to {LENGTH_MAX} characters and no spaces")]
    Form(&'static str),
    /// Not an expression.
    #[error("{0}: {1}")]
    Pattern(String, &'static str),
    /// Patterns are of names, not of references.
    #[error("`{0}` is a reference: give the name alone, among the branches or the tags")]
    Reference(String),
}

/// Whether the patterns can be kept.
///
/// # Errors
/// The first one that cannot.
pub fn check_protected(refs: &ProtectedRefs) -> Result<(), ProtectionError> {
    check(&refs.branches, "branches").and_then(|()| check(&refs.tags, "tags"))
}

fn check(patterns: &[String], what: &'static str) -> Result<(), ProtectionError> {
    if patterns.len() > PATTERNS_MAX {
        return Err(ProtectionError::TooMany(what));
    }
    patterns.iter().try_for_each(|text| check_one(text, what))
}

fn check_one(text: &str, what: &'static str) -> Result<(), ProtectionError> {
    let is_plain = |c: char| !c.is_whitespace() && !c.is_control();
    if text.is_empty() || text.chars().count() > LENGTH_MAX || !text.chars().all(is_plain) {
        return Err(ProtectionError::Form(what));
    }
    if text.starts_with("refs/") {
        return Err(ProtectionError::Reference(text.to_owned()));
    }
    match Name::read(text, &mut Patterns::default()) {
        Ok(_) => Ok(()),
        Err(error) => Err(ProtectionError::Pattern(error.to_string(), error.hint())),
    }
}

/// The level of a pipeline that builds this branch or tag; with both, the branch decides, as in
/// `filters`.
#[must_use]
pub fn trust_of(refs: &ProtectedRefs, branch: Option<&str>, tag: Option<&str>) -> Trust {
    let holds = |patterns, name| matched(patterns, name) == Some(true);
    Trust::of(match (branch, tag) {
        (Some(branch), _) => holds(&refs.branches, branch),
        (None, Some(tag)) => holds(&refs.tags, tag),
        (None, None) => false,
    })
}

/// Whether only administrators may push to the reference of this full name.
#[must_use]
pub fn is_push_protected(refs: &ProtectedRefs, reference: &str) -> bool {
    let may_hold = |patterns, name| matched(patterns, name) != Some(false);
    match (reference.strip_prefix("refs/heads/"), reference.strip_prefix("refs/tags/")) {
        (Some(branch), _) => may_hold(&refs.branches, branch),
        (None, Some(tag)) => may_hold(&refs.tags, tag),
        (None, None) => false,
    }
}

/// Whether one of the patterns is the name's; `None` when none is, and one cannot be read.
fn matched(patterns: &[String], name: &str) -> Option<bool> {
    let mut known = Patterns::default();
    let mut found = Some(false);
    for text in patterns {
        match Name::read(text, &mut known) {
            Ok(pattern) if pattern.matches(name) => return Some(true),
            Ok(_) => {}
            Err(_) => found = None,
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refs(branches: &[&str], tags: &[&str]) -> ProtectedRefs {
        let list = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        ProtectedRefs { branches: list(branches), tags: list(tags) }
    }

    fn check(branch: Option<&str>, tag: Option<&str>, expected: Trust) {
        let refs = refs(&["main", "/release-.*/"], &["/v[0-9].*/"]);
        assert_eq!(trust_of(&refs, branch, tag), expected, "{branch:?} {tag:?}");
        let reference = match (branch, tag) {
            (Some(branch), _) => format!("refs/heads/{branch}"),
            (None, tag) => format!("refs/tags/{}", tag.unwrap_or_default()),
        };
        assert_eq!(is_push_protected(&refs, &reference), expected.is_protected(), "{reference}");
    }

    #[test]
    fn the_name_and_kind_of_what_is_built_decide_the_level() {
        check(Some("main"), None, Trust::Protected);
        check(Some("release-7"), None, Trust::Protected);
        check(Some("a-release-7"), None, Trust::Unprotected);
        check(Some("mainly"), None, Trust::Unprotected);
        check(Some("Main"), None, Trust::Unprotected);
        check(Some("refs/heads/main"), None, Trust::Unprotected);
        check(Some("v1"), None, Trust::Unprotected);
        check(None, Some("v1"), Trust::Protected);
        check(None, Some("main"), Trust::Unprotected);
        check(None, None, Trust::Unprotected);
        assert_eq!(trust_of(&refs(&[], &[]), Some("main"), None), Trust::Unprotected);
        let both = trust_of(&refs(&[], &["v1"]), Some("dev"), Some("v1"));
        assert_eq!(both, Trust::Unprotected, "the branch decides");
    }

    #[test]
    fn other_references_are_nobodys_branch_or_tag() {
        let all = refs(&["/.*/"], &["/.*/"]);
        assert!(is_push_protected(&all, "refs/heads/a") && is_push_protected(&all, "refs/tags/a"));
        assert!(!is_push_protected(&all, "refs/notes/commits"));
    }

    #[test]
    fn a_pattern_that_cannot_be_read_gives_nobody_anything() {
        let broken = refs(&["/(/"], &[]);
        assert_eq!(trust_of(&broken, Some("main"), None), Trust::Unprotected);
        assert!(is_push_protected(&broken, "refs/heads/main"));
        assert!(!is_push_protected(&broken, "refs/tags/main"));
    }

    #[test]
    fn patterns_are_checked_before_they_are_kept() {
        let refused = |branch: &str| {
            check_protected(&refs(&[branch], &[])).map_err(|error| error.to_string()).err()
        };
        for good in ["main", "/release-.*/", "/^(?!dev$).*/", "ships/7"] {
            assert_eq!(refused(good), None, "{good}");
        }
        for (bad, words) in [
            ("", "1 to 250"),
            ("a b", "no spaces"),
            ("refs/heads/main", "the name alone"),
            ("/(/", "unclosed group"),
            ("/(?<=a)b/", "look-behind"),
        ] {
            let told = refused(bad).unwrap_or_default();
            assert!(told.contains(words), "{bad}: {told}");
        }
        let many = ProtectedRefs { tags: vec!["v1".into(); 51], ..ProtectedRefs::default() };
        assert!(check_protected(&many).unwrap_err().to_string().contains("at most 50"));
    }
}
