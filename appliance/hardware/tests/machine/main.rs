//! Machines replayed from trees of small files, and the faults of their sensors.

#![expect(clippy::unwrap_used, reason = "a test ends where it cannot go on")]
#![expect(clippy::disallowed_methods, reason = "faults are made with the system's own tools")]
#![expect(clippy::print_stderr, reason = "what is passed over is told to the runner of the tests")]

mod faults;
mod hooks;
mod replay;
mod supply;
mod tree;
