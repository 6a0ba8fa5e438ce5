//! Who may call what: identities, permits, sessions, and the rules every request obeys.
//!
//! Why one module: a route is guarded by its type ([`Routes`] takes no handler without a
//! [`Permit`]), and a permit is made in one place only, from one reading of the request
//! ([`identify`]). There is no second way in to forget.
//! Invariants: roles are ordered, viewer < member < admin; a token never may more than its owner;
//! a person with a one-time password may change it and nothing else; a session changes nothing
//! unless the browser says that our own page asked; secrets are kept as hashes alone.
//! On failure: [`crate::error::Failure`], the same answer for an unknown login and a wrong password.

mod attempts;
mod caller;
mod cookie;
mod credential;
mod headers;
mod limit;
mod origin;
mod pass;
pub mod password;
mod permit;
mod routes;
pub mod session;
pub mod token;

pub(crate) use attempts::Attempts;
pub use caller::{Caller, Job, Peer, User, Via, identify};
pub(crate) use caller::{OPERATOR, visitor};
pub use cookie::Transport;
pub use headers::{POLICY, SANDBOX};
pub(crate) use origin::{host, is_foreign, is_own};
pub(crate) use pass::PassKey;
pub use permit::{Account, Admin, Anyone, Member, Public, Runner, Viewer};
pub use routes::{Entry, Guarded, Permit, Routes};
pub use store::access::Role;

pub(crate) use cookie::{give_session, read as cookie_read, take_session, theme as cookie_theme};
pub(crate) use headers::secure;
pub(crate) use permit::JOB;
