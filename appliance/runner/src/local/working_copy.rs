//! What a working copy tells about itself, read without any git program.
//!
//! Limits: a branch whose reference is neither loose nor packed has no revision here; jobs then
//! see forty zeros, as for a copy that is no repository.

use super::{LocalError, names::project_of};
use base::{ids::RepoName, trigger::Vcs};
use ignore::WalkBuilder;
use std::{
    fs::{self, File},
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
};

const CONFIG: &str = ".circleci/config.yml";

/// Stands for a revision that is not known.
const NO_REVISION: &str = "0000000000000000000000000000000000000000";

pub(super) struct Copy {
    pub(super) config: String,
    pub(super) vcs: Vcs,
    pub(super) repo: RepoName,
    pub(super) actor: String,
    /// Names what is kept of it.
    pub(super) project: String,
}

pub(super) fn read(directory: &Path) -> Result<Copy, LocalError> {
    let failed =
        |attempt, path: PathBuf| move |source| LocalError::WorkingCopy { attempt, path, source };
    let directory = fs::canonicalize(directory).map_err(failed("open", directory.to_owned()))?;
    let path = directory.join(CONFIG);
    let config = fs::read_to_string(&path).map_err(failed("read", path))?;
    let (branch, revision) = head(&directory.join(".git"));
    let name = directory.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let repo =
        format!("local/{name}").parse().or_else(|_| "local/copy".parse()).expect("a valid name");
    let vcs = Vcs {
        repository_url: format!("file://{}", directory.display()),
        revision: revision.unwrap_or_else(|| NO_REVISION.into()),
        default_branch: branch.clone(),
        branch: Some(branch),
        tag: None,
        base_revision: None,
        subject: String::new(),
        body: String::new(),
        author: String::new(),
    };
    let actor = std::env::var("SUDO_USER")
        .or_else(|_| std::env::var("USER"))
        .unwrap_or_else(|_| "local".into());
    Ok(Copy { config, vcs, repo, actor, project: project_of(&directory) })
}

/// The checked-out branch and its revision.
fn head(git: &Path) -> (String, Option<String>) {
    let Ok(head) = fs::read_to_string(git.join("HEAD")) else { return ("main".into(), None) };
    let Some(reference) = head.trim().strip_prefix("ref: ") else {
        return ("main".into(), revision(&head));
    };
    // The copy may come from anybody: its HEAD must not name another file of this machine.
    if !reference.starts_with("refs/") || reference.split('/').any(|part| part == "..") {
        return ("main".into(), None);
    }
    let loose = fs::read_to_string(git.join(reference)).ok().and_then(|text| revision(&text));
    let packed = || {
        let text = fs::read_to_string(git.join("packed-refs")).ok()?;
        let line = text.lines().find(|line| line.split(' ').nth(1) == Some(reference))?;
        line.split(' ').next().and_then(revision)
    };
    let branch = reference.strip_prefix("refs/heads/").unwrap_or(reference);
    (branch.to_owned(), loose.or_else(packed))
}

/// What a file says, if it is a revision: a link in its place may lead to any text.
fn revision(text: &str) -> Option<String> {
    let text = text.trim();
    let is_hex = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_hex.then(|| text.to_owned())
}

/// Writes the working copy as a tar archive: with its history, without what `.gitignore` names.
pub(super) fn archive(directory: &Path, into: &Path) -> io::Result<()> {
    let mut archive = tar::Builder::new(BufWriter::new(File::create(into)?));
    archive.follow_symlinks(false);
    let walk = WalkBuilder::new(directory)
        .hidden(false)
        .require_git(false)
        .git_global(false)
        .parents(false)
        .build();
    for entry in walk {
        let entry = entry.map_err(io::Error::other)?;
        let Ok(name) = entry.path().strip_prefix(directory) else { continue };
        let kind = entry.file_type();
        let kept = kind.is_some_and(|kind| kind.is_dir() || kind.is_file() || kind.is_symlink());
        if kept && !name.as_os_str().is_empty() {
            archive.append_path_with_name(entry.path(), name)?;
        }
    }
    archive.into_inner()?.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_archive_has_the_history_and_not_what_is_ignored() {
        let copy = tempfile::tempdir().unwrap();
        for (name, text) in [
            (".gitignore", "target/\n"),
            ("a.txt", "a"),
            ("target/big", "x"),
            (".git/HEAD", "ref: refs/heads/x\n"),
            (".circleci/config.yml", ""),
        ] {
            let path = copy.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let tar = tempfile::NamedTempFile::new().unwrap();
        archive(copy.path(), tar.path()).unwrap();
        let mut archive = tar::Archive::new(File::open(tar.path()).unwrap());
        let mut names: Vec<String> = archive
            .entries()
            .unwrap()
            .map(|entry| entry.unwrap().path().unwrap().display().to_string())
            .collect();
        names.sort();
        let files: Vec<&str> = names
            .iter()
            .map(String::as_str)
            .filter(|name| copy.path().join(name).is_file())
            .collect();
        assert_eq!(files, [".circleci/config.yml", ".git/HEAD", ".gitignore", "a.txt"]);
    }

    #[test]
    fn the_branch_is_read_without_git() {
        let git = tempfile::tempdir().unwrap();
        assert_eq!(head(git.path()), ("main".into(), None));
        fs::write(git.path().join("HEAD"), "ref: refs/heads/topic/x\n").unwrap();
        fs::write(git.path().join("packed-refs"), "# pack\nabc123 refs/heads/topic/x\n").unwrap();
        assert_eq!(head(git.path()), ("topic/x".into(), Some("abc123".into())));
    }

    #[test]
    fn a_head_names_no_other_file_of_the_machine() {
        let folder = tempfile::tempdir().unwrap();
        let git = folder.path().join("git");
        fs::create_dir_all(git.join("refs/heads")).unwrap();
        fs::write(folder.path().join("secret"), "abc123\n").unwrap();
        fs::write(git.join("refs/heads/text"), "root:x:0:0\n").unwrap();
        for reference in ["refs/../../secret", "../secret", "/etc/hostname", "refs/heads/text"] {
            fs::write(git.join("HEAD"), format!("ref: {reference}\n")).unwrap();
            assert_eq!(head(&git).1, None, "{reference}");
        }
        fs::write(git.join("HEAD"), "root:x:0:0\n").unwrap();
        assert_eq!(head(&git).1, None);
    }
}
