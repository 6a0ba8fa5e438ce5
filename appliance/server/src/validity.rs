//! When a certificate ends.
//!
//! Form: the first certificate of a PEM file; in its DER the sequence after the issuer holds two
//! times. Source: RFC 5280, 4.1. Pure but for reading the file.
//! On failure: `None`; whoever asks says "unknown".

use base::time::Timestamp;
use rustls_pki_types::{CertificateDer, pem::PemObject};
use std::{
    path::Path,
    time::{Duration, SystemTime},
};

const INTEGER: u8 = 0x02;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const SEQUENCE: u8 = 0x30;
const VERSION: u8 = 0xa0;

/// End of the first certificate in `path`.
pub(crate) fn end(path: &Path) -> Option<SystemTime> {
    let certificate = CertificateDer::from_pem_file(path).ok()?;
    let at = end_of(&certificate)?;
    let since = Duration::from_micros(u64::try_from(at.0).ok()?);
    Some(SystemTime::UNIX_EPOCH + since)
}

fn end_of(der: &[u8]) -> Option<Timestamp> {
    let (outer, _) = part(der, SEQUENCE)?;
    let (mut rest, _) = part(outer, SEQUENCE)?;
    if let Some((_, after)) = part(rest, VERSION) {
        rest = after;
    }
    for kind in [INTEGER, SEQUENCE, SEQUENCE] {
        rest = part(rest, kind)?.1;
    }
    let (validity, _) = part(rest, SEQUENCE)?;
    let after = part(validity, UTC_TIME).or_else(|| part(validity, GENERALIZED_TIME))?.1;
    match part(after, UTC_TIME) {
        // Two digits below 50 are of this century.
        Some((text, _)) => time(if text.first()? < &b'5' { "20" } else { "19" }, text),
        None => time("", part(after, GENERALIZED_TIME)?.0),
    }
}

/// The content of the element at the beginning, and what follows it.
fn part(bytes: &[u8], kind: u8) -> Option<(&[u8], &[u8])> {
    let (found, rest) = bytes.split_first()?;
    let (length, rest) = rest.split_first()?;
    let (length, rest) = match length {
        short @ 0..=0x7f => (usize::from(*short), rest),
        long => {
            let count = usize::from(long & 0x7f);
            let digits = rest.get(..count).filter(|digits| digits.len() <= 4)?;
            let length = digits.iter().fold(0_usize, |sum, digit| sum << 8 | usize::from(*digit));
            (length, rest.get(count..)?)
        }
    };
    (*found == kind).then_some((rest.get(..length)?, rest.get(length..)?))
}

/// `[YY]YYMMDDHHMMSSZ`.
fn time(century: &str, text: &[u8]) -> Option<Timestamp> {
    let text = format!("{century}{}", std::str::from_utf8(text).ok()?);
    let digit = |range: std::ops::Range<usize>| text.get(range);
    let iso = format!(
        "{}-{}-{}T{}:{}:{}Z",
        digit(0..4)?,
        digit(4..6)?,
        digit(6..8)?,
        digit(8..10)?,
        digit(10..12)?,
        digit(12..14)?
    );
    iso.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An element with a short length.
    fn element(kind: u8, content: &[u8]) -> Vec<u8> {
        [&[kind, u8::try_from(content.len()).expect("short")], content].concat()
    }

    fn check(kind: u8, text: &str, expected: Option<&str>) {
        let times = [element(kind, b"250101000000Z"), element(kind, text.as_bytes())].concat();
        let body = [
            element(INTEGER, &[7]),
            element(SEQUENCE, &[]),
            element(SEQUENCE, &[]),
            element(SEQUENCE, &times),
        ]
        .concat();
        let der = element(SEQUENCE, &element(SEQUENCE, &body));
        assert_eq!(end_of(&der).map(|at| at.to_string()).as_deref(), expected, "{text}");
    }

    #[test]
    fn the_end_of_a_certificate_is_found() {
        check(UTC_TIME, "270203040506Z", Some("2027-02-03T04:05:06.000Z"));
        check(GENERALIZED_TIME, "20510203040506Z", Some("2051-02-03T04:05:06.000Z"));
        check(UTC_TIME, "nonsense", None);
        assert_eq!(end_of(&[0x30, 0x84, 255, 255, 255, 255]), None);
    }
}
