//! A commit's files into the working copy, inside the job.
//!
//! Invariants: afterwards the files that Git knows are those of the commit; files that no commit
//! had stay. Done again from its start it comes to the same.

use super::{
    AgentError,
    extract::{InTheWay, extract},
    index,
};
use std::{
    fs,
    io::{self, BufReader, Write},
    path::Path,
};

/// Pieces in which content is moved.
const BUFFER: usize = 256 << 10;

/// Unpacks the plain archive of a commit on standard input.
pub(super) fn checkout(into: &Path) -> Result<(), AgentError> {
    let taken = fs::read_dir(into).is_ok_and(|mut entries| entries.next().is_some());
    if into.exists() && !into.is_dir() || taken && !into.join(".git").exists() {
        return Err(AgentError::Refused(format!(
            "destination path '{}' already exists and is not an empty directory or a Git repository: use another `path`, or a `working_directory` of its own",
            into.display()
        )));
    }
    clear(into);
    let plain = BufReader::with_capacity(BUFFER, io::stdin().lock());
    extract(plain, into, InTheWay::Removed).map_err(|source| {
        AgentError::Refused(format!("could not check out: {}", super::archive::causes(&source)))
    })
}

/// Removes the files of the commit that was checked out before, and folders that this empties.
fn clear(into: &Path) {
    let Ok(text) = fs::read(into.join(".git/index")) else { return };
    let Some(files) = index::files(&text) else {
        let told = "Warning: .git/index cannot be read: files of another commit may stay\n";
        let _ = io::stderr().write_all(told.as_bytes());
        return;
    };
    // A name below a link is not what Git has put there.
    let is_own = |name: &Path| {
        let mut folders = name.ancestors().skip(1).map(|above| into.join(above));
        folders.all(|folder| fs::symlink_metadata(folder).is_ok_and(|found| found.is_dir()))
    };
    for name in files.iter().filter(|name| is_own(name)) {
        // A submodule is a folder, and stays.
        if fs::remove_file(into.join(name)).is_ok() {
            remove_empty(into, name);
        }
    }
}

/// Removes the folders above `name` that hold nothing any more.
fn remove_empty(into: &Path, name: &Path) {
    let above = name.ancestors().skip(1).take_while(|above| !above.as_os_str().is_empty());
    for folder in above {
        if fs::remove_dir(into.join(folder)).is_err() {
            break;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[expect(clippy::disallowed_methods, reason = "the index is one that Git itself wrote")]
    fn git(folder: &Path, args: &[&str]) {
        let done = Command::new("git").current_dir(folder).args(args).output().unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    }

    fn check(index_version: &str) {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        git(folder.path(), &["init", "--quiet"]);
        for name in ["kept", "old/deep/a", "old/b"] {
            fs::create_dir_all(at(name).parent().unwrap()).unwrap();
            fs::write(at(name), name).unwrap();
        }
        git(folder.path(), &["add", "."]);
        git(folder.path(), &["update-index", "--index-version", index_version]);
        fs::write(at("old/untracked"), "mine").unwrap();
        clear(folder.path());
        let left = ["kept", "old/deep", "old/b", "old/untracked", ".git/index"];
        let left = left.map(|name| at(name).exists());
        assert_eq!(left, [false, false, false, true, true], "version {index_version}");
    }

    #[test]
    fn what_git_knew_goes_and_what_it_did_not_know_stays() {
        for version in ["2", "3", "4"] {
            check(version);
        }
    }
}
