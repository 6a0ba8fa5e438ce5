//! Files of an archive or a folder, handed out one after the other.
//!
//! Bounds: [`FILES_MAX`] files; paths are only names to compare with, nothing is unpacked.

use flate2::read::GzDecoder;
use std::{
    fs::File,
    io::{self, BufReader, Cursor, Read},
    path::{Path, PathBuf},
};

/// More than any image has layers and documents.
const FILES_MAX: usize = 10_000;

/// Where an image comes from.
#[derive(Debug, Clone)]
pub enum Source {
    /// A `docker save` archive or an OCI layout as tar, plain, gzipped or packed with zstd. It is
    /// read once from its beginning to its end, so that it may be a pipe.
    Archive(PathBuf),
    /// An OCI layout as a folder.
    Folder(PathBuf),
}

impl Source {
    /// A folder is a layout, anything else an archive.
    #[must_use]
    pub fn at(path: PathBuf) -> Self {
        if path.is_dir() { Self::Folder(path) } else { Self::Archive(path) }
    }

    /// The path.
    #[must_use]
    pub fn path(&self) -> &Path {
        match self {
            Self::Archive(path) | Self::Folder(path) => path,
        }
    }
}

/// What is found: a file with its bytes, or another name of one.
pub(crate) enum Found<'a> {
    File(&'a mut dyn Read),
    Link(String),
}

type Visit<'a> = &'a mut dyn FnMut(String, Found<'_>) -> io::Result<()>;

/// Visits every file.
pub(crate) fn walk(source: &Source, visit: Visit<'_>) -> io::Result<()> {
    match source {
        Source::Folder(path) => walk_folder(path, path, &mut 0, visit),
        Source::Archive(path) => {
            let mut file = BufReader::new(File::open(path)?);
            let mut magic = Vec::new();
            Read::by_ref(&mut file).take(4).read_to_end(&mut magic)?;
            let packed = Cursor::new(magic.clone()).chain(file);
            match magic.as_slice() {
                [0x1f, 0x8b, ..] => walk_tar(&mut GzDecoder::new(packed), visit),
                [0x28, 0xb5, 0x2f, 0xfd] => walk_tar(&mut zstd::Decoder::new(packed)?, visit),
                _ => walk_tar(&mut { packed }, visit),
            }
        }
    }
}

fn too_many() -> io::Error {
    io::Error::other("it holds more files than an image has")
}

fn walk_tar(reader: &mut dyn Read, visit: Visit<'_>) -> io::Result<()> {
    let mut archive = tar::Archive::new(reader);
    for (count, entry) in archive.entries()?.enumerate() {
        if count >= FILES_MAX {
            return Err(too_many());
        }
        let mut entry = entry.map_err(|error| damaged(error, count))?;
        let path = clean(&entry.path()?.to_string_lossy());
        let kind = entry.header().entry_type();
        if kind.is_file() {
            visit(path, Found::File(&mut entry))?;
        } else if kind.is_symlink() || kind.is_hard_link() {
            let target = entry.link_name()?.unwrap_or_default().to_string_lossy().into_owned();
            let base = if kind.is_symlink() {
                path.rsplit_once('/').map_or("", |(base, _)| base)
            } else {
                ""
            };
            visit(path.clone(), Found::Link(clean(&format!("{base}/{target}"))))?;
        }
    }
    Ok(())
}

/// The library's words hold what it found in the place of a header, which may be anything.
fn damaged(error: io::Error, files: usize) -> io::Error {
    let why = match (error.raw_os_error(), files) {
        (Some(_), _) => return error,
        (None, 0) => "it is no tar archive, as images are".to_owned(),
        (None, files) => format!("it is damaged or breaks off after {files} files: copy it again"),
    };
    io::Error::new(io::ErrorKind::InvalidData, why)
}

/// A path without `.`, `..` and empty parts.
fn clean(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            other => parts.push(other),
        }
    }
    parts.join("/")
}

fn walk_folder(root: &Path, folder: &Path, count: &mut usize, visit: Visit<'_>) -> io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let (path, kind) = (entry.path(), entry.file_type()?);
        *count += 1;
        if *count > FILES_MAX {
            return Err(too_many());
        }
        if kind.is_dir() {
            walk_folder(root, &path, count, visit)?;
        } else if kind.is_file() {
            let name = path.strip_prefix(root).unwrap_or(&path).to_string_lossy().into_owned();
            visit(name, Found::File(&mut File::open(&path)?))?;
        }
    }
    Ok(())
}
