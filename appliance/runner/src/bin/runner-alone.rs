//! The multi-call shell of the runner alone, as the whole binary has it: agent by name, then
//! `supervise FOLDER`.

use std::{ffi::OsString, path::Path, process::ExitCode};

fn main() -> ExitCode {
    let args: Vec<OsString> = std::env::args_os().collect();
    if args.first().is_some_and(|name| runner::agent::is_called(name)) {
        return runner::agent::main(args);
    }
    match args.get(1).and_then(|word| word.to_str()) {
        Some("supervise") if args.len() == 3 => runner::supervisor::main(Path::new(&args[2])),
        _ => ExitCode::from(64),
    }
}
