//! The faces over HTTP: REST API, Git, runner API, dashboard.
//!
//! Why one room: all faces share who is who, how a request fails, and what a job's address is.
//! Invariants: every route says in its type who may call it ([`access::Routes`]); a page or an
//! answer reads from the store, never from the engine's memory; nothing inside is told to the
//! outside but by [`error::Failure`].
//! On failure: one request fails, with its id in the log; a panic ends one request.

pub mod access;
mod accounts;
pub mod ansi;
mod api;
mod badge;
mod deeds;
pub mod error;
mod events;
mod found;
pub mod git;
mod guarded;
mod overall;
pub mod pages;
mod registry;
pub mod removal;
mod restrictions;
mod runner_api;
pub mod schedule;
mod shell;
mod state;
mod streams;
pub mod trigger;
pub mod webhooks;

pub use access::Peer;
pub use git::tell_open_pushes;
pub use runner_api::job_key_stands;
pub use state::{CertificateEnd, Config, Rooms, State};

/// All faces as one service. The listener adds [`Peer`] to each request's extensions.
pub fn router(state: State) -> axum::Router {
    shell::dress(routes(), state)
}

/// All routes with their permits, for the test that tries each with every kind of caller.
#[must_use]
pub fn table() -> Vec<access::Entry> {
    routes().table()
}

fn routes() -> access::Routes {
    pages::routes()
        .merge(badge::routes())
        .merge(events::routes())
        .merge(api::routes())
        .merge(runner_api::routes())
        .merge(git::routes())
        .merge(registry::routes())
}
