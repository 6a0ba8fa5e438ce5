//! Finds, for each controller, where this process may make groups.
//!
//! Source: cgroups(7), `/proc/self/mountinfo` and `/proc/self/cgroup` (proc(5)).

use crate::Error;
use serde::{Deserialize, Serialize};
use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// What a place can do for a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Controller {
    /// Limits and counts memory.
    Memory,
    /// Limits CPU time.
    Cpu,
    /// Counts CPU time (a controller of its own on version 1 alone).
    Cpuacct,
    /// Limits processes.
    Pids,
    /// Pauses.
    Freezer,
}

/// The interface that a place speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Version {
    /// One hierarchy for each controller.
    V1,
    /// The unified hierarchy.
    V2,
}

/// A directory in which groups of jobs are made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// Holds one directory for each job.
    pub dir: PathBuf,
    /// How its files are called.
    pub version: Version,
    /// What it does for us; empty for a version 2 hierarchy that only kills.
    pub controllers: Vec<Controller>,
}

/// Where control groups of jobs are made, for each controller.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Base {
    /// At most one place for a controller.
    pub places: Vec<Place>,
}

/// Own group that keeps this process when the unified hierarchy wants its parent empty.
const CONTROL_LEAF: &str = "control";

/// A group without a wish of its own has this weight, on version 2.
const WEIGHT_NORMAL: u32 = 100;
/// The same on version 1, where it is called shares.
const SHARES_NORMAL: u32 = 1024;

/// Moves this process into a group `name` of its own, below the one it was born in, where it and
/// all that it will start get `weight` hundredths of the CPU time that others get when there is
/// not enough for all. To be called before [`Base::prepare`]; safe to call again.
///
/// # Errors
/// When the kernel's tables cannot be read, or no group could be made: then nothing has changed
/// but groups that stay empty.
pub fn separate(name: &str, weight: u32) -> Result<(), Error> {
    let read = |path: &str| fs::read_to_string(path).map_err(Error::path("read", path));
    let found = discover(&read("/proc/self/mountinfo")?, &read("/proc/self/cgroup")?);
    found.into_iter().try_for_each(|place| place_separate(&place, name, weight))
}

fn place_separate(found: &Found, name: &str, weight: u32) -> Result<(), Error> {
    let own = delegating_dir(&found.own);
    if own.file_name().is_some_and(|own| own == name) {
        return Ok(());
    }
    let dir = own.join(name);
    match fs::create_dir(&dir) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            return Err(Error::path("make the control group", dir)(error));
        }
        _ => {}
    }
    if found.version == Version::V2 {
        let available = fs::read_to_string(own.join("cgroup.controllers")).unwrap_or_default();
        let wanted = ["memory", "cpu", "pids"];
        available
            .split_whitespace()
            .filter(|one| wanted.contains(one))
            .for_each(|one| hand_down(&own, one));
    }
    let share = match found.version {
        Version::V2 => ("cpu.weight", weight.to_string()),
        Version::V1 => ("cpu.shares", (SHARES_NORMAL * weight / WEIGHT_NORMAL).to_string()),
    };
    // Absent where the hierarchy is not that of the CPU, or was not handed down to us.
    if dir.join(share.0).exists() {
        fs::write(dir.join(share.0), share.1).map_err(Error::path("write", dir.join(share.0)))?;
    }
    let members = dir.join("cgroup.procs");
    fs::write(&members, std::process::id().to_string()).map_err(Error::path("join", members))
}

impl Base {
    /// Makes the directories for jobs below this process's own groups, named `name`, and hands
    /// controllers down to them. Called once at start by the runner; safe to call again.
    ///
    /// # Errors
    /// When the kernel's tables cannot be read. A controller that cannot be used is left out and
    /// shows in [`Base::missing`].
    pub fn prepare(name: &str) -> Result<Self, Error> {
        let read = |path: &str| fs::read_to_string(path).map_err(Error::path("read", path));
        let found = discover(&read("/proc/self/mountinfo")?, &read("/proc/self/cgroup")?);
        Ok(Self {
            places: found.into_iter().filter_map(|place| place_prepare(place, name)).collect(),
        })
    }

    /// The place that serves `controller`.
    #[must_use]
    pub fn place(&self, controller: Controller) -> Option<&Place> {
        self.places.iter().find(|place| place.controllers.contains(&controller))
    }

    /// Controllers that no place serves: their limits cannot be enforced.
    #[must_use]
    pub fn missing(&self) -> Vec<Controller> {
        use Controller::{Cpu, Freezer, Memory, Pids};
        [Memory, Cpu, Pids, Freezer].into_iter().filter(|one| self.place(*one).is_none()).collect()
    }
}

fn place_prepare(found: Found, name: &str) -> Option<Place> {
    let own = delegating_dir(&found.own);
    let dir = own.join(name);
    let made = match fs::create_dir(&dir) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return None,
        _ => found,
    };
    let controllers = match made.version {
        Version::V1 => made.controllers,
        Version::V2 => unified_controllers(&own, &dir),
    };
    Some(Place { dir, version: made.version, controllers })
}

/// A process that was moved into its control leaf finds the delegating group above it.
fn delegating_dir(own: &Path) -> PathBuf {
    match own.file_name() {
        Some(name) if name == CONTROL_LEAF => own.parent().unwrap_or(own).to_owned(),
        _ => own.to_owned(),
    }
}

/// Hands memory, cpu and pids down to `dir`, moving the processes of `own` into a leaf where the
/// kernel wants that, and tells what arrived.
fn unified_controllers(own: &Path, dir: &Path) -> Vec<Controller> {
    let wanted =
        [("memory", Controller::Memory), ("cpu", Controller::Cpu), ("pids", Controller::Pids)];
    let listed = |file: PathBuf| fs::read_to_string(file).unwrap_or_default();
    let available = listed(own.join("cgroup.controllers"));
    let has = |list: &str, name: &str| list.split_whitespace().any(|one| one == name);
    for (name, _) in wanted.iter().filter(|(name, _)| has(&available, name)) {
        for parent in [own, dir] {
            hand_down(parent, name);
        }
    }
    let arrived = listed(dir.join("cgroup.subtree_control"));
    let limits = wanted.into_iter().filter(|(name, _)| has(&arrived, name)).map(|(_, one)| one);
    // Freezing and the count of CPU time need no controller.
    limits.chain([Controller::Freezer, Controller::Cpuacct]).collect()
}

/// Enables a controller for the children of `dir`. A refusal shows in `cgroup.subtree_control`.
fn hand_down(dir: &Path, name: &str) {
    let enable = || fs::write(dir.join("cgroup.subtree_control"), format!("+{name}"));
    if enable().is_err_and(|error| error.kind() == io::ErrorKind::ResourceBusy) {
        move_to_leaf(dir);
        let _shown_by_subtree_control = enable();
    }
}

fn move_to_leaf(dir: &Path) {
    let leaf = dir.join(CONTROL_LEAF);
    let _may_exist = fs::create_dir(&leaf);
    for pid in fs::read_to_string(dir.join("cgroup.procs")).unwrap_or_default().lines() {
        let _may_have_ended = fs::write(leaf.join("cgroup.procs"), pid);
    }
}

/// A hierarchy that was found mounted.
#[derive(Debug, PartialEq, Eq)]
struct Found {
    own: PathBuf,
    version: Version,
    controllers: Vec<Controller>,
}

/// Reads both tables: where hierarchies are mounted, and which group of each is our own.
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

    /// What a place looks like after a process left it for a group of its own.
    fn separated(version: Version, file: &str) -> (String, String) {
        let root = tempfile::tempdir().expect("a folder");
        let own = root.path().join("appliance.service");
        let dir = own.join("appliance-runner");
        fs::create_dir_all(&dir).expect("a folder");
        // The kernel makes these files with the group.
        fs::write(own.join("cgroup.controllers"), "cpuset cpu io memory pids\n").expect("written");
        fs::write(dir.join(file), "normal").expect("written");
        let found = Found { own: own.join("control"), version, controllers: Vec::new() };
        place_separate(&found, "appliance-runner", 25).expect("separated");
        place_separate(&Found { own: dir.clone(), ..found }, "appliance-runner", 25)
            .expect("again");
        assert!(!dir.join("appliance-runner").exists(), "once is enough");
        let pid = fs::read_to_string(dir.join("cgroup.procs")).expect("members");
        assert_eq!(pid, std::process::id().to_string());
        let handed = fs::read_to_string(own.join("cgroup.subtree_control")).unwrap_or_default();
        (fs::read_to_string(dir.join(file)).expect("a weight"), handed)
    }

    #[test]
    fn a_group_of_its_own_has_less_weight_on_either_version() {
        // A real file adds up what is written to it; a plain one keeps the last.
        assert_eq!(separated(Version::V2, "cpu.weight"), ("25".into(), "+pids".into()));
        assert_eq!(separated(Version::V1, "cpu.shares"), ("256".into(), String::new()));
    }

    #[test]
    fn no_groups_at_all_is_an_empty_base() {
        check("22 1 0:20 / / rw - ext4 /dev/vda rw\n", "", &[]);
    }

    #[test]
    fn a_moved_process_finds_its_delegating_group_again() {
        assert_eq!(delegating_dir(Path::new("/c/a.service/control")), Path::new("/c/a.service"));
        assert_eq!(delegating_dir(Path::new("/c/a.service")), Path::new("/c/a.service"));
    }
}
