//! What `.git` of a working copy tells, read without any git program.
//!
//! Invariants: a copy may come from anybody, so nothing is taken from another file of this machine but
//! revisions; a repository elsewhere counts as the copy's own only if it names the copy in turn.
//! Limits: a branch whose reference is neither loose nor packed has no revision here. An annotated
//! tag in a pack is known when its reference is packed, too, as after a clone.

use flate2::read::ZlibDecoder;
use std::{
    collections::BTreeSet,
    fs::{self, File},
    io::Read,
    path::{Path, PathBuf},
};

/// Folders within folders below `refs/tags`.
const DEPTH_MAX: u32 = 16;

/// The start of a tag's object: `tag <length>\0object <revision>`.
const TAG_START: u64 = 96;

/// Where the repository of a working copy is.
pub(super) struct GitDir {
    /// What is of this working copy alone: `HEAD` and the index.
    pub(super) own: PathBuf,
    /// What all working copies of the repository share; mostly the same folder.
    pub(super) common: PathBuf,
}

/// What is checked out.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) branch: Option<String>,
    /// Of a commit that was checked out by itself.
    pub(super) tag: Option<String>,
    pub(super) revision: Option<String>,
}

impl GitDir {
    /// The repository of the copy in `directory`: the folder `.git`, or where a file of that name
    /// leads, as in a linked worktree.
    pub(super) fn of(directory: &Path) -> Self {
        let path = directory.join(".git");
        let led = fs::read_to_string(&path).ok();
        let led = led.as_deref().and_then(|text| text.strip_prefix("gitdir: "));
        let own = led.map_or(path, |to| directory.join(to.trim_end()));
        let common = fs::read_to_string(own.join("commondir")).ok();
        let common = common.map_or_else(|| own.clone(), |to| own.join(to.trim_end()));
        Self { own, common }
    }

    /// The copy in `directory` is a worktree that its repository knows.
    pub(super) fn is_worktree_of(&self, directory: &Path) -> bool {
        let known = || {
            let own = self.own.canonicalize().ok()?;
            let folder = own.parent().filter(|folder| folder.ends_with("worktrees"))?;
            let back = fs::read_to_string(own.join("gitdir")).ok()?;
            let back = own.join(back.trim_end()).canonicalize().ok()?;
            let is_known = back == directory.join(".git").canonicalize().ok()?
                && folder.parent()? == self.common.canonicalize().ok()?;
            Some(is_known)
        };
        known().unwrap_or(false)
    }

    /// What is checked out. A copy without a repository counts as one of the branch `main`.
    pub(super) fn head(&self) -> Head {
        let main = || Head { branch: Some("main".into()), ..Head::default() };
        let Ok(head) = fs::read_to_string(self.own.join("HEAD")) else { return main() };
        let Some(reference) = head.trim().strip_prefix("ref: ") else {
            let Some(revision) = revision(&head) else { return main() };
            return Head { branch: None, tag: self.tag(&revision), revision: Some(revision) };
        };
        // The copy may come from anybody: its HEAD must not name another file of this machine.
        if !reference.starts_with("refs/") || reference.split('/').any(|part| part == "..") {
            return main();
        }
        let branch = reference.strip_prefix("refs/heads/").unwrap_or(reference);
        let revision = self.target(reference);
        Head { branch: Some(branch.to_owned()), tag: None, revision }
    }

    /// The branch that a clone of the repository's origin checks out, if that is known.
    pub(super) fn default_branch(&self) -> Option<String> {
        let text = fs::read_to_string(self.common.join("refs/remotes/origin/HEAD")).ok()?;
        text.trim().strip_prefix("ref: refs/remotes/origin/").map(str::to_owned)
    }

    fn target(&self, reference: &str) -> Option<String> {
        let loose = fs::read_to_string(self.common.join(reference)).ok();
        let packed = || {
            let mut all = self.packed().into_iter();
            all.find(|(name, _)| name == reference).map(|(_, targets)| targets[0].clone())
        };
        loose.and_then(|text| revision(&text)).or_else(packed)
    }

    /// Packed references; behind what an annotated tag is, what it stands for.
    fn packed(&self) -> Vec<(String, Vec<String>)> {
        let text = fs::read_to_string(self.common.join("packed-refs")).unwrap_or_default();
        let mut all: Vec<(String, Vec<String>)> = Vec::new();
        for line in text.lines() {
            if let Some(peeled) = line.strip_prefix('^').and_then(revision) {
                if let Some((_, targets)) = all.last_mut() {
                    targets.push(peeled);
                }
            } else if let Some((target, name)) = line.split_once(' ')
                && let Some(target) = revision(target)
            {
                all.push((name.to_owned(), vec![target]));
            }
        }
        all
    }

    /// The first tag by name that stands for that commit.
    fn tag(&self, commit: &str) -> Option<String> {
        let mut tags = BTreeSet::new();
        self.loose_tags(&self.common.join("refs/tags"), "", DEPTH_MAX, &mut |name, target| {
            if target == commit || self.object_of_tag(target).as_deref() == Some(commit) {
                tags.insert(name.to_owned());
            }
        });
        let packed =
            self.packed().into_iter().filter(|(_, targets)| targets.iter().any(|t| t == commit));
        tags.extend(
            packed.filter_map(|(name, _)| name.strip_prefix("refs/tags/").map(str::to_owned)),
        );
        tags.pop_first()
    }

    fn loose_tags(&self, folder: &Path, above: &str, depth: u32, each: &mut dyn FnMut(&str, &str)) {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let Ok(kind) = entry.file_type() else { continue };
            let name = format!("{above}{}", entry.file_name().to_string_lossy());
            if kind.is_dir() && depth > 0 {
                self.loose_tags(&entry.path(), &format!("{name}/"), depth - 1, each);
            } else if kind.is_file()
                && let Ok(text) = fs::read_to_string(entry.path())
                && let Some(target) = revision(&text)
            {
                each(&name, &target);
            }
        }
    }

    /// What an annotated tag stands for, if it is an object in a file of its own.
    fn object_of_tag(&self, id: &str) -> Option<String> {
        let (folder, name) = id.split_at_checked(2)?;
        let file = File::open(self.common.join("objects").join(folder).join(name)).ok()?;
        let mut start = Vec::new();
        ZlibDecoder::new(file).take(TAG_START).read_to_end(&mut start).ok()?;
        let end = start.iter().position(|byte| *byte == 0)?;
        let (head, body) = (start.get(..end)?, start.get(end + 1..)?);
        let object = body.strip_prefix(b"object ").filter(|_| head.starts_with(b"tag "))?;
        let object = object.split(|byte| *byte == b'\n').next()?;
        revision(std::str::from_utf8(object).ok()?)
    }
}

/// What a file says, if it is a revision: a link in its place may lead to any text.
fn revision(text: &str) -> Option<String> {
    let text = text.trim();
    let is_hex = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_hex.then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::{Compression, write::ZlibEncoder};
    use std::io::Write;

    fn put(folder: &Path, name: &str, bytes: impl AsRef<[u8]>) {
        let path = folder.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }

    fn check(directory: &Path, branch: Option<&str>, tag: Option<&str>, revision: Option<&str>) {
        let [branch, tag, revision] = [branch, tag, revision].map(|part| part.map(str::to_owned));
        assert_eq!(GitDir::of(directory).head(), Head { branch, tag, revision });
    }

    #[test]
    fn the_branch_is_read_without_git() {
        let copy = tempfile::tempdir().unwrap();
        check(copy.path(), Some("main"), None, None);
        put(copy.path(), ".git/HEAD", "ref: refs/heads/topic/x\n");
        put(copy.path(), ".git/packed-refs", "# pack\nabc123 refs/heads/topic/x\n");
        check(copy.path(), Some("topic/x"), None, Some("abc123"));
    }

    #[test]
    fn a_commit_by_itself_has_no_branch_and_the_tag_that_stands_for_it() {
        let copy = tempfile::tempdir().unwrap();
        let commit = "a".repeat(40);
        put(copy.path(), ".git/HEAD", format!("{commit}\n"));
        check(copy.path(), None, None, Some(&commit));
        put(copy.path(), ".git/packed-refs", format!("bbbb refs/tags/v2\n^{commit}\ncc refs/x\n"));
        check(copy.path(), None, Some("v2"), Some(&commit));
        put(copy.path(), ".git/refs/tags/v1/final", &commit);
        check(copy.path(), None, Some("v1/final"), Some(&commit));
        let mut object = ZlibEncoder::new(Vec::new(), Compression::fast());
        write!(object, "tag 150\0object {commit}\ntype commit\ntag v0\n").unwrap();
        put(copy.path(), ".git/objects/dd/dddd", object.finish().unwrap());
        put(copy.path(), ".git/refs/tags/v0", "dddddd\n");
        check(copy.path(), None, Some("v0"), Some(&commit));
    }

    #[test]
    fn a_linked_worktree_has_its_own_head_and_is_known_by_both_sides() {
        let folder = tempfile::tempdir().unwrap();
        let (copy, other) = (folder.path().join("copy"), folder.path().join("other"));
        let own = folder.path().join("main/.git/worktrees/copy");
        put(&own, "HEAD", "ref: refs/heads/side\n");
        put(&own, "commondir", "../..\n");
        put(&own, "gitdir", format!("{}\n", copy.join(".git").display()));
        put(&folder.path().join("main/.git"), "refs/heads/side", "abc\n");
        for place in [&copy, &other] {
            put(place, ".git", format!("gitdir: {}\n", own.display()));
            check(place, Some("side"), None, Some("abc"));
        }
        assert!(GitDir::of(&copy).is_worktree_of(&copy));
        assert!(!GitDir::of(&other).is_worktree_of(&other), "the repository names another");
    }

    #[test]
    fn a_head_names_no_other_file_of_the_machine() {
        let folder = tempfile::tempdir().unwrap();
        let git = folder.path().join(".git");
        put(&git, "refs/heads/text", "root:x:0:0\n");
        put(folder.path(), "secret", "abc123\n");
        for reference in ["refs/../../secret", "../secret", "/etc/hostname", "refs/heads/text"] {
            put(&git, "HEAD", format!("ref: {reference}\n"));
            assert_eq!(GitDir::of(folder.path()).head().revision, None, "{reference}");
        }
        put(&git, "HEAD", "root:x:0:0\n");
        check(folder.path(), Some("main"), None, None);
    }
}
