//! What this host can give to sandboxes, and what to do where it cannot.
//!
//! Why: a missing kernel part shows as "invalid argument" deep in a mount; an operator needs the
//! part's name and the remedy before the first job.
//! Invariants: looks only, changes nothing. What is told per controller is told of each, because
//! hosts split controllers between both versions of control groups.

use crate::cgroup::{Base, Controller, Version};
use std::fs;

/// How much a part matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    /// There.
    Good,
    /// Missing: jobs run with less protection, or without a feature.
    Weak,
    /// Missing: no job can run.
    Missing,
}

/// One part of the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// What it is.
    pub name: &'static str,
    /// Whether it is there.
    pub state: State,
    /// What was found, and what to do about it.
    pub message: String,
}

/// What was read from the host; apart from the judging, so that any host can be judged in a test.
#[derive(Debug, Clone, Default)]
struct Facts {
    kernel: (u32, u32),
    user_namespaces: u64,
    packet_filter: bool,
    base: Base,
}

/// Mounts with mapped ids came in 5.12 and were taken by overlays in 5.19.
const KERNEL_MIN: (u32, u32) = (5, 19);

/// Looks at this host. `base` is where control groups of jobs are made.
#[must_use]
pub fn probe(base: &Base) -> Vec<Part> {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let uname = rustix::system::uname();
    judge(&Facts {
        kernel: kernel_version(&uname.release().to_string_lossy()),
        user_namespaces: read("/proc/sys/user/max_user_namespaces").trim().parse().unwrap_or(0),
        packet_filter: crate::network::packet_filter_answers(),
        base: base.clone(),
    })
}

fn judge(facts: &Facts) -> Vec<Part> {
    let part = |name, good: bool, otherwise: State, found: String, remedy: &str| {
        let state = if good { State::Good } else { otherwise };
        Part { name, state, message: if good { found } else { remedy.to_owned() } }
    };
    let (major, minor) = facts.kernel;
    let mut parts = vec![
        part(
            "kernel",
            facts.kernel >= KERNEL_MIN,
            State::Missing,
            format!("Linux {major}.{minor}"),
            "install Linux 5.19 or later: earlier ones cannot map the ids of image layers",
        ),
        part(
            "user namespaces",
            facts.user_namespaces > 0,
            State::Missing,
            format!("up to {}", facts.user_namespaces),
            "allow them: sysctl -w user.max_user_namespaces=15000",
        ),
    ];
    parts.extend(
        [Controller::Memory, Controller::Cpu, Controller::Pids, Controller::Freezer]
            .map(|one| controller(&facts.base, one)),
    );
    parts.push(part("packet filter", facts.packet_filter, State::Weak, "nf_tables answers".into(), "load nf_tables (modprobe nf_tables) and give the runner CAP_NET_ADMIN, or keep job networks off"));
    parts
}

fn controller(base: &Base, controller: Controller) -> Part {
    let (name, remedy) = match controller {
        Controller::Memory => (
            "memory limit",
            "jobs can use all memory: boot with cgroup_enable=memory, or delegate the controller (systemd: Delegate=yes)",
        ),
        Controller::Pids => (
            "process limit",
            "a fork bomb is not bounded: delegate the pids controller (systemd: Delegate=yes)",
        ),
        Controller::Cpu | Controller::Cpuacct => (
            "cpu limit",
            "jobs can use all cores: delegate the cpu controller (systemd: Delegate=yes)",
        ),
        Controller::Freezer => (
            "pausing",
            "jobs cannot be paused: mount the unified hierarchy, or the freezer of version 1",
        ),
    };
    match base.place(controller) {
        None => Part { name, state: State::Weak, message: remedy.to_owned() },
        Some(place) => {
            let version = if place.version == Version::V1 { "version 1" } else { "version 2" };
            Part {
                name,
                state: State::Good,
                message: format!("{version} at {}", place.dir.display()),
            }
        }
    }
}

/// `6.1.0-18-amd64` is 6.1; what cannot be read is the oldest.
fn kernel_version(release: &str) -> (u32, u32) {
    let mut numbers =
        release.split(|c: char| !c.is_ascii_digit()).map(|text| text.parse().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cgroup::Place;

    fn good() -> Facts {
        let controllers =
            vec![Controller::Memory, Controller::Cpu, Controller::Pids, Controller::Freezer];
        Facts {
            kernel: (6, 1),
            user_namespaces: 1000,
            packet_filter: true,
            base: Base {
                places: vec![Place { dir: "/c".into(), version: Version::V2, controllers }],
            },
        }
    }

    fn check(change: impl FnOnce(&mut Facts), name: &str, state: State) {
        let mut facts = good();
        change(&mut facts);
        let found = judge(&facts);
        let part = found.iter().find(|part| part.name == name).expect("a part of that name");
        assert_eq!(part.state, state, "{part:?}");
        assert!(
            found.iter().filter(|part| part.name != name).all(|part| part.state == State::Good),
            "{found:?}"
        );
    }

    #[test]
    fn each_missing_part_is_named_alone() {
        check(|_| {}, "kernel", State::Good);
        check(|facts| facts.kernel = (5, 10), "kernel", State::Missing);
        check(|facts| facts.user_namespaces = 0, "user namespaces", State::Missing);
        check(
            |facts| facts.base.places[0].controllers.retain(|one| *one != Controller::Pids),
            "process limit",
            State::Weak,
        );
        check(|facts| facts.packet_filter = false, "packet filter", State::Weak);
    }

    #[test]
    fn releases_are_read_as_distributions_write_them() {
        assert_eq!(kernel_version("6.1.0-18-amd64"), (6, 1));
        assert_eq!(kernel_version("5.19"), (5, 19));
        assert_eq!(kernel_version("strange"), (0, 0));
    }
}
