//! The file system of the data directory: room and speed.

use super::{Facts, Finding, Severity, bad, unknown, well};
use base::units::Bytes;
use std::time::Duration;

pub(super) fn space(facts: &Facts) -> Finding {
    let Some((total, free)) = facts.space else {
        return unknown("disk-space", "free space of the data directory");
    };
    if facts.is_read_only {
        return bad(
            Severity::Critical,
            "disk-space",
            "the data directory's file system is read-only".into(),
            "nothing can be kept",
            "see the kernel's log for the disk's errors; then `mount -o remount,rw`",
        );
    }
    let what = format!("{free} of {total} are free");
    let severity = match free {
        free if free < Bytes::mib(512) || free.0 < total.0 / 50 => Severity::Critical,
        free if free < Bytes::gib(2) || free.0 < total.0 / 10 => Severity::Warning,
        _ => return well("disk-space", what),
    };
    bad(
        severity,
        "disk-space",
        what,
        "a full disk ends every build",
        "lower `keep_days`, remove images, or give the data directory a larger disk",
    )
}

pub(super) fn inodes(facts: &Facts) -> Finding {
    match facts.inodes {
        Some((total, free)) if free < total / 20 => bad(
            Severity::Warning,
            "inodes",
            format!("{free} of {total} inodes are free"),
            "no file can be made when they are gone, whatever space is left",
            "remove small files, or make the file system anew with more inodes",
        ),
        Some(_) => well("inodes", "inodes are plenty".into()),
        None => well("inodes", "the file system has no fixed number of inodes".into()),
    }
}

pub(super) fn fsync(facts: &Facts) -> Finding {
    let Some(time) = facts.fsync else {
        return bad(
            Severity::Warning,
            "fsync",
            "a durable write could not be measured in the data directory".into(),
            "its speed is the speed of every commit",
            "run the doctor as the appliance's user, after its first start",
        );
    };
    let what = format!("a durable write takes {:.1} ms", time.as_secs_f64() * 1e3);
    let severity = match time {
        time if time > Duration::from_millis(200) => Severity::Critical,
        time if time > Duration::from_millis(30) => Severity::Warning,
        _ => return well("fsync", what),
    };
    bad(
        severity,
        "fsync",
        what,
        "each request waits for at least one",
        "move the data directory to a disk with a power-safe cache, or off a worn SD card",
    )
}
