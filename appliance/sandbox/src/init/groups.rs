//! Shows a job its own control groups, at the usual place and read only.
//!
//! Why: runtimes (Java, .NET, Node) size their heaps and their threads by the limits that they find
//! there. Without it they take what the machine has for theirs, and the kernel ends them at the limit.
//! Invariants: the job's group is the root of what is shown, by its namespace; nothing can be written.
//! On failure: a hierarchy that cannot be shown is left out, and the limits hold all the same.

use super::build::{QUIET, attach, filesystem};
use crate::{
    cgroup::{Base, Controller, Version},
    sys::{self, MountChange},
};
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, fsconfig_create, fsconfig_set_flag, fsmount, fsopen,
};
use serde::{Deserialize, Serialize};
use std::{
    fs, io,
    os::fd::{AsFd, OwnedFd},
};

/// Where programs look.
const PLACE: &str = "/sys/fs/cgroup";

/// Sets no limit of ours; but of version 1 Java believes all hierarchies or none, this one among them.
const PROCESSORS: &str = "cpuset";

/// What is shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Shown {
    /// The unified hierarchy.
    Unified,
    /// Hierarchies of version 1, each with the names of its controllers.
    Each(Vec<Vec<String>>),
}

impl Shown {
    /// What tells a job the limits that are set in `base`.
    pub(crate) fn of(base: &Base) -> Self {
        let limits = base.place(Controller::Memory).or_else(|| base.place(Controller::Cpu));
        if limits.is_some_and(|place| place.version == Version::V2) {
            return Self::Unified;
        }
        let places = base.places.iter().filter(|place| place.version == Version::V1);
        let names = places.map(|place| place.controllers.iter().filter_map(name).collect());
        let mut each: Vec<Vec<String>> =
            names.filter(|names: &Vec<String>| !names.is_empty()).collect();
        if !each.is_empty() {
            each.push(vec![PROCESSORS.to_owned()]);
        }
        Self::Each(each)
    }
}

/// As the kernel calls it; the freezer tells no limit.
fn name(controller: &Controller) -> Option<String> {
    let name = match controller {
        Controller::Memory => "memory",
        Controller::Cpu => "cpu",
        Controller::Cpuacct => "cpuacct",
        Controller::Pids => "pids",
        Controller::Freezer => return None,
    };
    Some(name.to_owned())
}

/// Puts it in place.
pub(super) fn show(shown: &Shown) {
    let _limits_hold_unseen = match shown {
        Shown::Unified => hierarchy("cgroup2", &[]).and_then(|tree| attach(&tree, PLACE)),
        Shown::Each(hierarchies) => show_each(hierarchies),
    };
}

/// A folder for each hierarchy, named after its controllers.
fn show_each(hierarchies: &[Vec<String>]) -> io::Result<()> {
    if hierarchies.is_empty() {
        return Ok(());
    }
    let top = filesystem("tmpfs", &[("mode", "755"), ("size", "64k")], QUIET)?;
    attach(&top, PLACE)?;
    for names in hierarchies {
        let folder = format!("{PLACE}/{}", names.join(","));
        let _others_are_shown = hierarchy("cgroup", names)
            .and_then(|tree| fs::create_dir(&folder).and_then(|()| attach(&tree, &folder)));
    }
    let change =
        MountChange { set: u64::from(MountAttrFlags::MOUNT_ATTR_RDONLY.bits()), id_map: None };
    sys::mount_setattr(top.as_fd(), change)
}

fn hierarchy(kind: &str, controllers: &[String]) -> io::Result<OwnedFd> {
    let context = fsopen(kind, FsOpenFlags::FSOPEN_CLOEXEC)?;
    for name in controllers {
        fsconfig_set_flag(&context, name.as_str())?;
    }
    fsconfig_create(&context)?;
    let attributes = QUIET | MountAttrFlags::MOUNT_ATTR_RDONLY;
    Ok(fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, attributes)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cgroup::Place;

    fn check(places: &[(Version, &[Controller])], expected: &Shown) {
        let places = places.iter().map(|(version, controllers)| Place {
            dir: "/c".into(),
            version: *version,
            controllers: controllers.to_vec(),
        });
        assert_eq!(&Shown::of(&Base { places: places.collect() }), expected);
    }

    #[test]
    fn what_tells_the_limits_is_shown() {
        use Controller::{Cpu, Cpuacct, Freezer, Memory};
        let each = |hierarchies: &[&[&str]]| {
            let owned = |names: &&[&str]| names.iter().map(|name| (*name).to_owned()).collect();
            Shown::Each(hierarchies.iter().map(owned).collect())
        };
        check(&[(Version::V2, &[Memory, Cpu, Freezer])], &Shown::Unified);
        let split: [(Version, &[Controller]); 3] =
            [(Version::V1, &[Memory]), (Version::V1, &[Cpu, Cpuacct]), (Version::V2, &[Freezer])];
        check(&split, &each(&[&["memory"], &["cpu", "cpuacct"], &[PROCESSORS]]));
        check(&[(Version::V1, &[Freezer])], &each(&[]));
        check(&[], &each(&[]));
    }
}
