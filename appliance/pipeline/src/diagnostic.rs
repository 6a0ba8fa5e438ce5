//! What is wrong with a configuration, where, and what to do.
//!
//! Why: all errors of a file come in one run, each with a code that stays, the original service's
//! text where it is known, the place with its line, the calls that led there and a remedy.
//! Invariants: a diagnostic is data; [`Diagnostic::render`] is its only form for terminals.
//! Units: lines and columns count from 1; line 0 means "the file as a whole".

mod render;

use serde::{Deserialize, Serialize};
use std::fmt::Write as _;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Nothing runs.
    Error,
    /// It runs; something has no effect or another effect than it seems.
    Warning,
}

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $wire:literal,)*) => {
        /// Stable names of all diagnostics: tools may match on them.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum Code { $($(#[$doc])* #[serde(rename = $wire)] $name,)* }

        impl Code {
            /// Every code, in alphabetical order.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The code as printed.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $wire,)* }
            }
        }
    };
}

codes! {
    /// An argument has the wrong type.
    ArgumentType = "argument-type",
    /// A value that is written but never read.
    Deprecated = "deprecated",
    /// A map has the same key twice.
    DuplicateKey = "duplicate-key",
    /// An expression inside `<< >>` cannot be read or evaluated.
    Expression = "expression",
    /// Filters that cannot be read.
    Filter = "filter",
    /// The configuration could not be fetched.
    Fetch = "config-fetch",
    /// A bound of the language is exceeded.
    Limit = "limit",
    /// A logic statement that cannot be read.
    Logic = "logic-statement",
    /// A matrix that cannot be expanded.
    Matrix = "matrix",
    /// A parameter without default is not given.
    MissingArgument = "missing-argument",
    /// A key that must be there is not.
    MissingKey = "missing-key",
    /// A name with characters it may not have, or reserved.
    Name = "invalid-name",
    /// Accepted, but without effect on this appliance.
    NoEffect = "no-effect",
    /// An orb's reference or source is wrong, or the orb is not in the local store.
    Orb = "orb",
    /// An element is built in and hidden by an own one.
    Override = "overrides-built-in",
    /// A parameter's declaration is wrong.
    Parameter = "parameter",
    /// A pipeline parameter's value is wrong or unknown.
    PipelineParameter = "pipeline-parameter",
    /// A pattern is not a regular expression that can be run here.
    Pattern = "pattern",
    /// Elements that call themselves.
    Recursion = "recursion",
    /// `requires` that cannot be resolved, or a cycle.
    Requires = "requires",
    /// A setup configuration breaks its rules.
    Setup = "setup",
    /// Text is not YAML.
    Syntax = "yaml-syntax",
    /// An argument that no parameter takes.
    UnexpectedArgument = "unexpected-argument",
    /// A key that does not belong there.
    UnexpectedKey = "unexpected-key",
    /// A name that nothing defines.
    UnknownName = "unknown-name",
    /// `<< parameters.x >>` without a declared `x`.
    UnknownReference = "unknown-reference",
    /// Valid in the language and impossible on this appliance.
    Unsupported = "unsupported-here",
    /// A job that no workflow uses.
    Unused = "unused",
    /// A value outside what its key takes.
    Value = "invalid-value",
    /// `version` is missing or unknown.
    Version = "version",
    /// A value has the wrong type.
    WrongType = "wrong-type",
}

/// One call on the way to the place: a workflow, job, command or executor.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Frame {
    /// `workflow`, `job`, `command`, `executor`, `step`, `job-group` or `orb`.
    pub kind: String,
    /// Its name as called.
    pub name: String,
    /// Where it is called.
    pub file: String,
    /// Line of the call.
    pub line: u32,
    /// Column of the call.
    pub column: u32,
}

/// One finding.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Diagnostic {
    /// How bad.
    pub severity: Severity,
    /// Stable name.
    pub code: Code,
    /// What is wrong, in the original service's words where they are known.
    pub message: String,
    /// The configuration's path, or the orb's reference.
    pub file: String,
    /// From 1; 0 for the file as a whole.
    pub line: u32,
    /// From 1, in characters.
    pub column: u32,
    /// The line's text, for the caret; cut when very long.
    pub source_line: String,
    /// From the outermost call inwards.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub chain: Vec<Frame>,
    /// What to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

impl Diagnostic {
    /// True for what stops the pipeline.
    #[must_use]
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }

    /// `file:line:column`.
    #[must_use]
    pub fn place(&self) -> String {
        if self.line == 0 {
            return self.file.clone();
        }
        format!("{}:{}:{}", self.file, self.line, self.column)
    }

    /// The message with the original service's call prefixes, one per line.
    #[must_use]
    pub fn original_text(&self) -> String {
        let mut text = String::new();
        for frame in self.chain.iter().filter(|frame| frame.kind != "step") {
            let _ = writeln!(text, "Error calling {}: '{}'", frame.kind, frame.name);
        }
        text.push_str(&self.message);
        text
    }
}

/// Which known name was probably meant: the nearest within a third of the name's length.
pub(crate) fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let allowed =
        name.chars().count().div_ceil(3).saturating_sub(usize::from(name.len() < 2)).min(3);
    known
        .into_iter()
        // Names of other lengths are as far as that; their characters need not be looked at.
        .filter(|candidate| candidate.len().abs_diff(name.len()) <= 4 * allowed)
        .map(|candidate| (distance(name, candidate), candidate))
        .filter(|(distance, _)| *distance <= allowed)
        .min()
        .map(|(_, candidate)| candidate)
}

/// Edits between two names, a swap of neighbours counting as one; long names are never close.
fn distance(a: &str, b: &str) -> usize {
    const LONGEST: usize = 64;
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    if a.len() > LONGEST || b.len() > LONGEST {
        return usize::MAX;
    }
    let mut rows = vec![(0..=b.len()).collect::<Vec<usize>>()];
    for (i, from) in a.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, to) in b.iter().enumerate() {
            let replaced = rows[i][j] + usize::from(!from.eq_ignore_ascii_case(to));
            let mut best = replaced.min(rows[i][j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && *from == b[j - 1] && a[i - 1] == *to {
                best = best.min(rows[i - 1][j - 1] + 1);
            }
            row.push(best);
        }
        rows.push(row);
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(name: &str, known: &[&str], expected: Option<&str>) {
        assert_eq!(nearest(name, known.iter().copied()), expected, "{name}");
    }

    #[test]
    fn the_nearest_name_is_suggested_and_a_far_one_is_not() {
        check("biuld", &["build", "test"], Some("build"));
        check("filter", &["filters", "requires"], Some("filters"));
        check("Checkout", &["checkout"], Some("checkout"));
        check("deploy", &["build", "test"], None);
    }

    #[test]
    fn codes_are_in_alphabetical_order_of_their_variants_and_unique() {
        let mut seen = std::collections::BTreeSet::new();
        assert!(Code::ALL.iter().all(|code| seen.insert(code.as_str())));
    }
}
