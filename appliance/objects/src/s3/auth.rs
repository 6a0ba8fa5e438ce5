//! Who asks: Signature Version 4 in the header or in the query.
//!
//! Invariants: a request with any credential is either proven or refused, never taken as anonymous;
//! signatures are compared in constant time; the key is looked up for every request, so that a
//! revoked one is refused at once. Version 2 is refused by name.

use super::{
    call::{Who, text_of},
    chunked::Chain,
    error::{Code, S3Error},
    payload::Mode,
};
use crate::{
    objects::{HOUSE_KEY, Objects, PRESIGN_MAX},
    query::Query,
    session::Refused,
    sigv4::{self, ALGORITHM, Canonical, SigningKey, UNSIGNED},
};
use base::{secret::Secret, time::Timestamp};
use http::{HeaderMap, request::Parts};
use std::{
    borrow::Cow,
    sync::{
        Arc, LazyLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use subtle::ConstantTimeEq;

/// Clocks may differ by so much, as on S3.
const SKEW: Duration = Duration::from_secs(15 * 60);

/// What a request is checked by.
pub(crate) struct Request<'a> {
    pub(crate) parts: &'a Parts,
    /// Decoded, with the prefix under which the face is mounted.
    pub(crate) path: &'a [u8],
    pub(crate) query: &'a Query,
    pub(crate) host: &'a str,
    pub(crate) now: Timestamp,
}

/// A signature and what it claims.
struct Claim<'a> {
    key: &'a str,
    scope: &'a str,
    /// Names of headers with semicolons between.
    signed: &'a str,
    signature: &'a str,
    date: Cow<'a, str>,
    payload: &'a str,
    in_query: bool,
}

impl<'a> Claim<'a> {
    fn signed(&self) -> impl Iterator<Item = &'a str> {
        let in_query = self.in_query;
        self.signed.split(';').filter(move |name| !in_query || !name.is_empty())
    }
}

/// Proves who asks, and tells how the body is sent.
pub(crate) async fn authenticate(
    objects: &Objects,
    request: &Request<'_>,
) -> Result<(Who, Mode), S3Error> {
    let Some(claim) = claim(request)? else {
        return Ok((Who::Anonymous, Mode::of(payload_header(&request.parts.headers), None)?));
    };
    let (who, secret) = match session_token(request) {
        Some(token) => session(objects, claim.key, token, request.now).await?,
        None => holder(objects, claim.key, request.now).await?,
    };
    let signing = objects.inner.signers.key(claim.key, &secret, claim.scope);
    verify(request, &claim, &signing)?;
    if matches!(who, Who::Key { .. }) && !claim.signed().any(|name| name == "host") {
        return Err(Code::AccessDenied.says("The header `host` must be signed."));
    }
    let chain = || Chain {
        key: signing.clone(),
        date: claim.date.clone().into_owned(),
        scope: claim.scope.to_owned(),
        previous: claim.signature.to_owned(),
    };
    let mode = if claim.in_query && claim.payload == UNSIGNED {
        Mode::of(
            payload_header(&request.parts.headers)
                .filter(|text| text.starts_with("STREAMING-UNSIGNED")),
            None,
        )?
    } else {
        Mode::of(Some(claim.payload), Some(&chain))?
    };
    Ok((who, mode))
}

fn session_token<'a>(request: &'a Request<'_>) -> Option<&'a str> {
    let header = request.parts.headers.get("x-amz-security-token").and_then(text_of);
    header.or_else(|| request.query.get("X-Amz-Security-Token"))
}

/// The holder of a key for a while.
pub(super) async fn session(
    objects: &Objects,
    id: &str,
    token: &str,
    now: Timestamp,
) -> Result<(Who, Arc<Secret>), S3Error> {
    let (claim, secret) =
        objects.session_claim(id, token, now).map_err(|refused| match refused {
            Refused::Expired => Code::ExpiredToken,
            Refused::Unknown => Code::InvalidToken,
        })?;
    if !objects.session_stands(&claim.subject).await? {
        return Err(Code::ExpiredToken.into());
    }
    let (owner, scope) = claim.holder();
    Ok((Who::Key { owner: Arc::new(owner), scope: Arc::new(scope) }, Arc::new(secret)))
}

/// The holder of a key that works now.
pub(crate) async fn holder(
    objects: &Objects,
    id: &str,
    now: Timestamp,
) -> Result<(Who, Arc<Secret>), S3Error> {
    if id == HOUSE_KEY {
        return Ok((Who::House, Arc::clone(&objects.inner.presign_secret)));
    }
    let found = objects.holder(id).await?;
    let key = found.as_ref().as_ref().ok_or(Code::InvalidAccessKeyId)?;
    if key.revoked.is_some() {
        return Err(Code::InvalidAccessKeyId.says("The access key was revoked."));
    }
    if key.locked_out {
        return Err(Code::InvalidAccessKeyId.says("The account of the access key is locked out."));
    }
    if key.expires.is_some_and(|at| at <= now) {
        return Err(Code::InvalidAccessKeyId.says("The access key has expired."));
    }
    let who = Who::Key { owner: Arc::clone(&key.owner), scope: Arc::clone(&key.scope) };
    Ok((who, Arc::clone(&key.secret)))
}

fn payload_header(headers: &HeaderMap) -> Option<&str> {
    headers.get("x-amz-content-sha256").and_then(text_of)
}

fn authorization<'a>(request: &'a Request<'_>) -> Option<&'a str> {
    let header = request.parts.headers.get(http::header::AUTHORIZATION)?;
    Some(header.to_str().unwrap_or("?").trim())
}

/// The claim of a request; `None` when it makes none.
fn claim<'a>(request: &'a Request<'_>) -> Result<Option<Claim<'a>>, S3Error> {
    let named = |name: &str| request.query.get(name).is_some();
    if named("X-Amz-Algorithm") || named("X-Amz-Signature") || named("X-Amz-Credential") {
        if authorization(request).is_some_and(|text| !text.is_empty()) {
            return Err(Code::InvalidArgument.says(
                "Only one auth mechanism allowed; only the X-Amz-Algorithm query parameter, Signature query string parameter or the Authorization header should be specified",
            ));
        }
        return query_claim(request).map(Some);
    }
    if named("AWSAccessKeyId") && named("Signature") {
        return Err(version_2());
    }
    match authorization(request) {
        None | Some("") => Ok(None),
        Some(text) if text.starts_with("AWS ") => Err(version_2()),
        Some(text) => header_claim(request, text).map(Some),
    }
}

pub(super) fn version_2() -> S3Error {
    Code::InvalidRequest.says(
        "The authorization mechanism you have provided is not supported: Signature Version 2 is refused. Please use AWS4-HMAC-SHA256.",
    )
}

/// The key's name and the scope of a credential.
pub(super) fn credential(text: &str) -> Option<(&str, &str)> {
    let mut parts = text.rsplitn(5, '/');
    let (end, service, _region) = (parts.next()?, parts.next()?, parts.next()?);
    let (date, key) = (parts.next()?, parts.next()?);
    let is_date = date.len() == 8 && date.bytes().all(|byte| byte.is_ascii_digit());
    if end != "aws4_request" || service != "s3" || !is_date {
        return None;
    }
    let beyond = key.len() + 1;
    Some((key, &text[beyond..]))
}

fn header_claim<'a>(request: &'a Request<'_>, text: &'a str) -> Result<Claim<'a>, S3Error> {
    let malformed = || S3Error::from(Code::AuthorizationHeaderMalformed);
    let fields = text.strip_prefix(ALGORITHM).ok_or_else(|| {
        Code::InvalidArgument.says("The Authorization header names no supported mechanism.")
    })?;
    let field = |name: &str| {
        fields.split(',').find_map(|part| part.trim().strip_prefix(name)?.strip_prefix('='))
    };
    let (key, scope) = field("Credential").and_then(credential).ok_or_else(malformed)?;
    let signed = field("SignedHeaders").ok_or_else(malformed)?;
    let signature = field("Signature").ok_or_else(malformed)?;
    let headers = &request.parts.headers;
    let date = headers.get("x-amz-date").or_else(|| headers.get(http::header::DATE));
    let denied =
        || Code::AccessDenied.says("AWS authentication requires a valid Date or x-amz-date header");
    let at = date.and_then(text_of).and_then(parse_any_date).ok_or_else(denied)?;
    let date = sigv4::date_text(at);
    if let Some(told) = another_day(scope, &date) {
        return Err(Code::AuthorizationHeaderMalformed.says(told));
    }
    let apart = at.since(request.now).max(request.now.since(at));
    if apart > SKEW {
        return Err(Code::RequestTimeTooSkewed.into());
    }
    let payload = payload_header(headers).ok_or_else(|| {
        Code::InvalidRequest.says("Missing required header for this request: x-amz-content-sha256")
    })?;
    Ok(Claim { key, scope, signed, signature, date: date.into(), payload, in_query: false })
}

/// What is wrong with a scope that is not of the day of its signature: the key of an old day, once it
/// is known to somebody, must not sign on other days.
fn another_day(scope: &str, date: &str) -> Option<String> {
    let (day, of_scope) = (date.get(..8)?, scope.get(..8)?);
    (day != of_scope).then(|| {
        format!("Invalid credential date \"{of_scope}\". This date is not the same as X-Amz-Date: \"{day}\".")
    })
}

pub(super) fn parse_any_date(text: &str) -> Option<Timestamp> {
    sigv4::parse_date(text).or_else(|| super::dates::parse_http(text))
}

fn query_claim<'a>(request: &'a Request<'_>) -> Result<Claim<'a>, S3Error> {
    let malformed = |what: &str| Code::AuthorizationQueryParametersError.says(what);
    let value = |name: &str| request.query.get(name);
    if value("X-Amz-Algorithm") != Some(ALGORITHM) {
        return Err(malformed("X-Amz-Algorithm only supports \"AWS4-HMAC-SHA256\""));
    }
    let (key, scope) = value("X-Amz-Credential")
        .and_then(credential)
        .ok_or_else(|| malformed("Error parsing the X-Amz-Credential parameter"))?;
    let date = value("X-Amz-Date").unwrap_or_default();
    let at = sigv4::parse_date(date)
        .ok_or_else(|| malformed("X-Amz-Date must be in the ISO8601 format"))?;
    if let Some(told) = another_day(scope, date) {
        return Err(malformed(&told));
    }
    let seconds = value("X-Amz-Expires").and_then(|text| text.parse::<u64>().ok());
    let expires =
        seconds.map(Duration::from_secs).filter(|span| !span.is_zero() && *span <= PRESIGN_MAX);
    let expires = expires.ok_or_else(|| {
        // AWS says 400 here; other servers and their test suite say 403, and clients take both.
        Code::AccessDenied.says("X-Amz-Expires must be between 1 and 604800 seconds")
    })?;
    if at.plus(expires) < request.now {
        return Err(Code::AccessDenied.says("Request has expired"));
    }
    if at > request.now.plus(SKEW) {
        return Err(Code::AccessDenied.says("Request is not valid yet"));
    }
    let signed =
        value("X-Amz-SignedHeaders").ok_or_else(|| malformed("X-Amz-SignedHeaders is missing"))?;
    let signature =
        value("X-Amz-Signature").ok_or_else(|| malformed("X-Amz-Signature is missing"))?;
    let in_header = || {
        let is_signed = signed.split(';').any(|name| name == "x-amz-content-sha256");
        payload_header(&request.parts.headers).filter(|_| is_signed)
    };
    let payload = value("X-Amz-Content-Sha256").or_else(in_header).unwrap_or(UNSIGNED);
    let date = date.into();
    Ok(Claim { key, scope, signed, signature, date, payload, in_query: true })
}

fn verify(request: &Request<'_>, claim: &Claim<'_>, key: &SigningKey) -> Result<(), S3Error> {
    let headers: Vec<(&str, Cow<'_, str>)> =
        claim.signed().map(|name| (name, header_text(request, name))).collect();
    let fits = |payload: &str| {
        let canonical = Canonical {
            method: request.parts.method.as_str(),
            path: request.path,
            query: request.query,
            headers: &headers,
            payload,
        };
        let expected = key.sign_request(&claim.date, claim.scope, &canonical);
        bool::from(expected.as_bytes().ct_eq(claim.signature.as_bytes()))
    };
    // Some clients sign an address as one without a hash, and the hash among its headers.
    let without_hash = || claim.in_query && claim.payload != UNSIGNED && fits(UNSIGNED);
    if !(fits(claim.payload) || without_hash()) {
        return Err(Code::SignatureDoesNotMatch.into());
    }
    let unsigned = request.parts.headers.keys().find(|name| {
        let name = name.as_str();
        name.starts_with("x-amz-")
            && !matches!(name, "x-amz-content-sha256" | "x-amz-date")
            && !claim.signed().any(|signed| signed == name)
    });
    match unsigned {
        None => Ok(()),
        Some(name) => Err(Code::AccessDenied.says(format!(
            "There were headers present in the request which were not signed: {name}"
        ))),
    }
}

/// A signed header's value: all of that name, joined; `host` also from an HTTP/2 authority.
fn header_text<'a>(request: &'a Request<'_>, name: &str) -> Cow<'a, str> {
    if name == "host" {
        return request.host.into();
    }
    let values = request.parts.headers.get_all(name);
    let mut texts = values.iter().map(|value| text_of(value).unwrap_or("\u{fffd}").trim());
    let first = texts.next().unwrap_or_default();
    texts.fold(first.into(), |all, text| format!("{all},{text}").into())
}

/// Names a request: a number that begins anywhere at each start.
pub(crate) fn request_id() -> String {
    static FIRST: LazyLock<u64> = LazyLock::new(|| u64::from_be_bytes(crate::seal::random()));
    static COUNT: AtomicU64 = AtomicU64::new(0);
    format!("{:016X}", FIRST.wrapping_add(COUNT.fetch_add(1, Ordering::Relaxed)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, key: Option<&str>) {
        assert_eq!(credential(text).map(|(key, _)| key), key, "{text}");
    }

    #[test]
    fn credentials_are_read_from_their_end() {
        check("AKID/20130524/us-east-1/s3/aws4_request", Some("AKID"));
        check("A/B/20130524/us-east-1/s3/aws4_request", Some("A/B"));
        check("AKID/2013/us-east-1/s3/aws4_request", None);
        check("AKID/20130524/us-east-1/ec2/aws4_request", None);
        check("AKID", None);
    }
}
