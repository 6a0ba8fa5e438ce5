//! Archives into folders, inside the job.
//!
//! Why not the library's own loop: it refuses to go through a link that the job itself has made,
//! where `tar` goes through; and it leaves to the caller what becomes of a file that is a folder now.
//! Invariants: no name leads upwards; folders get their permissions last, so that a closed one can
//! be filled; a further name of a file is given to none but a file that this archive has brought. The wall
//! is the sandbox: a symbolic link may lead anywhere in it.

use super::tally::Checked;
use std::{
    collections::HashSet,
    fs::{self, Metadata},
    io::{self, Read},
    os::unix::fs::MetadataExt,
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
    let (mut tally, mut brought) = (Checked::default(), Brought::default());
    for entry in archive.entries()? {
        let mut entry = entry?;
        let kind = entry.header().entry_type();
        if kind.is_pax_global_extensions() {
            tally.hear(&mut entry)?;
            continue;
        }
        tally.count();
        let Some(name) = plain_name(&entry.path()?)? else { continue };
        if kind.is_dir() {
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
        if kind.is_hard_link() {
            brought.link(into, entry.link_name()?.as_deref(), &target)?;
            continue;
        }
        entry.unpack(&target)?;
        brought.note(&target);
    }
    tally.end()?;
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

/// The files that an archive has brought so far, by device and number.
#[derive(Debug, Default)]
struct Brought(HashSet<(u64, u64)>);

impl Brought {
    fn note(&mut self, target: &Path) {
        let meta = fs::symlink_metadata(target).ok().filter(Metadata::is_file);
        self.0.extend(meta.as_ref().map(id));
    }

    /// Makes `target` another name of the file that the archive calls `of`.
    fn link(&self, into: &Path, of: Option<&Path>, target: &Path) -> io::Result<()> {
        let of = of.unwrap_or(Path::new(""));
        let source = plain_name(of)?.map(|name| into.join(name)).unwrap_or_default();
        // Whatever links the way there has: it ends at a file of ours, or nowhere.
        let file = fs::symlink_metadata(&source).ok().filter(|meta| self.0.contains(&id(meta)));
        let Some(file) = file else {
            let text = format!(
                "{} is to be a link to `{}`, which is no file of this archive",
                target.display(),
                of.display()
            );
            return Err(io::Error::new(io::ErrorKind::InvalidData, text));
        };
        match fs::symlink_metadata(target) {
            Ok(there) if id(&there) == id(&file) => return Ok(()),
            Ok(_) => fs::remove_file(target)?,
            Err(_) => {}
        }
        // On another file system, or with more names than one takes, it is a file of its own.
        fs::hard_link(&source, target).or_else(|_| fs::copy(&source, target).map(drop))
    }
}

fn id(meta: &Metadata) -> (u64, u64) {
    (meta.dev(), meta.ino())
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

    /// An archive of the file `a` and of `b`, which is a link to `target`; `c` is a symbolic link to `to`.
    fn linked(target: &str, to: &Path) -> Vec<u8> {
        let mut archive = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_gnu();
        header.set_size(3);
        header.set_mode(0o644);
        archive.append_data(&mut header, "a", b"one".as_slice()).unwrap();
        header.set_size(0);
        header.set_entry_type(tar::EntryType::Symlink);
        archive.append_link(&mut header, "c", to).unwrap();
        header.set_entry_type(tar::EntryType::Link);
        archive.append_link(&mut header, "b", target).unwrap();
        archive.into_inner().unwrap()
    }

    #[test]
    fn a_link_between_files_stays_within_its_archive() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::create_dir(at("outside")).unwrap();
        fs::write(at("outside/secret"), "secret").unwrap();
        let unpack = |target: &str, into: &str, to: &str| {
            fs::create_dir_all(at(into)).unwrap();
            fs::write(at(into).join("own"), "own").unwrap();
            fs::write(at(into).join("b"), "earlier").unwrap();
            extract(linked(target, &at(to)).as_slice(), &at(into), InTheWay::Followed)
        };
        unpack("a", "into", "outside").unwrap();
        let (a, b) = (at("into/a").metadata().unwrap(), at("into/b").metadata().unwrap());
        assert_eq!((id(&a), a.nlink()), (id(&b), 2));
        assert_eq!(fs::read_to_string(at("into/b")).unwrap(), "one");
        let absolute = at("outside/secret").to_string_lossy().into_owned();
        for (nth, target, to) in [
            (1, "../outside/secret", "outside"),
            (2, absolute.as_str(), "outside"),
            (3, "c/secret", "outside"),
            (4, "c", "outside/secret"),
            (5, "own", "outside"),
            (6, "nothing", "outside"),
            (7, ".", "outside"),
        ] {
            let into = format!("into-{nth}");
            let error = unpack(target, &into, to).unwrap_err().to_string();
            assert!(
                error.contains("no file of this archive") || error.contains("leads out"),
                "{error}"
            );
            assert_eq!(fs::read_to_string(at(&into).join("b")).unwrap(), "earlier", "{target}");
        }
        assert_eq!(at("outside/secret").metadata().unwrap().nlink(), 1);
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
