//! A small tree of folders and files, planned in memory and then made at once.
//!
//! Why planned: several parts of a sandbox add to the same tree, and each would ask the kernel what
//! the ones before it have made. Why at once: everything is made under its owner's id and with its
//! own mode, so that nothing is changed after it was made. Each of these calls counts, because the
//! tree is made anew for every job.
//! Invariants: paths are relative, lead through no link and name nothing twice; what is in a folder
//! is made only if the folder is part of the plan.
//! Source: overlayfs, "whiteouts and opaque directories".

use crate::sys;
use rustix::{
    fs::{AtFlags, CWD, FileType, Gid, Mode, OFlags, Uid, XattrFlags, makedev},
    io,
};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

/// What stands at one path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Node {
    /// A folder with this mode. Of layers below it shows the contents, or nothing when opaque.
    Folder { mode: u32, opaque: bool },
    /// A file that all may read.
    File(String),
    /// A link to this target.
    Link(&'static str),
    /// A character device that all may use, by its major and minor number.
    Device(u32, u32),
    /// Hides what layers below have here.
    Absent,
}

/// The plan of a tree.
#[derive(Debug, Default)]
pub(crate) struct Layer {
    /// Ordered, so that a folder comes before what is in it.
    nodes: BTreeMap<PathBuf, Node>,
}

impl Layer {
    /// Plans `node` at `path`, absolute or from the tree's top, in place of what was planned there;
    /// false, and nothing planned, when its folder is not part of the plan.
    pub(crate) fn put(&mut self, path: &Path, node: Node) -> bool {
        let path = path.strip_prefix("/").unwrap_or(path);
        let fits = self.has_parent(path);
        if fits {
            self.nodes.insert(path.to_owned(), node);
        }
        fits
    }

    /// Plans `node` unless something stands there already.
    pub(crate) fn put_new(&mut self, path: &Path, node: Node) {
        let path = path.strip_prefix("/").unwrap_or(path);
        if !self.nodes.contains_key(path) {
            self.put(path, node);
        }
    }

    fn has_parent(&self, path: &Path) -> bool {
        path.parent().is_some_and(|parent| {
            parent.as_os_str().is_empty()
                || matches!(self.nodes.get(parent), Some(Node::Folder { .. }))
        })
    }

    /// Makes the folder `top`, which must not exist, with the tree in it. All of it belongs to the
    /// host's user and group `owner`. Changes the working directory.
    pub(crate) fn make(&self, top: &Path, owner: u32) -> io::Result<()> {
        let (uid, gid) = (Uid::from_raw(owner), Gid::from_raw(owner));
        let own = |path: &Path| {
            rustix::fs::chownat(CWD, path, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)
        };
        rustix::fs::mkdir(top, Mode::from_raw_mode(0o755))?;
        own(top)?;
        rustix::process::chdir(top)?;
        let mask = rustix::process::umask(Mode::empty());
        let made = self.make_here(owner, own);
        rustix::process::umask(mask);
        made
    }

    fn make_here(&self, owner: u32, own: impl Fn(&Path) -> io::Result<()>) -> io::Result<()> {
        sys::file_owner_set(owner);
        let made = self.nodes.iter().try_for_each(|(path, node)| make(path, node));
        sys::file_owner_set(0);
        made?;
        // The kernel lets nobody but root make these.
        for (path, node) in &self.nodes {
            if let Node::Device(major, minor) = node {
                device(path, *major, *minor)?;
                own(path)?;
            }
        }
        Ok(())
    }
}

fn make(path: &Path, node: &Node) -> io::Result<()> {
    match node {
        Node::Folder { mode, opaque } => {
            rustix::fs::mkdir(path, Mode::from_raw_mode(*mode))?;
            if *opaque {
                rustix::fs::setxattr(path, "trusted.overlay.opaque", b"y", XattrFlags::empty())?;
            }
            Ok(())
        }
        Node::File(content) => file(path, content.as_bytes()),
        Node::Link(target) => rustix::fs::symlink(*target, path),
        Node::Absent => {
            rustix::fs::mknodat(CWD, path, FileType::CharacterDevice, Mode::empty(), makedev(0, 0))
        }
        Node::Device(..) => Ok(()),
    }
}

fn device(path: &Path, major: u32, minor: u32) -> io::Result<()> {
    let mode = Mode::from_raw_mode(0o666);
    rustix::fs::mknodat(CWD, path, FileType::CharacterDevice, mode, makedev(major, minor))
}

fn file(path: &Path, mut content: &[u8]) -> io::Result<()> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
    let file = rustix::fs::open(path, flags, Mode::from_raw_mode(0o644))?;
    while !content.is_empty() {
        let written = io::retry_on_intr(|| io::write(&file, content))?;
        content = &content[written..];
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::MetadataExt;

    const FOLDER: Node = Node::Folder { mode: 0o755, opaque: false };

    #[test]
    fn what_has_no_folder_is_not_planned() {
        let mut layer = Layer::default();
        assert!(layer.put(Path::new("/a"), FOLDER));
        assert!(layer.put(Path::new("/a/b"), Node::File("one".into())));
        assert!(!layer.put(Path::new("/a/b/c"), FOLDER), "below a file");
        assert!(!layer.put(Path::new("/x/y"), FOLDER), "below nothing");
        layer.put_new(Path::new("/a/b"), FOLDER);
        let expected = [("a", FOLDER), ("a/b", Node::File("one".into()))];
        let expected = expected.map(|(path, node)| (PathBuf::from(path), node));
        assert_eq!(layer.nodes.into_iter().collect::<Vec<_>>(), expected);
    }

    /// Changes the mask and the working directory of the whole process for a moment: other tests of
    /// this room use absolute paths and set the modes that they look at.
    #[test]
    fn all_of_it_is_its_owner_s_whatever_the_mask() {
        if !rustix::process::geteuid().is_root() {
            println!("skipped: needs root");
            return;
        }
        let folder = tempfile::tempdir().expect("a folder");
        let top = folder.path().join("top");
        let nodes = [
            ("tmp", Node::Folder { mode: 0o1777, opaque: false }, 0o041_777),
            ("tmp/file", Node::File("text".into()), 0o100_644),
            ("link", Node::Link("/nowhere"), 0o120_777),
            ("null", Node::Device(1, 3), 0o020_666),
        ];
        let mut layer = Layer::default();
        for (path, node, _) in &nodes {
            assert!(layer.put(Path::new(path), node.clone()), "{path}");
        }
        let before = std::env::current_dir().expect("a working directory");
        layer.make(&top, 100_000).expect("made");
        std::env::set_current_dir(before).expect("back");
        for (path, _, mode) in nodes {
            let found = top.join(path).symlink_metadata().expect(path);
            assert_eq!(
                (found.uid(), found.gid(), found.mode()),
                (100_000, 100_000, mode),
                "{path}"
            );
        }
        let after = folder.path().join("after");
        std::fs::write(&after, "x").expect("still root");
        assert_eq!(after.metadata().expect("there").uid(), 0);
    }
}
