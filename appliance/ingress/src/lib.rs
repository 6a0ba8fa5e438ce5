//! Accepts connections: TLS, certificates, protocols, limits.
//!
//! Why: everything that a stranger can reach passes through here first, so that limits are kept
//! in one place and the rooms behind see only well-formed requests.
//! Invariants: this room carries services that it cannot name; it knows no route, no user and no
//! store. A private key never leaves it and is never printed. Every wait on a peer has a bound
//! ([`limits`]).
//! On failure: binding and certificate errors name the address or file and the remedy; an error
//! of one connection ends that connection alone.

pub mod authority;
mod calls;
pub mod certificate;
mod connections;
mod crowd;
mod lanes;
mod leftover;
pub mod limits;
pub mod listener;
mod misfit;
mod patience;
pub mod secure_file;
pub mod standing;
mod taking;
mod timer;

pub use authority::{Authority, Names};
pub use certificate::Certificates;
pub use lanes::Lanes;
pub use leftover::Leftover;
pub use listener::{Drain, Listener, Peer};
pub use misfit::Misfit;
pub use patience::Patience;
