//! Accounts, sessions, tokens and the audit log.
//!
//! Invariants: secrets are kept only as hashes made by the caller; a disabled account's sessions
//! and tokens are not found; there is always an administrator who can log in; the audit log is
//! only appended to and never holds a secret.

mod audit;
mod ended;
mod sessions;
mod tokens;
mod users;

pub use audit::{AuditEntry, NewAudit};
pub use sessions::{NewSession, Session};
pub use tokens::{NewToken, Scope, Token};
pub use users::{NewUser, Role, User};

#[cfg(test)]
mod tests;
