//! What init and the job's programs may do.
//!
//! Source: capabilities(7); the kept set is the one container engines agree on, less `MKNOD` and
//! `AUDIT_WRITE`, which mean nothing in a user namespace.

use rustix::thread::{CapabilitySet, CapabilitySets};
use std::io;

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
