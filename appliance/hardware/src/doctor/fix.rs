//! What may be mended without asking twice.
//!
//! Invariants: a kernel setting is only raised, and a restart takes it back; a mode is only closed.

use crate::Root;
use serde::Serialize;
use std::{fs, io, os::unix::fs::PermissionsExt, path::PathBuf};

/// A safe change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fix {
    /// Writes a kernel setting until the next start of the machine.
    Sysctl {
        /// Its path below `/proc/sys`.
        name: &'static str,
        /// The new value.
        value: u64,
    },
    /// Takes a file's mode back to its owner.
    Mode {
        /// The file.
        path: PathBuf,
        /// The new mode.
        mode: u32,
    },
}

/// Makes the change.
///
/// # Errors
/// The system refuses, mostly for lack of rights.
pub fn apply(root: &Root, fix: &Fix) -> io::Result<()> {
    match fix {
        Fix::Sysctl { name, value } => {
            fs::write(root.join(format!("proc/sys/{name}")), format!("{value}\n"))
        }
        Fix::Mode { path, mode } => fs::set_permissions(path, fs::Permissions::from_mode(*mode)),
    }
}
