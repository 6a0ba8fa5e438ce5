//! Keeps bytes durably and serves them over the S3 protocol.
//!
//! Why: artifacts, caches, workspaces, logs and images all live here, and other tools of the site
//! use it as their S3. This room does not know what a job is.
//! The way: bytes stream into a blob (small: a row; large: a synced file), then one transaction
//! makes the object visible. Equal blobs are kept once, counted by the rows that name them.
//! Invariants: an operation is answered after its bytes, their directory entries and its row are
//! on the disk; a cut leaves the old object or the new one; a reader never sees a part.
//! Units: sizes in bytes, times in microseconds.
//! On failure: [`Error`]; what a cut left behind is swept at the next start.

mod access_log;
mod account;
mod bucket;
mod cache;
mod config;
mod content;
mod cors;
mod details;
pub mod digest;
mod discard;
mod error;
mod expire;
mod filing;
mod hashing;
mod headway;
mod heal;
mod ingest;
mod keeper;
mod keys;
mod leftover_listing;
mod lifecycle;
mod listing;
mod located;
mod lock;
mod md5;
mod nameless;
mod notices;
mod notify;
mod objects;
pub mod oci;
mod outward;
mod pace;
mod peer;
mod presign;
mod query;
mod quota;
mod reading;
pub mod registry;
mod remote;
mod room;
pub mod s3;
mod sample;
mod scrub;
mod seal;
mod session;
mod sigv4;
pub mod telling;
mod vault;
mod version_listing;
mod versions;

pub use account::Account;
pub use bucket::{HOUSE, HOUSE_OWNER, is_name as is_bucket_name};
pub use config::{Config, INLINE_MAX, KEEP_FREE, Place, ROOTS, Stands};
pub use discard::Discarded;
pub use error::Error;
pub use expire::Expired;
pub use heal::Asked;
pub use ingest::Body;
pub use keeper::{GRACE, Removed};
pub use keys::{KeyInfo, NewKey, Owner, Rule, Scope, UNPROTECTED, Verb};
pub use leftover_listing::{Leftovers, Unfinished, Version};
pub use listing::{Entry, Page};
pub use notify::is_prefix as is_webhook_prefix;
pub use objects::{Found, Info, Objects, Stored, alone};
pub use outward::Outward;
pub use peer::Peer;
pub use quota::BucketInfo;
pub use scrub::{Rotten, Scrubbed};
pub use session::{SessionKey, SessionScope};
pub use store::objects::{NoticeTarget, Quota, Usage};
pub use vault::ByteStream;
