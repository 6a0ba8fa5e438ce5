//! A layer that makes the host's root fit to be shown to a job.
//!
//! Why a layer: what a job must not see is absent from the tree itself, so there is no mount that
//! could be lifted. Rejected: a tmpfs over each hidden folder, some 40 µs each.
//! Form: a directory of hidden folders (opaque: empty), hidden paths (whiteouts: absent) and
//! plain folders that only lend their owner, the job's root. It is built for each job on the
//! sandbox's own tmpfs, because the kernel refuses a layer that lies below another (`/` is one).
//! Source: overlayfs, "whiteouts and opaque directories".

use crate::{
    layer::{Layer, Node},
    spec::Places,
};
use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::MetadataExt,
    path::{Component, Path, PathBuf},
};

/// Folders that every job finds empty and its own.
const EMPTY: [(&str, u32); 12] = [
    ("/root", 0o700),
    ("/home", 0o755),
    ("/tmp", 0o1777),
    ("/run", 0o755),
    ("/var/tmp", 0o1777),
    ("/var/log", 0o755),
    ("/mnt", 0o755),
    ("/media", 0o755),
    ("/srv", 0o755),
    ("/dev", 0o755),
    ("/proc", 0o555),
    ("/sys", 0o555),
];

/// Folders in which the job's root may add, replace and remove.
const WRITABLE: [&str; 12] = [
    "/etc",
    "/opt",
    "/usr",
    "/usr/bin",
    "/usr/lib",
    "/usr/local",
    "/usr/local/bin",
    "/usr/local/lib",
    "/usr/local/share",
    "/var",
    "/var/cache",
    "/var/lib",
];

/// What stands at one path of the layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Entry {
    /// Lends its owner; contents show through.
    Through,
    /// Nothing shows through.
    Empty(u32),
    /// Appears absent.
    Absent,
}

/// Adds what hides and what lends its owner.
pub(crate) fn add(layer: &mut Layer, masks: &[PathBuf]) {
    for (path, entry) in entries(&masks_resolved(masks)) {
        // What has no folder in the layer is in one that the host lacks: nothing needs hiding there.
        let _is_there = match entry {
            Entry::Through if shows_through(&path) => {
                layer.put(&path, Node::Folder { mode: 0o755, opaque: false })
            }
            Entry::Through => false,
            Entry::Empty(mode) => layer.put(&path, Node::Folder { mode, opaque: true }),
            Entry::Absent => layer.put(&path, Node::Absent),
        };
    }
}

/// Adds folders and empty files below those that every job finds empty.
pub(crate) fn places(layer: &mut Layer, places: &Places) {
    for wanted in places.folders.iter().filter(|path| is_in_empty(path)) {
        let mut ancestors: Vec<&Path> = wanted.ancestors().collect();
        ancestors.reverse();
        for folder in ancestors.into_iter().skip(1) {
            layer.put_new(folder, Node::Folder { mode: 0o755, opaque: false });
        }
    }
    for file in places.files.iter().filter(|path| is_in_empty(path)) {
        layer.put_new(file, Node::File(String::new()));
    }
}

/// Below a folder that is empty otherwise, and by no way out of it.
fn is_in_empty(path: &Path) -> bool {
    let plain = path.components().skip(1).all(|part| matches!(part, Component::Normal(_)));
    plain && EMPTY.iter().any(|(top, _)| path != Path::new(top) && path.starts_with(top))
}

/// A masked path that leads through a link is masked at both ends.
fn masks_resolved(masks: &[PathBuf]) -> Vec<PathBuf> {
    let resolved = masks.iter().filter_map(|mask| fs::canonicalize(mask).ok());
    masks.iter().cloned().chain(resolved).collect()
}

fn entries(masks: &[PathBuf]) -> BTreeMap<PathBuf, Entry> {
    let mut entries: BTreeMap<PathBuf, Entry> =
        EMPTY.iter().map(|(path, mode)| (PathBuf::from(path), Entry::Empty(*mode))).collect();
    for path in WRITABLE {
        entries.insert(path.into(), Entry::Through);
    }
    let hidden = |entries: &BTreeMap<PathBuf, Entry>, path: &Path| {
        path.ancestors()
            .skip(1)
            .any(|above| matches!(entries.get(above), Some(Entry::Empty(_) | Entry::Absent)))
    };
    let mut masks: Vec<&PathBuf> =
        masks.iter().filter(|mask| mask.is_absolute() && mask.parent().is_some()).collect();
    // Outer masks first: what they hide needs no entry of its own.
    masks.sort();
    for mask in masks {
        if hidden(&entries, mask) || matches!(entries.get(mask), Some(Entry::Empty(_))) {
            continue;
        }
        entries.retain(|path, _| !path.starts_with(mask));
        entries.insert(mask.clone(), Entry::Absent);
        for above in mask.ancestors().skip(1).filter(|above| above.parent().is_some()) {
            entries.entry(above.to_owned()).or_insert(Entry::Through);
        }
    }
    entries
}

/// Whether a folder of the host's can get another owner. Links stay links: a folder in their place
/// would hide where they lead. A folder that is closed to others must not be opened by its new owner.
fn shows_through(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|host| host.is_dir() && host.mode() & 0o005 == 0o005)
}

/// Other file systems of the host that hold programs: an overlay of `/` does not show them.
pub(crate) fn program_mounts(mountinfo: &str, masks: &[PathBuf]) -> Vec<PathBuf> {
    let points = mountinfo.lines().filter_map(|line| line.split(' ').nth(4)).map(PathBuf::from);
    let programs = points.filter(|point| ["/usr", "/opt"].iter().any(|top| point.starts_with(top)));
    programs
        .filter(|point| {
            !masks.iter().any(|mask| mask.starts_with(point) || point.starts_with(mask))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(masks: &[&str], path: &str, expected: Option<Entry>) {
        let masks: Vec<PathBuf> = masks.iter().map(PathBuf::from).collect();
        assert_eq!(entries(&masks).get(Path::new(path)).copied(), expected, "{path}");
    }

    #[test]
    fn masks_hide_and_their_parents_show_through() {
        check(&["/var/lib/appliance"], "/var/lib/appliance", Some(Entry::Absent));
        check(&["/data/a/b"], "/data/a", Some(Entry::Through));
        check(&["/data/a/b"], "/data", Some(Entry::Through));
        check(&["/data/a/b", "/data"], "/data", Some(Entry::Absent));
        check(&["/data/a/b", "/data"], "/data/a", None);
        check(&["/home/me/data"], "/home/me/data", None);
        check(&["/home"], "/home", Some(Entry::Empty(0o755)));
        check(&["/opt"], "/opt", Some(Entry::Absent));
        check(&["/usr/local"], "/usr/local/bin", None);
        check(&["/"], "/", None);
    }

    #[test]
    fn file_systems_with_programs_are_found_unless_they_hold_something_masked() {
        let mounts = "1 0 8:1 / / rw - ext4 a rw\n2 1 8:2 / /usr rw - ext4 b rw\n3 1 8:3 / /opt rw - ext4 c rw\n4 1 8:4 / /data rw - ext4 d rw\n";
        assert_eq!(program_mounts(mounts, &["/opt/secret".into()]), [PathBuf::from("/usr")]);
    }
}
