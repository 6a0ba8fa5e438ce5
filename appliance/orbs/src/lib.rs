//! The orb store: orbs in a folder of the data directory, and the way into it.
//!
//! Why: configurations name orbs by reference, and there is no registry to ask. What is used here
//! was imported by somebody, stays readable as plain YAML files, and survives any cut of power.
//! Shape: `registry/<namespace>/<orb>/<version>.yml` and `addresses/<escaped address>.yml`, with a
//! `.fetched` beside a copy that was fetched.
//! Invariants: a file is complete and synced before its name exists; a released version never
//! changes, a `dev:` one and what stands behind an address may; nothing is fetched but addresses
//! below the prefixes that the operator allows.
//! Failure: [`Error`] names the file or the reference and what to do.

mod address;
mod bundle;
mod check;
mod error;
mod fetch;
mod intake;
mod record;
mod registry;

pub use address::Prefix;
pub use bundle::write as write_bundle;
pub use check::{check, check_candidate};
pub use error::Error;
pub use fetch::{Ask, Failure, Reply};
pub use intake::{Candidate, Name, files, read};
pub use registry::{Added, Listed, Registry};
