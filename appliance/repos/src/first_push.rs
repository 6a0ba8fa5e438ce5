//! A repository's first push, made from files alone.
//!
//! Why: whoever has files and no Git binary (the demonstration, an import) can still push for
//! real, through the same door as every client.
//! Source: `gitformat-pack`, `gitprotocol-pack` (receive-pack) of the Git documentation.
//! Invariants: pure; the same files, author and time give the same commit.

use crate::error::{Cause, Error};
use flate2::{Compression, write::ZlibEncoder};
use gix_hash::{Kind as HashKind, ObjectId};
use gix_object::Kind;
use std::{collections::BTreeMap, io::Write};

/// What a commit says besides its files.
#[derive(Debug, Clone, Copy)]
pub struct Message<'a> {
    /// `Name <mail>`.
    pub author: &'a str,
    /// Seconds since the epoch, UTC.
    pub seconds: i64,
    /// The message.
    pub text: &'a str,
}

/// A push that makes one branch with one commit.
#[derive(Debug, Clone)]
pub struct FirstPush {
    /// The commit, 40 hexadecimal digits.
    pub revision: String,
    /// Body of the `git-receive-pack` request.
    pub request: Vec<u8>,
}

/// Makes the commit of `files` (path to content) and the request that pushes it as `branch`.
pub fn first_push(
    files: &BTreeMap<String, Vec<u8>>,
    message: Message<'_>,
    branch: &str,
) -> Result<FirstPush, Error> {
    let mut pack = Pack::default();
    let tree = pack
        .tree(files.iter().map(|(path, content)| (path.as_str(), content.as_slice())).collect())?;
    let Message { author, seconds, text } = message;
    let commit = format!(
        "tree {tree}\nauthor {author} {seconds} +0000\ncommitter {author} {seconds} +0000\n\n{text}\n"
    );
    let id = pack.add(Kind::Commit, commit.as_bytes())?;
    let command = format!(
        "{} {id} refs/heads/{branch}\0 report-status agent=appliance\n",
        ObjectId::null(HashKind::Sha1)
    );
    let mut request = format!("{:04x}{command}0000", command.len() + 4).into_bytes();
    request.extend(pack.finish()?);
    Ok(FirstPush { revision: id.to_string(), request })
}

/// Entries of a pack, each whole.
#[derive(Default)]
struct Pack {
    count: u32,
    entries: Vec<u8>,
}

impl Pack {
    /// Adds a folder and all below it; entries are sorted as Git sorts them, folders as if their
    /// name ended in a slash.
    fn tree(&mut self, files: Vec<(&str, &[u8])>) -> Result<ObjectId, Error> {
        let mut folders: BTreeMap<&str, Vec<(&str, &[u8])>> = BTreeMap::new();
        let mut entries: BTreeMap<String, (&str, &str, ObjectId)> = BTreeMap::new();
        for (path, content) in files {
            match path.split_once('/') {
                Some((folder, rest)) => folders.entry(folder).or_default().push((rest, content)),
                None => {
                    entries.insert(
                        path.to_owned(),
                        (mode(content), path, self.add(Kind::Blob, content)?),
                    );
                }
            }
        }
        for (folder, below) in folders {
            entries.insert(format!("{folder}/"), ("40000", folder, self.tree(below)?));
        }
        let mut body = Vec::new();
        for (mode, name, id) in entries.values() {
            body.extend_from_slice(format!("{mode} {name}\0").as_bytes());
            body.extend_from_slice(id.as_slice());
        }
        self.add(Kind::Tree, &body)
    }

    fn add(&mut self, kind: Kind, body: &[u8]) -> Result<ObjectId, Error> {
        let number = match kind {
            Kind::Commit => 1,
            Kind::Tree => 2,
            Kind::Blob => 3,
            Kind::Tag => 4,
        };
        self.entries.extend(entry_header(number, body.len()));
        let mut deflate = ZlibEncoder::new(&mut self.entries, Compression::default());
        deflate.write_all(body).and_then(|()| deflate.finish().map(drop)).map_err(unpackable)?;
        self.count += 1;
        gix_object::compute_hash(HashKind::Sha1, kind, body).map_err(unpackable)
    }

    fn finish(self) -> Result<Vec<u8>, Error> {
        let mut bytes = b"PACK".to_vec();
        bytes.extend(2_u32.to_be_bytes());
        bytes.extend(self.count.to_be_bytes());
        bytes.extend(self.entries);
        let mut hasher = gix_hash::hasher(HashKind::Sha1);
        hasher.update(&bytes);
        let sum = hasher.try_finalize().map_err(unpackable)?;
        bytes.extend_from_slice(sum.as_slice());
        Ok(bytes)
    }
}

/// A script is executable.
fn mode(content: &[u8]) -> &'static str {
    if content.starts_with(b"#!") { "100755" } else { "100644" }
}

/// Three bits of kind and four of size, then seven bits of size at a time, lowest first.
fn entry_header(kind: u8, size: usize) -> Vec<u8> {
    let mut rest = size >> 4;
    let mut header = vec![(kind << 4) | u8::try_from(size & 0x0f).unwrap_or(0)];
    while rest > 0 {
        *header.last_mut().expect("begun with one byte") |= 0x80;
        header.push(u8::try_from(rest & 0x7f).unwrap_or(0));
        rest >>= 7;
    }
    header
}

fn unpackable(source: impl Into<Cause>) -> Error {
    Error::Objects { action: "build a pack", path: "memory".into(), source: source.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(kind: u8, size: usize, expected: &[u8]) {
        assert_eq!(entry_header(kind, size), expected, "{size}");
    }

    #[test]
    fn sizes_are_written_lowest_bits_first() {
        check(3, 0, &[0x30]);
        check(3, 15, &[0x3f]);
        check(1, 16, &[0x90, 0x01]);
        check(2, 3000, &[0xa8, 0xbb, 0x01]);
    }

    #[test]
    fn the_commit_depends_on_its_input_alone() {
        let files =
            BTreeMap::from([("a/b.txt".to_owned(), b"x".to_vec()), ("c".to_owned(), Vec::new())]);
        let message = Message { author: "A <a@example.org>", seconds: 1, text: "first" };
        let (one, two) = (
            first_push(&files, message, "main").unwrap(),
            first_push(&files, message, "main").unwrap(),
        );
        assert_eq!(one.revision, two.revision);
        assert_eq!(one.request, two.request);
    }
}
