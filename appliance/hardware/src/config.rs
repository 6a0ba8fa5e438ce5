//! What the room is told.

use crate::Root;
use std::{path::PathBuf, time::Duration};

/// How the machine is read.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where `/sys` and `/proc` are read; `/` is this machine.
    pub root: Root,
    /// Between two snapshots.
    pub every: Duration,
    /// Folders whose file systems are watched: the data directory, `/`.
    pub folders: Vec<PathBuf>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            root: Root::default(),
            every: Duration::from_secs(1),
            folders: vec![PathBuf::from("/")],
        }
    }
}
