//! Removes a folder and all that is below it, however deep.
//!
//! Why of our own: a job may make a tree of as many levels as its disk holds, and a removal that
//! goes down level by level needs a descriptor, or stack, for each. Here what lies deeper is first
//! moved up, so that two folders are open at any time.
//! Invariants: links are removed and not followed; nothing outside of the folder is touched.
//! On failure: the first thing that cannot be removed ends the removal; it may be tried again.

use rustix::{
    fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, openat, renameat, unlinkat},
    io::Errno,
};
use std::{
    ffi::CString,
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::Path,
};

/// Removes the folder at `path` with all that is in it.
///
/// # Errors
/// What the kernel says: not found, a mount point, another process that goes on writing.
pub fn remove_tree(path: &Path) -> io::Result<()> {
    let top = folder_open(CWD, path)?;
    let mut moved = 0;
    loop {
        let folders = empty_of_files(top.as_fd())?;
        if folders.is_empty() {
            break;
        }
        for name in folders {
            flatten(top.as_fd(), &name, &mut moved)?;
        }
    }
    drop(top);
    Ok(unlinkat(CWD, path, AtFlags::REMOVEDIR)?)
}

/// Removes the folder `name` of `top`; folders in it that are not empty move up into `top`.
fn flatten(top: BorrowedFd<'_>, name: &CString, moved: &mut u64) -> io::Result<()> {
    if is_removed(top, name)? {
        return Ok(());
    }
    let folder = folder_open(top, name)?;
    for below in empty_of_files(folder.as_fd())? {
        if !is_removed(folder.as_fd(), &below)? {
            move_up(folder.as_fd(), &below, top, moved)?;
        }
    }
    unlinkat(top, name, AtFlags::REMOVEDIR)?;
    Ok(())
}

/// Removes an empty folder; false when it is not empty.
fn is_removed(parent: BorrowedFd<'_>, name: &CString) -> io::Result<bool> {
    match unlinkat(parent, name, AtFlags::REMOVEDIR) {
        Ok(()) | Err(Errno::NOENT) => Ok(true),
        Err(Errno::NOTEMPTY | Errno::EXIST) => Ok(false),
        Err(errno) => Err(errno.into()),
    }
}

/// Gives a folder a name in `top` that nothing else has.
fn move_up(
    from: BorrowedFd<'_>,
    name: &CString,
    top: BorrowedFd<'_>,
    moved: &mut u64,
) -> io::Result<()> {
    loop {
        *moved += 1;
        match renameat(from, name, top, format!("{moved}")) {
            Ok(()) => return Ok(()),
            // Something of the tree's own has that name.
            Err(Errno::NOTEMPTY | Errno::EXIST | Errno::NOTDIR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
}

/// Removes whatever is no folder; the folders that are left.
fn empty_of_files(folder: BorrowedFd<'_>) -> io::Result<Vec<CString>> {
    let mut folders = Vec::new();
    for entry in Dir::read_from(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        if matches!(name.to_bytes(), b"." | b"..") {
            continue;
        }
        let removed = match entry.file_type() {
            FileType::Directory => Err(Errno::ISDIR),
            _ => unlinkat(folder, name, AtFlags::empty()),
        };
        match removed {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(Errno::ISDIR) => folders.push(name.to_owned()),
            Err(errno) => return Err(errno.into()),
        }
    }
    Ok(folders)
}

fn folder_open(parent: impl AsFd, path: impl rustix::path::Arg) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(openat(parent, path, flags, Mode::empty())?)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use std::fs;

    /// Makes a chain of folders below `top`, deeper than any path may be long.
    pub(crate) fn chain(top: &Path, levels: usize) {
        let mut folder = folder_open(CWD, top).expect("the top");
        for _ in 0..levels {
            rustix::fs::mkdirat(&folder, "d", Mode::from_raw_mode(0o700)).expect("a folder");
            folder = folder_open(&folder, "d").expect("the folder");
        }
        let flags = OFlags::CREATE | OFlags::WRONLY;
        let file = openat(&folder, "deep", flags, Mode::from_raw_mode(0o600)).expect("a file");
        rustix::io::write(&file, &[1; 8192]).expect("written");
    }

    #[test]
    fn a_tree_deeper_than_the_stack_and_the_descriptors_is_removed() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let top = folder.path().join("top");
        fs::create_dir(&top).expect("a folder");
        chain(&top, 20_000);
        let mut limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
        limit.current = Some(64);
        rustix::process::setrlimit(rustix::process::Resource::Nofile, limit).expect("a limit");
        let small = std::thread::Builder::new().stack_size(512 << 10);
        let removal = top.clone();
        let removed = small.spawn(move || remove_tree(&removal)).expect("a thread").join();
        removed.expect("no overflow").expect("removed");
        assert!(!top.exists());
    }

    #[test]
    fn names_that_are_taken_and_links_are_no_hindrance() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let (top, kept) = (folder.path().join("top"), folder.path().join("kept"));
        for path in ["top/a/b/c", "top/1/x/y", "top/2", "kept"] {
            fs::create_dir_all(folder.path().join(path)).expect("a folder");
        }
        for path in ["top/a/f", "top/a/b/c/f", "top/1/x/f", "top/3", "kept/f"] {
            fs::write(folder.path().join(path), "x").expect("a file");
        }
        std::os::unix::fs::symlink(&kept, top.join("a/link")).expect("a link");
        std::os::unix::fs::symlink(&kept, top.join("link")).expect("a link");
        remove_tree(&top).expect("removed");
        assert!(!top.exists() && kept.join("f").exists());
        assert_eq!(remove_tree(&top).expect_err("gone").kind(), io::ErrorKind::NotFound);
    }
}
