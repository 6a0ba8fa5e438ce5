//! The `.git` directory, but for its index.

use super::{Archive, Checkout};
use crate::{error::Error, pack::set, refs::RefTable, repository::Repository};
use gix_hash::ObjectId;
use std::{
    fs::{self, File},
    io::Write,
    path::{Path, PathBuf},
};

/// `checkStat = minimal`: only size and time of a file tell whether it changed. Inode and owner
/// cannot be known before the archive is unpacked.
const CORE: &str = "[core]\n\trepositoryformatversion = 0\n\tfilemode = true\n\tbare = false\n\
                    \tlogallrefupdates = true\n\tcheckStat = minimal\n";

/// Writes everything that is made here.
pub(super) fn write<W: Write>(
    archive: &mut Archive<W>,
    checkout: &Checkout,
    commit: ObjectId,
    refs: &RefTable,
    default: &str,
) -> Result<(), Error> {
    for dir in ["", "/objects/info", "/objects/pack", "/refs/heads", "/refs/tags", "/info"] {
        archive.directory(Path::new(&format!(".git{dir}")))?;
    }
    let head = match checkout.local_branch() {
        Some(branch) => format!("ref: refs/heads/{branch}\n"),
        None => format!("{commit}\n"),
    };
    let default = default.strip_prefix("refs/heads/").unwrap_or(default);
    let origin_head = format!("ref: refs/remotes/origin/{default}\n");
    archive.file(Path::new(".git/HEAD"), 0o644, head.as_bytes())?;
    archive.file(Path::new(".git/config"), 0o644, config(checkout).as_bytes())?;
    archive.file(Path::new(".git/packed-refs"), 0o644, &refs.render())?;
    let place = Path::new(".git/refs/remotes/origin/HEAD");
    archive.file(place, 0o644, origin_head.as_bytes())
}

fn config(checkout: &Checkout) -> String {
    let url = quote(&checkout.url);
    let mut text = format!(
        "{CORE}[remote \"origin\"]\n\turl = {url}\n\tfetch = +refs/heads/*:refs/remotes/origin/*\n"
    );
    if let Some(branch) = checkout.local_branch() {
        let merge = quote(&format!("refs/heads/{branch}"));
        let escaped = branch.replace('\\', "\\\\").replace('"', "\\\"");
        text.push_str(&format!("[branch \"{escaped}\"]\n\tremote = origin\n\tmerge = {merge}\n"));
    }
    text
}

/// A value that Git's configuration reads back as it is.
fn quote(value: &str) -> String {
    let mut quoted = String::from("\"");
    for c in value.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            '\n' => quoted.push_str("\\n"),
            c if c.is_control() => {}
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

/// The files that hold the objects, opened together so that upkeep cannot take one away.
pub(super) struct Stored {
    files: Vec<(PathBuf, File, u64)>,
}

impl Stored {
    pub(super) fn open(repository: &Repository) -> Result<Self, Error> {
        let _guard = repository.lock()?;
        let objects = repository.dir().join("objects");
        let mut paths = loose_objects(&objects)?;
        for index in set::indices(&repository.pack_dir())? {
            paths.push(index.with_extension("pack"));
            paths.push(index);
        }
        let mut files = Vec::with_capacity(paths.len());
        for path in paths {
            let file = File::open(&path).map_err(Error::file("open", &path))?;
            let size = file.metadata().map_err(Error::file("look at", &path))?.len();
            let inside = path.strip_prefix(&objects).unwrap_or(&path);
            files.push((Path::new(".git/objects").join(inside), file, size));
        }
        Ok(Self { files })
    }

    pub(super) fn write<W: Write>(self, archive: &mut Archive<W>) -> Result<(), Error> {
        for (path, file, size) in self.files {
            let mut header = archive.header(tar::EntryType::Regular, 0o444, size);
            archive.tar.append_data(&mut header, path, file).map_err(Error::Transfer)?;
        }
        Ok(())
    }
}

/// Objects in files of their own, which only a Git command run by hand leaves.
fn loose_objects(objects: &Path) -> Result<Vec<PathBuf>, Error> {
    let mut found = Vec::new();
    for first in fs::read_dir(objects).map_err(Error::file("list", objects))? {
        let dir = first.map_err(Error::file("list", objects))?.path();
        let name = dir.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if name.len() != 2 || !name.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            continue;
        }
        for entry in fs::read_dir(&dir).map_err(Error::file("list", &dir))? {
            let path = entry.map_err(Error::file("list", &dir))?.path();
            let is_object = path.file_name().is_some_and(|name| name.len() == 38);
            found.extend(is_object.then_some(path));
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(value: &str, expected: &str) {
        assert_eq!(quote(value), expected);
    }

    #[test]
    fn values_cannot_leave_their_line() {
        check("https://ci/x", "\"https://ci/x\"");
        check("a\"b\\c", "\"a\\\"b\\\\c\"");
        check("x\n[core]\r", "\"x\\n[core]\"");
    }
}
