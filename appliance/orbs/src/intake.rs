//! From a path to orbs that can be added: a packed file, a source folder, a bundle.

use crate::{address, bundle, error::Error};
use base::limits::CONFIG_MAX;
use pipeline::{Diagnostic, OrbReference, Orbs, pack, validate_orb, validate_orb_files};
use std::{
    fmt, fs,
    path::{Path, PathBuf},
    str::FromStr,
};

/// Files of one source folder; more is a wrong folder.
const FILES_MAX: usize = 5000;

/// Folders within folders; more is a loop.
const DEPTH_MAX: usize = 12;

/// What an orb is found by.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Name {
    /// `ns/name@1.2.3` or `ns/name@dev:label`
    Registry(OrbReference),
    /// `https://…`, or `http://…` where the operator allows it.
    Address(String),
}

impl FromStr for Name {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        if address::is_address(text) {
            let known = address::parse(text).map(|_| Self::Address(text.to_owned()));
            return known.ok_or_else(|| Error::Name(text.chars().take(120).collect()));
        }
        text.parse().map(Self::Registry).map_err(|_| Error::Name(text.chars().take(120).collect()))
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Registry(reference) => reference.fmt(f),
            Self::Address(address) => f.write_str(address),
        }
    }
}

/// An orb that may be added.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// What it will be found by.
    pub name: Name,
    /// Packed YAML.
    pub text: String,
    /// Where it was found, for messages.
    pub origin: PathBuf,
    /// Of a source folder: the folder, and what it was packed of.
    pub source: Option<(PathBuf, pack::Files)>,
}

impl Candidate {
    /// What is wrong with it, at the places that its author wrote.
    #[must_use]
    pub fn validate(&self, orbs: &Orbs) -> Vec<Diagnostic> {
        let packed = || validate_orb(&self.text, &self.origin.display().to_string(), orbs);
        let Some((folder, files)) = &self.source else { return packed() };
        let found = validate_orb_files(files, &folder.display().to_string(), orbs);
        found.unwrap_or_else(|_| packed())
    }
}

/// Reads what stands at a path. `name` is needed for a single orb and forbidden for a bundle.
///
/// # Errors
/// [`Error`] with the path and the remedy.
pub fn read(path: &Path, name: Option<&str>) -> Result<Vec<Candidate>, Error> {
    let meta = fs::metadata(path).map_err(Error::io("read", path))?;
    if meta.is_dir() {
        return folder(path, name);
    }
    let bytes = fs::read(path).map_err(Error::io("read", path))?;
    if let Some(packed) = bundle::unpack(&bytes, path)? {
        return bundled(packed, path, name);
    }
    single(text(bytes, path)?, path, name)
}

/// Where a text is none, counted as its author's editor does.
fn text(bytes: Vec<u8>, path: &Path) -> Result<String, Error> {
    String::from_utf8(bytes).map_err(|error| {
        let good = error.utf8_error().valid_up_to();
        let before = String::from_utf8_lossy(&error.as_bytes()[..good]);
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        Error::NoText { path: path.into(), line, column }
    })
}

fn single(text: String, path: &Path, name: Option<&str>) -> Result<Vec<Candidate>, Error> {
    let name = name.ok_or_else(|| Error::Nameless { path: path.into() })?.parse()?;
    if text.len() > CONFIG_MAX {
        let what = format!("an orb may have {} MB", CONFIG_MAX >> 20);
        return Err(Error::Limit { path: path.into(), what });
    }
    Ok(vec![Candidate { name, text, origin: path.into(), source: None }])
}

fn folder(path: &Path, name: Option<&str>) -> Result<Vec<Candidate>, Error> {
    let is_source =
        |folder: &Path| folder.join("@orb.yml").is_file() || folder.join("@orb.yaml").is_file();
    let source =
        [path.to_path_buf(), path.join("src")].into_iter().find(|folder| is_source(folder));
    let files = files(source.as_deref().unwrap_or(path))?;
    match source {
        Some(source) => {
            let packed = pack::pack_orb(&files)
                .map_err(|error| Error::Pack { path: source.clone(), source: error })?;
            let mut found = single(packed, path, name)?;
            found.iter_mut().for_each(|one| one.source = Some((source.clone(), files.clone())));
            Ok(found)
        }
        None => bundled(files.into_iter().collect(), path, name),
    }
}

/// The files of a folder by relative path; those that are no text, and no YAML by their names, are left
/// out.
///
/// # Errors
/// When the folder cannot be read or holds more than any orb.
pub fn files(folder: &Path) -> Result<pack::Files, Error> {
    let mut found = pack::Files::new();
    let mut open = vec![(folder.to_path_buf(), String::new(), 0)];
    while let Some((at, prefix, depth)) = open.pop() {
        for entry in fs::read_dir(&at).map_err(Error::io("read", &at))? {
            let entry = entry.map_err(Error::io("read", &at))?;
            let (path, Ok(name)) = (entry.path(), entry.file_name().into_string()) else {
                continue;
            };
            if name.starts_with('.') {
                continue;
            }
            let relative = format!("{prefix}{name}");
            let kind = fs::metadata(&path).map_err(Error::io("read", &path))?;
            if kind.is_dir() && depth < DEPTH_MAX {
                open.push((path, format!("{relative}/"), depth + 1));
            } else if kind.is_file() && kind.len() <= CONFIG_MAX as u64 {
                let is_yaml = relative.ends_with(".yml") || relative.ends_with(".yaml");
                match text(fs::read(&path).map_err(Error::io("read", &path))?, &path) {
                    Ok(text) => drop(found.insert(relative, text)),
                    Err(error) if is_yaml => return Err(error),
                    Err(_) => {}
                }
            }
            if found.len() > FILES_MAX {
                let what = format!("more than {FILES_MAX} files: name the orb's source folder");
                return Err(Error::Limit { path: folder.into(), what });
            }
        }
    }
    Ok(found)
}

fn bundled(
    files: Vec<(String, String)>,
    path: &Path,
    name: Option<&str>,
) -> Result<Vec<Candidate>, Error> {
    let found: Vec<Candidate> = files
        .into_iter()
        .filter_map(|(file, text)| {
            let (name, origin) = (bundle::name_of(&file)?, path.join(file));
            Some(Candidate { name, text, origin, source: None })
        })
        .collect();
    if found.is_empty() {
        return Err(Error::Empty { path: path.into() });
    }
    match name {
        Some(given) => Err(Error::Named { path: path.into(), given: given.into() }),
        None => Ok(found),
    }
}
