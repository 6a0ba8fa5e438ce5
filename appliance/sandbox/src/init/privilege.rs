//! What init and the job's programs may do.
//!
//! Source: capabilities(7); the kept set is the one container engines agree on, less `MKNOD` and
//! `AUDIT_WRITE`, which mean nothing in a user namespace.

use rustix::{
    process::{Resource, getrlimit, setrlimit},
    thread::{CapabilitySet, CapabilitySets},
};
use std::{fs, io};

/// What a program of the job's root may do, within the job's own ids and network.
pub(super) fn kept() -> CapabilitySet {
    CapabilitySet::CHOWN
        | CapabilitySet::DAC_OVERRIDE
        | CapabilitySet::FOWNER
        | CapabilitySet::FSETID
        | CapabilitySet::KILL
        | CapabilitySet::SETGID
        | CapabilitySet::SETUID
        | CapabilitySet::SETPCAP
        | CapabilitySet::NET_BIND_SERVICE
        | CapabilitySet::NET_RAW
        | CapabilitySet::SYS_CHROOT
        | CapabilitySet::SETFCAP
}

/// No capability above this number exists; newer ones are refused by the kernel that lacks them.
const HIGHEST: u32 = 63;

/// Ends this process with its parent. Lost at each change of ids, so set again after.
pub(super) fn die_with_parent() -> io::Result<()> {
    Ok(rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))?)
}

/// Bounds what anything started by init can ever gain, and hides init from the job.
///
/// Init keeps its own capabilities: it starts programs under other ids.
pub(super) fn bound_init(allow_privilege_gain: bool) -> io::Result<()> {
    for number in 0..=HIGHEST {
        let one = CapabilitySet::from_bits_retain(1 << number);
        if kept().contains(one) {
            continue;
        }
        match rustix::thread::remove_capability_from_bounding_set(one) {
            Err(rustix::io::Errno::INVAL) => break,
            result => result?,
        }
    }
    rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable)?;
    if !allow_privilege_gain {
        rustix::thread::set_no_new_privs(true)?;
    }
    Ok(())
}

/// The most bytes of a core file at which the kernel makes none, and hands none to a program: to such
/// a program it hands the whole core whatever the limit is, but for this one. Source: core(5),
/// `fs/coredump.c` of Linux.
const NO_CORE: u64 = 1;

/// No core files of the job's programs, for whom this process starts: they fill disks. One may ask for
/// them, but where they would be handed to a program: that is the host's, has its rights, and would
/// keep the job's memory, secrets and all, there.
pub(super) fn cores_off() -> io::Result<()> {
    let pattern = fs::read("/proc/sys/kernel/core_pattern").unwrap_or_default();
    let mut limit = getrlimit(Resource::Core);
    // Where the service has no core files at all there is none to take away.
    limit.current = Some(limit.maximum.map_or(NO_CORE, |most| most.min(NO_CORE)));
    if pattern.first() == Some(&b'|') {
        limit.maximum = limit.current;
    }
    Ok(setrlimit(Resource::Core, limit)?)
}

/// Gives up all but the kept capabilities; for a program of the job's root. Other users' were
/// cleared by the kernel when the ids changed.
pub(super) fn bound_root() -> io::Result<()> {
    let sets = CapabilitySets {
        effective: kept(),
        permitted: kept(),
        inheritable: CapabilitySet::empty(),
    };
    Ok(rustix::thread::set_capabilities(None, sets)?)
}
