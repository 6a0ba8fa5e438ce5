//! From archive entries to a layer that overlayfs takes.
//!
//! Deletions: `.wh.name` hides `name` of lower layers, `.wh..wh..opq` all of its folder; they
//! never touch what the same layer brings, in whatever order.
//! Devices are left out: a job gets its own, and nothing else may open them.

use super::{
    ImageError, LayerLimits,
    gate::{Gate, Gated},
    tree::{Attributes, Place, Tree},
};
use rustix::fs::FileType;
use std::{
    io::{self, Read},
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
};
use tar::{Archive, Entry, EntryType};

const WHITEOUT: &[u8] = b".wh.";
const OPAQUE: &[u8] = b".wh..wh..opq";
/// Book-keeping of an older file system, of no meaning here.
const FOREIGN_MARK: &[u8] = b".wh..wh.";

/// How PAX headers name an extended attribute.
const XATTR: &str = "SCHILY.xattr.";

/// One extended attribute is at most a page or so in practice; the kernel allows 64 KiB.
const XATTR_MAX: usize = 64 << 10;

/// What was in an archive.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Unpacked {
    /// Files, folders and links.
    pub entries: u64,
    /// Devices that were left out.
    pub devices: u64,
    /// Bytes of file content.
    pub bytes: u64,
}

/// Unpacks `archive` into the empty folder `root`.
pub(super) fn unpack(
    root: &Path,
    layer: &str,
    archive: &mut dyn Read,
    limits: LayerLimits,
) -> Result<Unpacked, ImageError> {
    let broken = |source| ImageError::Archive { layer: layer.to_owned(), source };
    let mut writer = Writer {
        tree: Tree::open(root).map_err(broken)?,
        done: Unpacked::default(),
        folders: Vec::new(),
    };
    let gate = Gate::default();
    let mut archive = Archive::new(Gated { inner: archive, gate: &gate });
    let mut entries = archive.entries().map_err(broken)?;
    loop {
        gate.close();
        let Some(entry) = entries.next() else { break };
        gate.open();
        let mut entry = entry.map_err(broken)?;
        let path = entry.path().map_err(broken)?.into_owned();
        writer.entry(&mut entry, &path, limits).map_err(|source| ImageError::Entry {
            layer: layer.to_owned(),
            entry: path.to_string_lossy().chars().take(200).collect(),
            source,
        })?;
        // Content that means nothing here is no description of the next.
        io::copy(&mut entry, &mut io::sink()).map_err(broken)?;
    }
    gate.open();
    writer.finish().map_err(broken)
}

struct Writer {
    tree: Tree,
    done: Unpacked,
    /// Folders get their time last: what is put into them changes it.
    folders: Vec<(PathBuf, i64)>,
}

impl Writer {
    fn entry<R: Read>(
        &mut self,
        entry: &mut Entry<'_, R>,
        path: &Path,
        limits: LayerLimits,
    ) -> io::Result<()> {
        self.done.entries += 1;
        if self.done.entries > limits.entries {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "the layer has more entries than allowed",
            ));
        }
        let attributes = attributes(entry)?;
        // The layer's own top folder keeps our rights: the job's upper folder covers it.
        let Some(place) = self.tree.place(path)? else { return Ok(()) };
        if place.name().as_bytes().starts_with(WHITEOUT) {
            return whiteout(&place);
        }
        match entry.header().entry_type() {
            EntryType::Directory => self.folder(entry, path, &place, attributes),
            EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => {
                self.file(entry, &place, attributes, limits)
            }
            EntryType::Symlink => {
                let target = entry.link_name()?.ok_or(io::ErrorKind::InvalidData)?.into_owned();
                self.replace(&place)?;
                place.symlink_make(&target)?;
                place.attributes_set(attributes, true)
            }
            EntryType::Link => self.link(entry, &place),
            EntryType::Fifo => {
                self.replace(&place)?;
                place.fifo_make()?;
                place.attributes_set(attributes, false)
            }
            EntryType::Char | EntryType::Block => {
                self.done.devices += 1;
                Ok(())
            }
            // Headers that describe other entries; the reader has used them.
            _ => Ok(()),
        }
    }

    fn folder<R: Read>(
        &mut self,
        entry: &mut Entry<'_, R>,
        path: &Path,
        place: &Place,
        attributes: Attributes,
    ) -> io::Result<()> {
        match place.kind()? {
            Some(FileType::Directory) => {}
            found => {
                self.replace(place)?;
                place.folder_make()?;
                // A deletion and a new folder of one name: nothing of the old one shows through.
                if found == Some(FileType::CharacterDevice) {
                    place.opaque()?;
                }
            }
        }
        self.folders.push((path.to_owned(), attributes.modified));
        place.attributes_set(attributes, false)?;
        xattrs(entry, place)
    }

    fn file<R: Read>(
        &mut self,
        entry: &mut Entry<'_, R>,
        place: &Place,
        attributes: Attributes,
        limits: LayerLimits,
    ) -> io::Result<()> {
        self.replace(place)?;
        let mut file = place.file_make()?;
        // A sparse file is larger than what the archive holds of it.
        let left = limits.bytes.saturating_sub(self.done.bytes);
        let copied = io::copy(&mut entry.by_ref().take(left), &mut file)?;
        if copied < entry.size() {
            return Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "the file is cut short, or over the limit",
            ));
        }
        self.done.bytes += copied;
        place.attributes_set(attributes, false)?;
        xattrs(entry, place)
    }

    fn link<R: Read>(&mut self, entry: &mut Entry<'_, R>, place: &Place) -> io::Result<()> {
        let target = entry.link_name()?.ok_or(io::ErrorKind::InvalidData)?.into_owned();
        let target = self.tree.place(&target)?.ok_or(io::ErrorKind::IsADirectory)?;
        self.replace(place)?;
        place.link_make(&target)
    }

    /// Later entries win.
    fn replace(&mut self, place: &Place) -> io::Result<()> {
        if place.clear()? == Some(FileType::Directory) {
            self.tree.forget();
        }
        Ok(())
    }

    fn finish(mut self) -> io::Result<Unpacked> {
        for (path, modified) in std::mem::take(&mut self.folders).into_iter().rev() {
            if let Some(place) = self.tree.place(&path)?
                && place.kind()? == Some(FileType::Directory)
            {
                place.modified_set(modified)?;
            }
        }
        Ok(self.done)
    }
}

fn attributes<R: Read>(entry: &Entry<'_, R>) -> io::Result<Attributes> {
    let header = entry.header();
    let id = |id: u64| {
        u32::try_from(id)
            .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "an id is too large"))
    };
    Ok(Attributes {
        uid: id(header.uid()?)?,
        gid: id(header.gid()?)?,
        mode: header.mode()?,
        modified: i64::try_from(header.mtime()?).unwrap_or(0),
    })
}

fn whiteout(place: &Place) -> io::Result<()> {
    let name = place.name().as_bytes();
    if name == OPAQUE {
        return place.folder_opaque();
    }
    if name.starts_with(FOREIGN_MARK) {
        return Ok(());
    }
    let hidden = place.sibling(&name[WHITEOUT.len()..])?;
    match hidden.kind()? {
        None => hidden.whiteout_make(),
        Some(FileType::Directory) => hidden.opaque(),
        // What the same layer brings stays.
        Some(_) => Ok(()),
    }
}

/// Only attributes that belong to files: `trusted.*` would speak to the overlay, other
/// `security.*` to the host's policy.
fn xattrs<R: Read>(entry: &mut Entry<'_, R>, place: &Place) -> io::Result<()> {
    let Some(extensions) = entry.pax_extensions()? else { return Ok(()) };
    for extension in extensions {
        let extension = extension?;
        let Some(name) = extension.key().ok().and_then(|key| key.strip_prefix(XATTR)) else {
            continue;
        };
        let wanted = name.starts_with("user.") || name == "security.capability";
        if wanted && extension.value_bytes().len() <= XATTR_MAX {
            place.xattr_set(name, extension.value_bytes())?;
        }
    }
    Ok(())
}
