//! The S3 face: SigV4 alone, path style and virtual-host style.
//!
//! Why own code: the `s3s` crate brings 140,000 lines and answers bad signatures and headers in its
//! own way; clients judge by S3's.
//! [`is_ours`] tells its requests on the port of other faces by the host's name.
//! The way: [`serve`] takes a request apart, proves who asks, and hands it to one handler; each
//! handler asks [`access`] before it tells or changes anything.
//! Invariants: memory does not grow with an object; every failure is an S3 error with its code.

mod access;
mod acl;
mod attributes;
mod auth;
mod bucket;
mod call;
mod chunked;
mod complete;
mod condition;
#[cfg(test)]
mod conditioned;
mod conditions;
mod context;
mod copy;
mod cors;
mod dates;
mod deed;
mod delete;
mod encryption;
mod error;
#[cfg(test)]
mod forms;
#[cfg(test)]
mod fuzz;
mod growth;
#[cfg(test)]
mod guarded;
mod journal;
mod lifecycle;
mod list;
mod lock;
#[cfg(test)]
mod logged;
mod logging;
#[cfg(test)]
pub(crate) mod matrix;
mod meta;
#[cfg(test)]
mod named;
mod notification;
mod object;
#[cfg(test)]
mod paging;
mod payload;
pub(crate) mod policy;
mod post;
mod post_gate;
mod post_policy;
#[cfg(test)]
mod promises;
#[cfg(test)]
mod proofs;
pub(crate) mod range;
mod read;
#[cfg(test)]
mod refused;
#[cfg(test)]
mod requests;
mod route;
mod setting;
#[cfg(test)]
mod signed;
mod signers;
#[cfg(test)]
mod slow;
mod tags;
mod upload;
mod upload_list;
mod xml;

pub use journal::Peer;
pub(crate) use logging::may_deliver;
pub(crate) use route::report;
pub use route::{is_ours, router, serve};
pub(crate) use signers::Signers;
