//! Conditional requests, pure: `If-Match` and its three brothers.

use super::{
    call::Call,
    dates,
    error::{Code, S3Error},
};
use store::objects::ObjectRow;

fn names(list: &str, etag: &str) -> bool {
    list.split(',').map(str::trim).any(|one| {
        let one = one.strip_prefix("W/").unwrap_or(one);
        one == "*" || one.trim_matches('"') == etag
    })
}

/// Conditions of a read, with their headers' names beginning with `prefix` (for copies).
pub(crate) fn read(call: &Call, prefix: &str, row: &ObjectRow) -> Result<(), S3Error> {
    let header = |name: &str| match prefix {
        "" => call.header(name),
        _ => call.header(&format!("{prefix}{name}")),
    };
    let modified = dates::seconds(row.modified);
    let time = |name: &str| header(name).and_then(dates::parse_http).map(dates::seconds);
    let copies = !prefix.is_empty();
    match header("if-match") {
        Some(list) if !names(list, &row.etag) => return Err(Code::PreconditionFailed.into()),
        Some(_) => {}
        None if time("if-unmodified-since").is_some_and(|at| modified > at) => {
            return Err(Code::PreconditionFailed.into());
        }
        None => {}
    }
    let unchanged = match header("if-none-match") {
        Some(list) => names(list, &row.etag),
        None => time("if-modified-since").is_some_and(|at| modified <= at),
    };
    match (unchanged, copies) {
        (false, _) => Ok(()),
        (true, true) => Err(Code::PreconditionFailed.into()),
        (true, false) => Err(S3Error::from(Code::NotModified)
            .with("etag", format!("\"{}\"", row.etag))
            .with("last-modified", dates::http(row.modified))),
    }
}

/// The range is still one of what the caller has the rest of (RFC 9110, 13.1.5): `If-Range` holds
/// its ETag, which is compared strongly, or its time of change.
pub(crate) fn range_holds(call: &Call, row: &ObjectRow) -> bool {
    let Some(text) = call.header("if-range").map(str::trim) else { return true };
    if text.starts_with(['"', 'W']) && text.ends_with('"') {
        let etag = text.strip_prefix('"').and_then(|text| text.strip_suffix('"'));
        return etag == Some(row.etag.as_str());
    }
    dates::parse_http(text).map(dates::seconds) == Some(dates::seconds(row.modified))
}

/// The conditions of a write, taken out of the request so that they are checked in the transaction.
#[derive(Debug, Clone, Default)]
pub(crate) struct Write {
    matching: Option<String>,
    none_matching: Option<String>,
}

impl Write {
    pub(crate) fn of(call: &Call) -> Self {
        let header = |name: &str| call.header(name).map(str::to_owned);
        Self { matching: header("if-match"), none_matching: header("if-none-match") }
    }

    /// Holds against what is stored now.
    pub(crate) fn check(&self, current: Option<&ObjectRow>) -> Result<(), S3Error> {
        let current = current.filter(|row| !row.marker);
        match (&self.matching, current) {
            (Some(_), None) => return Err(Code::NoSuchKey.into()),
            (Some(list), Some(row)) if !names(list, &row.etag) => {
                return Err(Code::PreconditionFailed.into());
            }
            _ => {}
        }
        match (&self.none_matching, current) {
            (Some(list), Some(row)) if names(list, &row.etag) => {
                Err(Code::PreconditionFailed.into())
            }
            _ => Ok(()),
        }
    }
}

/// The conditions of a deletion, checked against what is to be deleted, a marker too. Where
/// nothing is, nothing is done, and no condition is broken.
#[derive(Debug, Clone, Default)]
pub(crate) struct Delete {
    etag: Option<String>,
    /// In seconds since the epoch.
    modified: Option<i64>,
    size: Option<u64>,
}

impl Delete {
    pub(crate) fn of(call: &Call) -> Result<Self, S3Error> {
        Self::of_texts(
            call.header("if-match"),
            call.header("x-amz-if-match-last-modified-time"),
            call.header("x-amz-if-match-size"),
        )
    }

    /// By the texts of headers or of a document's elements.
    pub(crate) fn of_texts(
        etag: Option<&str>,
        modified: Option<&str>,
        size: Option<&str>,
    ) -> Result<Self, S3Error> {
        let bad = |what: &str| {
            Code::InvalidArgument.says(format!("The condition on {what} is not valid"))
        };
        let modified = modified.map(|text| {
            dates::parse_any(text.trim()).map(dates::seconds).ok_or_else(|| bad("the time"))
        });
        let size = size.map(|text| text.trim().parse().map_err(|_| bad("the size")));
        Ok(Self {
            etag: etag.map(str::to_owned),
            modified: modified.transpose()?,
            size: size.transpose()?,
        })
    }

    /// Something is asked for.
    pub(crate) fn is_set(&self) -> bool {
        self.etag.is_some() || self.modified.is_some() || self.size.is_some()
    }

    /// Holds against what is there.
    pub(crate) fn check(&self, found: Option<&ObjectRow>) -> Result<(), S3Error> {
        let Some(row) = found else { return Ok(()) };
        let holds = self.etag.as_deref().is_none_or(|list| names(list, &row.etag))
            && self.modified.is_none_or(|at| at == dates::seconds(row.modified))
            && self.size.is_none_or(|size| size == row.size);
        if holds { Ok(()) } else { Err(Code::PreconditionFailed.into()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(list: &str, etag: &str, expected: bool) {
        assert_eq!(names(list, etag), expected, "{list}");
    }

    #[test]
    fn a_list_of_tags_names_a_tag_with_and_without_quotes() {
        check("\"abc\"", "abc", true);
        check("abc", "abc", true);
        check("W/\"abc\"", "abc", true);
        check("\"x\", \"abc\"", "abc", true);
        check("*", "abc", true);
        check("\"ab\"", "abc", false);
    }
}
