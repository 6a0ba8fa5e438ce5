//! A folder that is written to by path, and cannot be left.
//!
//! Why: an archive names its own paths, and may have made links before it uses them.
//! Invariants: folders on the way are resolved by the kernel within the tree (openat2 with
//! RESOLVE_IN_ROOT); the last part is never followed. A path with `..` is refused.

use rustix::{
    fs::{
        AtFlags, CWD, FileType, Gid, Mode, OFlags, ResolveFlags, Timespec, Timestamps, Uid,
        XattrFlags, makedev,
    },
    io::Errno,
};
use std::{
    ffi::{OsStr, OsString},
    fs::File,
    io,
    os::{
        fd::{AsRawFd, OwnedFd},
        unix::ffi::OsStrExt,
    },
    path::{Component, Path, PathBuf},
    rc::Rc,
};

/// The kernel's own bound on a path.
const PATH_MAX: usize = 4096;

/// What overlayfs reads as "nothing below shows through".
const OPAQUE: &str = "trusted.overlay.opaque";

/// Owner, rights and time of an entry.
#[derive(Debug, Clone, Copy)]
pub(super) struct Attributes {
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) mode: u32,
    /// Seconds since 1970.
    pub(super) modified: i64,
}

/// The root of a tree being written.
pub(super) struct Tree {
    root: OwnedFd,
    /// Entries of one folder follow one another: its descriptor is kept.
    last: Option<(PathBuf, Rc<OwnedFd>)>,
}

/// A name in an open folder.
pub(super) struct Place {
    folder: Rc<OwnedFd>,
    name: OsString,
}

impl Tree {
    pub(super) fn open(root: &Path) -> io::Result<Self> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(Self { root: rustix::fs::openat(CWD, root, flags, Mode::empty())?, last: None })
    }

    /// The place of `path`, its folders made where missing; `None` is the root itself.
    pub(super) fn place(&mut self, path: &Path) -> io::Result<Option<Place>> {
        let clean = clean(path)?;
        let Some(name) = clean.file_name() else { return Ok(None) };
        let parent = clean.parent().unwrap_or(Path::new(""));
        Ok(Some(Place { folder: self.folder(parent)?, name: name.to_owned() }))
    }

    fn folder(&mut self, path: &Path) -> io::Result<Rc<OwnedFd>> {
        if let Some((last, folder)) = &self.last
            && last == path
        {
            return Ok(folder.clone());
        }
        let folder = match self.folder_open(path) {
            Err(Errno::NOENT) => self.folder_make(path)?,
            result => result?,
        };
        let folder = Rc::new(folder);
        self.last = Some((path.to_owned(), folder.clone()));
        Ok(folder)
    }

    fn folder_open(&self, path: &Path) -> rustix::io::Result<OwnedFd> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
        let how = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        rustix::io::retry_on_intr(|| {
            rustix::fs::openat2(&self.root, path, flags, Mode::empty(), how)
        })
    }

    /// Archives may leave out the folders of what they hold.
    fn folder_make(&mut self, path: &Path) -> io::Result<OwnedFd> {
        let parent = path.parent().unwrap_or(Path::new(""));
        let above = self.folder(parent)?;
        let name = path.file_name().unwrap_or_default();
        let mode = Mode::from_raw_mode(0o755);
        match rustix::fs::mkdirat(&*above, name, mode) {
            // The process's mask must not close it to the users of the image.
            Ok(()) => rustix::fs::chmodat(&*above, name, mode, AtFlags::empty())?,
            Err(Errno::EXIST) => {}
            Err(errno) => return Err(errno.into()),
        }
        Ok(self.folder_open(path)?)
    }

    /// Forgets the kept descriptor: the folder it stands for may have been replaced.
    pub(super) fn forget(&mut self) {
        self.last = None;
    }
}

/// The parts of a path below the root.
fn clean(path: &Path) -> io::Result<PathBuf> {
    let refuse = |reason| Err(io::Error::new(io::ErrorKind::InvalidData, reason));
    if path.as_os_str().len() >= PATH_MAX {
        return refuse("the path is too long");
    }
    let mut clean = PathBuf::new();
    for part in path.components() {
        match part {
            Component::Normal(name) => clean.push(name),
            Component::RootDir | Component::CurDir => {}
            Component::ParentDir | Component::Prefix(_) => {
                return refuse("the path leads out of the layer");
            }
        }
    }
    Ok(clean)
}

impl Place {
    pub(super) fn name(&self) -> &OsStr {
        &self.name
    }

    /// Another name in the same folder.
    pub(super) fn sibling(&self, name: &[u8]) -> io::Result<Self> {
        match name {
            b"" | b"." | b".." => {
                Err(io::Error::new(io::ErrorKind::InvalidData, "a deletion names no file"))
            }
            _ => Ok(Self { folder: self.folder.clone(), name: OsStr::from_bytes(name).to_owned() }),
        }
    }

    /// What is there.
    pub(super) fn kind(&self) -> io::Result<Option<FileType>> {
        match rustix::fs::statat(&*self.folder, &self.name, AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::NOENT) => Ok(None),
            Err(errno) => Err(errno.into()),
            Ok(stat) => Ok(Some(FileType::from_raw_mode(stat.st_mode))),
        }
    }

    /// Removes what is there, folders with all that is in them. Returns what it was.
    pub(super) fn clear(&self) -> io::Result<Option<FileType>> {
        let kind = self.kind()?;
        match kind {
            None => {}
            Some(FileType::Directory) => std::fs::remove_dir_all(self.proc_path())?,
            Some(_) => rustix::fs::unlinkat(&*self.folder, &self.name, AtFlags::empty())?,
        }
        Ok(kind)
    }

    pub(super) fn file_make(&self) -> io::Result<File> {
        let flags =
            OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        Ok(rustix::fs::openat(&*self.folder, &self.name, flags, Mode::from_raw_mode(0o600))?.into())
    }

    pub(super) fn folder_make(&self) -> io::Result<()> {
        Ok(rustix::fs::mkdirat(&*self.folder, &self.name, Mode::from_raw_mode(0o700))?)
    }

    pub(super) fn symlink_make(&self, target: &Path) -> io::Result<()> {
        Ok(rustix::fs::symlinkat(target, &*self.folder, &self.name)?)
    }

    pub(super) fn fifo_make(&self) -> io::Result<()> {
        Ok(rustix::fs::mknodat(
            &*self.folder,
            &self.name,
            FileType::Fifo,
            Mode::from_raw_mode(0o600),
            0,
        )?)
    }

    /// A second name for `other`, itself when it is a link.
    pub(super) fn link_make(&self, other: &Self) -> io::Result<()> {
        Ok(rustix::fs::linkat(
            &*other.folder,
            &other.name,
            &*self.folder,
            &self.name,
            AtFlags::empty(),
        )?)
    }

    /// The mark that hides what lower layers have under this name.
    pub(super) fn whiteout_make(&self) -> io::Result<()> {
        let device = makedev(0, 0);
        let kind = FileType::CharacterDevice;
        Ok(rustix::fs::mknodat(&*self.folder, &self.name, kind, Mode::empty(), device)?)
    }

    /// Hides what lower layers have in this folder.
    pub(super) fn opaque(&self) -> io::Result<()> {
        Ok(rustix::fs::lsetxattr(self.proc_path(), OPAQUE, b"y", XattrFlags::empty())?)
    }

    /// Hides what lower layers have in the folder that this place is in.
    pub(super) fn folder_opaque(&self) -> io::Result<()> {
        Ok(rustix::fs::setxattr(self.folder_path(), OPAQUE, b"y", XattrFlags::empty())?)
    }

    pub(super) fn xattr_set(&self, name: &str, value: &[u8]) -> io::Result<()> {
        Ok(rustix::fs::lsetxattr(self.proc_path(), name, value, XattrFlags::empty())?)
    }

    /// Owner first: a change of owner clears the set-user-id bit.
    pub(super) fn attributes_set(&self, attributes: Attributes, is_link: bool) -> io::Result<()> {
        let owner = (Some(Uid::from_raw(attributes.uid)), Some(Gid::from_raw(attributes.gid)));
        rustix::fs::chownat(
            &*self.folder,
            &self.name,
            owner.0,
            owner.1,
            AtFlags::SYMLINK_NOFOLLOW,
        )?;
        if !is_link {
            let mode = Mode::from_raw_mode(attributes.mode & 0o7777);
            rustix::fs::chmodat(&*self.folder, &self.name, mode, AtFlags::empty())?;
        }
        self.modified_set(attributes.modified)
    }

    pub(super) fn modified_set(&self, seconds: i64) -> io::Result<()> {
        let time = Timespec { tv_sec: seconds, tv_nsec: 0 };
        let times = Timestamps { last_access: time, last_modification: time };
        Ok(rustix::fs::utimensat(&*self.folder, &self.name, &times, AtFlags::SYMLINK_NOFOLLOW)?)
    }

    /// For calls without a form that takes a folder: the descriptor by its own name.
    fn proc_path(&self) -> PathBuf {
        self.folder_path().join(&self.name)
    }

    fn folder_path(&self) -> PathBuf {
        Path::new("/proc/self/fd").join(self.folder.as_raw_fd().to_string())
    }
}
