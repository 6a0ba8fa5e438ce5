//! The expression language inside `<< >>` and in bare `when` and `filters` strings.
//!
//! Grammar, loosest first: `or`; `and`; comparison (`== != < <= > >= starts-with matches`);
//! `not`; names, literals, parentheses. `not` binds tightest; `and` and `or` return an operand.
//! Failure: an [`ExpressionError`] names what was expected; nothing panics, nesting is bounded.

mod eval;
mod lexer;
mod parser;
pub(crate) mod pattern;

pub(crate) use eval::{evaluate, truthy};
pub(crate) use parser::{Expr, parse, parse_embedded};

/// Why an expression cannot be read or evaluated.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ExpressionError {
    /// Text that is no expression.
    #[error("{0}")]
    Syntax(String),
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
    #[error("{0}")]
    Operands(String),
}
