//! A peer: another S3 with the same buckets and keys, asked for bytes that are damaged here.
//!
//! Invariants: it is only read from, with a key of its own, and no key of this house goes there. What it
//! says is not believed: `heal.rs` keeps bytes by their BLAKE3 alone.
//! Bounds: an answer has exactly the bytes asked for, begins within [`ANSWER`], and comes at
//! [`SLOWEST`] at least; it is taken at the scrubber's pace.

use crate::{error::Error, outward::Outward, scrub::PACE, vault::ByteStream};
use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream, stream::BoxStream};
use object_store::{
    GetOptions, ObjectStore, ObjectStoreExt, RetryConfig,
    aws::{AmazonS3, AmazonS3Builder, AmazonS3ConfigKey},
    path::Path as Location,
};
use std::{io::ErrorKind, ops::Range, path::Path, time::Duration};
use tokio::time::{Instant, timeout_at};

/// What fails when the peer does; by it such errors are told from those of this house.
pub(crate) const FETCH: &str = "fetch from the peer";

/// An answer, and its second attempt, begins within this.
const ANSWER: Duration = Duration::from_secs(150);

/// Bytes per second; a peer that gives fewer is cut.
const SLOWEST: u64 = 64 << 10;

/// Added to that for every answer.
const GRACE: Duration = Duration::from_secs(60);

/// A peer that gives nothing for so long is cut.
const SILENCE: Duration = Duration::from_secs(30);

/// A request that fails is made once more; later rounds ask again.
const RETRIES: usize = 1;

/// Another S3 that holds the same.
#[derive(Clone)]
pub struct Peer {
    address: String,
    options: Vec<(String, String)>,
    outward: Outward,
}

/// What is asked for.
#[derive(Debug)]
pub(crate) struct Wanted {
    pub(crate) bucket: String,
    pub(crate) key: String,
    /// Size of the whole object.
    pub(crate) size: u64,
    pub(crate) range: Range<u64>,
}

impl std::fmt::Debug for Peer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Peer").field("address", &self.address).finish_non_exhaustive()
    }
}

impl Peer {
    /// The S3 at an address, `https://HOST[:PORT]`. The options are those of the `object_store` library,
    /// its access key among them; `roots` is a PEM file of the certificates that it is trusted by.
    ///
    /// # Errors
    /// [`Error::Bytes`] when the address or an option is not understood, or the key is missing.
    pub fn new(address: &str, options: &[(String, String)], roots: &Path) -> Result<Self, Error> {
        let this = Self {
            address: address.trim_end_matches('/').to_owned(),
            options: options.to_vec(),
            outward: Outward::new(roots),
        };
        this.bucket("bucket").map_err(|source| Error::bytes("open", address, source))?;
        Ok(this)
    }

    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// Asks for something that it does not have: an answer that says so comes from a peer that takes the key.
    ///
    /// # Errors
    /// The reason why it cannot be asked.
    pub async fn reach(&self) -> Result<(), String> {
        let asked = async { self.bucket("caches")?.get(&Location::from("no such key")).await };
        match asked.await {
            Ok(_) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            // The key need not open all buckets.
            Err(error) => match crate::s3::report(&error) {
                told if told.contains("<Code>AccessDenied</Code>") => Ok(()),
                told => Err(told),
            },
        }
    }

    fn bucket(&self, name: &str) -> object_store::Result<AmazonS3> {
        let mut builder = AmazonS3Builder::new();
        for (name, value) in &self.options {
            builder = builder.with_config(name.to_ascii_lowercase().parse()?, value);
        }
        let lacks = |key| builder.get_config_value(&key).is_none();
        // Without them the library would look for keys of the machine that it runs on.
        if lacks(AmazonS3ConfigKey::AccessKeyId) || lacks(AmazonS3ConfigKey::SecretAccessKey) {
            return Err(generic("expected aws_access_key_id and aws_secret_access_key"));
        }
        builder
            .with_http_connector(self.outward.clone())
            .with_endpoint(&self.address)
            .with_allow_http(self.address.starts_with("http://"))
            .with_bucket_name(name)
            .with_retry(RetryConfig { max_retries: RETRIES, ..RetryConfig::default() })
            .build()
    }

    /// The bytes asked for; `None` when its object has another size, or none can have that key.
    pub(crate) async fn get(&self, wanted: &Wanted) -> Result<Option<ByteStream>, Error> {
        let place = format!("{}/{}", wanted.bucket, wanted.key);
        let Some(at) = location(&wanted.key) else { return Ok(None) };
        let options = GetOptions::new().with_range(Some(wanted.range.clone()));
        let asked = async { self.bucket(&wanted.bucket)?.get_opts(&at, options).await };
        let asked = tokio::time::timeout(ANSWER, asked).await.unwrap_or_else(|_| Err(late()));
        let found = asked.map_err(|source| Error::bytes(FETCH, &place, source))?;
        if found.meta.size != wanted.size || found.range != wanted.range {
            return Ok(None);
        }
        let length = wanted.range.end - wanted.range.start;
        let bytes = bounded(found.into_stream(), length, Instant::now() + patience(length));
        Ok(Some(bytes.map_err(move |source| Error::bytes(FETCH, &place, source)).boxed()))
    }
}

/// The library asks for a key only when it has no empty, `.` or `..` part.
fn location(key: &str) -> Option<Location> {
    Location::parse(key).ok().filter(|location| location.as_ref() == key)
}

/// How long that many bytes may take.
fn patience(length: u64) -> Duration {
    GRACE + Duration::from_secs(length / SLOWEST)
}

/// How long that many bytes take at the scrubber's pace.
fn pause(length: u64) -> Duration {
    Duration::from_micros(length.saturating_mul(1_000_000) / PACE)
}

fn generic(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> object_store::Error {
    object_store::Error::Generic { store: "peer", source: source.into() }
}

fn late() -> object_store::Error {
    generic(std::io::Error::from(ErrorKind::TimedOut))
}

/// Exactly `length` bytes until then, no faster than the pace, or an error.
fn bounded(
    bytes: BoxStream<'static, object_store::Result<Bytes>>,
    length: u64,
    until: Instant,
) -> BoxStream<'static, object_store::Result<Bytes>> {
    let begun = Instant::now();
    let next = move |(mut bytes, left): (BoxStream<'static, _>, u64)| async move {
        if left == 0 {
            return Ok(None);
        }
        let end = until.min(Instant::now() + SILENCE);
        let part: Option<object_store::Result<Bytes>> =
            timeout_at(end, bytes.next()).await.map_err(|_| late())?;
        let part = part.ok_or_else(|| generic("the answer ended early"))??;
        let left = left.checked_sub(part.len() as u64);
        let left = left.ok_or_else(|| generic("the answer has more bytes than asked for"))?;
        tokio::time::sleep_until(begun + pause(length - left)).await;
        Ok(Some((part, (bytes, left))))
    };
    stream::try_unfold((bytes, length), next).boxed()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn opens(address: &str, options: &[(&str, &str)]) -> bool {
        let options: Vec<_> =
            options.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
        Peer::new(address, &options, Path::new("/nowhere")).is_ok()
    }

    #[test]
    fn a_peer_without_a_key_or_with_an_option_that_is_not_understood_is_refused() {
        let keys = [("aws_access_key_id", "a"), ("AWS_SECRET_ACCESS_KEY", "b")];
        assert!(opens("http://10.0.0.7:9000", &keys));
        assert!(opens("https://hub.site/", &keys));
        assert!(!opens("https://hub.site", &keys[..1]));
        assert!(!opens("https://hub.site", &[&keys[..], &[("aws_colour", "red")]].concat()));
    }

    #[test]
    fn a_key_is_asked_for_as_it_is_or_not_at_all() {
        for (key, asked) in [("a/b c+ü", true), ("a//b", false), ("/a", false), ("a/..", false)] {
            assert_eq!(location(key).is_some(), asked, "{key}");
        }
    }

    /// What comes of an answer of these parts, of which ten bytes are wanted.
    async fn check(parts: Vec<&'static str>, ends: bool, expected: Result<&str, &str>) {
        let parts = stream::iter(parts).map(|part| Ok(Bytes::from(part)));
        let parts = if ends { parts.boxed() } else { parts.chain(stream::pending()).boxed() };
        let got = bounded(parts, 10, Instant::now() + patience(10)).try_collect::<Vec<_>>().await;
        let got = got.map(|parts| String::from_utf8(parts.concat()).unwrap());
        let got = got.map_err(|error| error.to_string());
        match (got, expected) {
            (Ok(got), Ok(expected)) => assert_eq!(got, expected),
            (Err(got), Err(expected)) => assert!(got.contains(expected), "{got}"),
            (got, _) => panic!("{got:?}"),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_is_short_long_or_late_is_cut() {
        check(vec!["01234", "56789"], true, Ok("0123456789")).await;
        check(vec!["01234"], true, Err("ended early")).await;
        check(vec!["01234", "5678901"], true, Err("more bytes")).await;
        check(vec!["01234"], false, Err("timed out")).await;
        check(vec!["01234", "56789", "more"], false, Ok("0123456789")).await;
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_trickles_is_cut() {
        let drops = stream::repeat(()).then(|()| async {
            tokio::time::sleep(SILENCE / 2).await;
            Ok(Bytes::from("."))
        });
        let begun = Instant::now();
        let drops = bounded(drops.boxed(), SLOWEST * 60, begun + patience(SLOWEST * 60));
        assert!(drops.try_collect::<Vec<_>>().await.is_err());
        assert_eq!(begun.elapsed(), GRACE + Duration::from_secs(60));
    }
}
