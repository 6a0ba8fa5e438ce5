//! Which hierarchies are mounted, and which group of each is our own.
//!
//! Source: cgroups(7), `/proc/self/mountinfo` and `/proc/self/cgroup` (proc(5)).

use super::{Controller, Version};
use crate::Error;
use std::{
    fs,
    path::{Path, PathBuf},
};

/// A hierarchy that was found mounted.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) own: PathBuf,
    pub(super) version: Version,
    pub(super) controllers: Vec<Controller>,
}

/// Reads the kernel's tables.
pub(super) fn here() -> Result<Vec<Found>, Error> {
    let read = |path: &str| fs::read_to_string(path).map_err(Error::path("read", path));
    Ok(discover(&read("/proc/self/mountinfo")?, &read("/proc/self/cgroup")?))
}

/// The root of the unified hierarchy, where it is mounted.
pub(super) fn unified_root(mountinfo: &str) -> Option<PathBuf> {
    let mut mounts = mountinfo.lines().filter_map(Mount::parse);
    let unified = mounts.find(|mount| mount.kind == "cgroup2" && mount.root == "/")?;
    Some(unified.point.into())
}

/// Tells from both tables where hierarchies are mounted, and which group of each is our own.
fn discover(mountinfo: &str, own_groups: &str) -> Vec<Found> {
    let mut found: Vec<Found> = Vec::new();
    for mount in mountinfo.lines().filter_map(Mount::parse) {
        let controllers: Vec<_> = mount
            .v1_controllers()
            .filter(|one| !found.iter().any(|known| known.controllers.contains(one)))
            .collect();
        let repeated = found.iter().any(|known| known.version == Version::V2);
        let version = if mount.kind == "cgroup2" { Version::V2 } else { Version::V1 };
        if (version == Version::V1 && controllers.is_empty())
            || (version == Version::V2 && repeated)
        {
            continue;
        }
        if let Some(own) = own_path(own_groups, &mount, version) {
            found.push(Found { own, version, controllers });
        }
    }
    // The unified hierarchy freezes without a join, so version 1's freezer is not needed beside it.
    if found.iter().any(|one| one.version == Version::V2) {
        found.retain(|one| one.version == Version::V2 || one.controllers != [Controller::Freezer]);
    }
    found
}

struct Mount<'a> {
    root: &'a str,
    point: &'a str,
    kind: &'a str,
    options: &'a str,
}

impl<'a> Mount<'a> {
    /// One line of mountinfo: `id parent dev root point options… - kind source super-options`.
    fn parse(line: &'a str) -> Option<Self> {
        let (left, right) = line.split_once(" - ")?;
        let mut left = left.split(' ').skip(3);
        let (root, point) = (left.next()?, left.next()?);
        let mut right = right.split(' ');
        let kind = right.next().filter(|kind| ["cgroup", "cgroup2"].contains(kind))?;
        Some(Self { root, point, kind, options: right.nth(1)? })
    }

    fn v1_controllers(&self) -> impl Iterator<Item = Controller> + use<'_> {
        let names = if self.kind == "cgroup" { self.options } else { "" };
        names.split(',').filter_map(|name| match name {
            "memory" => Some(Controller::Memory),
            "cpu" => Some(Controller::Cpu),
            "cpuacct" => Some(Controller::Cpuacct),
            "pids" => Some(Controller::Pids),
            "freezer" => Some(Controller::Freezer),
            _ => None,
        })
    }
}

/// The directory of our own group: a line of `/proc/self/cgroup` is `id:names:path`, with no
/// names for the unified hierarchy.
fn own_path(own_groups: &str, mount: &Mount<'_>, version: Version) -> Option<PathBuf> {
    let line = own_groups.lines().find_map(|line| {
        let (_, rest) = line.split_once(':')?;
        let (names, path) = rest.split_once(':')?;
        let same = match version {
            Version::V2 => names.is_empty(),
            Version::V1 => {
                names.split(',').any(|name| mount.options.split(',').any(|one| one == name))
            }
        };
        same.then_some(path)
    })?;
    // In a container the mount shows a part of the hierarchy only, and the path may be outside.
    let below = Path::new(line).strip_prefix(mount.root).unwrap_or(Path::new(""));
    Some(Path::new(mount.point).join(below))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HYBRID: &str = "\
30 23 0:26 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
31 30 0:27 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct
32 30 0:28 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory
33 30 0:29 / /sys/fs/cgroup/freezer rw - cgroup cgroup rw,freezer
34 30 0:30 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,name=systemd
35 30 0:31 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw,nsdelegate
";

    fn check(mountinfo: &str, own: &str, expected: &[(&str, Version, &[Controller])]) {
        let found = discover(mountinfo, own);
        let shown: Vec<_> = found
            .iter()
            .map(|one| {
                (
                    one.own.to_str().expect("fixtures are text"),
                    one.version,
                    one.controllers.as_slice(),
                )
            })
            .collect();
        assert_eq!(shown, expected);
    }

    #[test]
    fn a_host_that_splits_its_controllers_has_a_place_for_each() {
        use Controller::{Cpu, Cpuacct, Memory};
        check(
            HYBRID,
            "3:memory:/outer\n2:cpu,cpuacct:/\n4:freezer:/\n1:name=systemd:/x\n0::/x\n",
            &[
                ("/sys/fs/cgroup/cpu,cpuacct/", Version::V1, &[Cpu, Cpuacct]),
                ("/sys/fs/cgroup/memory/outer", Version::V1, &[Memory]),
                ("/sys/fs/cgroup/unified/x", Version::V2, &[]),
            ],
        );
    }

    #[test]
    fn a_unified_host_has_one_place() {
        check(
            "35 30 0:31 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n",
            "0::/system.slice/appliance.service\n",
            &[("/sys/fs/cgroup/system.slice/appliance.service", Version::V2, &[])],
        );
    }

    #[test]
    fn a_container_sees_its_part_only() {
        check(
            "35 30 0:31 /docker/abc /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n",
            "0::/docker/abc/inner\n",
            &[("/sys/fs/cgroup/inner", Version::V2, &[])],
        );
    }

    #[test]
    fn a_version_1_host_keeps_its_freezer() {
        let v1 = HYBRID.replace(
            "35 30 0:31 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw,nsdelegate\n",
            "",
        );
        let found = discover(&v1, "4:freezer:/\n");
        assert_eq!(found[0].controllers, [Controller::Freezer]);
    }

    #[test]
    fn the_root_of_the_unified_hierarchy_is_told_where_it_is_whole() {
        let check = |mountinfo: &str, root: Option<&str>| {
            assert_eq!(unified_root(mountinfo), root.map(PathBuf::from), "{mountinfo}");
        };
        check(HYBRID, Some("/sys/fs/cgroup/unified"));
        check("35 30 0:31 /docker/abc /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n", None);
        check("22 1 0:20 / / rw - ext4 /dev/vda rw\n", None);
    }

    #[test]
    fn no_groups_at_all_is_an_empty_base() {
        check("22 1 0:20 / / rw - ext4 /dev/vda rw\n", "", &[]);
    }
}
