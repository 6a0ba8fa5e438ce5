//! AWS Signature Version 4, pure: canonical forms, keys and signatures.
//!
//! Why: the same forms serve checking (the S3 face) and making (presigned addresses for runners).
//! Source: "Signature Version 4 signing process" of the S3 API reference. S3 encodes the path once.

use crate::{digest, query::Query};
use base::time::Timestamp;
use hmac::{Hmac, KeyInit, Mac};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode, utf8_percent_encode};
use sha2::{Digest, Sha256};
use std::borrow::Cow;

/// The only algorithm.
pub(crate) const ALGORITHM: &str = "AWS4-HMAC-SHA256";

/// The payload is not part of the signature.
pub(crate) const UNSIGNED: &str = "UNSIGNED-PAYLOAD";

const VALUE: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
const PATH: &AsciiSet = &VALUE.remove(b'/');

/// Encodes a path; slashes stay.
pub(crate) fn encode_path(path: &[u8]) -> String {
    percent_encode(path, PATH).to_string()
}

/// Encodes a name or value of a query.
pub(crate) fn encode_value(text: &str) -> String {
    encoded(text).into_owned()
}

/// Where and when a key is valid: `20261123/us-east-1/s3/aws4_request`.
pub(crate) fn scope(date: &str, region: &str) -> String {
    format!("{date}/{region}/s3/aws4_request")
}

/// What is signed of a request.
pub(crate) struct Canonical<'a> {
    pub(crate) method: &'a str,
    /// Decoded.
    pub(crate) path: &'a [u8],
    /// Decoded.
    pub(crate) query: &'a Query,
    /// Lower-case names with their values, as the client listed them.
    pub(crate) headers: &'a [(&'a str, Cow<'a, str>)],
    /// Hash or one of the named forms.
    pub(crate) payload: &'a str,
}

impl Canonical<'_> {
    /// The text whose hash is signed.
    pub(crate) fn text(&self) -> String {
        let mut query: Vec<(Cow<'_, str>, Cow<'_, str>)> = self
            .query
            .iter()
            .filter(|(name, _)| *name != "X-Amz-Signature")
            .map(|(name, value)| (encoded(name), encoded(value)))
            .collect();
        query.sort_unstable();
        // Every request is checked by it: one text is written, without parts to be joined.
        let mut text = String::with_capacity(CANONICAL_USUAL);
        let path = Cow::from(percent_encode(self.path, PATH));
        join(&mut text, &[self.method, "\n", &path, "\n"]);
        for (at, (name, value)) in query.iter().enumerate() {
            join(&mut text, &[if at > 0 { "&" } else { "" }, name, "=", value]);
        }
        text.push('\n');
        for (name, value) in self.headers {
            join(&mut text, &[name, ":", &squeezed(value), "\n"]);
        }
        for (at, (name, _)) in self.headers.iter().enumerate() {
            join(&mut text, &[if at > 0 { ";" } else { "\n" }, name]);
        }
        if self.headers.is_empty() {
            text.push('\n');
        }
        join(&mut text, &["\n", self.payload]);
        text
    }
}

/// A name or value as it is signed; most are so already.
fn encoded(text: &str) -> Cow<'_, str> {
    let mut parts = utf8_percent_encode(text, VALUE);
    let first = parts.next().unwrap_or_default();
    let Some(second) = parts.next() else { return first.into() };
    let mut written = String::with_capacity(3 * text.len());
    written.extend([first, second]);
    written.extend(parts);
    written.into()
}

/// More bytes than most requests have in their canonical form.
const CANONICAL_USUAL: usize = 768;

fn join(text: &mut String, parts: &[&str]) {
    parts.iter().for_each(|part| text.push_str(part));
}

/// Without outer spaces, inner runs of spaces as one.
fn squeezed(value: &str) -> Cow<'_, str> {
    if !value.starts_with(' ') && !value.ends_with(' ') && !value.contains("  ") {
        return value.into();
    }
    value.split(' ').filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ").into()
}

/// A key made for one day, region and service; it has read the key already.
#[derive(Clone)]
pub(crate) struct SigningKey(Hmac<Sha256>);

fn keyed(key: &[u8]) -> Hmac<Sha256> {
    Hmac::new_from_slice(key).expect("HMAC takes any key length")
}

impl SigningKey {
    /// The key of a secret for a scope.
    pub(crate) fn new(secret: &str, scope: &str) -> Self {
        let narrowed = |mut mac: Hmac<Sha256>, part: &str| {
            mac.update(part.as_bytes());
            keyed(&mac.finalize().into_bytes())
        };
        Self(scope.split('/').fold(keyed(format!("AWS4{secret}").as_bytes()), narrowed))
    }

    /// The signature of a text, in hexadecimal.
    pub(crate) fn sign(&self, text: &str) -> String {
        let mut mac = self.0.clone();
        mac.update(text.as_bytes());
        digest::hex(&mac.finalize().into_bytes())
    }

    /// The signature of a request.
    pub(crate) fn sign_request(
        &self,
        date: &str,
        scope: &str,
        canonical: &Canonical<'_>,
    ) -> String {
        let hash = digest::hex(&Sha256::digest(canonical.text()));
        let mut text = String::with_capacity(192);
        join(&mut text, &[ALGORITHM, "\n", date, "\n", scope, "\n", &hash]);
        self.sign(&text)
    }
}

/// `20261123T191426Z`.
pub(crate) fn date_text(at: Timestamp) -> String {
    jiff::Timestamp::from_microsecond(at.0)
        .map(|at| at.strftime("%Y%m%dT%H%M%SZ").to_string())
        .unwrap_or_default()
}

/// Reads `20261123T191426Z`, by hand: every request brings one.
pub(crate) fn parse_date(text: &str) -> Option<Timestamp> {
    let text: &[u8; 16] = text.as_bytes().try_into().ok()?;
    if text[8] != b'T' || text[15] != b'Z' {
        return None;
    }
    let two = |at: usize| {
        let digits = text[at].is_ascii_digit() && text[at + 1].is_ascii_digit();
        let digit = |byte: u8| i8::try_from(byte.wrapping_sub(b'0')).ok();
        if digits { Some(10 * digit(text[at])? + digit(text[at + 1])?) } else { None }
    };
    let year = 100 * i16::from(two(0)?) + i16::from(two(2)?);
    let (month, day, hour, minute, second) = (two(4)?, two(6)?, two(9)?, two(11)?, two(13)?);
    let time = jiff::civil::DateTime::new(year, month, day, hour, minute, second, 0).ok()?;
    let at = jiff::tz::Offset::UTC.to_timestamp(time).ok()?;
    Some(Timestamp(at.as_microsecond()))
}

/// An address that carries its own signature.
pub(crate) struct Presign<'a> {
    pub(crate) method: &'a str,
    /// Decoded, beginning with a slash.
    pub(crate) path: &'a str,
    pub(crate) access_key: &'a str,
    pub(crate) secret: &'a str,
    pub(crate) region: &'a str,
    /// Empty when the signature does not bind a host.
    pub(crate) host: &'a str,
    pub(crate) expires_seconds: u64,
    pub(crate) now: Timestamp,
}

impl Presign<'_> {
    /// Path and query.
    pub(crate) fn address(&self) -> String {
        let date = date_text(self.now);
        let scope = scope(date.get(..8).unwrap_or_default(), self.region);
        let host = [("host", self.host.into())];
        let headers = if self.host.is_empty() { &[][..] } else { &host[..] };
        let mut query = Query::default();
        query.push("X-Amz-Algorithm", ALGORITHM);
        query.push("X-Amz-Credential", &format!("{}/{scope}", self.access_key));
        query.push("X-Amz-Date", &date);
        query.push("X-Amz-Expires", &self.expires_seconds.to_string());
        query.push("X-Amz-SignedHeaders", if self.host.is_empty() { "" } else { "host" });
        let canonical = Canonical {
            method: self.method,
            path: self.path.as_bytes(),
            query: &query,
            headers,
            payload: UNSIGNED,
        };
        let signature =
            SigningKey::new(self.secret, &scope).sign_request(&date, &scope, &canonical);
        let query: Vec<String> =
            query.iter().map(|(name, value)| format!("{name}={}", encode_value(value))).collect();
        let path = encode_path(self.path.as_bytes());
        format!("{path}?{}&X-Amz-Signature={signature}", query.join("&"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";

    /// The example of the S3 API reference, "Authenticating Requests: Using Query Parameters".
    #[test]
    fn a_presigned_address_is_that_of_the_reference() {
        let address = Presign {
            method: "GET",
            path: "/test.txt",
            access_key: "AKIAIOSFODNN7EXAMPLE",
            secret: SECRET,
            region: "us-east-1",
            host: "examplebucket.s3.amazonaws.com",
            expires_seconds: 86400,
            now: "2013-05-24T00:00:00Z".parse().unwrap(),
        }
        .address();
        assert!(address.starts_with("/test.txt?X-Amz-Algorithm=AWS4-HMAC-SHA256&"), "{address}");
        assert!(
            address.ends_with(
                "X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404"
            ),
            "{address}"
        );
    }

    /// The example "GET Object" of the reference's header-based authentication.
    #[test]
    fn a_signed_header_is_that_of_the_reference() {
        let scope = scope("20130524", "us-east-1");
        let empty = digest::hex(&Sha256::digest(b""));
        let headers = [
            ("host", "examplebucket.s3.amazonaws.com"),
            ("range", "bytes=0-9"),
            ("x-amz-content-sha256", empty.as_str()),
            ("x-amz-date", "20130524T000000Z"),
        ]
        .map(|(name, value)| (name, value.into()));
        let canonical = Canonical {
            method: "GET",
            path: b"/test.txt",
            query: &Query::default(),
            headers: &headers,
            payload: &empty,
        };
        let signature =
            SigningKey::new(SECRET, &scope).sign_request("20130524T000000Z", &scope, &canonical);
        assert_eq!(signature, "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41");
    }

    #[test]
    fn dates_are_read_and_written() {
        let at = parse_date("20261123T191426Z").unwrap();
        assert_eq!(date_text(at), "20261123T191426Z");
        for bad in [
            "yesterday",
            "20261123T191426",
            "20261123 191426Z",
            "20261323T191426Z",
            "20260230T191426Z",
            "20261123T251426Z",
            "2026112+T191426Z",
            "2026112\u{e9}191426Z",
        ] {
            assert_eq!(parse_date(bad), None, "{bad}");
        }
    }
}
