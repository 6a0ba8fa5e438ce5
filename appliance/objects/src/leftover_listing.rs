//! What a bucket holds besides its newest objects, for operators to look at: older versions, markers of
//! deletion, and uploads that nobody finished. Nothing is changed from here.

use crate::{
    bucket,
    error::Error,
    listing::PAGE_MAX,
    objects::Objects,
    version_listing::{self, Line, Listed, Query},
};
use base::time::Timestamp;
use store::{
    Reader,
    objects::{ObjectRow, UploadRow, Usage},
};

/// A version of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version {
    /// Key of the object.
    pub key: String,
    /// Its name; `null` where versions are not kept.
    pub version: String,
    /// No newer one exists.
    pub latest: bool,
    /// A mark that the object was deleted.
    pub marker: bool,
    /// Bytes.
    pub size: u64,
    /// When it was stored.
    pub modified: Timestamp,
}

/// An upload in parts that was neither finished nor given up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unfinished {
    /// The key that it is to have.
    pub key: String,
    /// The id that its client holds.
    pub id: String,
    /// When it was begun.
    pub started: Timestamp,
    /// Parts that are stored, as objects, and their bytes.
    pub parts: Usage,
}

/// A page, and the key and the name of its last line when more follow.
pub type Leftovers<T> = (Vec<T>, Option<(String, String)>);

impl Objects {
    /// All versions of the objects whose keys begin with `prefix`, by key, newest first, behind a key
    /// and version, at most `limit` and 1000.
    ///
    /// # Errors
    /// [`Error::NoBucket`].
    pub async fn versions(
        &self,
        bucket: &str,
        prefix: &str,
        after: Option<(String, String)>,
        limit: u32,
    ) -> Result<Leftovers<Version>, Error> {
        let bucket = bucket.to_owned();
        let query = query(prefix, after, limit);
        let found = self.read(move |reader| rows::<ObjectRow>(reader, &bucket, &query)).await?;
        let version = |row: ObjectRow| Version {
            key: row.key,
            version: row.version,
            latest: row.latest,
            marker: row.marker,
            size: row.size,
            modified: row.modified,
        };
        let next = |last: &ObjectRow| (last.key.clone(), last.version.clone());
        let next = found.0.last().filter(|_| found.1).map(next);
        Ok((found.0.into_iter().map(version).collect(), next))
    }

    /// Unfinished uploads whose keys begin with `prefix`, by key and age, behind a key and id, at most
    /// `limit` and 1000.
    ///
    /// # Errors
    /// [`Error::NoBucket`].
    pub async fn unfinished(
        &self,
        bucket: &str,
        prefix: &str,
        after: Option<(String, String)>,
        limit: u32,
    ) -> Result<Leftovers<Unfinished>, Error> {
        let bucket = bucket.to_owned();
        let query = query(prefix, after, limit);
        self.read(move |reader| {
            let (rows, more) = rows::<UploadRow>(reader, &bucket, &query)?;
            let next =
                rows.last().filter(|_| more).map(|last| (last.key.clone(), last.name.clone()));
            let upload = |row: UploadRow| {
                let parts = reader.upload_sums(row.id)?;
                Ok(Unfinished { key: row.key, id: row.name, started: row.started, parts })
            };
            Ok((rows.into_iter().map(upload).collect::<Result<_, Error>>()?, next))
        })
        .await
    }
}

fn query(prefix: &str, after: Option<(String, String)>, limit: u32) -> Query {
    let (key_after, id_after) = after.map_or((String::new(), None), |(key, id)| (key, Some(id)));
    let prefix = prefix.to_owned();
    Query { prefix, delimiter: String::new(), key_after, id_after, limit: limit.min(PAGE_MAX) }
}

/// The rows of a page, and whether more follow.
fn rows<R: Listed>(
    reader: &Reader<'_>,
    bucket: &str,
    query: &Query,
) -> Result<(Vec<R>, bool), Error> {
    let bucket = bucket::get(reader, bucket)?;
    let page = version_listing::page::<R>(reader, bucket.id, query)?;
    let rows = page.lines.into_iter().filter_map(|line| match line {
        Line::Row(row) => Some(row),
        Line::Prefix(_) => None,
    });
    Ok((rows.collect(), page.more))
}
