//! Finds, for each controller, where this process may make groups.
//!
//! Source: cgroups(7).

use super::{
    found::{self, Found},
    make, unified,
};
use crate::Error;
use serde::{Deserialize, Serialize};
use std::{
    fs,
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

/// A group without a wish of its own has this weight, on version 2.
const WEIGHT_NORMAL: u32 = 100;
/// The same on version 1, where it is called shares.
const SHARES_NORMAL: u32 = 1024;

/// Moves this process into a group `name` of its own, below `within` or else below the group that it
/// was born in, where it and all that it will start get `weight` hundredths of the CPU time that
/// others get when there is not enough for all. To be called before [`Base::prepare`]; safe to call
/// again. `within` is of the unified hierarchy: the place of a scope.
///
/// # Errors
/// When the kernel's tables cannot be read, or no group could be made: then nothing has changed
/// but groups that stay empty.
pub fn separate(within: Option<&Path>, name: &str, weight: u32) -> Result<(), Error> {
    found::here()?.into_iter().try_for_each(|mut place| {
        if let Some(scope) = within.filter(|_| place.version == Version::V2) {
            place.own = scope.to_owned();
        }
        place_separate(&place, name, weight)
    })
}

fn place_separate(found: &Found, name: &str, weight: u32) -> Result<(), Error> {
    let own = unified::delegating_dir(&found.own);
    if own.file_name().is_some_and(|own| own == name) {
        return Ok(());
    }
    let dir = own.join(name);
    let (home, share) = match found.version {
        Version::V2 => (unified::leaf(&dir), ("cpu.weight", weight.to_string())),
        Version::V1 => {
            (dir.clone(), ("cpu.shares", (SHARES_NORMAL * weight / WEIGHT_NORMAL).to_string()))
        }
    };
    for group in [&dir, &home] {
        make(group).map_err(Error::path("make the control group", group))?;
    }
    let members = home.join("cgroup.procs");
    fs::write(&members, std::process::id().to_string()).map_err(Error::path("join", members))?;
    if found.version == Version::V2 {
        unified::hand_down(own);
    }
    // Absent where the hierarchy is not that of the CPU, or was not handed down to us.
    if dir.join(share.0).exists() {
        fs::write(dir.join(share.0), share.1).map_err(Error::path("write", dir.join(share.0)))?;
    }
    Ok(())
}

impl Base {
    /// Makes the directories for jobs below this process's own groups, named `name`, and hands
    /// controllers down to them. Called once at start by the runner; safe to call again.
    ///
    /// # Errors
    /// When the kernel's tables cannot be read. A controller that cannot be used is left out and
    /// shows in [`Base::missing`].
    pub fn prepare(name: &str) -> Result<Self, Error> {
        Ok(Self {
            places: found::here()?
                .into_iter()
                .filter_map(|place| place_prepare(place, name))
                .collect(),
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
    let own = unified::delegating_dir(&found.own);
    let dir = own.join(name);
    make(&dir).ok()?;
    let controllers = match found.version {
        Version::V1 => found.controllers,
        Version::V2 => {
            unified::hand_down(own);
            unified::hand_down(&dir)
        }
    };
    Some(Place { dir, version: found.version, controllers })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a place looks like after a process left it for a group of its own.
    fn separated(version: Version, home: &str, file: &str) -> (String, String) {
        let root = tempfile::tempdir().expect("a folder");
        let own = root.path().join("appliance.service");
        let dir = own.join("appliance-runner");
        fs::create_dir_all(&dir).expect("a folder");
        // The kernel makes these files with the group.
        fs::write(own.join("cgroup.controllers"), "cpuset cpu io memory pids\n").expect("written");
        fs::write(dir.join(file), "normal").expect("written");
        let found = Found { own: own.join("control"), version, controllers: Vec::new() };
        place_separate(&found, "appliance-runner", 25).expect("separated");
        let home = dir.join(home);
        place_separate(&Found { own: home.clone(), ..found }, "appliance-runner", 25)
            .expect("again");
        assert!(!dir.join("appliance-runner").exists(), "once is enough");
        let pid = fs::read_to_string(home.join("cgroup.procs")).expect("members");
        assert_eq!(pid, std::process::id().to_string());
        let handed = fs::read_to_string(own.join("cgroup.subtree_control")).unwrap_or_default();
        (fs::read_to_string(dir.join(file)).expect("a weight"), handed)
    }

    #[test]
    fn a_group_of_its_own_has_less_weight_on_either_version() {
        // A real file adds up what is written to it; a plain one keeps the last.
        assert_eq!(separated(Version::V2, "control", "cpu.weight"), ("25".into(), "+pids".into()));
        assert_eq!(separated(Version::V1, "", "cpu.shares"), ("256".into(), String::new()));
    }
}
