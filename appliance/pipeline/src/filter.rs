//! Filters by branch and tag.
//!
//! Decisions: with `only` present `ignore` is not looked at; without a `tags` filter a job does
//! not run for a tag; without a `branches` filter it runs for every branch. A bare string is an
//! expression and decides when the configuration is compiled.

use crate::{
    condition,
    diagnostic::Code,
    expression::pattern::{Pattern, PatternError, Patterns},
    report::Report,
    scope::Scope,
    syntax::{Node, Value},
    template,
};
use std::sync::Arc;

/// When a job runs.
#[derive(Debug, Clone, Default)]
pub(crate) enum Filters {
    /// By the kind of reference.
    #[default]
    None,
    References {
        branches: Option<Rule>,
        tags: Option<Rule>,
    },
    /// Decided already.
    Decided(bool),
}

/// `only` or `ignore` of one kind of reference.
#[derive(Debug, Clone)]
pub(crate) enum Rule {
    Only(Vec<Name>),
    Ignore(Vec<Name>),
}

/// A literal name, or a pattern between slashes.
#[derive(Debug, Clone)]
pub(crate) enum Name {
    Literal(String),
    Pattern(Arc<Pattern>),
}

impl Name {
    /// A pattern when it stands between slashes, otherwise the name itself.
    pub(crate) fn read(text: &str, patterns: &mut Patterns) -> Result<Self, PatternError> {
        let inner = text
            .strip_prefix('/')
            .and_then(|rest| rest.strip_suffix('/'))
            .filter(|_| text.len() > 1);
        match inner {
            Some(pattern) => patterns.get(pattern).map(Self::Pattern),
            None => Ok(Self::Literal(text.to_owned())),
        }
    }

    pub(crate) fn matches(&self, name: &str) -> bool {
        match self {
            Self::Literal(text) => text == name,
            Self::Pattern(pattern) => pattern.matches(name),
        }
    }
}

impl Rule {
    pub(crate) fn admits(&self, name: &str) -> bool {
        match self {
            Self::Only(names) => names.iter().any(|n| n.matches(name)),
            Self::Ignore(names) => !names.iter().any(|n| n.matches(name)),
        }
    }
}

impl Filters {
    /// Whether the job runs for this branch or tag; with both, the branch decides.
    pub(crate) fn admits(&self, branch: Option<&str>, tag: Option<&str>) -> bool {
        let (branches, tags) = match self {
            Self::Decided(runs) => return *runs,
            Self::None => (None, None),
            Self::References { branches, tags } => (branches.as_ref(), tags.as_ref()),
        };
        match (branch, tag) {
            (None, Some(tag)) => tags.is_some_and(|rule| rule.admits(tag)),
            (branch, _) => branches.is_none_or(|rule| rule.admits(branch.unwrap_or_default())),
        }
    }
}

/// Reads `filters:`.
pub(crate) fn read(node: &Node, scope: &Scope<'_>, report: &mut Report) -> Filters {
    match &node.value {
        Value::Map(map) => {
            report.only(map, &["branches", "tags"], Code::Filter);
            let mut part =
                |key: &str| map.get(key).filter(|n| !n.is_null()).and_then(|n| rule(n, report));
            Filters::References { branches: part("branches"), tags: part("tags") }
        }
        Value::Text(text) if !template::is_template(&text.text) => {
            Filters::Decided(condition::bare(node, &text.text, scope, report))
        }
        Value::Bool(runs) => Filters::Decided(*runs),
        _ => {
            let message = format!("expected type: Mapping, found: {}", node.schema_name());
            report.error(
                Code::Filter,
                node.at,
                message,
                "write `filters: {branches: {only: main}}`, or an expression",
            );
            Filters::None
        }
    }
}

/// Reads `branches:` or `tags:`.
pub(crate) fn rule(node: &Node, report: &mut Report) -> Option<Rule> {
    let Some(map) = node.as_map() else {
        let message = format!("expected type: Mapping, found: {}", node.schema_name());
        report.error(
            Code::Filter,
            node.at,
            message,
            "write `only:` or `ignore:` with a name, a /pattern/ or a list",
        );
        return None;
    };
    report.only(map, &["only", "ignore"], Code::Filter);
    let mut part = |key: &str| map.get(key).filter(|n| !n.is_null()).map(|n| names(n, report));
    let (only, ignore) = (part("only"), part("ignore"));
    only.map(Rule::Only).or(ignore.map(Rule::Ignore))
}

fn names(node: &Node, report: &mut Report) -> Vec<Name> {
    let items = node.as_list().unwrap_or_else(|| std::slice::from_ref(node));
    items.iter().filter_map(|item| name(item, report)).collect()
}

fn name(item: &Node, report: &mut Report) -> Option<Name> {
    let Some(text) = item.scalar_text() else {
        let message = format!("expected type: String, found: {}", item.schema_name());
        report.error(Code::Filter, item.at, message, "give a name or a /pattern/");
        return None;
    };
    match Name::read(&text, &mut report.patterns) {
        Ok(name) => Some(name),
        Err(error) => {
            report.error(Code::Pattern, item.at, error.to_string(), error.hint());
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::syntax::{SourceId, load};

    fn check(filters: &str, branch: Option<&str>, tag: Option<&str>, expected: bool) {
        let node = load::load(filters, SourceId(0)).unwrap().root;
        let values = crate::Values::local();
        let scope = Scope { pipeline: &values, declared: None, parameters: None, matrix: None };
        let mut report = Report::default();
        let filters_read =
            if node.is_null() { Filters::None } else { read(&node, &scope, &mut report) };
        assert_eq!(report.errors(), 0, "{filters}");
        assert_eq!(filters_read.admits(branch, tag), expected, "{filters} on {branch:?} {tag:?}");
    }

    #[test]
    fn branches_run_unless_filtered_and_tags_only_when_asked_for() {
        check("", Some("dev"), None, true);
        check("", None, Some("v1"), false);
        check("branches: {only: main}", Some("main"), None, true);
        check("branches: {only: main}", Some("dev"), None, false);
        check("branches: {only: main}", None, Some("v1"), false);
        check("branches: {ignore: [main, /rel.*/]}", Some("release"), None, false);
        check("branches: {ignore: [main, /rel.*/]}", Some("dev"), None, true);
        check("branches: {only: main, ignore: main}", Some("main"), None, true);
        check("tags: {only: /^v.*/}\nbranches: {ignore: /.*/}", None, Some("v1"), true);
        check("tags: {only: /^v.*/}\nbranches: {ignore: /.*/}", Some("v1"), None, false);
        check("tags: {ignore: /.*-rc/}", None, Some("v1"), true);
        check("tags: {only: /.*/}", Some("main"), None, true);
        check("pipeline.git.branch == \"main\"", Some("other"), None, true);
    }
}
