//! What the room is told.

use crate::{AskClock, Bounds, Root, nut};
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
    /// A UPS behind NUT.
    pub nut: Option<nut::Address>,
    /// When the network is in trouble.
    pub network: Bounds,
    /// The program that asks disks for their health; `None` asks none.
    pub smartctl: Option<PathBuf>,
    /// Asks the kernel of this machine about its clock; `None` for a captured tree.
    pub clock: Option<AskClock>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            root: Root::default(),
            every: Duration::from_secs(1),
            folders: vec![PathBuf::from("/")],
            nut: None,
            network: Bounds::default(),
            smartctl: None,
            clock: None,
        }
    }
}
