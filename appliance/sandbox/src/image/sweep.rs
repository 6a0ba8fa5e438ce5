//! Which layers go when they take too much.
//!
//! Why: an image that is built anew each night leaves a layer a night, and nobody else removes them.
//! Why by last use and a share of the disk, and no setting: what is removed is unpacked again when a
//! job asks for it, so that nothing is lost but the time of one unpacking.
//! Form: beside each layer stands `<layer>.used`: its text is the size of the layer in bytes, its time
//! of change the last use.
//! Invariants: a layer that a living sandbox has (it holds a lock on the folder), or that was asked for
//! within [`LATELY`], stays, whatever all take; a layer is there whole or not at all.

use super::{ImageError, LayerStore, partial_path};
use crate::sandbox::size_below;
use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

/// A nightly build uses its layers again before they go.
const LATELY: Duration = Duration::from_secs(25 * 60 * 60);

/// Layers may take one part in so many of their file system.
const SHARE: u64 = 10;

const USED: &str = ".used";

/// A layer, as its note tells.
struct Noted {
    path: PathBuf,
    size: u64,
    used: SystemTime,
}

impl Noted {
    fn is_out_of_use(&self, now: SystemTime) -> bool {
        // A clock that was set back tells nothing.
        now.duration_since(self.used).is_ok_and(|since| since >= LATELY)
    }
}

impl LayerStore {
    /// Removes layers that nobody has used lately, the oldest first, while all take more than a tenth of
    /// their file system; tells how many bytes were freed.
    ///
    /// # Errors
    /// When the store cannot be read, or a layer not be removed; the others are swept all the same.
    pub fn sweep(&self, now: SystemTime) -> Result<u64, ImageError> {
        let failed =
            |source| ImageError::Store { action: "sweep", path: self.root.clone(), source };
        let disk = rustix::fs::statvfs(&self.root).map_err(|errno| failed(errno.into()))?;
        self.sweep_to(disk.f_blocks * disk.f_frsize / SHARE, now).map_err(failed)
    }

    fn sweep_to(&self, bound: u64, now: SystemTime) -> io::Result<u64> {
        let mut layers = self.noted()?;
        layers.sort_by_key(|layer| layer.used);
        let mut all: u64 = layers.iter().map(|layer| layer.size).sum();
        let (mut freed, mut failed) = (0, None);
        for layer in layers {
            if all <= bound {
                break;
            }
            match self.remove_unused(&layer.path, now) {
                Ok(false) => {}
                Ok(true) => {
                    all -= layer.size;
                    freed += layer.size;
                }
                Err(error) => failed = failed.or(Some(error)),
            }
        }
        failed.map_or(Ok(freed), Err)
    }

    fn noted(&self) -> io::Result<Vec<Noted>> {
        let entries = fs::read_dir(&self.root)?.flatten().map(|entry| entry.path());
        let is_layer = |path: &PathBuf| {
            let name = path.file_name().and_then(|name| name.to_str());
            name.is_some_and(|name| name.starts_with("sha256-")) && path.is_dir()
        };
        let noted = |path: PathBuf| read(&path).or_else(|_| note(&path).and_then(|()| read(&path)));
        entries.filter(is_layer).map(noted).collect()
    }

    /// Removes a layer, unless it is or was just used; whoever asks for one waits meanwhile.
    fn remove_unused(&self, path: &Path, now: SystemTime) -> io::Result<bool> {
        let asking = self.asking()?;
        asking.lock()?;
        let is_free = read(path)?.is_out_of_use(now) && File::open(path)?.try_lock().is_ok();
        if !is_free {
            return Ok(false);
        }
        // Renamed first, so that a layer is never there in part.
        let gone = partial_path(&self.root);
        fs::rename(path, &gone)?;
        drop(asking);
        fs::remove_file(beside(path))?;
        crate::remove_tree(&gone)?;
        Ok(true)
    }

    /// The folder of a layer that is there, which counts as a use of it.
    pub(super) fn used(&self, path: PathBuf) -> io::Result<Option<PathBuf>> {
        let asking = self.asking()?;
        asking.lock_shared()?;
        if !path.is_dir() {
            return Ok(None);
        }
        // One without a note is noted by the next sweep, as used then.
        match File::options().write(true).open(beside(&path)) {
            Ok(note) => note.set_modified(SystemTime::now())?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        Ok(Some(path))
    }

    /// Locked by all who ask for a layer, and alone by whoever removes one.
    fn asking(&self) -> io::Result<File> {
        File::options().create(true).append(true).open(self.root.join("asking"))
    }
}

fn beside(layer: &Path) -> PathBuf {
    let mut path = layer.as_os_str().to_owned();
    path.push(USED);
    path.into()
}

fn read(path: &Path) -> io::Result<Noted> {
    let note = beside(path);
    let size = fs::read_to_string(&note)?.trim().parse().map_err(io::Error::other)?;
    Ok(Noted { path: path.to_owned(), size, used: fs::metadata(note)?.modified()? })
}

/// Measures a layer, and notes it as used now.
pub(super) fn note(path: &Path) -> io::Result<()> {
    fs::write(beside(path), size_below(path).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::LayerLimits;

    const HOUR: Duration = Duration::from_secs(60 * 60);

    /// A store of layers of 100 kB each, used so many hours ago.
    fn store(hours: &[u32], now: SystemTime) -> (tempfile::TempDir, LayerStore, Vec<PathBuf>) {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let store = LayerStore::open(folder.path(), LayerLimits::default()).expect("opened");
        let layers = hours.iter().enumerate().map(|(number, hours)| {
            let path = folder.path().join(format!("sha256-{number:064x}"));
            fs::create_dir(&path).expect("a folder");
            fs::write(path.join("file"), vec![1; 100_000]).expect("a file");
            fs::write(beside(&path), "100000").expect("a note");
            let note = File::options().write(true).open(beside(&path)).expect("a note");
            note.set_modified(now - HOUR * *hours).expect("its time");
            path
        });
        let layers = layers.collect();
        (folder, store, layers)
    }

    fn left(layers: &[PathBuf]) -> Vec<bool> {
        layers.iter().map(|path| path.exists() && beside(path).exists()).collect()
    }

    #[test]
    fn the_oldest_go_until_the_rest_fits() {
        let now = SystemTime::now();
        let (_folder, store, layers) = store(&[50, 200, 100, 1], now);
        assert_eq!(store.sweep_to(400_000, now).expect("swept"), 0);
        assert_eq!(store.sweep_to(250_000, now).expect("swept"), 200_000);
        assert_eq!(left(&layers), [true, false, false, true]);
    }

    #[test]
    fn what_is_used_stays_whatever_it_takes() {
        let now = SystemTime::now();
        let (_folder, store, layers) = store(&[200, 100, 24, 300], now);
        let living = File::open(&layers[0]).expect("a folder");
        living.lock_shared().expect("as a sandbox does");
        assert!(store.used(layers[3].clone()).expect("asked").is_some());
        assert_eq!(store.sweep_to(0, now).expect("swept"), 100_000);
        assert_eq!(left(&layers), [true, false, true, true]);
        assert!(store.used(layers[1].clone()).expect("asked").is_none());
        drop(living);
        assert_eq!(store.sweep_to(0, now).expect("swept"), 100_000);
    }

    #[test]
    fn a_layer_without_a_note_counts_from_now() {
        let now = SystemTime::now();
        let (_folder, store, layers) = store(&[200], now);
        fs::remove_file(beside(&layers[0])).expect("gone");
        assert_eq!(store.sweep_to(0, now).expect("swept"), 0);
        let noted = read(&layers[0]).expect("noted");
        assert!(noted.size >= 100_000, "{}", noted.size);
        assert_eq!(store.sweep_to(0, now + 26 * HOUR).expect("swept"), noted.size);
        assert!(!layers[0].exists());
    }
}
