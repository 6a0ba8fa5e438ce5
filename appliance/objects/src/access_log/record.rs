//! One line of an access log, pure.
//!
//! Invariants: 26 fields in S3's order, one line each; what a client sent can neither end a line nor
//! a field; signatures and tokens of addresses are not written.
//! Units: bytes and milliseconds.

use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use std::{fmt::Write, net::IpAddr};

/// What would end a quoted field or its line.
const QUOTED: &AsciiSet = &CONTROLS.add(b'"');

/// What would end a plain field.
const PLAIN: &AsciiSet = &QUOTED.add(b' ').add(b'[').add(b']');

/// Parts of a query that would let their reader act.
const SECRET: [&str; 3] = ["X-Amz-Signature", "X-Amz-Security-Token", "Signature"];

/// A request and its answer; an empty text is a field that the request does not have.
#[derive(Debug, Clone, Default)]
pub(crate) struct Record {
    pub(crate) bucket_owner: String,
    pub(crate) bucket: String,
    /// Microseconds since 1970.
    pub(crate) at: i64,
    pub(crate) address: Option<IpAddr>,
    pub(crate) requester: String,
    pub(crate) id: String,
    pub(crate) operation: String,
    pub(crate) key: String,
    /// Method, path and query, version.
    pub(crate) request: String,
    pub(crate) status: u16,
    pub(crate) error: &'static str,
    pub(crate) sent: u64,
    pub(crate) size: Option<u64>,
    /// Until the last byte of the answer.
    pub(crate) total: u128,
    /// Until its first.
    pub(crate) turn: u128,
    pub(crate) referer: String,
    pub(crate) agent: String,
    pub(crate) version: String,
    /// `AuthHeader` or `QueryString`; empty for nobody.
    pub(crate) auth: &'static str,
    pub(crate) host: String,
}

/// Path and query without what would let a reader of the log act.
pub(crate) fn without_secrets(path_and_query: &str) -> String {
    let Some((path, query)) = path_and_query.split_once('?') else { return path_and_query.into() };
    let part = |pair: &str| match pair.split_once('=') {
        Some((name, _)) if SECRET.contains(&name) => format!("{name}=REDACTED"),
        _ => pair.to_owned(),
    };
    format!("{path}?{}", query.split('&').map(part).collect::<Vec<_>>().join("&"))
}

fn plain(text: &str) -> String {
    if text.is_empty() { "-".into() } else { utf8_percent_encode(text, PLAIN).to_string() }
}

fn quoted(text: &str) -> String {
    if text.is_empty() { "-".into() } else { format!("\"{}\"", utf8_percent_encode(text, QUOTED)) }
}

/// Keys are written as in addresses.
fn key(text: &str) -> String {
    if text.is_empty() { "-".into() } else { crate::sigv4::encode_path(text.as_bytes()) }
}

fn number(value: Option<u64>) -> String {
    value.map_or_else(|| "-".into(), |value| value.to_string())
}

impl Record {
    /// The line with its end.
    pub(crate) fn line(&self) -> String {
        let time = jiff::Timestamp::from_microsecond(self.at);
        let time = time.map(|at| at.strftime("%d/%b/%Y:%H:%M:%S +0000").to_string());
        let address = self.address.map_or_else(|| "-".into(), |address| address.to_string());
        let signature = if self.auth.is_empty() { "-" } else { "SigV4" };
        let sent = Some(self.sent).filter(|sent| *sent > 0);
        let mut line = String::with_capacity(512);
        // Writing to a text cannot fail.
        let _ = writeln!(
            line,
            "{} {} [{}] {address} {} {} {} {} {} {} {} {} {} {} {} {} {} {} - {signature} - {} {} - - -",
            plain(&self.bucket_owner),
            plain(&self.bucket),
            time.unwrap_or_default(),
            plain(&self.requester),
            plain(&self.id),
            plain(&self.operation),
            key(&self.key),
            quoted(&self.request),
            self.status,
            plain(self.error),
            number(sent),
            number(self.size),
            self.total,
            self.turn,
            quoted(&self.referer),
            quoted(&self.agent),
            plain(&self.version),
            plain(self.auth),
            plain(&self.host),
        );
        line
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use base::time::Timestamp;

    fn record() -> Record {
        Record {
            bucket_owner: "ann".into(),
            bucket: "site".into(),
            at: "2026-11-29T12:00:01.5Z".parse::<Timestamp>().unwrap().0,
            address: Some("192.0.2.3".parse().unwrap()),
            requester: "bob".into(),
            id: "3E57427F3EXAMPLE".into(),
            operation: "REST.GET.OBJECT".into(),
            key: "a b/c".into(),
            request: "GET /site/a%20b/c HTTP/1.1".into(),
            status: 200,
            sent: 7,
            size: Some(7),
            total: 12,
            turn: 3,
            agent: "curl/8".into(),
            auth: "AuthHeader",
            host: "s3.site".into(),
            ..Record::default()
        }
    }

    fn check(record: &Record, expected: &str) {
        assert_eq!(record.line(), format!("{expected}\n"));
    }

    #[test]
    fn a_line_has_the_fields_of_s3_in_their_order() {
        check(
            &record(),
            "ann site [29/Nov/2026:12:00:01 +0000] 192.0.2.3 bob 3E57427F3EXAMPLE REST.GET.OBJECT a%20b/c \"GET /site/a%20b/c HTTP/1.1\" 200 - 7 7 12 3 - \"curl/8\" - - SigV4 - AuthHeader s3.site - - -",
        );
        let nobody = Record { requester: String::new(), auth: "", address: None, ..record() };
        check(
            &Record { status: 403, error: "AccessDenied", sent: 0, size: None, ..nobody },
            "ann site [29/Nov/2026:12:00:01 +0000] - - 3E57427F3EXAMPLE REST.GET.OBJECT a%20b/c \"GET /site/a%20b/c HTTP/1.1\" 403 AccessDenied - - 12 3 - \"curl/8\" - - - - - s3.site - - -",
        );
    }

    #[test]
    fn what_a_client_sends_ends_neither_a_field_nor_a_line() {
        let bad = Record {
            agent: "a\" 200 \"b\r\nfake".into(),
            key: "k\n\"".into(),
            requester: "b o]b".into(),
            ..record()
        };
        let line = bad.line();
        assert_eq!(line.matches('\n').count(), 1, "{line}");
        assert!(line.contains("\"a%22 200 %22b%0D%0Afake\""), "{line}");
        assert!(line.contains(" k%0A%22 ") && line.contains(" b%20o%5Db "), "{line}");
    }

    #[test]
    fn signatures_are_not_written() {
        let found =
            without_secrets("/b/k?X-Amz-Date=1&X-Amz-Signature=ab12&X-Amz-Security-Token=x");
        assert_eq!(
            found,
            "/b/k?X-Amz-Date=1&X-Amz-Signature=REDACTED&X-Amz-Security-Token=REDACTED"
        );
        assert_eq!(without_secrets("/b/k"), "/b/k");
    }
}
