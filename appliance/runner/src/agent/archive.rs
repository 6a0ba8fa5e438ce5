//! Archives of caches, workspaces and artifacts, made and unpacked inside the job.
//!
//! Form of what is printed: one line of JSON, the manifest, then the bytes.
//! Invariants: special files are passed over; what is unpacked belongs to the job's user; a name
//! that leads out of the target is refused, and would not leave the sandbox.
//! Limits: `walk` bounds the number of files; memory use is that of the compressor and of names.

use super::{
    AgentError,
    answers::{BundleManifest, PackManifest},
    entries::{Added, Entries},
    extract::{InTheWay, extract},
    walk::{self, Closed},
};
use base::units::Bytes;
use pipeline::glob::Glob;
use std::{
    fs::{self, File},
    io::{self, BufWriter, Read, Write},
    path::{Path, PathBuf},
};

/// As fast as the disk of a small machine, and half the size.
const LEVEL: i32 = 3;

/// Pieces in which content is moved.
const BUFFER: usize = 256 << 10;

/// Prints a manifest and an archive of `paths` below `root`; the manifest alone when there is
/// nothing to archive and nothing has to be.
pub(super) fn pack(
    root: &Path,
    paths: &[String],
    globs: bool,
    may_be_empty: bool,
) -> Result<(), AgentError> {
    if !root.exists() {
        return Err(AgentError::Refused(format!(
            "the root {} does not exist: make it in a step before this one, or name another `root`",
            root.display()
        )));
    }
    let mut found = Vec::new();
    for path in paths {
        let before = found.len();
        found.extend(chosen(root, path, globs)?);
        if found.len() == before {
            warn(&format!("Warning: could not archive {path} - Not found"));
        }
    }
    found.sort_unstable();
    found.dedup();
    let nothing = found.is_empty();
    if nothing && !may_be_empty {
        return Err(AgentError::Refused("none of the paths exists: nothing to archive".into()));
    }
    let names: Vec<(PathBuf, PathBuf)> =
        found.into_iter().filter_map(|path| named(root, path)).collect();
    let files = names
        .iter()
        .filter(|(path, _)| !path.is_dir())
        .map(|(_, name)| name.to_string_lossy().into_owned());
    let manifest = PackManifest { files: files.collect() };
    let mut out = BufWriter::with_capacity(BUFFER, io::stdout().lock());
    print_manifest(&mut out, &manifest)?;
    if !nothing {
        write_archive(&mut out, &names)?;
    }
    out.flush().map_err(AgentError::failed("write the archive"))
}

/// What one entry of `paths` stands for.
fn chosen(root: &Path, path: &str, globs: bool) -> Result<Vec<PathBuf>, AgentError> {
    if !globs || !path.contains(['*', '?', '[']) {
        return walk::below(&root.join(path.trim_end_matches('/')));
    }
    let glob = Glob::workspace(path).map_err(|error| AgentError::Refused(error.to_string()))?;
    // A folder that matches is meant with all that is in it.
    let matches = |file: &Path| {
        let name = file.strip_prefix(root).unwrap_or(file);
        name.ancestors().any(|part| glob.matches(&part.to_string_lossy()))
    };
    let enters = |folder: &Path| {
        let name = folder.strip_prefix(root).unwrap_or(folder);
        glob.may_lie_below(&name.to_string_lossy()) || matches(folder)
    };
    walk::some_below(&root.join(glob.start()), Closed::Refused, enters, matches)
}

/// The name in the archive; none for the root itself.
fn named(root: &Path, path: PathBuf) -> Option<(PathBuf, PathBuf)> {
    let name = path.strip_prefix(root).ok().filter(|name| !name.as_os_str().is_empty())?.to_owned();
    Some((path, name))
}

fn print_manifest(
    out: &mut impl Write,
    manifest: &impl serde::Serialize,
) -> Result<(), AgentError> {
    let mut line = serde_json::to_vec(manifest).expect("a manifest is plain data");
    line.push(b'\n');
    out.write_all(&line).map_err(AgentError::failed("write the manifest"))
}

fn write_archive(out: &mut impl Write, names: &[(PathBuf, PathBuf)]) -> Result<(), AgentError> {
    let compressor =
        zstd::stream::write::Encoder::new(out, LEVEL).map_err(AgentError::failed("compress"))?;
    let mut entries =
        Entries::begin(compressor).map_err(AgentError::failed("begin the archive"))?;
    for (path, name) in names {
        let added = entries.add(path, name).map_err(AgentError::at("archive", path))?;
        if added == Added::Changed {
            warn(&format!("Warning: {} changed while it was read", path.display()));
        }
    }
    let compressor = entries.end().map_err(AgentError::failed("write the archive"))?;
    compressor.finish().map(drop).map_err(AgentError::failed("write the archive"))
}

/// Tells the step's log.
fn warn(text: &str) {
    let _ = writeln!(io::stderr(), "{text}");
}

/// Unpacks the compressed archive on standard input.
pub(super) fn unpack(into: &Path, what: &str) -> Result<(), AgentError> {
    let attempt = || format!("untar the {what}");
    let plain = zstd::stream::read::Decoder::new(io::stdin().lock())
        .map_err(AgentError::failed(attempt()))?;
    extract(plain, into, InTheWay::Followed).map_err(|source| {
        AgentError::Refused(format!("Error untarring {what}: {}", causes(&source)))
    })
}

pub(super) fn causes(error: &io::Error) -> String {
    crate::supervisor::chain(error)
}

/// Prints a manifest and the contents of a file, or of all files in a folder.
pub(super) fn bundle(path: &Path, most: Option<Bytes>) -> Result<(), AgentError> {
    let single = path.is_file();
    let mut files = Vec::new();
    for file in if single { vec![path.to_owned()] } else { walk::below(path)? } {
        // A link to a file counts as that file; one to a folder does not lead on.
        let Ok(meta) = fs::metadata(&file) else { continue };
        let name = if single { String::new() } else { relative(path, &file) };
        if meta.is_file() {
            files.push((file, name, meta.len()));
        }
    }
    let sum = files.iter().fold(0_u64, |sum, (_, _, size)| sum.saturating_add(*size));
    if let Some(most) = most.filter(|most| sum > most.0) {
        return Err(AgentError::Refused(format!(
            "the files in {} have {} and a job may store {most} in one step: store less, or ask the operator for more (setting `job_disk_gib`)",
            path.display(),
            Bytes(sum)
        )));
    }
    let manifest = BundleManifest {
        single,
        files: files.iter().map(|(_, name, size)| (name.clone(), *size)).collect(),
    };
    let mut out = BufWriter::with_capacity(BUFFER, io::stdout().lock());
    print_manifest(&mut out, &manifest)?;
    for (file, _, size) in &files {
        let content = File::open(file).map_err(AgentError::at("open", file))?;
        let copied =
            io::copy(&mut content.take(*size), &mut out).map_err(AgentError::at("read", file))?;
        if copied < *size {
            return Err(AgentError::Refused(format!(
                "{} changed while it was read",
                file.display()
            )));
        }
    }
    out.flush().map_err(AgentError::failed("write the files"))
}

fn relative(root: &Path, file: &Path) -> String {
    file.strip_prefix(root).unwrap_or(file).to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(patterns: &[&str], expected: &[&str]) {
        let root = tempfile::tempdir().unwrap();
        for file in ["a.txt", "b.log", "deep/c.txt", "deep/er/d.txt"] {
            let path = root.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, file).unwrap();
        }
        let mut found: Vec<String> = patterns
            .iter()
            .flat_map(|pattern| chosen(root.path(), pattern, true).unwrap())
            .filter(|path| path.is_file())
            .map(|path| relative(root.path(), &path))
            .collect();
        found.sort();
        assert_eq!(found, expected, "{patterns:?}");
    }

    #[test]
    fn globs_choose_files_and_whole_folders() {
        check(&["a.txt"], &["a.txt"]);
        check(&["*.txt"], &["a.txt"]);
        check(&["deep"], &["deep/c.txt", "deep/er/d.txt"]);
        check(&["d*"], &["deep/c.txt", "deep/er/d.txt"]);
        check(&["deep/*.txt", "b.*"], &["b.log", "deep/c.txt"]);
        check(&["."], &["a.txt", "b.log", "deep/c.txt", "deep/er/d.txt"]);
        check(&["missing", "*.nothing"], &[]);
    }

    #[test]
    fn an_archive_that_ends_too_early_is_refused() {
        let (root, into) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let mut names = Vec::new();
        for name in ["a", "b", "c"] {
            fs::write(root.path().join(name), [b'x'; 600]).unwrap();
            names.push((root.path().join(name), PathBuf::from(name)));
        }
        let mut archive = Vec::new();
        write_archive(&mut archive, &names).unwrap();
        let plain = zstd::stream::decode_all(archive.as_slice()).unwrap();
        extract(plain.as_slice(), into.path(), InTheWay::Followed).unwrap();
        // The first record has two blocks, each file three; zeros are taken for the archive's end.
        for blocks in [2, 5, 8, 11] {
            let mut cut = plain.clone();
            cut[blocks * 512..].fill(0);
            let error = extract(cut.as_slice(), into.path(), InTheWay::Followed).unwrap_err();
            assert!(error.to_string().contains("damaged"), "{blocks}: {error}");
            let cut = &plain[..blocks * 512];
            extract(cut, into.path(), InTheWay::Followed).unwrap_err();
        }
    }

    #[test]
    fn a_glob_enters_only_folders_that_may_hold_a_match() {
        let root = tempfile::tempdir().unwrap();
        for folder in ["target/debug/deps", "target/release", "src/deep"] {
            fs::create_dir_all(root.path().join(folder)).unwrap();
        }
        let glob = Glob::workspace("target/rel*").unwrap();
        assert!(!glob.may_lie_below("target/debug") && glob.may_lie_below("target"));
        let found = chosen(root.path(), "target/rel*", true).unwrap();
        assert_eq!(found, [root.path().join("target/release")]);
    }

    #[test]
    fn a_root_that_is_not_there_is_named() {
        let error = pack(Path::new("/no/such/root"), &["*".into()], true, false).unwrap_err();
        assert!(error.to_string().starts_with("the root /no/such/root does not exist"), "{error}");
    }

    #[test]
    fn an_archive_brings_back_what_went_in() {
        let (root, into) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fs::create_dir(root.path().join("empty")).unwrap();
        fs::write(root.path().join("file"), "content").unwrap();
        std::os::unix::fs::symlink("nowhere", root.path().join("link")).unwrap();
        let found = walk::below(root.path()).unwrap();
        let names: Vec<_> = found.into_iter().filter_map(|path| named(root.path(), path)).collect();
        let mut archive = Vec::new();
        write_archive(&mut archive, &names).unwrap();
        let plain = zstd::stream::read::Decoder::new(archive.as_slice()).unwrap();
        extract(plain, into.path(), InTheWay::Followed).unwrap();
        assert_eq!(fs::read_to_string(into.path().join("file")).unwrap(), "content");
        assert!(into.path().join("empty").is_dir());
        assert_eq!(fs::read_link(into.path().join("link")).unwrap(), Path::new("nowhere"));
    }
}
