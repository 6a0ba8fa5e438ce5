//! From a processed job to what a runner needs, with every rule of shape and type checked.
//!
//! Why: after expansion nothing is left to interpret, so a wrong type is an error and not a guess.
//! What is valid in the language and impossible here passes, with a warning and a marked plan.

mod environment;
mod executor;
pub(crate) mod job;
mod reader;
mod run;
mod step;
