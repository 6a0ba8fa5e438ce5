//! YAML text as a tree whose every node knows where it was written, and back to text.
//!
//! Why: a diagnostic must point at a line, and a name must be looked up where it was written
//! (configuration or orb), however far substitution has carried it since.
//! Invariants: trees are immutable and share their subtrees, so an alias costs nothing; depth and
//! expanded size are bounded when a text is read.

pub(crate) mod emit;
pub(crate) mod load;
mod merge;
pub(crate) mod node;
mod quote;
mod repair;
pub(crate) mod scalar;

pub(crate) use merge::Duplicate;
pub(crate) use node::{Entry, Map, Node, SourceId, Span, Text, Value};
