//! Serves clone and fetch: what Git calls upload-pack.
//!
//! Version 2 is what clients of the last years speak; version 0 and its twin 1 are there for old
//! ones. A session is one HTTP request: everything it needs is in its body, nothing is remembered.
//! Source: `gitprotocol-v2`, `gitprotocol-pack` and `gitprotocol-http` of the Git documentation.

mod negotiate;
mod refs;
mod request;
mod send;
mod v0;
mod v2;

use crate::{failure::Failure, objects::Objects, pktline, refs::RefTable, repository::Repository};
use std::io::{Read, Write};

use refs::advertise_v0;
pub(crate) use refs::advertise_v0_for_push;

/// How this server names itself.
pub(crate) const AGENT: &str = concat!("agent=appliance/", env!("CARGO_PKG_VERSION"));

/// The version of Git's wire protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Version {
    V0,
    V1,
    V2,
}

impl Version {
    /// Reads the `Git-Protocol` header: colon-separated keys, of which `version` counts.
    pub(crate) fn from_header(header: &str) -> Self {
        let asked = header.split(':').filter_map(|key| key.strip_prefix("version="));
        match asked.max() {
            Some("2") => Self::V2,
            Some("1") => Self::V1,
            _ => Self::V0,
        }
    }
}

/// What a session reads.
pub(crate) struct Session {
    pub(crate) repository: Repository,
    pub(crate) objects: Objects,
    pub(crate) table: RefTable,
    /// Full name of the default branch; it may not be born yet.
    pub(crate) head: String,
}

impl Session {
    pub(crate) fn open(repository: &Repository) -> Result<Self, Failure> {
        let (table, head) = repository.snapshot()?;
        let objects = repository.objects()?;
        Ok(Self { repository: repository.clone(), objects, table, head })
    }
}

/// The first answer: the references (version 0 and 1) or what can be asked (version 2).
pub(crate) fn advertise(
    repository: &Repository,
    version: Version,
    to: &mut impl Write,
) -> Result<(), Failure> {
    if version == Version::V2 {
        return Ok(v2::advertise(to)?);
    }
    pktline::write(to, b"# service=git-upload-pack\n")?;
    pktline::flush(to)?;
    let session = Session::open(repository)?;
    advertise_v0(&session, version, &v0::capabilities(&session), to)
}

/// Answers one request. What the client must know of a failure is written before it is returned.
pub(crate) fn serve(
    repository: &Repository,
    version: Version,
    from: &mut impl Read,
    to: &mut impl Write,
) -> Result<(), Failure> {
    let mut session = Session::open(repository)?;
    let result = match version {
        Version::V2 => v2::serve(&mut session, from, to),
        Version::V0 | Version::V1 => v0::serve(&session, from, to),
    };
    if let Err(failure) = &result {
        pktline::error(to, &failure.message())?;
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(header: &str, expected: Version) {
        assert_eq!(Version::from_header(header), expected, "{header}");
    }

    #[test]
    fn the_newest_version_that_is_asked_for_counts() {
        check("", Version::V0);
        check("version=1", Version::V1);
        check("version=2", Version::V2);
        check("foo:version=2:bar=1", Version::V2);
        check("version=1:version=2", Version::V2);
        check("version=9", Version::V0);
    }
}
