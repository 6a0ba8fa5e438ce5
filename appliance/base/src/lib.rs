//! Words that every room shares: identifiers, units, states, events, plans and the runner protocol.
//!
//! Why: a word defined twice means two things before long. What crosses a door between two rooms
//! is named here, once, with its unit and its form on the wire.
//! Invariants: no I/O, no clock, no randomness, no async; every type can be serialised, compared
//! and printed, but for [`secret::Secret`], which refuses to be printed.
//! Units: times are [`time::Timestamp`] (UTC, microseconds), spans `std::time::Duration`
//! (milliseconds on the wire), sizes [`units::Bytes`].
//! On failure: parsing returns an error that names the text it could not read.

pub mod event;
pub mod ids;
pub mod limits;
pub mod plan;
pub mod protocol;
pub mod reading;
pub mod secret;
pub mod state;
pub mod time;
pub mod trigger;
pub mod trust;
pub mod units;
pub mod workspace;
