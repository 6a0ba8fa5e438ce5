//! What a push brings: its body, and what the request promises of it.
//!
//! Invariant: a body ends when it stops coming, and when it is more than was promised.
//! Units: bytes.

use super::{
    Call,
    fault::{Code, Fault},
};
use crate::{error::Error, pace::Patience, vault::ByteStream};
use bytes::Bytes;
use futures_util::{Stream, StreamExt, future::ready, stream};
use http::header;
use std::sync::{Arc, PoisonError};

/// The body, cut when it stops coming.
pub(super) fn body(call: &mut Call) -> ByteStream {
    let body = std::mem::take(call.body.get_mut().unwrap_or_else(PoisonError::into_inner));
    let body = body.into_data_stream();
    let cut = |kind: std::io::ErrorKind| Error::Receive {
        key: "upload".into(),
        source: Arc::new(kind.into()),
    };
    stream::try_unfold((body, Patience::new()), move |(mut body, mut patience)| async move {
        match patience.next(&mut body).await {
            Err(()) => Err(cut(std::io::ErrorKind::TimedOut)),
            Ok(None) => Ok(None),
            Ok(Some(Ok(bytes))) => Ok(Some((bytes, (body, patience)))),
            Ok(Some(Err(_))) => Err(cut(std::io::ErrorKind::UnexpectedEof)),
        }
    })
    .boxed()
}

/// First and last byte of `Content-Range: a-b`.
fn parsed(text: &str) -> Option<(u64, u64)> {
    let text = text.strip_prefix("bytes ").unwrap_or(text);
    let (first, last) = text.split('/').next()?.split_once('-')?;
    let (first, last) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
    (first <= last).then_some((first, last))
}

/// Where the body lies in its blob, as the request promises.
pub(super) fn range(call: &Call) -> Result<Option<(u64, u64)>, Fault> {
    let Some(text) = call.header(header::CONTENT_RANGE) else { return Ok(None) };
    let broken = || Code::BlobUploadInvalid.says("Content-Range is `first-last`");
    parsed(text).map(Some).ok_or_else(broken)
}

/// The length of the body as the request tells it; 0 when it does not.
pub(super) fn length(call: &Call) -> u64 {
    let text = call.header(header::CONTENT_LENGTH);
    text.and_then(|text| text.trim().parse().ok()).unwrap_or(0)
}

/// Ends behind the bytes with which there are more than `most`: enough to see that there are.
pub(super) fn cut_behind<E>(
    bytes: impl Stream<Item = Result<Bytes, E>>,
    most: u64,
) -> impl Stream<Item = Result<Bytes, E>> {
    let mut total: u64 = 0;
    bytes.take_while(move |part| {
        let goes_on = total <= most;
        total += part.as_ref().map_or(0, |bytes| bytes.len() as u64);
        ready(goes_on)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chunk_says_where_it_lies() {
        for (text, expected) in [
            ("0-99", Some((0, 99))),
            ("bytes 5-9/10", Some((5, 9))),
            ("9-5", None),
            ("a-b", None),
            ("5", None),
        ] {
            assert_eq!(parsed(text), expected, "{text}");
        }
    }

    /// Frames of ten bytes; how many come through where so many bytes were promised.
    async fn check(promised: u64, frames: usize, expected: usize) {
        let body = stream::iter(0..frames).map(|_| Ok::<_, Error>(Bytes::from_static(&[7; 10])));
        assert_eq!(cut_behind(body, promised).count().await, expected, "{promised} of {frames}");
    }

    #[tokio::test]
    async fn a_body_ends_once_it_is_more_than_was_promised() {
        check(20, 2, 2).await;
        check(20, 9, 3).await;
        check(25, 9, 3).await;
        check(0, 9, 1).await;
        check(u64::MAX, 9, 9).await;
    }
}
