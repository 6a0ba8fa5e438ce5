//! Tests of the whole language through the public doors.

#![expect(clippy::unwrap_used, reason = "a test ends where its input is not as expected")]
#![expect(clippy::print_stdout, reason = "counts are the point of the corpus and fuzz tests")]

mod awkward;
mod corpus;
mod errors;
mod explain;
mod fuzz;
mod language;
mod limits;
mod mutation;
mod plans;
mod properties;
mod reference;
mod values;
mod workflow_errors;
