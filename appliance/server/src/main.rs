//! The binary: command line, configuration, wiring, drain.
fn main() {}
