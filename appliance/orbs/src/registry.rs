//! The folder itself: add, list, read, and load what one configuration needs.

mod loading;

use crate::{
    address::{self, Prefix},
    error::Error,
    fetch::{Ask, Fetch},
    intake::Name,
};
use base::{limits::CONFIG_MAX, time::Timestamp};
use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use pipeline::{OrbReference, OrbVersion, Orbs};
use std::{
    fs::{self, File},
    io::{self, Read, Write},
    os::unix::fs::{DirBuilderExt, PermissionsExt},
    path::{Path, PathBuf},
    sync::Arc,
    time::UNIX_EPOCH,
};

/// A file name may have 255 bytes.
const ADDRESS_MAX: usize = 240;

/// The orbs of one data directory. Clones are cheap and see each other's additions, as other
/// processes do: every question is answered from the folder.
#[derive(Debug, Clone, Default)]
pub struct Registry {
    folder: Option<Arc<Path>>,
    prefixes: Option<Arc<[Prefix]>>,
    fetch: Option<Fetch>,
}

/// What became of an addition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Added {
    /// It is new.
    New,
    /// The same bytes were there already.
    Same,
    /// It took the place of an older `dev:` version, or of what stood behind the address.
    Replaced,
}

/// One orb of the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// `ns/name`, or an address.
    pub name: String,
    /// Oldest first; empty for an address.
    pub versions: Vec<OrbVersion>,
}

impl Registry {
    /// The store in `folder`, which is made when the first orb comes.
    #[must_use]
    pub fn at(folder: impl Into<PathBuf>) -> Self {
        Self { folder: Some(folder.into().into()), prefixes: None, fetch: None }
    }

    /// The same, answering for addresses only below these prefixes.
    #[must_use]
    pub fn allow_only(self, prefixes: impl IntoIterator<Item = Prefix>) -> Self {
        Self { prefixes: Some(prefixes.into_iter().collect()), ..self }
    }

    /// The same, asking addresses below those prefixes for what is not kept, or is old.
    #[must_use]
    pub fn fetch_with(self, ask: Arc<Ask>) -> Self {
        Self { fetch: Some(Fetch::new(ask)), ..self }
    }

    /// Keeps one orb. When this returns, it is on disk. What stands behind an address is then as
    /// brought: it is fetched no more.
    ///
    /// # Errors
    /// [`Error::Taken`] for a released version with other content, else when it cannot be written.
    pub fn add(&self, name: &Name, text: &str) -> Result<Added, Error> {
        let path = self.path(name)?;
        let _turn = match name {
            Name::Address(_) => Some(turn(&path)?),
            Name::Registry(_) => None,
        };
        loading::forget(&path)?;
        let added = self.would_add(name, text)?;
        if added == Added::Same {
            return Ok(added);
        }
        match write(&path, text, may_change(name)) {
            Ok(()) => Ok(added),
            // Another process was faster: what it wrote counts.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                if read_if_there(&path)?.as_deref() == Some(text) {
                    return Ok(Added::Same);
                }
                Err(Error::Taken(name.to_string()))
            }
            Err(error) => Err(Error::io("write", &path)(error)),
        }
    }

    /// What [`Registry::add`] would come to now.
    ///
    /// # Errors
    /// Those that it would have, but for those of writing.
    pub fn would_add(&self, name: &Name, text: &str) -> Result<Added, Error> {
        match read_if_there(&self.path(name)?)? {
            None => Ok(Added::New),
            Some(before) if before == text => Ok(Added::Same),
            Some(_) if may_change(name) => Ok(Added::Replaced),
            Some(_) => Err(Error::Taken(name.to_string())),
        }
    }

    /// All orbs, by name; addresses last.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn list(&self) -> Result<Vec<Listed>, Error> {
        let Some(folder) = &self.folder else { return Ok(vec![]) };
        let mut found = vec![];
        for namespace in names(&folder.join("registry"))? {
            for orb in names(&folder.join("registry").join(&namespace))? {
                let name = format!("{namespace}/{orb}");
                let versions = self.versions(&name)?;
                if !versions.is_empty() {
                    found.push(Listed { name, versions });
                }
            }
        }
        for file in names(&folder.join("addresses"))? {
            let Some(stem) = file.strip_suffix(".yml") else { continue };
            let name = percent_decode_str(stem).decode_utf8_lossy().into_owned();
            found.push(Listed { name, versions: vec![] });
        }
        Ok(found)
    }

    /// Versions of one orb, oldest first.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn versions(&self, name: &str) -> Result<Vec<OrbVersion>, Error> {
        let Some(folder) = self.orb_folder(name) else { return Ok(vec![]) };
        let files = names(&folder)?;
        let mut versions: Vec<OrbVersion> =
            files.iter().filter_map(|file| OrbVersion::parse(file.strip_suffix(".yml")?)).collect();
        versions.sort();
        Ok(versions)
    }

    /// When this version came into the store: a `dev:` one when it was last brought.
    #[must_use]
    pub fn kept_at(&self, name: &str, version: &OrbVersion) -> Option<Timestamp> {
        let file = self.orb_folder(name)?.join(format!("{version}.yml"));
        let modified = fs::metadata(file).ok()?.modified().ok()?;
        Some(Timestamp(0).plus(modified.duration_since(UNIX_EPOCH).ok()?))
    }

    /// The newest version that fits a reference, partial ones included, and its source.
    ///
    /// # Errors
    /// [`Error::Missing`] with the versions that are kept.
    pub fn source(&self, reference: &str) -> Result<pipeline::FoundOrb, Error> {
        let mut orbs = Orbs::default();
        // A bare name means the newest.
        let wanted = if reference.contains('@') || address::is_address(reference) {
            reference.to_owned()
        } else {
            format!("{reference}@volatile")
        };
        // Looking fetches nothing.
        Self { fetch: None, ..self.clone() }.load_one(&wanted, &mut orbs)?;
        let name = wanted.split('@').next().unwrap_or_default();
        let missing = |versions: Vec<OrbVersion>| Error::Missing {
            reference: reference.to_owned(),
            known: versions.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
        };
        match orbs.find(&wanted) {
            Some(found) => Ok(found),
            None => Err(missing(self.versions(name)?)),
        }
    }

    fn orb_folder(&self, name: &str) -> Option<PathBuf> {
        // A name is checked before it becomes a path: nothing above the store can be reached.
        format!("{name}@1.0.0").parse::<OrbReference>().ok()?;
        Some(self.folder.as_ref()?.join("registry").join(name))
    }

    fn path(&self, name: &Name) -> Result<PathBuf, Error> {
        let wrong = || Error::Name(name.to_string());
        let folder = self.folder.as_ref().ok_or_else(wrong)?;
        match name {
            Name::Registry(OrbReference { name, version }) => {
                Ok(self.orb_folder(name).ok_or_else(wrong)?.join(format!("{version}.yml")))
            }
            Name::Address(address) => {
                let escaped = utf8_percent_encode(address, NON_ALPHANUMERIC).to_string();
                if escaped.len() > ADDRESS_MAX {
                    return Err(wrong());
                }
                Ok(folder.join("addresses").join(format!("{escaped}.yml")))
            }
        }
    }
}

fn names(folder: &Path) -> Result<Vec<String>, Error> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(vec![]),
        Err(error) => return Err(Error::io("read", folder)(error)),
    };
    let mut names: Vec<String> = entries
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| !name.starts_with('.'))
        .collect();
    names.sort();
    Ok(names)
}

/// One at a time writes what stands behind addresses, in all processes: what was brought by hand is not
/// replaced by what came over the wire in the same moment.
fn turn(path: &Path) -> Result<File, Error> {
    let folder = path.parent().unwrap_or(Path::new("."));
    make(folder).map_err(Error::io("make", folder))?;
    let lock = folder.join(".lock");
    let file = File::options().create(true).truncate(false).write(true).open(&lock);
    let file = file.map_err(Error::io("open", &lock))?;
    file.lock().map_err(Error::io("lock", &lock))?;
    Ok(file)
}

/// All but released versions.
const fn may_change(name: &Name) -> bool {
    !matches!(name, Name::Registry(OrbReference { version: OrbVersion::Release(..), .. }))
}

fn read_if_there(path: &Path) -> Result<Option<String>, Error> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Error::io("open", path)(error)),
    };
    let mut text = String::new();
    file.take(CONFIG_MAX as u64 + 1).read_to_string(&mut text).map_err(Error::io("read", path))?;
    Ok(Some(text))
}

/// Content first, then the name, then the folder that holds the name.
fn write(path: &Path, text: &str, replace: bool) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    make(folder)?;
    let mut file = tempfile::Builder::new().prefix(".new-").tempfile_in(folder)?;
    file.as_file().set_permissions(fs::Permissions::from_mode(0o600))?;
    file.write_all(text.as_bytes())?;
    file.as_file().sync_all()?;
    if replace {
        file.persist(path)?;
    } else {
        file.persist_noclobber(path)?;
    }
    File::open(folder)?.sync_all()
}

/// Makes a folder; the names of new ones are on disk when this returns.
fn make(folder: &Path) -> io::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    let above = folder.parent().unwrap_or(Path::new("."));
    make(above)?;
    match fs::DirBuilder::new().mode(0o700).create(folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    File::open(above)?.sync_all()
}
