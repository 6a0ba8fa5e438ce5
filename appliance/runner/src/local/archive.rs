//! The working copy as a tar archive, for the checkout of a job.
//!
//! Form: everything but what `.gitignore` names, as Git sees it: what is tracked is in it although a
//! pattern names it, and so is all of `.git`. A linked worktree becomes a repository by itself.
//! Invariants: the archive is whole although files change while they are read; a file is as long as
//! its header says.

use super::{git_dir::GitDir, git_index};
use ignore::WalkBuilder;
use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File, Metadata},
    io::{self, BufWriter, Read, Write},
    path::{Path, PathBuf},
};

/// A repository without files may have worktrees; the copy of one has files.
const HAS_FILES: &[u8] = b"\n[core]\n\tbare = false\n";

/// What the copy of a linked worktree has from elsewhere, or does not need.
const LINKED: [&str; 5] = ["HEAD", "index", "config", "commondir", "gitdir"];

/// Writes the working copy in `directory` into the file `into`.
pub(super) fn write(directory: &Path, into: &Path) -> io::Result<()> {
    let mut archive = tar::Builder::new(BufWriter::new(File::create(into)?));
    archive.follow_symlinks(false);
    let git = GitDir::of(directory);
    for (name, source) in contents(directory, &git)? {
        append(&mut archive, &source, &name)?;
    }
    if git.is_worktree_of(directory) {
        append_config(&mut archive, &git.common.join("config"))?;
    }
    archive.into_inner()?.flush()
}

/// Names in the archive, folders before what is in them, and where each is.
fn contents(directory: &Path, git: &GitDir) -> io::Result<BTreeMap<PathBuf, PathBuf>> {
    let mut names = not_ignored(directory)?;
    names.extend(tracked(directory, &git.own.join("index")));
    let mut all = BTreeMap::new();
    if git.is_worktree_of(directory) {
        names.remove(Path::new(".git"));
        let is_shared = |name: &Path| {
            !name.starts_with("worktrees") && LINKED.iter().all(|linked| name != Path::new(linked))
        };
        add_git(&git.common, Path::new(".git"), is_shared, &mut all)?;
        let is_own = |name: &Path| name == Path::new("HEAD") || name == Path::new("index");
        add_git(&git.own, Path::new(".git"), is_own, &mut all)?;
    }
    let folders = names.iter().filter(|name| directory.join(name).is_dir()).map(PathBuf::as_path);
    for folder in folders.chain([Path::new("")]) {
        let below = folder.join(".git");
        if fs::symlink_metadata(directory.join(&below)).is_ok_and(|meta| meta.is_dir()) {
            add_git(&directory.join(&below), &below, |_| true, &mut all)?;
        }
    }
    all.extend(names.into_iter().map(|name| (name.clone(), directory.join(name))));
    Ok(all)
}

/// What no `.gitignore` names, without folders named `.git`.
fn not_ignored(directory: &Path) -> io::Result<BTreeSet<PathBuf>> {
    let walk = WalkBuilder::new(directory)
        .hidden(false)
        .ignore(false)
        .require_git(false)
        .git_global(false)
        .parents(false)
        .filter_entry(|entry| {
            entry.file_name() != ".git" || entry.file_type().is_some_and(|kind| kind.is_file())
        })
        .build();
    names(walk, directory)
}

/// The names below `directory` of what the walk meets: files, folders and links.
fn names(walk: ignore::Walk, directory: &Path) -> io::Result<BTreeSet<PathBuf>> {
    let mut names = BTreeSet::new();
    for entry in walk {
        let entry = match entry {
            Ok(entry) => entry,
            // It was removed a moment ago.
            Err(error) if error.io_error().is_some_and(is_gone) => continue,
            Err(error) => return Err(io::Error::other(error)),
        };
        let Ok(name) = entry.path().strip_prefix(directory) else { continue };
        let kind = entry.file_type();
        let kept = kind.is_some_and(|kind| kind.is_dir() || kind.is_file() || kind.is_symlink());
        if kept && !name.as_os_str().is_empty() {
            names.insert(name.to_owned());
        }
    }
    Ok(names)
}

/// Everything of a repository that is `wanted`, below `name`.
fn add_git(
    git: &Path,
    name: &Path,
    wanted: impl Fn(&Path) -> bool,
    all: &mut BTreeMap<PathBuf, PathBuf>,
) -> io::Result<()> {
    let walk = WalkBuilder::new(git).standard_filters(false).build();
    all.insert(name.to_owned(), git.to_owned());
    let found = names(walk, git)?.into_iter().filter(|found| wanted(found));
    all.extend(found.map(|found| (name.join(&found), git.join(found))));
    Ok(())
}

/// What the index names and is there, with the folders that lead to it.
fn tracked(directory: &Path, index: &Path) -> BTreeSet<PathBuf> {
    let index = fs::read(index).unwrap_or_default();
    let mut names = BTreeSet::new();
    for path in git_index::paths(&index) {
        let above: Vec<&Path> =
            path.ancestors().skip(1).filter(|above| !above.as_os_str().is_empty()).collect();
        // Behind a link is another file, which Git does not take for the one of that name.
        let is = |path: &Path, what: fn(&Metadata) -> bool| {
            fs::symlink_metadata(directory.join(path)).is_ok_and(|meta| what(&meta))
        };
        let is_file = is(&path, |meta| meta.is_file() || meta.is_symlink());
        if is_file && above.iter().all(|above| is(above, Metadata::is_dir)) {
            names.extend(above.into_iter().map(Path::to_owned));
            names.insert(path);
        }
    }
    names
}

fn append<W: Write>(archive: &mut tar::Builder<W>, source: &Path, name: &Path) -> io::Result<()> {
    let appended = match fs::symlink_metadata(source) {
        Ok(meta) if meta.is_file() => {
            File::open(source).and_then(|file| append_file(archive, name, &file.metadata()?, file))
        }
        Ok(_) => archive.append_path_with_name(source, name),
        Err(error) => Err(error),
    };
    match appended {
        // It was removed a moment ago.
        Err(error) if is_gone(&error) => Ok(()),
        appended => appended,
    }
}

/// A file with as many bytes as `meta` says: what grows is cut, and what shrinks is filled with zeros.
fn append_file<W: Write>(
    archive: &mut tar::Builder<W>,
    name: &Path,
    meta: &Metadata,
    bytes: impl Read,
) -> io::Result<()> {
    let mut header = tar::Header::new_gnu();
    header.set_metadata(meta);
    archive.append_data(&mut header, name, bytes.chain(io::repeat(0)).take(meta.len()))
}

/// The shared settings of a linked worktree's repository, as one with files.
fn append_config<W: Write>(archive: &mut tar::Builder<W>, config: &Path) -> io::Result<()> {
    let mut bytes = fs::read(config)?;
    bytes.extend_from_slice(HAS_FILES);
    let mut header = tar::Header::new_gnu();
    header.set_metadata(&fs::metadata(config)?);
    header.set_size(bytes.len() as u64);
    archive.append_data(&mut header, ".git/config", &*bytes)
}

fn is_gone(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    fn unpack(tar: &[u8]) -> BTreeMap<String, String> {
        let mut archive = tar::Archive::new(tar);
        let entries = archive.entries().unwrap().map(|entry| {
            let mut entry = entry.unwrap();
            let mut text = Vec::new();
            entry.read_to_end(&mut text).unwrap();
            let name = entry.path().unwrap().display().to_string();
            (name, String::from_utf8_lossy(&text).into_owned(), entry.header().entry_type())
        });
        let files = entries.filter(|(_, _, kind)| !kind.is_dir());
        files.map(|(name, text, _)| (name, text)).collect()
    }

    fn archived(directory: &Path) -> BTreeMap<String, String> {
        let tar = tempfile::NamedTempFile::new().unwrap();
        write(directory, tar.path()).unwrap();
        unpack(&fs::read(tar.path()).unwrap())
    }

    #[expect(clippy::disallowed_methods, reason = "tests run the real Git client")]
    fn shell(directory: &Path, script: &str) {
        let environment = [
            ("GIT_AUTHOR_NAME", "a"),
            ("GIT_AUTHOR_EMAIL", "a@b"),
            ("GIT_COMMITTER_NAME", "a"),
            ("GIT_COMMITTER_EMAIL", "a@b"),
            ("GIT_CONFIG_GLOBAL", "/dev/null"),
        ];
        let mut shell = Command::new("sh");
        shell.args(["-ec", script]).current_dir(directory).envs(environment);
        let output = shell.output().unwrap();
        assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
    }

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
        let names: Vec<String> = archived(copy.path()).into_keys().collect();
        assert_eq!(names, [".circleci/config.yml", ".git/HEAD", ".gitignore", "a.txt"]);
    }

    #[test]
    fn patterns_concern_neither_the_history_nor_what_is_tracked() {
        let copy = tempfile::tempdir().unwrap();
        shell(
            copy.path(),
            "git init -q -b main .; printf '*.pack\\nHEAD\\nconfig\\nobjects/\\nkept/\\n' > .gitignore; echo b > .ignore
             mkdir -p kept/deep kept/other inner; echo 1 > kept/deep/a.pack; echo 2 > kept/other/x; echo 3 > b
             ln -s nowhere kept/link; echo 4 > gone; git add -f . ; git add -f kept/deep kept/link
             git rm -q --cached kept/other/x; git commit -q -m one; rm gone
             git init -q inner; touch inner/.git/objects/x",
        );
        let all = archived(copy.path());
        for name in [
            "kept/deep/a.pack",
            "kept/link",
            "b",
            ".ignore",
            ".git/HEAD",
            ".git/config",
            "inner/.git/HEAD",
            "inner/.git/objects/x",
        ] {
            assert!(all.contains_key(name), "{name} is not in {:?}", all.keys());
        }
        assert!(all.keys().any(|name| name.starts_with(".git/objects/")));
        assert!(!all.contains_key("kept/other/x") && !all.contains_key("gone"), "{:?}", all.keys());
    }

    /// The copy is unpacked elsewhere, where Git takes it for a repository with the same history.
    #[test]
    fn a_linked_worktree_becomes_a_repository_by_itself() {
        let folder = tempfile::tempdir().unwrap();
        shell(
            folder.path(),
            "git init -q -b main one; cd one; echo 1 > a; git add a; git commit -q -m one
             git clone -q --bare . ../bare.git; git -C ../bare.git worktree add -q -b side ../copy 2>&1",
        );
        let tar = folder.path().join("tar");
        write(&folder.path().join("copy"), &tar).unwrap();
        shell(
            folder.path(),
            "mkdir there; tar -xf tar -C there; cd there; test -d .git
             test \"$(git status --porcelain --branch)\" = '## side'; git log -1 --format=%s | grep -qx one",
        );
    }

    #[test]
    fn a_file_that_changes_meanwhile_is_as_long_as_its_header_says() {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), "1234").unwrap();
        let meta = fs::metadata(file.path()).unwrap();
        let mut archive = tar::Builder::new(Vec::new());
        for (name, bytes) in [("grown", "123456"), ("shrunk", "12"), ("after", "abcd")] {
            append_file(&mut archive, Path::new(name), &meta, bytes.as_bytes()).unwrap();
        }
        let found = unpack(&archive.into_inner().unwrap());
        let expected = [("after", "abcd"), ("grown", "1234"), ("shrunk", "12\0\0")];
        assert_eq!(found, expected.map(|(name, text)| (name.to_owned(), text.to_owned())).into());
    }
}
