//! Files as the entries of an archive.
//!
//! Why not the library's own way: it tells the size of a file from one look at it and then copies up to
//! its end, so that a file which grows meanwhile damages all that comes after it; and it knows nothing of
//! links between files.
//! Invariants: an entry is as long as its header says, whatever happens to its file; holes stay holes; a
//! file with several names is there once.

use super::tally::Told;
use rustix::fs::{OFlags, SeekFrom};
use std::{
    collections::HashMap,
    fs::{self, File, Metadata, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

/// Archives are made of blocks.
const BLOCK: u64 = 512;

/// An archive that is being written.
pub(super) struct Entries<W: Write> {
    archive: tar::Builder<W>,
    /// The names under which files with several are in it, by device and number. The number of one that
    /// is removed meanwhile may be given to another, which has another stamp.
    names: HashMap<(u64, u64), (Stamp, PathBuf)>,
    told: Told,
}

/// What a write to a file changes: its length and its time.
type Stamp = (u64, i64, i64);

/// Whether a file is in the archive as it was at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Added {
    Whole,
    /// Others wrote to it while it was read.
    Changed,
    /// It went away before it was read, or is no file that an archive could hold.
    PassedOver,
}

impl<W: Write> Entries<W> {
    pub(super) fn begin(out: W) -> io::Result<Self> {
        let mut archive = tar::Builder::new(out);
        archive.follow_symlinks(false);
        let told = Told::begin(&mut archive)?;
        Ok(Self { archive, names: HashMap::new(), told })
    }

    /// Adds what is at `path`; of a folder nothing that is in it.
    pub(super) fn add(&mut self, path: &Path, name: &Path) -> io::Result<Added> {
        let Some(found) = there(fs::symlink_metadata(path))? else { return Ok(Added::PassedOver) };
        if found.is_file() {
            // One that is replaced by a pipe would be waited for.
            let flags = OFlags::NONBLOCK | OFlags::NOFOLLOW;
            let flags = i32::try_from(flags.bits()).unwrap_or_default();
            let opened = OpenOptions::new().read(true).custom_flags(flags).open(path);
            let Some(file) = there(opened)? else { return Ok(Added::PassedOver) };
            let meta = file.metadata()?;
            return if meta.is_file() {
                self.file(&file, &meta, name)
            } else {
                Ok(Added::PassedOver)
            };
        }
        if !found.is_dir() && !found.is_symlink() {
            return Ok(Added::PassedOver);
        }
        let added = there(self.archive.append_path_with_name(path, name))?;
        Ok(added.map_or(Added::PassedOver, |()| self.counted(Added::Whole)))
    }

    /// Adds a file that had this metadata when it was opened.
    fn file(&mut self, file: &File, meta: &Metadata, name: &Path) -> io::Result<Added> {
        let (id, stamp) = ((meta.dev(), meta.ino()), stamp_of(meta));
        let first = self.names.get(&id).filter(|(known, _)| *known == stamp);
        if let Some((_, first)) = first {
            let mut header = header_of(meta);
            header.set_entry_type(tar::EntryType::Link);
            header.set_size(0);
            self.archive.append_link(&mut header, name, first)?;
            return Ok(self.counted(Added::Whole));
        }
        let mut content = Content::of(file, meta.len());
        let (mut header, map) = content.header(meta);
        self.archive.append_data(&mut header, name, map.chain(&mut content))?;
        if content.is_cut || stamp_of(&file.metadata()?) != stamp {
            return Ok(self.counted(Added::Changed));
        }
        if meta.nlink() > 1 {
            self.names.insert(id, (stamp, name.to_owned()));
        }
        Ok(self.counted(Added::Whole))
    }

    fn counted(&mut self, added: Added) -> Added {
        self.told.count();
        added
    }

    pub(super) fn end(mut self) -> io::Result<W> {
        self.told.end(&mut self.archive)?;
        self.archive.into_inner()
    }
}

/// `None` for what is not there any more.
fn there<T>(found: io::Result<T>) -> io::Result<Option<T>> {
    match found {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        found => found.map(Some),
    }
}

fn stamp_of(meta: &Metadata) -> Stamp {
    (meta.len(), meta.mtime(), meta.mtime_nsec())
}

fn header_of(meta: &Metadata) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_metadata(meta);
    header
}

/// The bytes of a file without its holes: as many as were announced, with zeros in place of those that
/// are not there any more.
struct Content<'a> {
    file: &'a File,
    size: u64,
    /// Where data is and how much, in order.
    parts: Vec<(u64, u64)>,
    /// The part that is read next, and how much of it has been.
    next: (usize, u64),
    is_cut: bool,
}

impl<'a> Content<'a> {
    fn of(file: &'a File, size: u64) -> Self {
        Self { file, size, parts: parts(file, size), next: (0, 0), is_cut: false }
    }

    /// The header, and what follows it before the data: the rest of the map of a file with holes.
    fn header(&self, meta: &Metadata) -> (tar::Header, io::Cursor<Vec<u8>>) {
        let mut header = header_of(meta);
        header.set_size(self.parts.iter().map(|(_, length)| length).sum());
        let mut map = self.parts.clone();
        if map.last().is_none_or(|(at, length)| at + length < self.size) {
            map.push((self.size, 0));
        }
        let is_dense = self.size == 0 || map == [(0, self.size)];
        let rest = if is_dense { Vec::new() } else { self.map(&mut header, &map) };
        (header, io::Cursor::new(rest))
    }

    fn map(&self, header: &mut tar::Header, map: &[(u64, u64)]) -> Vec<u8> {
        header.set_entry_type(tar::EntryType::GNUSparse);
        let mut rest = Vec::new();
        let Some(gnu) = header.as_gnu_mut() else { return rest };
        gnu.set_real_size(self.size);
        let (own, further) = map.split_at(map.len().min(gnu.sparse.len()));
        fill(&mut gnu.sparse, own);
        gnu.set_is_extended(!further.is_empty());
        let mut blocks = further.chunks(tar::GnuExtSparseHeader::new().sparse.len()).peekable();
        while let Some(parts) = blocks.next() {
            let mut block = tar::GnuExtSparseHeader::new();
            fill(&mut block.sparse, parts);
            block.set_is_extended(blocks.peek().is_some());
            rest.extend_from_slice(block.as_bytes());
        }
        rest
    }
}

fn fill(fields: &mut [tar::GnuSparseHeader], parts: &[(u64, u64)]) {
    for (field, (at, length)) in fields.iter_mut().zip(parts) {
        field.set_offset(*at);
        field.set_length(*length);
    }
}

impl Read for Content<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let (part, done) = self.next;
        let Some((at, length)) = self.parts.get(part).copied() else { return Ok(0) };
        let wanted = usize::try_from(length - done).unwrap_or(usize::MAX).min(into.len());
        let into = &mut into[..wanted];
        let mut read = self.file.read_at(into, at + done)?;
        if read == 0 {
            self.is_cut = true;
            into.fill(0);
            read = wanted;
        }
        let done = done + read as u64;
        self.next = if done == length { (part + 1, 0) } else { (part, done) };
        Ok(read)
    }
}

/// Where the first `size` bytes of a file have data: all of them, unless there are holes that an archive
/// can tell.
fn parts(file: &File, size: u64) -> Vec<(u64, u64)> {
    let dense = || Vec::from_iter((size > 0).then_some((0, size)));
    let Some(parts) = data(file, size) else { return dense() };
    let before_last = &parts[..parts.len().saturating_sub(1)];
    if before_last.iter().all(|(_, length)| length % BLOCK == 0) { parts } else { dense() }
}

/// `None` when the file system cannot tell.
fn data(file: &File, size: u64) -> Option<Vec<(u64, u64)>> {
    let (mut parts, mut at) = (Vec::new(), 0);
    while at < size {
        let start = match rustix::fs::seek(file, SeekFrom::Data(at)) {
            Err(rustix::io::Errno::NXIO) => break,
            start => start.ok()?.max(at),
        };
        if start >= size {
            break;
        }
        let end = rustix::fs::seek(file, SeekFrom::Hole(start)).ok()?.min(size);
        if end <= start {
            return None;
        }
        parts.push((start, end - start));
        at = end;
    }
    Some(parts)
}

#[cfg(test)]
mod tests {
    use super::{
        super::extract::{InTheWay, extract},
        *,
    };
    use std::os::unix::fs::FileTypeExt;

    /// Adds a file to which `meanwhile` happens, another one behind it, and unpacks both.
    fn check(before: &[u8], meanwhile: impl Fn(&File), expected: &[u8], added: Added) {
        let (root, into) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let path = root.path().join("log");
        fs::write(&path, before).unwrap();
        fs::write(root.path().join("behind"), "whole").unwrap();
        let file = File::options().read(true).write(true).open(&path).unwrap();
        let meta = file.metadata().unwrap();
        meanwhile(&file);
        let mut entries = Entries::begin(Vec::new()).unwrap();
        assert_eq!(entries.file(&file, &meta, Path::new("log")).unwrap(), added);
        let behind = entries.add(&root.path().join("behind"), Path::new("behind")).unwrap();
        assert_eq!(behind, Added::Whole);
        extract(entries.end().unwrap().as_slice(), into.path(), InTheWay::Followed).unwrap();
        assert_eq!(fs::read(into.path().join("log")).unwrap(), expected);
        assert_eq!(fs::read_to_string(into.path().join("behind")).unwrap(), "whole");
    }

    #[test]
    fn a_file_that_grows_or_shrinks_while_it_is_read_damages_nothing() {
        let at_first = [b'a'; 700];
        check(&at_first, |_| (), &at_first, Added::Whole);
        check(
            &at_first,
            |file| file.write_all_at(&[0; 4096], 700).unwrap(),
            &at_first,
            Added::Changed,
        );
        let shorter = [[b'a'; 100].as_slice(), &[0; 600]].concat();
        check(&at_first, |file| file.set_len(100).unwrap(), &shorter, Added::Changed);
        check(&at_first, |file| file.set_len(0).unwrap(), &[0; 700], Added::Changed);
        check(b"", |file| file.write_all_at(b"x", 0).unwrap(), b"", Added::Changed);
    }

    #[test]
    fn what_is_no_file_any_more_is_passed_over() {
        let root = tempfile::tempdir().unwrap();
        let socket = root.path().join("socket");
        let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        assert!(fs::metadata(&socket).unwrap().file_type().is_socket());
        let mut entries = Entries::begin(Vec::new()).unwrap();
        for path in [socket, root.path().join("gone")] {
            assert_eq!(entries.add(&path, Path::new("x")).unwrap(), Added::PassedOver);
        }
    }

    #[test]
    fn files_with_holes_keep_them_however_many() {
        const STEP: u64 = 1 << 20;
        for count in [0, 1, 3, 60] {
            let (root, into) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
            let file = File::create_new(root.path().join("disk")).unwrap();
            file.set_len(count * STEP + 5000).unwrap();
            for nth in 0..count {
                file.write_all_at(format!("part {nth}").as_bytes(), nth * STEP + 4096).unwrap();
            }
            let mut entries = Entries::begin(Vec::new()).unwrap();
            entries.add(&root.path().join("disk"), Path::new("disk")).unwrap();
            let archive = entries.end().unwrap();
            extract(archive.as_slice(), into.path(), InTheWay::Followed).unwrap();
            let read = |folder: &Path| fs::read(folder.join("disk")).unwrap();
            assert!(read(root.path()) == read(into.path()), "{count} parts");
            let has_holes = data(&file, count * STEP + 5000).is_some_and(|parts| parts.len() > 1);
            assert!(!has_holes || (archive.len() as u64) < count * STEP / 10, "{}", archive.len());
        }
    }

    #[test]
    fn a_file_with_several_names_is_there_once() {
        let (root, into) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let long = format!("{}/{}", "d".repeat(200), "f".repeat(200));
        fs::create_dir(root.path().join("d".repeat(200))).unwrap();
        fs::write(root.path().join(&long), [7; 100_000]).unwrap();
        let mut names = vec![long.clone()];
        for nth in 0..20 {
            let name = format!("link{nth}");
            fs::hard_link(root.path().join(&long), root.path().join(&name)).unwrap();
            names.push(name);
        }
        let mut entries = Entries::begin(Vec::new()).unwrap();
        for name in &names {
            entries.add(&root.path().join(name), Path::new(name)).unwrap();
        }
        let archive = entries.end().unwrap();
        assert!(archive.len() < 200_000, "{}", archive.len());
        // Once more over what is there, as a restored cache meets a warm folder.
        for _ in 0..2 {
            extract(archive.as_slice(), into.path(), InTheWay::Followed).unwrap();
            for name in &names {
                let meta = fs::metadata(into.path().join(name)).unwrap();
                assert_eq!((meta.nlink(), meta.len()), (21, 100_000), "{name}");
            }
        }
    }
}
