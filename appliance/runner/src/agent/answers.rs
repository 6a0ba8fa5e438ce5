//! Reads, outside of the job, what the agent has answered from inside.
//!
//! Why with suspicion: the job can put anything in the place of the agent's answer.
//! Limits: each answer has a largest size; names and numbers are only names and numbers.

use base::protocol::TestResult;
use serde::{Deserialize, Serialize};
use std::{
    fs::File,
    io::{BufRead, BufReader, Read},
    path::Path,
};

/// The largest manifest that is read: half a million names of ordinary length.
const MANIFEST_MAX: u64 = 64 << 20;

/// The largest answer that is test results.
const RESULTS_MAX: u64 = 64 << 20;

/// The largest answer that is cache keys.
const KEYS_MAX: u64 = 1 << 20;

/// What stands in front of an archive.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct PackManifest {
    pub(super) files: Vec<String>,
}

/// What stands in front of bundled files.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct BundleManifest {
    pub(super) single: bool,
    /// Names relative to the folder (empty for a single file) and sizes, in order.
    pub(super) files: Vec<(String, u64)>,
}

/// An archive in a file.
#[derive(Debug)]
pub(crate) struct Packed {
    /// Names of the files in it.
    pub(crate) files: Vec<String>,
    /// Where the archive begins.
    pub(crate) length: u64,
    /// How long it is.
    pub(crate) archive: u64,
}

/// Files one after the other in a file.
#[derive(Debug)]
pub(crate) struct Bundled {
    /// It is one file and not a folder.
    pub(crate) single: bool,
    /// Names and sizes.
    pub(crate) files: Vec<(String, u64)>,
    /// Where the first file begins.
    pub(crate) length: u64,
}

/// The manifest in front of the archive at `path`.
pub(crate) fn manifest_of(path: &Path) -> Result<Packed, String> {
    let (manifest, length, total) = first_line::<PackManifest>(path)?;
    Ok(Packed { files: manifest.files, length, archive: total.saturating_sub(length) })
}

/// The manifest in front of the files at `path`.
pub(crate) fn bundle_of(path: &Path) -> Result<Bundled, String> {
    let (manifest, length, total) = first_line::<BundleManifest>(path)?;
    let sum = manifest.files.iter().try_fold(0_u64, |sum, (_, size)| sum.checked_add(*size));
    if sum != Some(total.saturating_sub(length)) {
        return Err(nonsense());
    }
    // No walk gives such a name.
    if manifest.files.iter().any(|(name, _)| !name.is_empty() && !stays_below(name)) {
        return Err(nonsense());
    }
    Ok(Bundled { single: manifest.single, files: manifest.files, length })
}

/// A relative path without steps upwards.
fn stays_below(name: &str) -> bool {
    name.split('/').all(|part| !part.is_empty() && part != "." && part != "..")
}

/// The keys in the answer at `path`, one for each template.
pub(crate) fn keys_of(path: &Path, count: usize) -> Result<Vec<String>, String> {
    let keys: Vec<String> = whole(path, KEYS_MAX)?;
    if keys.len() == count { Ok(keys) } else { Err(nonsense()) }
}

/// The test results in the answer at `path`.
pub(crate) fn results_of(path: &Path) -> Result<Vec<TestResult>, String> {
    whole(path, RESULTS_MAX)
}

fn nonsense() -> String {
    "the job's agent gave an answer that cannot be read: something in the job stands in its place"
        .into()
}

fn too_long(most: u64) -> String {
    format!(
        "what was read is longer than {}, the most that is kept of one step: store less in one step",
        base::units::Bytes(most)
    )
}

fn whole<T: for<'de> Deserialize<'de>>(path: &Path, most: u64) -> Result<T, String> {
    let mut text = Vec::new();
    let read = File::open(path).and_then(|file| file.take(most + 1).read_to_end(&mut text));
    read.map_err(|error| error.to_string())?;
    if text.len() as u64 > most {
        return Err(too_long(most));
    }
    serde_json::from_slice(&text).map_err(|_| nonsense())
}

/// The first line, its length, and the length of the whole file.
fn first_line<T: for<'de> Deserialize<'de>>(path: &Path) -> Result<(T, u64, u64), String> {
    let file = File::open(path).map_err(|error| error.to_string())?;
    let total = file.metadata().map_err(|error| error.to_string())?.len();
    let mut line = Vec::new();
    BufReader::new(file.take(MANIFEST_MAX))
        .read_until(b'\n', &mut line)
        .map_err(|error| error.to_string())?;
    if line.len() as u64 == MANIFEST_MAX && !line.ends_with(b"\n") {
        return Err(too_long(MANIFEST_MAX));
    }
    let manifest = serde_json::from_slice(&line).map_err(|_| nonsense())?;
    Ok((manifest, line.len() as u64, total))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(answer: &[u8], accepted: bool) {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), answer).unwrap();
        let found = bundle_of(file.path());
        assert_eq!(found.is_ok(), accepted, "{found:?}");
    }

    #[test]
    fn an_answer_is_believed_only_when_it_adds_up() {
        check(b"{\"single\":false,\"files\":[[\"a/b\",2],[\"c\",1]]}\nxyz", true);
        check(b"{\"single\":true,\"files\":[[\"\",3]]}\nxyz", true);
        check(b"{\"single\":false,\"files\":[[\"a\",4]]}\nxyz", false);
        check(b"{\"single\":false,\"files\":[[\"a\",18446744073709551615],[\"b\",4]]}\nxyz", false);
        check(b"{\"single\":false,\"files\":[[\"../a\",3]]}\nxyz", false);
        check(b"{\"single\":false,\"files\":[[\"/a\",3]]}\nxyz", false);
        check(b"{\"single\":false,\"files\":[[\"a//b\",3]]}\nxyz", false);
        check(b"{\"single\":false,\"files\":[[\"a\\nb\",3]]}\nxyz", true);
        check(b"not json\n", false);
        check(b"", false);
    }

    #[test]
    fn an_answer_that_was_cut_says_so() {
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_len(KEYS_MAX + 1).unwrap();
        let error = keys_of(file.path(), 1).unwrap_err();
        assert!(error.contains("longer than 1 MiB"), "{error}");
    }
}
