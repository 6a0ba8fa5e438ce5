//! The expression language inside `<< >>` and in bare `when` and `filters` strings.
//!
//! Grammar, loosest first: `or`; `and`; comparison (`== != < <= > >= starts-with matches`);
//! `not`; names, literals, parentheses. `not` binds tightest; `and` and `or` return an operand.
//! Failure: an [`ExpressionError`] names what was expected; nothing panics, nesting is bounded.

mod eval;
mod lexer;
mod parser;
pub(crate) mod pattern;

pub(crate) use eval::{equal, evaluate, truthy};
pub(crate) use parser::{Expr, parse, parse_embedded};

/// Why an expression cannot be read or evaluated.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ExpressionError {
    /// Text that is no expression.
    #[error("{message}")]
    Syntax {
        /// What is wrong.
        message: String,
        /// The text from the wrong place on, by which the place is found.
        rest: String,
    },
    /// A `<<` that starts no expression.
    #[error("Unclosed '<<' tag in string: \"{tag}\" ({reason})")]
    Unclosed {
        /// From the `<<` on, cut.
        tag: String,
        /// What was expected.
        reason: String,
    },
    /// A name that is not in scope.
    #[error("Arguments referenced without declared parameters: {0}")]
    Unknown(String),
    /// An operator with operands it does not take.
    #[error("`{operator}` compares {takes} only, not {left} with {right}")]
    Operands {
        /// As written.
        operator: &'static str,
        /// `numbers` or `strings`.
        takes: &'static str,
        /// Type of the value before it.
        left: &'static str,
        /// Type of the value behind it.
        right: &'static str,
    },
    /// A pattern that cannot be run.
    #[error(transparent)]
    Pattern(#[from] pattern::PatternError),
    /// A list or map where a text is made.
    #[error("a {0} cannot stand inside a text")]
    NotText(&'static str),
    /// A text that grows out of bounds.
    #[error("{0}")]
    TooLong(String),
}

impl ExpressionError {
    /// A mistake at the start of `rest`.
    pub(crate) fn syntax(message: impl Into<String>, rest: &str) -> Self {
        Self::Syntax { message: message.into(), rest: rest.into() }
    }

    /// What to look for in the text, to find the place.
    pub(crate) fn needle(&self) -> Option<&str> {
        let found = match self {
            Self::Syntax { rest, .. } => rest.trim().lines().next().unwrap_or_default(),
            Self::Unclosed { tag, .. } => tag,
            Self::Unknown(name) => name,
            Self::Operands { operator, .. } => operator,
            Self::Pattern(_) => "matches",
            Self::NotText(_) | Self::TooLong(_) => return None,
        };
        (!found.is_empty()).then_some(found)
    }
}
