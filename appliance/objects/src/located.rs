//! A version of an object as readers find it, with what they are told of it.
//!
//! Invariants: all of it was read from one state of the database; nothing of it changes afterwards.

use crate::{
    bucket::{self, Bucket},
    cache::Weight,
    content::{self, Piece},
    details::{self, Details},
    error::Error,
    objects::Info,
};
use http::HeaderMap;
use std::sync::OnceLock;
use store::{Reader, objects::ObjectRow};

/// A version and where its bytes are.
pub(crate) struct Located {
    pub(crate) bucket: Bucket,
    pub(crate) row: ObjectRow,
    pub(crate) details: Details,
    pub(crate) pieces: Vec<Piece>,
    /// The headers that tell every reader of it the same, once one has asked.
    pub(crate) headers: OnceLock<HeaderMap>,
}

impl Located {
    pub(crate) fn find(
        reader: &Reader<'_>,
        bucket: &str,
        key: &str,
        version: Option<&str>,
    ) -> Result<Self, Error> {
        let bucket = bucket::get(reader, bucket)?;
        let row = match version {
            None => reader.object_latest(bucket.id, key)?,
            Some(version) => reader.object_version(bucket.id, key, version)?,
        };
        let missing = || Error::NoObject { bucket: bucket.name.clone(), key: key.to_owned() };
        let row = row.filter(|row| !row.marker).ok_or_else(missing)?;
        let details: Details = details::parse(key, &row.details)?;
        let pieces = content::pieces(reader, &row, details.seal.as_ref())?;
        Ok(Self { bucket, row, details, pieces, headers: OnceLock::new() })
    }

    pub(crate) fn info(&self) -> Info {
        Info {
            key: self.row.key.clone(),
            size: self.row.size,
            etag: self.row.etag.clone(),
            modified: self.row.modified,
            content_type: self.details.headers.get("content-type").cloned(),
        }
    }
}

/// Bytes that the headers of an answer take, beside what the object's sender gave.
const HEADERS_USUAL: usize = 1024;

impl Weight for Located {
    fn weight(&self) -> usize {
        let data = |piece: &Piece| piece.data.as_ref().map_or(0, bytes::Bytes::len);
        let pieces: usize = self.pieces.iter().map(|piece| size_of::<Piece>() + data(piece)).sum();
        // The details three times: as text, taken apart, and as headers.
        let told = HEADERS_USUAL + 3 * self.row.details.len();
        pieces + self.bucket.weight() + size_of::<Self>() + told
    }
}
