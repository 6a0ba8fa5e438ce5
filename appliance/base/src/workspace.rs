//! The names of the files in workspace layers: packed for the way, compared at its end.
//!
//! Why: a layer may have half a million files, and all that is asked of their names is whether two jobs
//! side by side persisted the same one.
//! Form of packed names: each followed by a zero byte, compressed, in base64.
//! Limits: [`PACKED_MAX`] for one layer, [`NAMES_MAX`] for all that are compared. They are read as a
//! stream; what is kept of a name is a number.

use base64::{engine::general_purpose::STANDARD, read::DecoderReader, write::EncoderStringWriter};
use serde::{Deserialize, Serialize};
use std::{
    collections::HashMap,
    hash::{BuildHasherDefault, DefaultHasher, Hash, Hasher},
    io::{self, BufRead, BufReader, Read, Write},
};

/// Packed names of one layer: far more than half a million names of ordinary length take.
pub const PACKED_MAX: usize = 24 << 20;

/// Files of all layers that one job attaches.
pub const NAMES_MAX: usize = 2_000_000;

/// The names of one layer as they are read, so that a few packed bytes do not become any number.
const BYTES_MAX: u64 = 256 << 20;

/// Fast: names have much in common.
const LEVEL: i32 = 3;

/// The names of a layer's files, packed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Names(String);

/// Why names cannot be packed or compared.
#[derive(Debug, thiserror::Error)]
pub enum NamesError {
    /// The names of one layer are too long.
    #[error(
        "the names of the files take {} when packed, and at most {} can be kept: persist fewer files, or an archive of them",
        crate::units::Bytes(*.0 as u64), crate::units::Bytes(PACKED_MAX as u64)
    )]
    TooLong(usize),
    /// They could not be packed.
    #[error("could not pack the names of the files: {0}")]
    Failed(io::Error),
    /// All layers have too many.
    #[error(
        "the workspace has more than {NAMES_MAX} files, up to the layer of {0}: persist fewer files, or an archive of them"
    )]
    TooMany(String),
    /// What should be packed names is none.
    #[error(
        "the names of the files in the workspace layer of {job_name} cannot be read: rerun that job"
    )]
    Unreadable {
        /// Who persisted it.
        job_name: String,
        /// What stands in the way.
        source: io::Error,
    },
}

impl Names {
    /// Packs names, none of which has a zero byte.
    ///
    /// # Errors
    /// They are longer than [`PACKED_MAX`].
    pub fn pack<S: AsRef<str>>(names: impl IntoIterator<Item = S>) -> Result<Self, NamesError> {
        let packed = packed(names).map_err(NamesError::Failed)?;
        if packed.len() > PACKED_MAX {
            Err(NamesError::TooLong(packed.len()))
        } else {
            Ok(Self(packed))
        }
    }

    /// Calls `hear` with each name until it gives something.
    fn find<T>(&self, mut hear: impl FnMut(&[u8]) -> Option<T>) -> io::Result<Option<T>> {
        if self.0.is_empty() {
            return Ok(None);
        }
        let packed = DecoderReader::new(self.0.as_bytes(), &STANDARD);
        let plain = zstd::stream::read::Decoder::new(packed)?.take(BYTES_MAX);
        let (mut plain, mut name) = (BufReader::new(plain), Vec::new());
        while plain.read_until(0, &mut name)? > 0 {
            if name.pop() != Some(0) {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            if let Some(found) = hear(&name) {
                return Ok(Some(found));
            }
            name.clear();
        }
        Ok(None)
    }
}

fn packed<S: AsRef<str>>(names: impl IntoIterator<Item = S>) -> io::Result<String> {
    let mut packer = zstd::stream::write::Encoder::new(EncoderStringWriter::new(&STANDARD), LEVEL)?;
    for name in names {
        packer.write_all(name.as_ref().as_bytes())?;
        packer.write_all(&[0])?;
    }
    Ok(packer.finish()?.into_inner())
}

/// Two jobs side by side persisted one file: nobody can say which is meant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Conflict {
    /// The file.
    pub path: String,
    /// Names of the jobs.
    pub jobs: [String; 2],
}

/// Who persisted a layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    /// Its name.
    pub job_name: String,
    /// Its number, as in [`crate::protocol::WorkspaceLayer`].
    pub job: u32,
    /// Numbers of the jobs upstream of it.
    pub upstream: Vec<u32>,
}

/// Whose the files are of all layers so far.
///
/// Layers come in the order of the graph, so that of two owners in a row the second has the first
/// upstream, and with it all that came before.
#[derive(Debug, Default)]
pub struct Owners {
    owners: Vec<Owner>,
    /// The owner of each name, by its hash. At the largest number that two names have one hash is less
    /// likely than one in a million.
    of: HashMap<u64, u32, BuildHasherDefault<DefaultHasher>>,
}

impl Owners {
    /// Adds the layer of `owner`; the first file that it has with a job beside it.
    ///
    /// # Errors
    /// There are too many names, or these are none.
    pub fn add(&mut self, owner: Owner, names: &Names) -> Result<Option<Conflict>, NamesError> {
        let job_name = owner.job_name.clone();
        self.owners.push(owner);
        let found = names.find(|name| self.hear(name));
        let found = found
            .map_err(|source| NamesError::Unreadable { job_name: job_name.clone(), source })?;
        match found {
            Some(Found::Conflict(conflict)) => Ok(Some(conflict)),
            Some(Found::TooMany) => Err(NamesError::TooMany(job_name)),
            None => Ok(None),
        }
    }

    /// Takes a name for the newest owner.
    fn hear(&mut self, name: &[u8]) -> Option<Found> {
        let newest = u32::try_from(self.owners.len() - 1).ok()?;
        let before = self.of.insert(hash(name), newest);
        if self.of.len() > NAMES_MAX {
            return Some(Found::TooMany);
        }
        let (before, owner) = (self.owners.get(before? as usize)?, self.owners.last()?);
        if before.job == owner.job || owner.upstream.contains(&before.job) {
            return None;
        }
        let path = String::from_utf8_lossy(name).into_owned();
        let jobs = [before.job_name.clone(), owner.job_name.clone()];
        Some(Found::Conflict(Conflict { path, jobs }))
    }
}

enum Found {
    Conflict(Conflict),
    TooMany,
}

fn hash(name: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::default();
    name.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A layer of the job of that number, which has these upstream.
    fn layer(job: u32, upstream: &[u32], paths: &[&str]) -> (Owner, Names) {
        let upstream = upstream.to_vec();
        (Owner { job_name: format!("job-{job}"), job, upstream }, Names::pack(paths).unwrap())
    }

    fn check(
        layers: impl IntoIterator<Item = (Owner, Names)>,
        expected: Option<(&str, [&str; 2])>,
    ) {
        let mut owners = Owners::default();
        let found =
            layers.into_iter().find_map(|(owner, names)| owners.add(owner, &names).unwrap());
        let found = found.map(|Conflict { path, jobs }| (path, jobs));
        let expected = expected.map(|(path, jobs)| (path.to_owned(), jobs.map(str::to_owned)));
        assert_eq!(found, expected);
    }

    #[test]
    fn only_jobs_side_by_side_can_conflict() {
        check([layer(0, &[], &["x"]), layer(1, &[], &["y"])], None);
        check([layer(0, &[], &["x"]), layer(1, &[0], &["x"])], None);
        check([layer(0, &[], &["x"]), layer(0, &[], &["x"])], None);
        check([layer(0, &[], &[]), layer(1, &[], &[])], None);
        let beside = [layer(0, &[], &["x"]), layer(1, &[], &["z", "x"])];
        check(beside, Some(("x", ["job-0", "job-1"])));
        // One is deeper in the graph, and still beside the other.
        let deep = [layer(0, &[], &["y"]), layer(1, &[], &["x"]), layer(2, &[0], &["x"])];
        check(deep, Some(("x", ["job-1", "job-2"])));
        let chain = [layer(0, &[], &["x"]), layer(1, &[0], &["x"]), layer(2, &[0, 1], &["x"])];
        check(chain, None);
    }

    #[test]
    fn half_a_million_names_are_packed_small_and_compared() {
        let name =
            |nth: u32| format!("node_modules/@scope/package-{}/dist/esm/{nth}.js", nth % 977);
        let names = Names::pack((0..500_000).map(name)).unwrap();
        assert!(names.0.len() < 8 << 20, "{}", names.0.len());
        let owner = |job: u32| Owner { job_name: job.to_string(), job, upstream: vec![] };
        let mut owners = Owners::default();
        assert_eq!(owners.add(owner(0), &names).unwrap(), None);
        let last = Names::pack([name(499_999)]).unwrap();
        let conflict = owners.add(owner(1), &last).unwrap().unwrap();
        assert_eq!(conflict.path, name(499_999));
    }

    #[test]
    fn names_beyond_the_bounds_are_refused() {
        // Nothing in them repeats.
        let name = |nth: u64| format!("{:016x}", hash(&nth.to_le_bytes()));
        let many = (0..2_800_000).map(name);
        assert!(matches!(Names::pack(many).unwrap_err(), NamesError::TooLong(_)));
        let owner = Owner { job_name: "wide".into(), job: 0, upstream: vec![] };
        let names = Names::pack((0..=NAMES_MAX).map(|nth| nth.to_string())).unwrap();
        let error = Owners::default().add(owner, &names).unwrap_err();
        assert!(error.to_string().contains("up to the layer of wide"), "{error}");
    }

    #[test]
    fn what_are_no_names_is_an_error() {
        let cut = zstd::stream::encode_all(b"a\0b".as_slice(), 1).unwrap();
        let cut = base64::Engine::encode(&STANDARD, cut);
        for text in ["[]", "AAAA", "x", cut.as_str()] {
            let (owner, _) = layer(7, &[], &[]);
            let error = Owners::default().add(owner, &Names(text.into())).unwrap_err();
            assert!(error.to_string().contains("layer of job-7 cannot be read"), "{error}");
        }
    }
}
