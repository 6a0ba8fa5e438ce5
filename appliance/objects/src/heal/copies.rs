//! Where a peer may have the bytes of a blob: under the keys of the versions that name it.

use crate::{
    details::{self, Details, Encryption, PieceDetails},
    error::Error,
    peer::Wanted,
};
use std::ops::Range;
use store::{Reader, objects::Naming};

/// Versions that are asked for.
const COPIES_MAX: u32 = 8;

/// One place where the bytes may be.
#[derive(Debug)]
pub(super) struct Copy {
    pub(super) wanted: Wanted,
    pub(super) encryption: Option<Encryption>,
    /// The wrapped key of the blob.
    pub(super) seal: Option<String>,
}

/// The places of a blob, those of current versions first.
pub(super) fn of(reader: &Reader<'_>, blob: i64) -> Result<Vec<Copy>, Error> {
    let namings = reader.blob_namings(blob, COPIES_MAX)?;
    // Of a version whose row cannot be understood nothing is asked.
    Ok(namings.into_iter().filter_map(|naming| copy(reader, naming).ok().flatten()).collect())
}

fn copy(reader: &Reader<'_>, naming: Naming) -> Result<Option<Copy>, Error> {
    let Naming { bucket, object, part } = naming;
    let details: Details = details::parse(&object.key, &object.details)?;
    let found = match part {
        None => Some((0..object.size, details.seal)),
        Some(number) => piece(reader, object.id, number)?,
    };
    Ok(found.map(|(range, seal)| Copy {
        wanted: Wanted { bucket, key: object.key, size: object.size, range },
        encryption: details.encryption,
        seal,
    }))
}

/// Where bytes lie in their object, and their wrapped key.
type Span = (Range<u64>, Option<String>);

/// The same of a piece.
fn piece(reader: &Reader<'_>, object: i64, number: u32) -> Result<Option<Span>, Error> {
    let mut start = 0;
    for piece in reader.object_pieces(object)? {
        if piece.number == number {
            let details: PieceDetails = details::parse("a part", &piece.details)?;
            return Ok(Some((start..start + piece.size, details.seal)));
        }
        start += piece.size;
    }
    Ok(None)
}
