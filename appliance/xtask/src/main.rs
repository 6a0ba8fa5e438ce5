//! Developer commands; nothing depends on it.
fn main() {}
