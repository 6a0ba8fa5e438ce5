//! Layers from friendly and hostile archives.
#![expect(clippy::print_stdout, reason = "a skipped test tells why")]

use sandbox::image::{ImageError, LayerLimits, LayerStore};
use sha2::{Digest, Sha256};
use std::{
    fs,
    io::Write,
    os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
};
use tar::{Builder, EntryType, Header};

/// One entry: path, kind, content or link target.
type Entry<'a> = (&'a str, EntryType, &'a str);

const FILE: EntryType = EntryType::Regular;
const DIR: EntryType = EntryType::Directory;
const SYMLINK: EntryType = EntryType::Symlink;
const LINK: EntryType = EntryType::Link;

/// Paths are put into headers raw: the library would refuse the nasty ones.
fn archive(entries: &[Entry<'_>]) -> Vec<u8> {
    let mut builder = Builder::new(Vec::new());
    for (path, kind, text) in entries {
        let mut header = Header::new_ustar();
        header.as_old_mut().name[..path.len()].copy_from_slice(path.as_bytes());
        header.set_entry_type(*kind);
        header.set_mode(if *kind == DIR { 0o755 } else { 0o644 });
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(1_000_000_000);
        let content: &[u8] = if matches!(kind, EntryType::Symlink | EntryType::Link) {
            header.as_old_mut().linkname[..text.len()].copy_from_slice(text.as_bytes());
            b""
        } else {
            text.as_bytes()
        };
        header.set_size(content.len() as u64);
        header.set_cksum();
        builder.append(&header, content).expect("an archive in memory");
    }
    builder.into_inner().expect("an archive in memory")
}

fn digest(bytes: &[u8]) -> String {
    let hash = Sha256::digest(bytes);
    hash.iter().fold("sha256:".to_owned(), |text, byte| format!("{text}{byte:02x}"))
}

struct Case {
    folder: tempfile::TempDir,
}

impl Case {
    fn new() -> Option<Self> {
        if !rustix::process::geteuid().is_root() {
            println!("skipped: unpacking makes owners and marks, which needs root");
            return None;
        }
        Some(Self { folder: tempfile::tempdir().expect("a temporary folder") })
    }

    fn store(&self, limits: LayerLimits) -> LayerStore {
        LayerStore::open(&self.folder.path().join("layers"), limits).expect("a store")
    }

    fn unpack(&self, entries: &[Entry<'_>]) -> Result<PathBuf, ImageError> {
        let bytes = archive(entries);
        self.store(LayerLimits::default())
            .unpack(&digest(&bytes), bytes.as_slice())
            .map(|(path, _)| path)
    }

    fn left_behind(&self) -> Vec<String> {
        let entries = fs::read_dir(self.folder.path().join("layers")).expect("the store");
        entries
            .flatten()
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .filter(|name| !["asking", "lock"].contains(&name.as_str()))
            .collect()
    }
}

fn is_opaque(path: &Path) -> bool {
    let mut value = [0; 8];
    rustix::fs::lgetxattr(path, "trusted.overlay.opaque", &mut value[..])
        .is_ok_and(|length| &value[..length] == b"y")
}

fn is_whiteout(path: &Path) -> bool {
    fs::symlink_metadata(path)
        .is_ok_and(|meta| meta.file_type().is_char_device() && meta.rdev() == 0)
}

#[test]
fn files_links_and_rights_arrive() {
    let Some(case) = Case::new() else { return };
    let layer = case
        .unpack(&[
            ("./", DIR, ""),
            ("bin/", DIR, ""),
            ("bin/tool", FILE, "#!"),
            ("bin/again", LINK, "bin/tool"),
            ("usr/deep/made", FILE, "x"),
            ("tool", SYMLINK, "/bin/tool"),
        ])
        .expect("a layer");
    let tool = fs::metadata(layer.join("bin/tool")).expect("the file");
    assert_eq!(
        (tool.nlink(), tool.permissions().mode() & 0o7777, tool.mtime()),
        (2, 0o644, 1_000_000_000)
    );
    assert_eq!(fs::metadata(layer.join("bin")).expect("the folder").mtime(), 1_000_000_000);
    assert_eq!(fs::read_link(layer.join("tool")).expect("the link"), Path::new("/bin/tool"));
    assert_eq!(fs::read(layer.join("usr/deep/made")).expect("the file"), b"x");
    let store = fs::metadata(case.folder.path().join("layers")).expect("the store");
    assert_eq!(store.permissions().mode() & 0o777, 0o700, "layers hold set-user-id programs");
}

#[test]
fn every_packing_is_told_by_its_first_bytes() {
    let plain = archive(&[("a", FILE, "content")]);
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&plain).expect("in memory");
    let packed = [
        plain.clone(),
        gzip.finish().expect("in memory"),
        zstd::encode_all(plain.as_slice(), 1).expect("in memory"),
    ];
    for bytes in packed {
        let Some(case) = Case::new() else { return };
        let store = case.store(LayerLimits::default());
        assert!(store.layer(&digest(&plain)).expect("a digest").is_none());
        let (layer, unpacked) = store.unpack(&digest(&plain), bytes.as_slice()).expect("a layer");
        assert_eq!(
            (fs::read(layer.join("a")).expect("the file"), unpacked.entries),
            (b"content".to_vec(), 1)
        );
        assert_eq!(store.layer(&digest(&plain)).expect("a digest"), Some(layer));
    }
}

#[test]
fn deletions_become_marks_of_the_overlay() {
    let Some(case) = Case::new() else { return };
    let layer = case
        .unpack(&[
            ("etc/.wh.old", FILE, ""),
            ("var/.wh..wh..opq", FILE, ""),
            ("var/kept", FILE, "k"),
            ("opt/.wh.tool", FILE, ""),
            ("opt/tool/", DIR, ""),
            ("srv/new/", DIR, ""),
            ("srv/.wh.new", FILE, ""),
            ("lib/both", FILE, "b"),
            ("lib/.wh.both", FILE, ""),
            (".wh..wh.plnk", FILE, ""),
        ])
        .expect("a layer");
    assert!(is_whiteout(&layer.join("etc/old")));
    assert!(is_opaque(&layer.join("var")) && layer.join("var/kept").is_file());
    assert!(is_opaque(&layer.join("opt/tool")), "a folder after its deletion hides the old one");
    assert!(is_opaque(&layer.join("srv/new")), "and before it, too");
    assert!(layer.join("lib/both").is_file(), "a deletion does not reach its own layer");
    assert!(!layer.join(".wh..wh.plnk").exists());
}

#[test]
fn no_entry_leaves_the_layer() {
    let Some(case) = Case::new() else { return };
    let outside = case.folder.path().join("outside");
    fs::create_dir(&outside).expect("a folder");
    fs::write(outside.join("secret"), "s").expect("a file");
    let target = outside.to_str().expect("text");
    let up = "../outside/broken";
    let nasty: [&[Entry<'_>]; 8] = [
        &[(up, FILE, "x")],
        &[("a/../../outside/broken", FILE, "x")],
        &[("up", SYMLINK, "../../.."), ("up/outside/broken", FILE, "x")],
        &[("abs", SYMLINK, target), ("abs/broken", FILE, "x")],
        &[("abs", SYMLINK, target), ("abs/.wh.secret", FILE, "")],
        &[("abs", SYMLINK, target), ("abs/.wh..wh..opq", FILE, "")],
        &[("hard", LINK, "../outside/secret"), ("hard", FILE, "overwritten")],
        &[("abs", SYMLINK, target), ("hard", LINK, "abs/secret")],
    ];
    for entries in nasty {
        let _refused_or_kept_within = case.unpack(entries);
        let names: Vec<_> = fs::read_dir(&outside)
            .expect("the folder")
            .flatten()
            .map(|entry| entry.file_name())
            .collect();
        assert_eq!(names, ["secret"], "{entries:?}");
        assert_eq!(fs::read(outside.join("secret")).expect("the file"), b"s", "{entries:?}");
        assert_eq!(
            fs::metadata(outside.join("secret")).expect("the file").nlink(),
            1,
            "{entries:?}"
        );
        assert!(!is_opaque(&outside), "{entries:?}");
    }
    assert!(
        matches!(case.unpack(&[(up, FILE, "x")]), Err(ImageError::Entry { entry, .. }) if entry == up)
    );
    assert!(case.unpack(&[("x/.wh...", FILE, "")]).is_err(), "a deletion of `..`");
}

#[test]
fn links_are_replaced_not_written_through() {
    let Some(case) = Case::new() else { return };
    let layer = case
        .unpack(&[
            ("target", FILE, "first"),
            ("link", SYMLINK, "target"),
            ("link", FILE, "second"),
            ("dir/", DIR, ""),
            ("dir/file", FILE, "x"),
            ("dir", SYMLINK, "elsewhere"),
            ("elsewhere/", DIR, ""),
            ("dir/late", FILE, "y"),
        ])
        .expect("a layer");
    assert_eq!(fs::read(layer.join("target")).expect("the file"), b"first");
    assert_eq!(fs::read(layer.join("link")).expect("the file"), b"second");
    assert!(
        layer.join("elsewhere/late").is_file(),
        "a folder that became a link is not used by its old descriptor"
    );
}

#[test]
fn devices_are_left_out() {
    let Some(case) = Case::new() else { return };
    let bytes = archive(&[
        ("dev/sda", EntryType::Block, ""),
        ("dev/null", EntryType::Char, ""),
        ("dev/pipe", EntryType::Fifo, ""),
    ]);
    let (layer, unpacked) = case
        .store(LayerLimits::default())
        .unpack(&digest(&bytes), bytes.as_slice())
        .expect("a layer");
    assert_eq!(unpacked.devices, 2);
    assert!(!layer.join("dev/sda").exists() && !layer.join("dev/null").exists());
    assert!(fs::metadata(layer.join("dev/pipe")).expect("the pipe").file_type().is_fifo());
}

#[test]
fn only_attributes_of_files_are_taken() {
    let Some(case) = Case::new() else { return };
    let mut builder = Builder::new(Vec::new());
    builder
        .append_pax_extensions([
            ("SCHILY.xattr.user.note", &b"kept"[..]),
            ("SCHILY.xattr.trusted.overlay.opaque", b"y"),
            ("SCHILY.xattr.trusted.overlay.redirect", b"/etc"),
        ])
        .expect("in memory");
    let mut header = Header::new_ustar();
    header.set_path("folder").expect("a path");
    header.set_entry_type(DIR);
    header.set_mode(0o755);
    header.set_uid(1000);
    header.set_gid(1000);
    header.set_mtime(0);
    header.set_size(0);
    header.set_cksum();
    builder.append(&header, &b""[..]).expect("in memory");
    let bytes = builder.into_inner().expect("in memory");
    let (layer, _) = case
        .store(LayerLimits::default())
        .unpack(&digest(&bytes), bytes.as_slice())
        .expect("a layer");
    let folder = layer.join("folder");
    let mut value = [0; 16];
    let length = rustix::fs::getxattr(&folder, "user.note", &mut value[..]).expect("the attribute");
    assert_eq!(&value[..length], b"kept");
    assert!(!is_opaque(&folder));
    assert!(rustix::fs::getxattr(&folder, "trusted.overlay.redirect", &mut value[..]).is_err());
    assert_eq!(fs::metadata(&folder).expect("the folder").uid(), 1000);
}

#[test]
fn bombs_and_lies_end_in_an_error_and_leave_nothing() {
    let Some(case) = Case::new() else { return };
    let bytes = archive(&[("zeroes", FILE, &"0".repeat(1 << 20)), ("b", FILE, "b")]);
    let bomb = zstd::encode_all(bytes.as_slice(), 1).expect("in memory");
    let small = LayerLimits { bytes: 64 << 10, ..LayerLimits::default() };
    assert!(case.store(small).unpack(&digest(&bytes), bomb.as_slice()).is_err(), "too many bytes");
    let few = LayerLimits { entries: 1, ..LayerLimits::default() };
    assert!(case.store(few).unpack(&digest(&bytes), bomb.as_slice()).is_err(), "too many entries");
    let store = case.store(LayerLimits::default());
    let other = digest(b"something else");
    assert!(matches!(store.unpack(&other, bomb.as_slice()), Err(ImageError::Mismatch { .. })));
    assert!(store.unpack(&digest(&bytes), &bytes[..bytes.len() / 2]).is_err(), "cut short");
    assert!(store.unpack(&digest(&bytes), &bomb[..bomb.len() / 2]).is_err(), "cut short, packed");
    assert!(matches!(store.unpack("sha256:../x", bomb.as_slice()), Err(ImageError::Digest(_))));
    assert_eq!(case.left_behind(), [""; 0]);
}

#[test]
fn names_longer_than_any_are_not_held_in_memory() {
    let Some(case) = Case::new() else { return };
    let name = |length: usize| {
        let long = "d/".repeat(length / 2);
        archive(&[
            ("././@LongLink", EntryType::GNULongName, &long),
            ("x", FILE, "1"),
            ("odd", EntryType::new(b'Z'), &"0".repeat(2 << 20)),
            ("y", FILE, "2"),
        ])
    };
    let store = case.store(LayerLimits::default());
    let bomb = name(2 << 20);
    let error = store.unpack(&digest(&bomb), bomb.as_slice()).expect_err("refused");
    let cause = std::error::Error::source(&error).expect("a cause").to_string();
    assert!(cause.contains("longer than 1 MiB"), "{error}: {cause}");
    assert_eq!(case.left_behind(), [""; 0]);
    let good = name(3000);
    let (layer, _) = store.unpack(&digest(&good), good.as_slice()).expect("a layer");
    assert_eq!(fs::read(layer.join("y")).expect("a file"), b"2");
}

#[test]
fn what_an_interrupted_unpacking_left_is_removed() {
    let Some(case) = Case::new() else { return };
    drop(case.store(LayerLimits::default()));
    let partial = case.folder.path().join("layers/.partial-1-0/x");
    fs::create_dir_all(&partial).expect("a folder");
    let first = case.store(LayerLimits::default());
    assert_eq!(case.left_behind(), [""; 0]);
    fs::create_dir_all(&partial).expect("a folder");
    let second = case.store(LayerLimits::default());
    assert!(partial.exists(), "another process may be at work");
    drop((first, second));
}

#[test]
fn a_layer_is_unpacked_once() {
    let Some(case) = Case::new() else { return };
    let bytes = archive(&[("a", FILE, "1")]);
    let store = case.store(LayerLimits::default());
    let (first, _) = store.unpack(&digest(&bytes), bytes.as_slice()).expect("a layer");
    let (second, unpacked) =
        store.unpack(&digest(&bytes), std::io::empty()).expect("the same layer");
    assert_eq!((first, unpacked.entries), (second, 0));
}
