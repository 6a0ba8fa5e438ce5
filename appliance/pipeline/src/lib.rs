//! The configuration language, from text to a plan, without touching the world.
//!
//! Why: every `.circleci/config.yml` compiles here, offline, to what the original service makes of
//! it, and an error in it is explained better than anywhere else.
//! The way: [`compile`] a text with a [`Request`] (values, parameters, orbs), then [`plan`] it for a
//! branch or tag, print it with [`process`]; [`plan_trigger`] does all for one trigger.
//! Invariants: pure; no I/O, clock or randomness; the same input gives the same bytes; input from
//! outside is bounded and never a panic.
//! Failure: [`Diagnostic`]s, all of a file in one run.

mod assembly;
pub mod cache_key;
mod check;
mod compile;
mod compiled;
mod condition;
mod continuation;
pub mod cron;
mod definition;
mod diagnostic;
pub mod endpoints;
mod expand;
mod explain;
mod expression;
mod filter;
pub mod glob;
pub mod graph;
mod library;
mod orb;
mod orbs;
pub mod pack;
mod parameter;
mod plan;
mod processed;
mod protection;
mod report;
mod request;
mod restriction;
mod schema;
mod scope;
pub mod split;
mod syntax;
mod template;
pub mod timetable;
mod trigger;

pub use compile::{Compilation, compile};
pub use compiled::Compiled;
pub use continuation::{
    CONTINUATION_LIFE, ContinuationError, DeclaredParameter, continue_parameters,
    declared_parameters, parameter_map,
};
pub use diagnostic::{Code, Diagnostic, Frame, Severity};
pub use explain::{Explanation, Origin, explain};
pub use orb::{orb_references, validate_orb, validate_orb_files};
pub use orbs::{FoundOrb, OrbReference, OrbReferenceError, OrbVersion, Orbs};
pub use plan::{PlanValues, Scheduled, plan, schedules};
pub use processed::process;
pub use protection::{ProtectionError, check_protected, is_push_protected, trust_of};
pub use request::{Request, Values};
pub use restriction::{RestrictionError, Ruling, check_restriction, rule};
pub use schema::json_schema;
pub use trigger::{PipelineError, Planned, Rejected, plan_continuation, plan_trigger};
