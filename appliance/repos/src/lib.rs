//! Keeps bare Git repositories and speaks smart HTTP.
//!
//! Why: a push must work from an unmodified Git client, with no Git binary on the machine.
//! Invariants: a reference moves only after everything it reaches is durable; all references of a
//! push move in one step; a broken, cut or refused push leaves the repository as it was.
//! Everything that reads a repository blocks its thread for a short time; the functions of `http`
//! are async and move the blocking work away by themselves.
//! On failure: an [`Error`] names the repository and the remedy; a client is told in its own
//! protocol.

mod checkout;
mod commit;
mod durable;
mod error;
mod failure;
mod first_push;
pub mod http;
mod limits;
mod objects;
mod pack;
mod pktline;
mod prune;
mod receive;
mod refs;
mod repository;
mod select;
mod shelf;
mod upkeep;
mod upload;

pub use checkout::Checkout;
pub use commit::{Commit, skips_ci};
pub use error::{Cause, Error};
pub use first_push::{FirstPush, Message, first_push};
pub use limits::Limits;
pub use prune::Pruned;
pub use receive::{Push, PushPolicy, PushWatcher, RefUpdate, Standing, Watching};
pub use repository::{FileRead, NamedRevision, Repository, Rev};
pub use shelf::Repos;
