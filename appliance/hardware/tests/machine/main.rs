//! Machines replayed from trees of small files, and the faults of their sensors.

#![expect(clippy::unwrap_used, reason = "a test ends where it cannot go on")]

mod replay;
mod tree;
