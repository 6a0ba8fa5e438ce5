//! The house as its users meet it: the real binary, real git, real TLS, real jobs.
//!
//! Why one binary: every test starts its own appliance on port 0 in a temporary directory, waits
//! until it is ready, and fails if anything is left behind: a process, a mount, a control group.
//! Tests that run jobs need root; they say so and pass over where it is missing.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop where it stands")]
#![expect(clippy::disallowed_methods, reason = "tests start the real binary and real clients")]

mod addresses;
mod browser;
mod command_line;
mod config;
mod contexts;
mod crash;
mod deletion;
mod doctor;
mod git;
mod governor;
mod harness;
mod hooks;
mod image;
mod job_push;
mod limiters;
mod local;
mod network;
mod objects;
mod official;
mod people;
mod pipeline;
mod registry;
mod rot;
mod services;
mod settings;
mod start;
mod systemd;
mod trust;
mod workspace;
