//! The body of a request: every form in which clients send it, checked against what they promised.
//!
//! Invariants: a body that breaks a promise (length, hash, signature, checksum) ends with an error
//! before its end is reached, so that what was taken in is never committed. A sender that is
//! silent for [`crate::pace::IDLE`] is cut.

use super::{
    call::Call,
    chunked::{Chain, Decoder},
    error::{Code, S3Error, in_stream},
};
use crate::{
    digest::{self, Algorithm, Summed},
    ingest::Body as Stream,
    pace::Patience,
    vault::ByteStream,
};
use axum::body::{Body, BodyDataStream};
use bytes::{Bytes, BytesMut};
use futures_util::{StreamExt, stream};
use http::HeaderMap;
use std::sync::{Arc, Mutex, PoisonError};

/// The largest XML or JSON body: a deletion of 1,000 keys of 1,024 bytes, escaped.
pub(crate) const DOCUMENT_MAX: usize = 8 << 20;

/// The largest object that may come in one request, as on S3.
pub(crate) const PUT_MAX: u64 = 5 << 30;

/// How the body is sent.
pub(crate) enum Mode {
    /// As it is.
    Plain,
    /// As it is, with this SHA-256.
    Hashed([u8; 32]),
    /// In chunks of `aws-chunked`.
    Chunked { chain: Option<Chain>, trailers: bool },
}

impl Mode {
    const fn is_chunked(&self) -> bool {
        matches!(self, Self::Chunked { .. })
    }

    /// By `x-amz-content-sha256`.
    pub(crate) fn of(
        text: Option<&str>,
        chain: Option<&dyn Fn() -> Chain>,
    ) -> Result<Self, S3Error> {
        let invalid = || {
            Code::InvalidArgument.says(
                "x-amz-content-sha256 must be UNSIGNED-PAYLOAD, a STREAMING form, or a valid sha256 value.",
            )
        };
        let Some(text) = text else { return Ok(Self::Plain) };
        let chain = || chain.map(|make| make());
        Ok(match text {
            "UNSIGNED-PAYLOAD" => Self::Plain,
            "STREAMING-UNSIGNED-PAYLOAD-TRAILER" => Self::Chunked { chain: None, trailers: true },
            "STREAMING-AWS4-HMAC-SHA256-PAYLOAD" => {
                Self::Chunked { chain: chain(), trailers: false }
            }
            "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER" => {
                Self::Chunked { chain: chain(), trailers: true }
            }
            _ => {
                let bytes = digest::unhex(text).and_then(|bytes| bytes.try_into().ok());
                Self::Hashed(bytes.ok_or_else(invalid)?)
            }
        })
    }
}

/// A checksum, and its value when a header gave it.
pub(crate) type Announced = (Algorithm, Option<Vec<u8>>);

/// What a sender promised about the plain bytes.
#[derive(Debug, Clone, Default)]
pub(crate) struct Promise {
    /// Their number.
    pub(crate) length: Option<u64>,
    md5: Option<[u8; 16]>,
    sha256: Option<[u8; 32]>,
    /// The checksum to compute, and its value where the header gave it.
    pub(crate) checksum: Option<Announced>,
    /// The value comes behind the bytes.
    trailing: bool,
    trailers: Arc<Mutex<Vec<(String, String)>>>,
}

impl Promise {
    /// By the headers of the request.
    pub(crate) fn of(call: &Call) -> Result<Self, S3Error> {
        Self::with(call, length(call)?)
    }

    /// The same of a document. It may come without a length, as over HTTP/2: it is bounded as it is
    /// read.
    fn of_document(call: &Call) -> Result<Self, S3Error> {
        let length = match length(call) {
            Err(error) if error.code == Code::MissingContentLength && !call.mode.is_chunked() => {
                None
            }
            other => other?,
        };
        Self::with(call, length)
    }

    /// The same of a form's file: its fields speak as headers, of its bytes nothing but a checksum.
    pub(crate) fn of_form(call: &Call) -> Result<Self, S3Error> {
        let checksum = checksum(call)?;
        if checksum.is_none() {
            refuse_lost(call)?;
        }
        Ok(Self { checksum, ..Self::default() })
    }

    fn with(call: &Call, length: Option<u64>) -> Result<Self, S3Error> {
        let sha256 = match &call.mode {
            Mode::Hashed(hash) => Some(*hash),
            _ => None,
        };
        let md5 = call.header("content-md5").map(|text| {
            let bytes = digest::unbase64(text.trim()).and_then(|bytes| bytes.try_into().ok());
            bytes.ok_or(Code::InvalidDigest)
        });
        let (checksum, trailing) = match (checksum(call)?, trailer(call)?) {
            (None, None) => {
                refuse_lost(call)?;
                (None, false)
            }
            (given, None) => (given, false),
            (None, Some(announced)) => (Some((announced, None)), true),
            (Some(_), Some(_)) => return Err(several()),
        };
        let md5 = md5.transpose()?;
        Ok(Self { length, md5, sha256, checksum, trailing, trailers: Arc::default() })
    }

    /// Sums that must be computed on the way.
    pub(crate) fn sums(&self) -> Vec<Algorithm> {
        let mut wanted: Vec<Algorithm> = self.checksum.iter().map(|(which, _)| *which).collect();
        if self.sha256.is_some() && !wanted.contains(&Algorithm::Sha256) {
            wanted.push(Algorithm::Sha256);
        }
        wanted
    }

    /// Compares what came with what was promised; gives the checksum to keep.
    pub(crate) fn check(&self, summed: &Summed) -> Result<Option<(Algorithm, Vec<u8>)>, S3Error> {
        if self.length.is_some_and(|length| length != summed.size) {
            return Err(Code::IncompleteBody.into());
        }
        if self.sha256.is_some_and(|hash| summed.get(Algorithm::Sha256) != Some(&hash)) {
            return Err(Code::XAmzContentSHA256Mismatch.into());
        }
        if self.md5.is_some_and(|md5| md5 != summed.md5) {
            return Err(Code::BadDigest.into());
        }
        let trailed = self.trailed()?;
        let Some((algorithm, given)) = &self.checksum else { return Ok(None) };
        let found = summed.get(*algorithm).unwrap_or_default().to_vec();
        let given = trailed.or_else(|| given.clone());
        if given.is_some_and(|given| given != found) {
            return Err(Code::BadDigest.says(format!(
                "The {} you specified did not match the calculated checksum.",
                algorithm.name()
            )));
        }
        Ok(Some((*algorithm, found)))
    }

    /// The checksum behind the bytes: the one that was announced, and no other.
    fn trailed(&self) -> Result<Option<Vec<u8>>, S3Error> {
        let trailers = self.trailers.lock().unwrap_or_else(PoisonError::into_inner);
        let mut sums = trailers.iter().filter(|(name, _)| name.starts_with(CHECKSUM));
        let announced = self.checksum.as_ref().filter(|_| self.trailing);
        match (announced, sums.next(), sums.next()) {
            (None, None, _) => Ok(None),
            (Some((algorithm, _)), Some((name, value)), None) if name == algorithm.header() => {
                value_of(*algorithm, value).map(Some)
            }
            _ => Err(Code::MalformedTrailerError.into()),
        }
    }
}

/// The number of plain bytes, as far as it is told.
fn length(call: &Call) -> Result<Option<u64>, S3Error> {
    let chunked = call.mode.is_chunked();
    let name = if chunked { "x-amz-decoded-content-length" } else { "content-length" };
    let text = call.header(name);
    let bad = |_| Code::InvalidArgument.says(format!("{name} is not a number"));
    let length = text.map(|text| text.trim().parse::<u64>().map_err(bad)).transpose()?;
    let streamed = call.header("transfer-encoding").is_some();
    if length.is_none() && (chunked || !streamed) {
        return Err(Code::MissingContentLength.into());
    }
    if length.is_some_and(|length| length > PUT_MAX) {
        return Err(Code::EntityTooLarge.into());
    }
    Ok(length)
}

fn value_of(algorithm: Algorithm, text: &str) -> Result<Vec<u8>, S3Error> {
    let bytes = digest::unbase64(text.trim()).filter(|bytes| bytes.len() == algorithm.length());
    bytes.ok_or_else(|| {
        Code::BadDigest.says(format!("Value for {} header is invalid.", algorithm.header()))
    })
}

/// Headers and trailers with the value of a checksum begin so.
const CHECKSUM: &str = "x-amz-checksum-";

/// What else begins so: which checksum, of which kind, and whether it is to be told.
const OF_CHECKSUM: [&str; 3] = ["algorithm", "type", "mode"];

fn several() -> S3Error {
    Code::InvalidRequest
        .says("Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed.")
}

fn unsupported() -> S3Error {
    Code::InvalidRequest.says("Checksum algorithm provided is unsupported.")
}

/// An algorithm by the name that a client gives it.
pub(super) fn algorithm(name: &str) -> Result<Algorithm, S3Error> {
    Algorithm::named(name.trim()).ok_or_else(unsupported)
}

/// Refuses a checksum that nothing here could compare: its sender relies on it.
pub(super) fn only_known(headers: &HeaderMap) -> Result<(), S3Error> {
    let is_known = |name: &str| {
        let kind = name.strip_prefix(CHECKSUM);
        kind.is_none_or(|kind| OF_CHECKSUM.contains(&kind))
            || Algorithm::ALL.into_iter().any(|one| one.header() == name)
    };
    if headers.keys().all(|name| is_known(name.as_str())) { Ok(()) } else { Err(unsupported()) }
}

/// The checksum whose value a header gives.
fn checksum(call: &Call) -> Result<Option<Announced>, S3Error> {
    only_known(&call.headers)?;
    let given: Vec<(Algorithm, &str)> = Algorithm::ALL
        .into_iter()
        .filter_map(|algorithm| Some((algorithm, call.header(algorithm.header())?)))
        .collect();
    match given.as_slice() {
        [] => Ok(None),
        [(algorithm, text)] => Ok(Some((*algorithm, Some(value_of(*algorithm, text)?)))),
        _ => Err(several()),
    }
}

/// The checksum whose value is announced to come behind the bytes.
fn trailer(call: &Call) -> Result<Option<Algorithm>, S3Error> {
    let Some(name) = call.header("x-amz-trailer").map(str::trim) else { return Ok(None) };
    let known = Algorithm::ALL.into_iter().find(|one| one.header().eq_ignore_ascii_case(name));
    known.map(Some).ok_or_else(|| {
        Code::InvalidRequest
            .says("The value specified in the x-amz-trailer header is not supported")
    })
}

/// Refuses what tells of a checksum and brings none: something on the way took it off, and its sender
/// relies on it.
fn refuse_lost(call: &Call) -> Result<(), S3Error> {
    let Some(name) = call.header("x-amz-sdk-checksum-algorithm") else { return Ok(()) };
    algorithm(name)?;
    Err(Code::InvalidRequest.says(
        "x-amz-sdk-checksum-algorithm specified, but no corresponding x-amz-checksum-* or x-amz-trailer headers were found.",
    ))
}

/// The plain bytes of the body.
pub(crate) fn stream(call: &mut Call, promise: &Promise) -> Stream {
    let body =
        call.body.get_mut().unwrap_or_else(PoisonError::into_inner).take().unwrap_or_default();
    let wire = wire(body, call.key.clone());
    let mode = std::mem::replace(&mut call.mode, Mode::Plain);
    match mode {
        Mode::Plain | Mode::Hashed(_) => Stream(bounded(wire, promise, call.key.clone())),
        Mode::Chunked { chain, trailers } => {
            let decoder = Decoder::new(chain, trailers);
            let plain = decoded(wire, decoder, promise.clone(), call.key.clone());
            Stream(bounded(plain, promise, call.key.clone()))
        }
    }
}

/// The bytes of the wire, cut when they stop coming.
pub(super) fn wire(body: Body, key: String) -> ByteStream {
    let state: (BodyDataStream, Patience, String) = (body.into_data_stream(), Patience::new(), key);
    stream::try_unfold(state, |(mut body, mut patience, key)| async move {
        match patience.next(&mut body).await {
            Err(()) => Err(in_stream(&key, Code::RequestTimeout.into())),
            Ok(None) => Ok(None),
            Ok(Some(Ok(bytes))) => Ok(Some((bytes, (body, patience, key)))),
            Ok(Some(Err(_))) => Err(in_stream(&key, Code::IncompleteBody.into())),
        }
    })
    .boxed()
}

/// Ends with an error when more comes than was promised, or than one request may bring.
fn bounded(bytes: ByteStream, promise: &Promise, key: String) -> ByteStream {
    let (most, code) = match promise.length {
        Some(length) => (length, Code::IncompleteBody),
        None => (PUT_MAX, Code::EntityTooLarge),
    };
    let mut total: u64 = 0;
    bytes
        .map(move |part| {
            let part = part?;
            total += part.len() as u64;
            if total > most {
                return Err(in_stream(&key, code.into()));
            }
            Ok(part)
        })
        .boxed()
}

fn decoded(wire: ByteStream, decoder: Decoder, promise: Promise, key: String) -> ByteStream {
    let state = (wire, decoder, promise, key);
    stream::try_unfold(state, |(mut wire, mut decoder, promise, key)| async move {
        loop {
            let next = decoder.next().map_err(|error| in_stream(&key, error))?;
            if let Some(bytes) = next {
                return Ok(Some((bytes, (wire, decoder, promise, key))));
            }
            if decoder.is_done() {
                let mut trailers = promise.trailers.lock().unwrap_or_else(PoisonError::into_inner);
                trailers.extend_from_slice(decoder.trailers());
                return Ok(None);
            }
            match wire.next().await {
                Some(bytes) => decoder.feed(&bytes?),
                None => return Err(in_stream(&key, Code::IncompleteBody.into())),
            }
        }
    })
    .boxed()
}

/// A whole document, checked as far as it was promised.
pub(crate) async fn document(call: &mut Call) -> Result<Bytes, S3Error> {
    let promise = Promise::of_document(call)?;
    let mut bytes = stream(call, &promise).0;
    let mut all = BytesMut::new();
    while let Some(part) = bytes.next().await {
        all.extend_from_slice(&part?);
        if all.len() > DOCUMENT_MAX {
            return Err(Code::MaxMessageLengthExceeded.into());
        }
    }
    let mut sums = digest::Sums::new(&promise.sums());
    sums.update(&all);
    promise.check(&sums.finish())?;
    Ok(all.freeze())
}
