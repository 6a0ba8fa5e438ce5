//! Listing all versions and unfinished uploads, with prefix and delimiter.
//!
//! As [`crate::listing`]: by key in byte order, newest version first; a common prefix is one line
//! and one seek, however many versions it hides.
//! A page names where the next one begins by a row's name and number ([`Listed::mark`]): the number tells
//! the place when the row itself was removed meanwhile.

use crate::{
    error::Error,
    listing::{behind, common_prefix},
};
use store::{
    Reader,
    objects::{ObjectRow, UploadRow},
};

/// Rows read at once.
const BATCH: u32 = 256;

/// What is to be listed, and behind what.
#[derive(Debug, Clone, Default)]
pub(crate) struct Query {
    pub(crate) prefix: String,
    pub(crate) delimiter: String,
    /// Keys up to this one are not wanted, but for what follows `id_after` of it.
    pub(crate) key_after: String,
    /// A mark, or a version's name or an upload's id, at `key_after`.
    pub(crate) id_after: Option<String>,
    pub(crate) limit: u32,
}

/// One line.
#[derive(Debug, Clone)]
pub(crate) enum Line<R> {
    Row(R),
    Prefix(String),
}

/// One page.
#[derive(Debug, Clone)]
pub(crate) struct Page<R> {
    pub(crate) lines: Vec<Line<R>>,
    /// More follow.
    pub(crate) more: bool,
}

/// Rows in the order of a listing.
pub(crate) trait Listed: Sized {
    fn key(&self) -> &str;
    fn id(&self) -> i64;
    fn name(&self) -> &str;
    /// Every row of key `from` is behind it.
    const BEFORE: i64;
    /// Every row of key `from` is before it.
    const BEHIND: i64;
    /// Rows of key `from` behind `id`, then those of the keys that follow.
    fn read(r: &Reader<'_>, bucket: i64, from: &str, id: i64, n: u32) -> Result<Vec<Self>, Error>;
    /// The number of the row of that name; `None` when there is none.
    fn find(r: &Reader<'_>, bucket: i64, key: &str, name: &str) -> Result<Option<i64>, Error>;

    /// What tells the next page where to go on. No name has a dot.
    fn mark(&self) -> String {
        format!("{}.{}", self.name(), self.id())
    }
}

/// The number of the row that a mark stands for.
fn marked(mark: &str) -> Option<i64> {
    mark.split_once('.')?.1.parse().ok()
}

impl Listed for ObjectRow {
    const BEFORE: i64 = i64::MAX;
    const BEHIND: i64 = 0;

    fn key(&self) -> &str {
        &self.key
    }

    fn id(&self) -> i64 {
        self.id
    }

    fn name(&self) -> &str {
        &self.version
    }

    fn read(r: &Reader<'_>, bucket: i64, from: &str, id: i64, n: u32) -> Result<Vec<Self>, Error> {
        Ok(r.object_list_versions(bucket, from, id, n)?)
    }

    fn find(r: &Reader<'_>, bucket: i64, key: &str, name: &str) -> Result<Option<i64>, Error> {
        Ok(r.object_version(bucket, key, name)?.map(|row| row.id))
    }
}

impl Listed for UploadRow {
    const BEFORE: i64 = 0;
    const BEHIND: i64 = i64::MAX;

    fn key(&self) -> &str {
        &self.key
    }

    fn id(&self) -> i64 {
        self.id
    }

    fn name(&self) -> &str {
        &self.name
    }

    fn read(r: &Reader<'_>, bucket: i64, from: &str, id: i64, n: u32) -> Result<Vec<Self>, Error> {
        Ok(r.upload_list(bucket, from, id, n)?)
    }

    fn find(r: &Reader<'_>, bucket: i64, _: &str, name: &str) -> Result<Option<i64>, Error> {
        Ok(r.upload_get(name)?.filter(|row| row.bucket == bucket).map(|row| row.id))
    }
}

/// Where a listing begins; `None` when nothing can follow.
fn begin<R: Listed>(
    reader: &Reader<'_>,
    bucket: i64,
    query: &Query,
) -> Result<Option<(String, i64)>, Error> {
    let after = query.key_after.as_str();
    if after.is_empty() || after < query.prefix.as_str() {
        return Ok(Some((query.prefix.clone(), R::BEFORE)));
    }
    // A page that ended with a common prefix goes on behind all that it hides.
    if common_prefix(after, &query.prefix, &query.delimiter) == Some(after) {
        return Ok(behind(after).map(|from| (from, R::BEFORE)));
    }
    let id = match &query.id_after {
        Some(name) => match marked(name) {
            Some(id) => id,
            None => R::find(reader, bucket, after, name)?.unwrap_or(R::BEHIND),
        },
        None => R::BEHIND,
    };
    Ok(Some((after.to_owned(), id)))
}

/// One page.
pub(crate) fn page<R: Listed>(
    reader: &Reader<'_>,
    bucket: i64,
    query: &Query,
) -> Result<Page<R>, Error> {
    let mut found = Page { lines: Vec::new(), more: false };
    if query.limit == 0 {
        return Ok(found);
    }
    let Some((mut from, mut id)) = begin::<R>(reader, bucket, query)? else { return Ok(found) };
    loop {
        let count = BATCH.min(query.limit + 1);
        let rows = R::read(reader, bucket, &from, id, count)?;
        let last = u32::try_from(rows.len()).is_ok_and(|read| read < count);
        match fill(&mut found, rows, query) {
            None => return Ok(found),
            Some(Next::Seek(key)) => (from, id) = (key, R::BEFORE),
            Some(Next::Row(..)) if last => return Ok(found),
            Some(Next::Row(key, at)) => (from, id) = (key, at),
        }
    }
}

/// How a listing goes on.
enum Next {
    /// Behind a common prefix.
    Seek(String),
    /// Behind a row.
    Row(String, i64),
}

/// Adds rows as lines; `None` when the page is complete.
fn fill<R: Listed>(found: &mut Page<R>, rows: Vec<R>, query: &Query) -> Option<Next> {
    let mut last = None;
    for row in rows {
        if !row.key().starts_with(&query.prefix) {
            return None;
        }
        if found.lines.len() >= usize::try_from(query.limit).unwrap_or(usize::MAX) {
            found.more = true;
            return None;
        }
        let hidden = common_prefix(row.key(), &query.prefix, &query.delimiter).map(str::to_owned);
        if let Some(prefix) = hidden {
            found.lines.push(Line::Prefix(prefix.clone()));
            return behind(&prefix).map(Next::Seek);
        }
        last = Some(Next::Row(row.key().to_owned(), row.id()));
        found.lines.push(Line::Row(row));
    }
    last
}
