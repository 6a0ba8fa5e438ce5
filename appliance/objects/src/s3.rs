//! The S3 face: SigV4 alone, path style and virtual-host style.
//!
//! Why own code: the `s3s` crate brings 140,000 lines and answers bad signatures and headers in its
//! own way; clients judge by S3's.
//! The way: [`router`] takes a request apart, proves who asks, and hands it to one handler; each
//! handler asks [`access`] before it tells or changes anything.
//! Invariants: memory does not grow with an object; every failure is an S3 error with its code.

mod access;
mod acl;
mod auth;
mod bucket;
mod call;
mod chunked;
mod conditions;
mod context;
mod copy;
mod dates;
mod delete;
mod error;
mod list;
mod object;
mod payload;
mod policy;
mod range;
mod route;
mod tags;
mod upload;
mod xml;

pub use route::router;
