//! The room against the real Git client, over loopback HTTP.
//!
//! Each test has its own server, directory and repository, and removes all of them.

#![expect(clippy::unwrap_used, reason = "a test ends at its first surprise")]

mod git {
    mod bombs;
    mod bounds;
    mod checkout;
    pub(crate) mod client;
    mod crash;
    mod fetch;
    mod limits;
    mod prune;
    mod push;
    pub(crate) mod server;
    mod shallow;
    mod upkeep;
}
