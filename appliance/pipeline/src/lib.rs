//! The configuration language, from text to a plan, without touching the world.
//!
//! Why: every `.circleci/config.yml` compiles here, offline, to what the original service makes of
//! it, and an error in it is explained better than anywhere else.
//! The way: [`compile`] a text with a [`Request`] (values, parameters, orbs), then [`plan`] it for a
//! branch or tag, print it with [`process`]; [`plan_trigger`] does all for one trigger.
//! Invariants: pure; no I/O, clock or randomness; the same input gives the same bytes; input from
//! outside is bounded and never a panic.
//! Failure: [`Diagnostic`]s, all of a file in one run.

pub mod cache_key;
mod check;
mod compile;
mod compiled;
mod condition;
pub mod cron;
mod definition;
mod diagnostic;
mod expand;
mod expression;
mod filter;
mod library;
mod orbs;
mod parameter;
mod plan;
mod processed;
mod report;
mod request;
mod scope;
mod syntax;
mod template;
mod trigger;

pub use compile::{Compilation, compile};
pub use compiled::Compiled;
pub use diagnostic::{Code, Diagnostic, Frame, Severity};
pub use orbs::{FoundOrb, OrbReferenceError, OrbVersion, Orbs};
pub use plan::{PlanValues, Scheduled, plan, schedules};
pub use processed::process;
pub use request::{Request, Values};
pub use trigger::{PipelineError, Planned, Rejected, plan_trigger};
