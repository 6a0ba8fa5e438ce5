//! Archives into folders, inside the job.
//!
//! Why not the library's own loop: it refuses to go through a link that the job itself has made,
//! where `tar` goes through; and it leaves to the caller what becomes of a file that is a folder now.
//! Invariants: no name leads upwards; folders get their permissions last, so that a closed one can
//! be filled. The wall is the sandbox: a link may lead anywhere in it.

use std::{
    fs,
    io::{self, Read},
    path::{Component, Path, PathBuf},
};

/// What becomes of that which stands where an entry, or a folder above it, is to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum InTheWay {
    /// A link to a folder is followed, as `tar` does; a file gives way to a file.
    Followed,
    /// Everything else than what the archive says gives way, as in a checkout.
    Removed,
}

/// Unpacks a plain archive.
pub(super) fn extract(plain: impl Read, into: &Path, in_the_way: InTheWay) -> io::Result<()> {
    fs::create_dir_all(into)?;
    let mut archive = tar::Archive::new(plain);
    archive.set_preserve_permissions(true);
    archive.set_overwrite(true);
    let mut folders = Vec::new();
    let mut ready = PathBuf::new();
    for entry in archive.entries()? {
        let mut entry = entry?;
        let Some(name) = plain_name(&entry.path()?)? else { continue };
        if entry.header().entry_type().is_dir() {
            folders.push((name, entry));
            continue;
        }
        let above = name.parent().unwrap_or(Path::new("")).to_owned();
        if above != ready || !into.join(&above).is_dir() {
            make_folders(into, &above, in_the_way)?;
            ready = above;
        }
        let target = into.join(name);
        if in_the_way == InTheWay::Removed {
            remove_folder(&target)?;
        }
        entry.unpack(&target)?;
    }
    // Those within others first: the outer one may close the way to them.
    folders.sort_by(|a, b| b.0.cmp(&a.0));
    for (name, _) in folders.iter().rev() {
        make_folders(into, name, in_the_way)?;
    }
    // The library does not take a link to a folder for one.
    folders.into_iter().try_for_each(|(name, mut folder)| {
        folder.unpack(fs::canonicalize(into.join(name))?).map(drop)
    })
}

/// The name of an entry without what means nothing; none for the root itself.
fn plain_name(name: &Path) -> io::Result<Option<PathBuf>> {
    let mut plain = PathBuf::new();
    for part in name.components() {
        match part {
            Component::Normal(part) => plain.push(part),
            Component::CurDir | Component::RootDir | Component::Prefix(_) => {}
            Component::ParentDir => {
                let text = format!("`{}` leads out of the archive", name.display());
                return Err(io::Error::new(io::ErrorKind::InvalidData, text));
            }
        }
    }
    Ok(Some(plain).filter(|plain| !plain.as_os_str().is_empty()))
}

fn make_folders(into: &Path, name: &Path, in_the_way: InTheWay) -> io::Result<()> {
    let mut folder = into.to_owned();
    for part in name.components() {
        folder.push(part);
        let found = fs::symlink_metadata(&folder).map(|found| found.file_type());
        let fits = match (&found, in_the_way) {
            (Ok(kind), InTheWay::Removed) => kind.is_dir(),
            (Ok(kind), InTheWay::Followed) => kind.is_dir() || folder.is_dir(),
            (Err(_), _) => false,
        };
        if fits {
            continue;
        }
        if found.is_ok() && in_the_way == InTheWay::Removed {
            fs::remove_file(&folder)?;
        }
        fs::create_dir(&folder).map_err(|error| {
            io::Error::new(error.kind(), format!("could not make {}: {error}", folder.display()))
        })?;
    }
    Ok(())
}

/// Removes what is at `path` if it is a folder, and not a link to one.
fn remove_folder(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Ok(found) if found.is_dir() => fs::remove_dir_all(path),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt, symlink};

    /// An archive of files with their contents; a name that ends in `/` is a folder nobody may
    /// write to, one with `->` a link.
    fn archive(entries: &[(&str, &str)]) -> Vec<u8> {
        let mut archive = tar::Builder::new(Vec::new());
        for (name, content) in entries {
            let mut header = tar::Header::new_gnu();
            header.set_mode(if name.ends_with('/') { 0o555 } else { 0o644 });
            if name.ends_with('/') {
                header.set_entry_type(tar::EntryType::Directory);
            }
            header.set_size(content.len() as u64);
            // The library would refuse some of these names.
            header.as_gnu_mut().unwrap().name[..name.len()].copy_from_slice(name.as_bytes());
            header.set_cksum();
            archive.append(&header, content.as_bytes()).unwrap();
        }
        archive.into_inner().unwrap()
    }

    fn check(
        prepare: impl Fn(&Path),
        entries: &[(&str, &str)],
        in_the_way: InTheWay,
        expected: Result<&[(&str, &str)], &str>,
    ) {
        let folder = tempfile::tempdir().unwrap();
        let into = folder.path().join("into");
        fs::create_dir_all(&into).unwrap();
        prepare(folder.path());
        let done = extract(archive(entries).as_slice(), &into, in_the_way);
        match expected {
            Ok(files) => {
                done.unwrap();
                for (name, content) in files {
                    let found = fs::read_to_string(folder.path().join(name)).ok();
                    let wanted = Some((*content).to_owned()).filter(|content| *content != "gone");
                    assert_eq!(found, wanted, "{name}");
                }
            }
            Err(why) => {
                let told = done.unwrap_err().to_string();
                assert!(told.contains(why), "{told}");
            }
        }
    }

    #[test]
    fn a_link_of_the_jobs_own_is_followed_like_tar_does() {
        use InTheWay::Followed;
        let linked = |folder: &Path| {
            fs::create_dir(folder.join("elsewhere")).unwrap();
            symlink(folder.join("elsewhere"), folder.join("into/deps")).unwrap();
        };
        let entries = [("deps/", ""), ("deps/a", "1"), ("b", "2")];
        check(linked, &entries, Followed, Ok(&[("elsewhere/a", "1"), ("into/b", "2")]));
        check(|_| (), &entries, Followed, Ok(&[("into/deps/a", "1")]));
        check(|_| (), &[("/abs/a", "1")], Followed, Ok(&[("into/abs/a", "1")]));
        check(|_| (), &[("a/../../x", "1")], Followed, Err("`a/../../x` leads out"));
    }

    #[test]
    fn what_is_in_the_way_of_a_commit_gives_way() {
        use InTheWay::Removed;
        let other_kinds = |folder: &Path| {
            fs::create_dir(folder.join("elsewhere")).unwrap();
            symlink(folder.join("elsewhere"), folder.join("into/link")).unwrap();
            fs::write(folder.join("into/file"), "old").unwrap();
            fs::create_dir(folder.join("into/folder")).unwrap();
            fs::write(folder.join("into/folder/x"), "old").unwrap();
        };
        let entries = [("link/a", "1"), ("file/b", "2"), ("folder", "3")];
        let expected = [
            ("elsewhere/a", "gone"),
            ("into/link/a", "1"),
            ("into/file/b", "2"),
            ("into/folder", "3"),
        ];
        check(other_kinds, &entries, Removed, Ok(&expected));
    }

    #[test]
    fn folders_get_their_permissions_last() {
        let folder = tempfile::tempdir().unwrap();
        let entries = [("a/", ""), ("a/b/", ""), ("a/b/c", "1")];
        extract(archive(&entries).as_slice(), folder.path(), InTheWay::Followed).unwrap();
        for name in ["a", "a/b"] {
            let mode = fs::metadata(folder.path().join(name)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o555, "{name}");
        }
        assert_eq!(fs::read_to_string(folder.path().join("a/b/c")).unwrap(), "1");
        // So that whoever is not root can remove them.
        for name in ["a", "a/b"] {
            let open = fs::Permissions::from_mode(0o755);
            fs::set_permissions(folder.path().join(name), open).unwrap();
        }
    }
}
