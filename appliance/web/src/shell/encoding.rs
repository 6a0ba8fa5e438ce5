//! Which answers are compressed, and for whom.
//!
//! Why gzip, and whole: every client has it. A stream that compresses as it is read keeps some 300 KiB
//! until its last byte is taken, and a peer that opens many and reads none would fill the memory; what
//! is made anew for a request is there whole, and is smaller afterwards. Files of the dashboard are
//! compressed once, in [`crate::pages::assets`].
//! Never: what is sent as it happens (events, logs that are followed, raw output), and files of builds
//! and buckets, which have their length, their ranges and mostly a packing of their own. All of these
//! are streams, of another type than those below, or have a name for the file.
//! Why not for other sites: whoever makes a browser ask again and again, and sees the lengths of the
//! answers, guesses a secret that stands beside what he put there (BREACH). No page carries a token
//! against forged forms (see [`crate::access`]); the page about a report carries its pass. A request
//! that another site made is therefore answered uncompressed. Every browser of today says who made it
//! ask, and no cache keeps a page (`no-store`), so that `Vary` need not name that header.

use crate::{access::is_foreign, error::Failure};
use axum::{
    body::{Body, Bytes, HttpBody, to_bytes},
    response::{IntoResponse, Response},
};
use flate2::{Compression, write::GzEncoder};
use http::{HeaderMap, HeaderValue, Uri, header};
use std::io::Write;

/// What is shorter fits into one packet as it is.
const LEAST: usize = 1024;

/// What is longer takes more than some milliseconds, and a thread that may block.
const LONG: usize = 64 << 10;

/// Higher levels of zlib take several times as long for some hundredths less.
const LEVEL: u32 = 4;

/// Texts that are made anew for each request.
const TYPES: [&str; 5] =
    ["text/html", "text/css", "text/javascript", "application/json", "image/svg+xml"];

/// May the answer to this request be compressed?
pub(super) fn may(uri: &Uri, headers: &HeaderMap) -> bool {
    takes_gzip(headers) && !is_foreign(uri, headers)
}

/// By name, and not with a weight of nothing (RFC 9110 section 12.5.3).
pub(crate) fn takes_gzip(headers: &HeaderMap) -> bool {
    let lines =
        headers.get_all(header::ACCEPT_ENCODING).iter().filter_map(|line| line.to_str().ok());
    lines.flat_map(|line| line.split(',')).any(|one| {
        let (name, weight) = one.split_once(';').unwrap_or((one, "q=1"));
        let weight = weight.trim().trim_start_matches(['q', 'Q', '=']).trim();
        name.trim().eq_ignore_ascii_case("gzip") && weight.parse::<f32>().is_ok_and(|q| q > 0.0)
    })
}

/// The answer, compressed where that is wanted and worth it.
pub(super) async fn packed(wanted: bool, mut answer: Response) -> Response {
    if !is_text(answer.headers()) {
        return answer;
    }
    let by = HeaderValue::from_static("accept-encoding");
    answer.headers_mut().entry(header::VARY).or_insert(by);
    let length = answer.body().size_hint().exact().and_then(|size| usize::try_from(size).ok());
    let Some(length) = length.filter(|length| wanted && *length >= LEAST) else { return answer };
    let (mut parts, body) = answer.into_parts();
    let zipped = match to_bytes(body, length).await {
        Ok(bytes) if length > LONG => {
            tokio::task::spawn_blocking(move || gzip(&bytes, LEVEL)).await.unwrap_or_default()
        }
        Ok(bytes) => gzip(&bytes, LEVEL),
        Err(error) => return Failure::inside(error).into_response(),
    };
    parts.headers.remove(header::CONTENT_LENGTH);
    parts.headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    Response::from_parts(parts, Body::from(zipped))
}

fn is_text(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let essence = kind.unwrap_or_default().split(';').next().unwrap_or_default().trim();
    let is_other = [header::CONTENT_DISPOSITION, header::CONTENT_ENCODING, header::CONTENT_RANGE]
        .iter()
        .any(|name| headers.contains_key(name));
    TYPES.contains(&essence) && !is_other
}

pub(crate) fn gzip(text: &[u8], level: u32) -> Bytes {
    let mut packer = GzEncoder::new(Vec::with_capacity(text.len() / 3), Compression::new(level));
    // Writing to memory does not fail.
    let done = packer.write_all(text).and_then(|()| packer.finish());
    done.unwrap_or_default().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
        let pair = |(name, value): &(&str, &str)| {
            (name.parse::<header::HeaderName>().unwrap(), value.parse().unwrap())
        };
        pairs.iter().map(pair).collect()
    }

    fn check(pairs: &[(&str, &str)], expected: bool) {
        assert_eq!(is_text(&headers(pairs)), expected, "{pairs:?}");
    }

    #[test]
    fn texts_of_the_faces_are_compressed_and_no_streams_and_files() {
        check(&[("content-type", "text/html; charset=utf-8")], true);
        check(&[("content-type", "application/json")], true);
        check(&[("content-type", "text/event-stream")], false);
        check(&[("content-type", "text/plain; charset=utf-8")], false);
        check(&[("content-type", "application/octet-stream")], false);
        check(&[], false);
        let page = ("content-type", "text/html; charset=utf-8");
        check(&[page, ("content-disposition", "inline; filename=\"report.html\"")], false);
        check(&[page, ("content-encoding", "br")], false);
        check(&[page, ("content-range", "bytes 0-1/9")], false);
    }

    #[test]
    fn gzip_is_sent_to_those_who_take_it() {
        for (line, expected) in [
            ("gzip, deflate, br, zstd", true),
            ("br;q=1.0, GZIP ; q=0.5", true),
            ("gzip;q=0", false),
            ("identity", false),
            ("x-gzip2", false),
        ] {
            assert_eq!(takes_gzip(&headers(&[("accept-encoding", line)])), expected, "{line}");
        }
        assert!(!takes_gzip(&HeaderMap::new()));
    }

    #[tokio::test]
    async fn a_text_of_unknown_length_stays_a_stream() {
        let parts = [Ok::<_, std::io::Error>("x".repeat(5000))];
        let mut answer = Response::new(Body::from_stream(futures_util::stream::iter(parts)));
        let kind = HeaderValue::from_static("text/html");
        answer.headers_mut().insert(header::CONTENT_TYPE, kind);
        let answer = packed(true, answer).await;
        assert!(!answer.headers().contains_key(header::CONTENT_ENCODING));
    }
}
