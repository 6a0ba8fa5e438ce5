//! Developer commands; nothing depends on it.
//!
//! `cargo xtask tidy` holds the rules of the house that no compiler knows: which room may depend
//! on which, that every module says why it is there, how long a file may be, and that nothing in
//! the tree speaks of one machine.

#![expect(clippy::print_stdout, reason = "a developer command prints what it finds")]

mod tidy;

use std::{path::PathBuf, process::ExitCode};

fn main() -> anyhow::Result<ExitCode> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize()?;
    match std::env::args().nth(1).as_deref() {
        Some("tidy") => tidy(&root),
        _ => {
            println!("usage: cargo xtask tidy");
            Ok(ExitCode::from(2))
        }
    }
}

fn tidy(root: &std::path::Path) -> anyhow::Result<ExitCode> {
    let findings = tidy::check(root)?;
    for finding in &findings {
        println!("{finding}");
    }
    if findings.is_empty() {
        println!("tidy: the house is in order");
        return Ok(ExitCode::SUCCESS);
    }
    println!("tidy: {} findings", findings.len());
    Ok(ExitCode::FAILURE)
}
