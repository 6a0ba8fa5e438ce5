//! Files that hold secrets: who may read them, and how they come into being.
//!
//! Why: a key that another user can read is no key. The check is made on the opened descriptor,
//! not on the path, so that the file cannot be exchanged in between.
//! Invariants: a secret file is created 0400, complete, and synced, under a temporary name, then
//! renamed; it never exists half written.
//! On failure: the message names the file, its mode and the command that mends it.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

/// Why a secret file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Reading or writing failed.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Somebody else can read or write it.
    #[error(
        "{} can be read or changed by others (mode {mode:04o}, owner {owner}): if it is the file that you mean, run `chmod 400 {}` and make sure that it belongs to the user who runs the appliance",
        path.display(), path.display()
    )]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
        /// Its owner.
        owner: u32,
    },
    /// A folder, a device, or the like.
    #[error("{} is no file, and something else is expected here: check the path", path.display())]
    NoFile {
        /// What it is called.
        path: PathBuf,
    },
    /// Larger than any such file can be.
    #[error("{} is larger than {limit} bytes: this is not the file that is expected here", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The bound.
        limit: u64,
    },
}

/// Configuration and key files stay far below this.
const SIZE_MAX: u64 = 1 << 20;

/// Reads a file that only its owner may read or write: group and others have no bit set, and the
/// owner is root or the running user.
pub fn read(path: &Path) -> Result<Vec<u8>, Error> {
    read_kept(path, 0o077)
}

/// Reads a file that everybody may read and only its owner may write, such as a certificate.
pub fn read_public(path: &Path) -> Result<Vec<u8>, Error> {
    read_kept(path, 0o022)
}

fn read_kept(path: &Path, closed: u32) -> Result<Vec<u8>, Error> {
    let io = |action, source| Error::Io { action, path: path.into(), source };
    let file = File::open(path).map_err(|source| io("open", source))?;
    let meta = file.metadata().map_err(|source| io("inspect", source))?;
    if !meta.is_file() {
        return Err(Error::NoFile { path: path.into() });
    }
    let own = rustix::process::geteuid().as_raw();
    if meta.mode() & closed != 0 || (meta.uid() != own && meta.uid() != 0) {
        return Err(Error::Exposed {
            path: path.into(),
            mode: meta.mode() & 0o7777,
            owner: meta.uid(),
        });
    }
    let mut content = Vec::new();
    file.take(SIZE_MAX + 1).read_to_end(&mut content).map_err(|source| io("read", source))?;
    if content.len() as u64 > SIZE_MAX {
        return Err(Error::TooLarge { path: path.into(), limit: SIZE_MAX });
    }
    Ok(content)
}

/// Creates or replaces a file, mode 0400, durably: content and name are on disk when this returns.
pub fn write(path: &Path, content: &[u8]) -> Result<(), Error> {
    let io = |action, source| Error::Io { action, path: path.into(), source };
    let parent = path.parent().unwrap_or(Path::new("."));
    let temporary = path.with_extension("new");
    match fs::remove_file(&temporary) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => {
            return Err(io("replace", source));
        }
        _ => {}
    }
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o400)
        .open(&temporary)
        .map_err(|source| io("create", source))?;
    file.write_all(content).and_then(|()| file.sync_all()).map_err(|source| io("write", source))?;
    fs::rename(&temporary, path).map_err(|source| io("rename to", source))?;
    File::open(parent)
        .and_then(|folder| folder.sync_all())
        .map_err(|source| io("sync the folder of", source))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn check(mode: u32, accepted: bool) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        write(&path, b"secret").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        assert_eq!(read(&path).is_ok(), accepted, "{mode:04o}");
    }

    #[test]
    fn only_files_closed_to_others_are_read() {
        check(0o400, true);
        check(0o600, true);
        check(0o440, false);
        check(0o604, false);
        check(0o644, false);
        check(0o620, false);
    }

    #[test]
    fn a_replaced_file_is_whole_and_closed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        write(&path, b"old").unwrap();
        write(&path, b"new").unwrap();
        assert_eq!(read(&path).unwrap(), b"new");
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o400);
    }
}
