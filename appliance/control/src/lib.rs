//! Decides: which job may start, who holds it, what follows its end.
//!
//! Why: these rules are the heart of the service and must be provable. They know no database, no
//! clock and no randomness; the engine reads the state, asks here, and writes the answer.
//! Invariants: the same input gives the same answer; a terminal state never changes; what is held
//! back can say why ([`board::Held`]).
//! Units: times are [`base::time::Timestamp`], given by the caller.
//!
//! - [`workflow`]: the graph of one workflow, its frontier and its state.
//! - [`task`]: from tasks to their job, retry after loss.
//! - [`rerun`]: what a rerun copies and what it runs again.
//! - [`board`]: what waits, what is leased, and whose turn it is.
//! - [`governor`]: how much may run at all, by what the machine tells.
//! - [`supersede`]: which workflows a newer pipeline stops.
//! - [`retention`]: what may be forgotten.

pub mod board;
pub mod governor;
pub mod rerun;
pub mod retention;
pub mod supersede;
pub mod task;
pub mod workflow;
