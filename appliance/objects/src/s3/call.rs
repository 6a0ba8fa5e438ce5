//! One request, taken apart: who asks, what for, and what they send.

use super::{
    error::{Code, S3Error},
    journal::{Gone, Peer},
    payload::Mode,
};
use crate::{
    keys::{Owner, Scope},
    objects::Objects,
    query::Query,
};
use axum::body::Body;
use base::time::Timestamp;
use http::{HeaderMap, Method};
use std::sync::{Arc, Mutex};

/// Keys have at most so many bytes, as on S3.
const KEY_MAX: usize = 1024;

/// So few headers are looked through one by one.
const HEADERS_FEW: usize = 8;

/// Who asks.
#[derive(Debug, Clone)]
pub(crate) enum Who {
    /// Nobody in particular.
    Anonymous,
    /// The holder of an access key.
    Key { owner: Arc<Owner>, scope: Arc<Scope> },
    /// The house itself, by an address that it signed.
    House,
}

impl Who {
    /// The owner's id; empty for nobody.
    pub(crate) fn owner(&self) -> &str {
        match self {
            Self::Anonymous => "",
            Self::Key { owner, .. } => &owner.id,
            Self::House => crate::HOUSE_OWNER,
        }
    }

    /// Whether what `owner` has is the caller's. Nobody has what nobody owns.
    pub(crate) fn owns(&self, owner: &str) -> bool {
        !owner.is_empty() && self.owner() == owner
    }
}

/// A request on its way through the handlers.
pub(crate) struct Call {
    pub(crate) objects: Objects,
    pub(crate) method: Method,
    /// Empty when none is named.
    pub(crate) bucket: String,
    /// Empty when none is named.
    pub(crate) key: String,
    pub(crate) query: Query,
    pub(crate) headers: HeaderMap,
    pub(crate) who: Who,
    pub(crate) now: Timestamp,
    pub(crate) mode: Mode,
    /// Behind a lock only because a body cannot be shared between threads, and a call is.
    pub(crate) body: Mutex<Option<Body>>,
    /// Where the client reached what it posts to, for the address in the answer; empty of others.
    pub(crate) posted_to: String,
    /// The request's name in answers and logs.
    pub(crate) id: String,
    /// Who is at the other end.
    pub(crate) peer: Peer,
    /// What a deletion of many keys came to, for the access log.
    pub(crate) gone: Vec<Gone>,
}

impl Call {
    /// The value of a query parameter.
    pub(crate) fn param(&self, name: &str) -> Option<&str> {
        self.query.get(name)
    }

    /// The query names it, with or without a value.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.param(name).is_some()
    }

    /// The value of a header, when it is text. `name` is in small letters.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        // Most are asked for in vain: looking at a few costs less than hashing the name.
        let found = if self.headers.len() <= HEADERS_FEW {
            self.headers.iter().find(|(known, _)| known.as_str() == name).map(|(_, value)| value)
        } else {
            self.headers.get(name)
        };
        found.and_then(text_of)
    }

    /// The version that is asked for.
    pub(crate) fn version(&self) -> Option<&str> {
        self.param("versionId").filter(|version| !version.is_empty())
    }

    /// A number in the query; `error` when it is none.
    pub(crate) fn number(&self, name: &'static str) -> Result<Option<u32>, S3Error> {
        let Some(text) = self.param(name).filter(|text| !text.is_empty()) else { return Ok(None) };
        let bad =
            |_| Code::InvalidArgument.says(format!("{name} is not a number within its limits"));
        text.parse().map(Some).map_err(bad)
    }
}

/// A header's value as UTF-8 (user metadata may be).
pub(crate) fn text_of(value: &http::HeaderValue) -> Option<&str> {
    std::str::from_utf8(value.as_bytes()).ok()
}

/// Bucket and key of a decoded path; with virtual hosts the bucket is in the host.
pub(crate) fn place(path: &[u8], host_bucket: Option<&str>) -> Result<(String, String), S3Error> {
    let path = std::str::from_utf8(path).map_err(|_| Code::InvalidURI)?;
    let path = path.strip_prefix('/').unwrap_or(path);
    let (bucket, key) = match host_bucket {
        Some(bucket) => (bucket, path),
        None => path.split_once('/').unwrap_or((path, "")),
    };
    if bucket.contains('\0') {
        return Err(Code::InvalidURI.says("A bucket cannot hold the character NUL."));
    }
    Ok((bucket.to_owned(), checked_key(key)?.to_owned()))
}

/// A key that S3 takes.
pub(super) fn checked_key(key: &str) -> Result<&str, S3Error> {
    if key.len() > KEY_MAX {
        return Err(Code::KeyTooLongError.into());
    }
    if key.contains('\0') {
        return Err(Code::InvalidURI.says("A key cannot hold the character NUL."));
    }
    Ok(key)
}

/// A host without its port.
fn name_of(host: &str) -> &str {
    let name = host.rsplit_once(':').filter(|(_, port)| port.parse::<u16>().is_ok());
    name.map_or(host, |(name, _)| name)
}

/// What stands before a domain in a host's name; in names of hosts capitals tell nothing.
fn below<'a>(name: &'a str, domain: &str) -> Option<&'a str> {
    let (front, end) = name.split_at_checked(name.len().checked_sub(domain.len())?)?;
    if end.eq_ignore_ascii_case(domain) { front.strip_suffix('.') } else { None }
}

/// The bucket that a host names, in small letters: `<bucket>.<domain>`.
pub(crate) fn host_bucket(host: &str, domains: &[String]) -> Option<String> {
    let name = name_of(host);
    domains.iter().find_map(|domain| below(name, domain)).map(str::to_ascii_lowercase)
}

/// The host is one of the domains, or a bucket below one.
pub(crate) fn is_ours(host: &str, domains: &[String]) -> bool {
    let name = name_of(host);
    domains.iter().any(|domain| name.eq_ignore_ascii_case(domain) || below(name, domain).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(path: &str, host: Option<&str>, bucket: &str, key: &str) {
        let (found, rest) = place(path.as_bytes(), host).unwrap();
        assert_eq!((found.as_str(), rest.as_str()), (bucket, key), "{path}");
    }

    #[test]
    fn paths_name_a_bucket_and_a_key() {
        check("/", None, "", "");
        check("/b", None, "b", "");
        check("/b/", None, "b", "");
        check("/b/../etc//x/", None, "b", "../etc//x/");
        check("/k/x", Some("b"), "b", "k/x");
    }

    #[test]
    fn keys_that_s3_does_not_take_are_refused() {
        let code = |path: &[u8]| place(path, None).unwrap_err().code;
        assert_eq!(code(format!("/b/{}", "x".repeat(1025)).as_bytes()), Code::KeyTooLongError);
        assert_eq!(code(b"/b/\xff"), Code::InvalidURI);
        assert_eq!(code(b"/b/a\0"), Code::InvalidURI);
    }

    #[test]
    fn a_host_under_a_domain_names_a_bucket() {
        let domains = ["s3.site".to_owned()];
        assert_eq!(host_bucket("a.b.s3.site:9000", &domains), Some("a.b".to_owned()));
        assert_eq!(host_bucket("A.b.S3.Site", &domains), Some("a.b".to_owned()));
        assert!(is_ours("S3.Site:9000", &domains) && is_ours("A.S3.site", &domains));
        assert_eq!(host_bucket("s3.site:9000", &domains), None);
        assert_eq!(host_bucket("evils3.site", &domains), None);
        assert!(is_ours("s3.site:9000", &domains) && is_ours("a.s3.site", &domains));
        assert!(!is_ours("evils3.site", &domains) && !is_ours("site", &domains));
    }
}
