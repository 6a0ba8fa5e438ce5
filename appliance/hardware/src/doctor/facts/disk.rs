//! The disks below the file systems that matter, and what each says of itself.

use crate::{
    Root,
    smart::{self, Health},
    wear,
};
use base::reading::Disk;
use std::path::{Path, PathBuf};

/// What is known of the disk below a file system.
#[derive(Debug, Clone, PartialEq)]
pub struct DiskFacts {
    /// Where the file system is mounted.
    pub mount: String,
    /// The disk, such as `/dev/nvme0n1`; `None` below a file system without one.
    pub device: Option<PathBuf>,
    /// State of its NVMe controller, as the kernel sees it.
    pub controller: Option<String>,
    /// What it says of itself, or why it says nothing.
    pub health: Result<Health, Untold>,
}

/// Why a disk tells nothing of its health.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Untold {
    /// Nothing here could ask it.
    NotAsked,
    /// It was asked; the answer in smartctl's words.
    NoAnswer(String),
}

impl DiskFacts {
    /// What files tell of a disk is in the readings; others are asked here and now.
    pub(super) fn of(disk: &Disk, root: &Root, smartctl: Option<&Path>) -> Self {
        let device = wear::disk_below(root, &disk.mount);
        let told = disk.wear.as_ref().map(|wear| Health {
            used: wear.used.value.map(|share| share.0),
            warnings: wear.warnings.clone(),
            ..Health::default()
        });
        let ask = || {
            let (program, device) = smartctl.zip(device.as_deref()).ok_or(Untold::NotAsked)?;
            smart::ask(program, device).map_err(Untold::NoAnswer)
        };
        let health = told.map_or_else(ask, Ok);
        Self { mount: disk.mount.clone(), controller: disk.controller.clone(), device, health }
    }
}
