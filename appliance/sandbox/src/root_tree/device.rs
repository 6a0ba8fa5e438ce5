//! The folder that becomes a job's `/dev`.
//!
//! Why made here: only the host's root may make device nodes; bound one by one from the host's
//! `/dev` they would cost a mount each.
//! Invariants: the nodes are those that harm nobody, the same that the host has; they, the folder and
//! what else is in it belong to the job's root, and a change of them reaches no other job.
//! Source: devices of the kernel (`Documentation/admin-guide/devices.txt`), major 1 and 5.

use crate::host_root::folder as folder_of;
use rustix::fs::{AtFlags, CWD, FileType, Gid, Mode, Uid, makedev};
use std::{io, os::unix::fs::symlink, path::Path};

/// Name, major and minor number.
const NODES: [(&str, u32, u32); 6] = [
    ("null", 1, 3),
    ("zero", 1, 5),
    ("full", 1, 7),
    ("random", 1, 8),
    ("urandom", 1, 9),
    ("tty", 5, 0),
];

/// Where other file systems are put.
const MOUNT_POINTS: [&str; 2] = ["pts", "shm"];

/// Target and name.
const LINKS: [(&str, &str); 5] = [
    ("/proc/self/fd", "fd"),
    ("/proc/self/fd/0", "stdin"),
    ("/proc/self/fd/1", "stdout"),
    ("/proc/self/fd/2", "stderr"),
    ("pts/ptmx", "ptmx"),
];

/// Anybody may read and write.
const MODE: u32 = 0o666;

/// Makes the folder at `place`, for the job's root, whose id on the host is `owner`.
pub(super) fn folder(place: &Path, owner: u32) -> io::Result<()> {
    folder_of(place, 0o755, owner)?;
    for name in MOUNT_POINTS {
        folder_of(&place.join(name), 0o755, owner)?;
    }
    let own = |path: &Path| {
        let (uid, gid) = (Uid::from_raw(owner), Gid::from_raw(owner));
        rustix::fs::chownat(CWD, path, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)
    };
    for (name, major, minor) in NODES {
        let (node, mode) = (place.join(name), Mode::from_raw_mode(MODE));
        rustix::fs::mknodat(CWD, &node, FileType::CharacterDevice, mode, makedev(major, minor))?;
        // The caller's mask has taken bits away.
        rustix::fs::chmodat(CWD, &node, mode, AtFlags::empty())?;
        own(&node)?;
    }
    for (target, name) in LINKS {
        symlink(target, place.join(name))?;
        own(&place.join(name))?;
    }
    Ok(())
}
