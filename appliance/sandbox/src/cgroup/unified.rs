//! Handing controllers down the unified hierarchy.
//!
//! Why: a group whose children have limits of memory may hold no process itself (cgroups(7), "no
//! internal processes"). To hand down the CPU first would even be taken, and make the group a domain
//! of threads, in which no child takes processes and memory can be handed down no more: who is in the
//! group leaves it for a leaf before anything is handed down.
//! On failure: what did not arrive is not told as there.

use super::{Controller, make};
use std::{
    fs,
    path::{Path, PathBuf},
};

/// The group below a group that holds the processes which the other may not hold.
const LEAF: &str = "control";

/// Processes may be born while others are moved.
const ROUNDS: usize = 16;

/// Limits that we set, as the kernel calls their controllers.
const WANTED: [(&str, Controller); 3] =
    [("memory", Controller::Memory), ("cpu", Controller::Cpu), ("pids", Controller::Pids)];

/// A list of controllers names one that sets a limit of ours: some boards start without that of memory.
pub(super) fn has_any(controllers: &str) -> bool {
    WANTED.iter().any(|(name, _)| has(controllers, name))
}

/// The leaf of `dir`.
pub(super) fn leaf(dir: &Path) -> PathBuf {
    dir.join(LEAF)
}

/// A process that was moved into its leaf finds the delegating group above it.
pub(super) fn delegating_dir(own: &Path) -> &Path {
    match own.file_name() {
        Some(name) if name == LEAF => own.parent().unwrap_or(own),
        _ => own,
    }
}

/// Hands memory, CPU and pids down to the children of `dir`, and tells what they can do.
pub(super) fn hand_down(dir: &Path) -> Vec<Controller> {
    let available = listed(&dir.join("cgroup.controllers"));
    let wanted: Vec<_> = WANTED.into_iter().filter(|(name, _)| has(&available, name)).collect();
    if !wanted.is_empty() {
        move_to_leaf(dir);
    }
    for (name, _) in wanted {
        // A refusal shows in the file's text.
        let _refused = fs::write(dir.join("cgroup.subtree_control"), format!("+{name}"));
    }
    let arrived = listed(&dir.join("cgroup.subtree_control"));
    let limits = WANTED.into_iter().filter(|(name, _)| has(&arrived, name)).map(|(_, one)| one);
    // Freezing and the count of CPU time need no controller.
    limits.chain([Controller::Freezer, Controller::Cpuacct]).collect()
}

fn listed(file: &Path) -> String {
    fs::read_to_string(file).unwrap_or_default()
}

fn has(list: &str, name: &str) -> bool {
    list.split_whitespace().any(|one| one == name)
}

/// The root of the hierarchy, which has no type, may hold processes whatever it hands down.
fn move_to_leaf(dir: &Path) {
    if !dir.join("cgroup.type").exists() {
        return;
    }
    let leaf = leaf(dir);
    for _ in 0..ROUNDS {
        let members = listed(&dir.join("cgroup.procs"));
        if members.is_empty() {
            return;
        }
        let _shown_by_the_members = make(&leaf);
        for pid in members.lines() {
            let _may_have_ended = fs::write(leaf.join("cgroup.procs"), pid);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_board_without_the_limit_of_memory_has_others() {
        assert!(has_any("cpuset cpu io memory pids\n"));
        assert!(has_any("cpuset cpu io pids\n"));
        assert!(!has_any("hugetlb rdma misc\n"), "the others are with version 1");
        assert!(!has_any(""));
    }

    #[test]
    fn a_moved_process_finds_its_delegating_group_again() {
        assert_eq!(delegating_dir(Path::new("/c/a.service/control")), Path::new("/c/a.service"));
        assert_eq!(delegating_dir(Path::new("/c/a.service")), Path::new("/c/a.service"));
    }
}
