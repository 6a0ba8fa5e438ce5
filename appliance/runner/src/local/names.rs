//! What folders are called in which `appliance run` keeps things.
//!
//! Invariants: pure; a name that comes from the repository or the job never leads out of its folder.

use sha2::{Digest, Sha256};
use std::path::{Component, Path, PathBuf};

/// Where an artifact is kept below `all`; `None` for a path that leads elsewhere.
pub(super) fn artifact(all: &Path, folder: &Path, path: &str) -> Option<PathBuf> {
    let is_plain = |part| matches!(part, Component::Normal(_));
    let path = Path::new(path);
    let inside = path.components().all(is_plain) && path.file_name().is_some();
    inside.then(|| all.join(folder).join(path))
}

/// What tells the working copy in `directory` from all others of this machine, as the name of one
/// folder.
pub(super) fn project_of(directory: &Path) -> String {
    let name = directory.file_name().unwrap_or_default().to_string_lossy();
    let hash = hash(directory.as_os_str().as_encoded_bytes());
    folder_name(&format!("{name}-{}", &hash[..8]))
}

/// In hexadecimal digits.
pub(super) fn hash(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().fold(String::new(), |text, byte| format!("{text}{byte:02x}"))
}

/// The name of a workflow or job as the name of one folder. Labels that are no names of folders carry
/// their hash, so that none gets the folder of another.
pub(super) fn folder_name(label: &str) -> String {
    let name = label.replace(['/', '\0'], "_");
    match name == label && !["", ".", ".."].contains(&label) {
        true => name,
        false => format!("{name}-{}", &hash(label.as_bytes())[..8]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(label: &str, path: &str, expected: Option<&str>) {
        let found = artifact(Path::new("/keep"), Path::new(&folder_name(label)), path);
        assert_eq!(found, expected.map(PathBuf::from), "{label} {path}");
    }

    #[test]
    fn artifacts_stay_in_their_folder() {
        check("build", "out/a.txt", Some("/keep/build/out/a.txt"));
        check("build 1_2", "a", Some("/keep/build 1_2/a"));
        for (label, name) in [("build 1/2", "build 1_2"), ("../../etc", ".._.._etc"), ("..", "..")]
        {
            let own = format!("/keep/{name}-{}/a", &hash(label.as_bytes())[..8]);
            check(label, "a", Some(&own));
        }
        check("build", "../../../etc/cron.d/x", None);
        check("build", "a/../../b", None);
        check("build", "/etc/passwd", None);
        check("build", "", None);
    }

    #[test]
    fn working_copies_of_one_name_are_told_apart() {
        let [one, other] = ["/home/a/app", "/home/b/app"].map(|path| project_of(Path::new(path)));
        assert!(one.starts_with("app-") && other.starts_with("app-") && one != other);
        assert!(!project_of(Path::new("/")).contains('/'));
    }
}
