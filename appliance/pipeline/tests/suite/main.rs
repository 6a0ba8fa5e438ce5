//! Tests of the whole language through the public doors.

mod corpus;
mod errors;
mod fuzz;
mod language;
mod mutation;
mod plans;
mod properties;
