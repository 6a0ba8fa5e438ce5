//! Listing keys in order, with prefix and delimiter.
//!
//! Keys are compared by their UTF-8 bytes. A common prefix is skipped by one seek behind it, so a
//! listing costs as many reads as it has lines, however many keys a prefix hides.

use crate::{
    bucket,
    error::Error,
    objects::{Info, Objects},
};
use store::{Reader, objects::ObjectRow};

/// Lines of one page at most, as on S3.
pub(crate) const PAGE_MAX: u32 = 1000;

/// Rows read at once.
const BATCH: u32 = 256;

/// What is to be listed.
#[derive(Debug, Clone, Default)]
pub(crate) struct Query {
    pub(crate) prefix: String,
    pub(crate) delimiter: String,
    /// Lines that are equal to it or before it are not wanted.
    pub(crate) after: String,
    pub(crate) limit: u32,
}

/// One line of a listing.
#[derive(Debug, Clone)]
pub(crate) enum Line {
    Object(Box<ObjectRow>),
    Prefix(String),
}

impl Line {
    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Object(row) => &row.key,
            Self::Prefix(prefix) => prefix,
        }
    }
}

/// The lines of one page.
#[derive(Debug, Clone, Default)]
pub(crate) struct Lines {
    pub(crate) lines: Vec<Line>,
    /// More follow.
    pub(crate) more: bool,
}

/// The common prefix that hides a key.
pub(crate) fn common_prefix<'a>(key: &'a str, prefix: &str, delimiter: &str) -> Option<&'a str> {
    if delimiter.is_empty() {
        return None;
    }
    let at = key.strip_prefix(prefix)?.find(delimiter)?;
    Some(&key[..prefix.len() + at + delimiter.len()])
}

/// The least text that is greater than every text beginning with `prefix`; `None` when there is none.
pub(crate) fn behind(prefix: &str) -> Option<String> {
    let mut chars: Vec<char> = prefix.chars().collect();
    while let Some(last) = chars.pop() {
        let next = match last {
            '\u{d7ff}' => Some('\u{e000}'),
            other => char::from_u32(u32::from(other) + 1),
        };
        if let Some(next) = next {
            chars.push(next);
            return Some(chars.into_iter().collect());
        }
    }
    None
}

/// The least text that is greater than `key`.
fn successor(key: &str) -> String {
    format!("{key}\0")
}

/// Where a listing begins; `None` when nothing can follow.
pub(crate) fn begin(query: &Query) -> Option<String> {
    if query.after.as_str() < query.prefix.as_str() || query.after.is_empty() {
        return Some(query.prefix.clone());
    }
    // A page that ended with a common prefix goes on behind all that it hides.
    match common_prefix(&query.after, &query.prefix, &query.delimiter) {
        Some(hidden) if hidden == query.after => behind(hidden),
        _ => Some(successor(&query.after)),
    }
}

/// One page of current objects.
pub(crate) fn page(reader: &Reader<'_>, bucket: i64, query: &Query) -> Result<Lines, Error> {
    let mut found = Lines::default();
    let Some(mut from) = begin(query) else { return Ok(found) };
    if query.limit == 0 {
        return Ok(found);
    }
    loop {
        let batch = BATCH.min(query.limit + 1);
        let rows = reader.object_list(bucket, &from, batch)?;
        let last = u32::try_from(rows.len()).is_ok_and(|count| count < batch);
        let Some(next) = fill(&mut found, rows, query) else { return Ok(found) };
        match next {
            Next::Seek(key) => from = key,
            Next::Batch(_) if last => return Ok(found),
            Next::Batch(key) => from = successor(&key),
        }
    }
}

/// How the listing goes on.
enum Next {
    /// Behind a common prefix.
    Seek(String),
    /// Behind the last row.
    Batch(String),
}

/// Adds rows as lines; `None` when the page is complete.
fn fill(found: &mut Lines, rows: Vec<ObjectRow>, query: &Query) -> Option<Next> {
    let mut last = None;
    for row in rows {
        if !row.key.starts_with(&query.prefix) {
            return None;
        }
        let hidden = common_prefix(&row.key, &query.prefix, &query.delimiter).map(str::to_owned);
        // A page that began within a common prefix does not name it again.
        let stale = hidden.as_ref().is_some_and(|prefix| *prefix <= query.after);
        if !stale {
            if found.lines.len() >= usize::try_from(query.limit).unwrap_or(usize::MAX) {
                found.more = true;
                return None;
            }
            last = Some(row.key.clone());
            found.lines.push(match &hidden {
                Some(prefix) => Line::Prefix(prefix.clone()),
                None => Line::Object(Box::new(row)),
            });
        }
        if let Some(prefix) = hidden {
            return behind(&prefix).map(Next::Seek);
        }
    }
    last.map(Next::Batch)
}

/// One line for other rooms.
#[derive(Debug, Clone)]
pub enum Entry {
    /// An object.
    Object(Info),
    /// Keys that share this prefix up to the delimiter.
    Prefix(String),
}

/// One page for other rooms.
#[derive(Debug, Clone)]
pub struct Page {
    /// By name.
    pub entries: Vec<Entry>,
    /// Give it as `after` to get what follows; `None` at the end.
    pub next: Option<String>,
}

impl Objects {
    /// Lists keys that begin with `prefix` and follow `after`, at most `limit` and 1000; with a
    /// delimiter, what lies behind it is folded into one line.
    ///
    /// # Errors
    /// [`Error::NoBucket`].
    pub async fn list(
        &self,
        bucket: &str,
        prefix: &str,
        delimiter: Option<&str>,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Page, Error> {
        let query = Query {
            prefix: prefix.into(),
            delimiter: delimiter.unwrap_or_default().into(),
            after: after.unwrap_or_default().into(),
            limit: limit.min(PAGE_MAX),
        };
        let bucket = bucket.to_owned();
        let lines = self
            .read(move |reader| {
                let bucket = bucket::get(reader, &bucket)?;
                page(reader, bucket.id, &query)
            })
            .await?;
        let next = lines.lines.last().filter(|_| lines.more).map(|line| line.name().to_owned());
        Ok(Page { entries: lines.lines.into_iter().map(entry).collect(), next })
    }
}

fn entry(line: Line) -> Entry {
    match line {
        Line::Prefix(prefix) => Entry::Prefix(prefix),
        Line::Object(row) => Entry::Object(Info {
            key: row.key,
            size: row.size,
            etag: row.etag,
            modified: row.modified,
            content_type: None,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(prefix: &str, expected: Option<&str>) {
        assert_eq!(behind(prefix).as_deref(), expected);
    }

    #[test]
    fn the_text_behind_a_prefix_is_the_next_in_byte_order() {
        check("a/", Some("a0"));
        check("a\u{d7ff}", Some("a\u{e000}"));
        check("a\u{10ffff}", Some("b"));
        check("\u{10ffff}", None);
    }

    #[test]
    fn a_common_prefix_ends_with_the_first_delimiter_behind_the_prefix() {
        assert_eq!(common_prefix("a/b/c", "a/", "/"), Some("a/b/"));
        assert_eq!(common_prefix("a/b", "a/", "/"), None);
        assert_eq!(common_prefix("abc", "", ""), None);
    }
}
