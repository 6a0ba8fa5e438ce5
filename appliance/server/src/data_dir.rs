//! The data directory: its shape, its mode, its first start.
//!
//! Shape: `state/` (SQLite), `live/` (sled, may be deleted), `objects/` (blobs), `repos/` (bare
//! repositories), `orbs/` (made with the first orb), `runner/` (jobs in hand), `tls/` (authority and certificates), `site.key`,
//! `control.sock` and `runner.sock`.
//! Invariants: 0700 and ours; a directory that others can enter is refused, never silently closed,
//! because somebody may have opened it on purpose.

use anyhow::{Context, bail};
use base::units::Bytes;
use std::{
    fs,
    os::unix::fs::{DirBuilderExt, MetadataExt},
    path::{Path, PathBuf},
};

/// Less free space than this and the databases cannot open their logs; the next start would stop
/// half-way with an error of SQLite's.
const START_FREE: Bytes = Bytes::mib(16);

/// Tells where bytes are kept, once any may have been.
pub(crate) const PLACE_FILE: &str = "objects_place";

/// Paths within the data directory.
#[derive(Debug, Clone)]
pub(crate) struct DataDir(PathBuf);

impl DataDir {
    /// Makes the directory, or checks the one that is there.
    pub(crate) fn open(path: &Path) -> anyhow::Result<Self> {
        if !path.exists() {
            fs::DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(path)
                .with_context(|| format!("cannot make the data directory {}", path.display()))?;
        }
        check_mode(path)?;
        room_to_start(path)?;
        for lost in lost_folders(path) {
            tracing::error!("{lost}");
        }
        Self::open_with(path, &["state", "live", "objects", "repos", "runner", "tls"])
    }

    /// The directory as it is, refused as at a start; `None` for one that a start would make.
    pub(crate) fn look(path: &Path) -> anyhow::Result<Option<Self>> {
        if !path.exists() {
            return Ok(None);
        }
        check_mode(path)?;
        room_to_start(path)?;
        Ok(Some(Self(path.to_path_buf())))
    }

    /// Whether a database stood here: there must be one with something in it.
    pub(crate) fn was_in_use(&self) -> bool {
        self.join(PLACE_FILE).exists()
    }

    /// Refuses to begin anew where a database was: all that it knew would be swept away as leftovers
    /// of a cut.
    pub(crate) fn check_database(&self) -> anyhow::Result<()> {
        let state = self.join("state");
        let database = state.join(store::DATABASE);
        let wrong = match fs::metadata(&database) {
            Ok(meta) if meta.is_dir() => "is a folder",
            // Written once the first database stood.
            _ if !self.was_in_use() => return Ok(()),
            Ok(meta) if meta.len() == 0 => "is empty",
            Ok(_) => return Ok(()),
            Err(_) => "is missing",
        };
        bail!(
            "{} {wrong}, but {} was in use: put the latest copy of {} back, all its files together; or move all of the data directory away and start again with nothing",
            database.display(),
            self.0.display(),
            state.display()
        )
    }

    /// A directory of the same kind that holds images alone.
    pub(crate) fn of_images(path: &Path) -> anyhow::Result<Self> {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)
            .with_context(|| format!("cannot make {}", path.display()))?;
        Self::open_with(path, &["state", "objects"])
    }

    fn open_with(path: &Path, folders: &[&str]) -> anyhow::Result<Self> {
        let this = Self(path.to_path_buf());
        for folder in folders {
            fs::DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(path.join(folder))
                .with_context(|| format!("cannot make {}", path.join(folder).display()))?;
        }
        Ok(this)
    }

    /// A path within.
    pub(crate) fn join(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// The site key: read, or made from the system's randomness at the first start. Without it
    /// nothing sealed can be opened, so a missing key beside an existing database is an error.
    pub(crate) fn site_key(&self) -> anyhow::Result<[u8; 32]> {
        if let Some(key) = self.known_key()? {
            return Ok(key);
        }
        let mut key = [0; 32];
        getrandom::fill(&mut key)
            .map_err(|error| anyhow::anyhow!("no randomness from the system: {error}"))?;
        ingress::secure_file::write(&self.join("site.key"), &key)?;
        Ok(key)
    }

    /// The site key that is there; `None` before the first start.
    pub(crate) fn known_key(&self) -> anyhow::Result<Option<[u8; 32]>> {
        let path = self.join("site.key");
        if !path.exists() {
            let has_state = |mut entries: fs::ReadDir| entries.next().is_some();
            if fs::read_dir(self.join("state")).is_ok_and(has_state) {
                bail!(
                    "{} is missing, but there is a database that it sealed: bring the key back from a backup",
                    path.display()
                );
            }
            return Ok(None);
        }
        let key = ingress::secure_file::read(&path)?.try_into();
        key.map(Some).map_err(|_| {
            anyhow::anyhow!(
                "{} is damaged, because it has not 32 bytes: bring the key back from a backup",
                path.display()
            )
        })
    }
}

fn check_mode(path: &Path) -> anyhow::Result<()> {
    let shown = path.display();
    let meta =
        fs::metadata(path).with_context(|| format!("cannot inspect the data directory {shown}"))?;
    if !meta.is_dir() {
        bail!("{shown} is not a folder: name one of the appliance's own, or one that is not there");
    }
    if meta.mode() & 0o077 == 0 {
        return Ok(());
    }
    let is_ours = path.join("state").exists() || fs::read_dir(path)?.next().is_none();
    if !is_ours {
        bail!(
            "{shown} holds files of others: name a folder of the appliance's own, such as /var/lib/appliance"
        );
    }
    bail!(
        "{shown} can be entered by others (mode {:04o}): run `chmod 700 {shown}`",
        meta.mode() & 0o7777
    )
}

/// What to say of folders that a directory in use must have, and that are gone.
pub(crate) fn lost_folders(path: &Path) -> Vec<String> {
    const MEANINGS: [(&str, &str); 3] = [
        ("objects", "artifacts, caches, objects and images that are kept in this machine are lost"),
        ("repos", "the repositories of all projects are lost"),
        ("tls", "a new authority is made, which every client must trust anew"),
    ];
    if !path.join(PLACE_FILE).exists() {
        return Vec::new();
    }
    let lost = MEANINGS.into_iter().filter(|(folder, _)| !path.join(folder).exists());
    let told = lost.map(|(folder, meaning)| {
        format!(
            "{} is gone, although {} was in use, and {meaning}: stop the service and put the latest copy of the data directory back, if there is one",
            path.join(folder).display(),
            path.display()
        )
    });
    told.collect()
}

/// A disk that is full or takes no writes is told before anything is written to it.
fn room_to_start(path: &Path) -> anyhow::Result<()> {
    let disk = rustix::fs::statvfs(path)
        .with_context(|| format!("cannot ask for the free space of {}", path.display()))?;
    if disk.f_flag.contains(rustix::fs::StatVfsMountFlags::RDONLY) {
        bail!(
            "the disk that holds {0} is mounted read-only, often because it failed: look for its errors in `dmesg`, check it with `fsck`, then mount it for writing (`findmnt --target {0}` names it)",
            path.display()
        );
    }
    let free = Bytes(disk.f_bavail.saturating_mul(disk.f_frsize));
    if free < START_FREE {
        bail!(
            "the disk is full: {0} has {free} free, and a start needs {START_FREE}; see `df -h {0}`, remove what is not needed there or give it more room",
            path.display()
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn the_directory_and_the_key_are_closed_to_others_and_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("data");
        let data = DataDir::open(&path).unwrap();
        let key = data.site_key().unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o700);
        assert_eq!(fs::metadata(data.join("site.key")).unwrap().mode() & 0o777, 0o400);
        assert_eq!(DataDir::open(&path).unwrap().site_key().unwrap(), key);
    }

    #[test]
    fn a_directory_that_others_can_enter_is_refused_with_the_remedy() {
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let message = DataDir::open(folder.path()).unwrap_err().to_string();
        assert!(message.contains("chmod 700"), "{message}");
    }

    #[test]
    fn what_is_no_folder_of_ours_is_not_to_be_closed_to_others() {
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let file = folder.path().join("passwd");
        fs::write(&file, b"x").unwrap();
        for (path, words) in [(folder.path(), "files of others"), (&file, "not a folder")] {
            let message = DataDir::open(path).unwrap_err().to_string();
            assert!(message.contains(words) && !message.contains("chmod"), "{message}");
        }
    }

    #[test]
    fn a_lost_database_is_not_begun_anew_over_what_it_knew() {
        let folder = tempfile::tempdir().unwrap();
        let data = DataDir::open(&folder.path().join("data")).unwrap();
        let database = data.join("state/appliance.db");
        let refused = |words: &str| {
            let message = data.check_database().unwrap_err().to_string();
            assert!(message.contains(words) && message.contains("latest copy"), "{message}");
        };
        data.check_database().unwrap();
        fs::write(data.join(PLACE_FILE), b"here").unwrap();
        refused("appliance.db is missing");
        fs::write(&database, b"").unwrap();
        refused("appliance.db is empty");
        fs::write(&database, b"x").unwrap();
        data.check_database().unwrap();
        fs::remove_file(&database).unwrap();
        fs::create_dir(&database).unwrap();
        refused("appliance.db is a folder");
    }

    #[test]
    fn folders_that_were_there_are_missed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("data");
        assert!(lost_folders(&path).is_empty(), "at the first start");
        let data = DataDir::open(&path).unwrap();
        fs::write(data.join(PLACE_FILE), b"here").unwrap();
        assert!(lost_folders(&path).is_empty());
        for lost in ["repos", "tls"] {
            fs::remove_dir(data.join(lost)).unwrap();
        }
        let [repos, tls] = lost_folders(&path).try_into().unwrap();
        assert!(repos.contains("/repos is gone") && tls.contains("/tls is gone"), "{repos} {tls}");
    }

    #[test]
    fn a_lost_key_is_not_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let data = DataDir::open(&folder.path().join("data")).unwrap();
        fs::write(data.join("state/appliance.db"), b"x").unwrap();
        assert!(data.site_key().unwrap_err().to_string().contains("backup"));
    }
}
