//! Objects: get and head, whole, by range and by part.

use super::{
    access::{self, Action, Context, Right, is_allowed},
    call::{Call, Who},
    conditions, dates, encryption,
    error::{Code, S3Error},
    lifecycle, lock,
    object::{KEPT, checksum_header, version_header},
    range::{self, Asked},
    route::{empty, set},
};
use crate::{
    bucket::{self, Bucket},
    content,
    details::{Checksum, Details, PieceDetails},
    keys::Verb,
    located::Located,
};
use axum::{body::Body, response::Response};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use std::{ops::Range, sync::Arc};

/// An object as a request names it: its own, or the source of a copy.
#[derive(Clone, Copy)]
pub(super) struct Named<'a> {
    pub(super) bucket: &'a str,
    pub(super) key: &'a str,
    pub(super) version: Option<&'a str>,
}

impl<'a> Named<'a> {
    fn of(call: &'a Call) -> Self {
        Self { bucket: &call.bucket, key: &call.key, version: call.version() }
    }

    /// The action of its reader.
    pub(super) fn action(&self) -> Action {
        if self.version.is_some() { access::GET_VERSION } else { access::GET }
    }
}

/// Finds the object of the call for a reader; who may not know of it learns nothing.
pub(super) async fn located(call: &Call, action: &Action) -> Result<Arc<Located>, S3Error> {
    let found = find(call, Named::of(call), action).await?;
    access::expected(call, access::EXPECTED_OWNER, &found.bucket)?;
    Ok(found)
}

/// Finds an object for a reader; who may not know of it learns nothing.
pub(super) async fn find(
    call: &Call,
    named: Named<'_>,
    action: &Action,
) -> Result<Arc<Located>, S3Error> {
    let Named { bucket, key, version } = named;
    match call.objects.locate(bucket, key, version).await {
        Ok(found) => {
            let object = Some(&found.details);
            let context = Context { object, key: Some(key), version, ..Context::default() };
            if is_allowed(call, action, &found.bucket, context) {
                Ok(found)
            } else {
                Err(Code::AccessDenied.into())
            }
        }
        Err(crate::Error::NoObject { .. }) => {
            let bucket = call.objects.bucket(bucket).await?;
            let error = missing(call, &bucket, named).await?;
            Err(access::missing(call, &bucket, key, error))
        }
        Err(other) => Err(other.into()),
    }
}

/// What is there instead of an object: nothing, or a marker, which says so.
async fn missing(call: &Call, bucket: &Bucket, named: Named<'_>) -> Result<S3Error, S3Error> {
    let (id, key) = (bucket.id, named.key.to_owned());
    let version = named.version.map(str::to_owned);
    let work = move |reader: &store::Reader<'_>| {
        Ok(match version {
            Some(version) => reader.object_version(id, &key, &version)?,
            None => reader.object_latest(id, &key)?,
        })
    };
    let marker = call.objects.read(work).await?.filter(|row| row.marker);
    let code = match (named.version.is_some(), &marker) {
        (true, Some(_)) => Code::MethodNotAllowed,
        (true, None) => Code::NoSuchVersion,
        (false, _) => Code::NoSuchKey,
    };
    let error = S3Error::from(code).with("x-amz-delete-marker", marker.is_some().to_string());
    Ok(match marker {
        Some(row) => error.with("x-amz-version-id", row.version),
        None => error,
    })
}

/// The action of a reader of the object.
pub(super) fn action(call: &Call) -> Action {
    Named::of(call).action()
}

/// One part of an object, by the number under which it was uploaded.
fn part_of(call: &Call, located: &Located) -> Result<Option<(Range<u64>, PieceDetails)>, S3Error> {
    let Some(number) = call.number("partNumber")? else { return Ok(None) };
    if located.details.parts.is_none() {
        return if number == 1 { Ok(None) } else { Err(Code::InvalidPart.into()) };
    }
    let mut start = 0;
    for piece in &located.pieces {
        if piece.number == number {
            return Ok(Some((start..start + piece.size, piece.details.clone())));
        }
        start += piece.size;
    }
    Err(Code::InvalidPart.into())
}

/// The bytes that the header `Range` asks for.
fn range_of(call: &Call, size: u64) -> Result<Option<Range<u64>>, S3Error> {
    match range::parse(call.header("range"), size) {
        Asked::Whole => Ok(None),
        Asked::Part(range) => Ok(Some(range)),
        Asked::Unsatisfiable => {
            Err(S3Error::from(Code::InvalidRange).with("content-range", format!("bytes */{size}")))
        }
    }
}

/// Nobody in particular does not say how an answer is to look: a page of somebody else's would.
fn refuse_wishes(call: &Call) -> Result<(), S3Error> {
    let wishes = || call.query.iter().any(|(name, _)| wish(name).is_some());
    if matches!(call.who, Who::Anonymous) && wishes() {
        return Err(Code::InvalidRequest
            .says("Request specific response headers cannot be used for anonymous GET requests."));
    }
    Ok(())
}

/// The header that a name in the query asks for.
fn wish(name: &str) -> Option<&str> {
    name.strip_prefix("response-").filter(|name| KEPT.contains(name))
}

/// Of an object that is as the caller has it, what caches go by is told all the same
/// (RFC 9110, 15.4.5).
fn unchanged(error: S3Error, located: &Located) -> S3Error {
    if error.code != Code::NotModified {
        return error;
    }
    let kept = ["cache-control", "expires"].into_iter();
    let told = kept.filter_map(|name| Some((name, located.details.headers.get(name)?.clone())));
    let error = told.fold(error, |error, (name, value)| error.with(name, value));
    match located.bucket.versioning {
        bucket::Versioning::Off => error,
        _ => error.with("x-amz-version-id", &located.row.version),
    }
}

pub(super) async fn get(call: &Call, body: bool) -> Result<Response, S3Error> {
    refuse_wishes(call)?;
    let located = located(call, &action(call)).await?;
    conditions::read(call, "", &located.row).map_err(|error| unchanged(error, &located))?;
    let numbered = part_of(call, &located)?;
    encryption::refuse_on_read(call)?;
    let key = encryption::key_for(call, encryption::OWN, located.details.encryption.as_ref())?;
    let size = located.row.size;
    let part = match &numbered {
        Some((range, _)) => Some(range.clone()),
        None if conditions::range_holds(call, &located.row) => range_of(call, size)?,
        None => None,
    };
    let mut response =
        empty(if part.is_some() { StatusCode::PARTIAL_CONTENT } else { StatusCode::OK });
    *response.headers_mut() = located.headers.get_or_init(|| described(&located)).clone();
    asked_for(call, &mut response, &located);
    if let Some((_, details)) = &numbered {
        part_checksum(&mut response, &located.details, details);
    }
    let range = part.clone().unwrap_or(0..size);
    if let Some(part) = part {
        response.headers_mut().insert(header::CONTENT_LENGTH, (part.end - part.start).into());
        set(
            &mut response,
            "content-range",
            &format!("bytes {}-{}/{size}", part.start, part.end.saturating_sub(1)),
        );
    }
    if body {
        let vault = &call.objects.inner.vault;
        *response.body_mut() = match content::at_hand(&located.pieces, &range) {
            Some(bytes) => Body::from(bytes),
            None => Body::from_stream(
                content::stream(vault, &located.pieces, range, key.as_ref()).await?,
            ),
        };
    }
    Ok(response)
}

/// A part's own checksum, told with the type of the whole one.
fn part_checksum(response: &mut Response, whole: &Details, part: &PieceDetails) {
    if let Some(sum) = &part.checksum {
        let composite = whole.checksum.as_ref().is_some_and(|whole| whole.composite);
        checksum_header(response, Some(&Checksum { composite, ..sum.clone() }));
    }
}

/// A page among the objects must not act with the rights of this origin.
const POLICY: &str = "sandbox; default-src 'none'; img-src 'self'; style-src 'unsafe-inline'";

/// Gives the policy to all but bytes without a type, which no browser makes a page of: most objects
/// are such, and each answer would carry it.
fn confine(response: &mut Response) {
    const INERT: [&[u8]; 2] = [b"binary/octet-stream", b"application/octet-stream"];
    let headers = response.headers_mut();
    if headers.get(header::CONTENT_TYPE).is_none_or(|kind| !INERT.contains(&kind.as_bytes())) {
        headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    }
}

/// What is told of an object to every reader.
fn described(located: &Located) -> HeaderMap {
    let (row, details) = (&located.row, &located.details);
    let mut response = empty(StatusCode::OK);
    let response = &mut response;
    let fixed = [
        (header::CONTENT_TYPE, "binary/octet-stream"),
        (header::ACCEPT_RANGES, "bytes"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    let fixed = fixed.map(|(name, value)| (name, HeaderValue::from_static(value)));
    response.headers_mut().extend(fixed);
    response.headers_mut().insert(header::CONTENT_LENGTH, row.size.into());
    set(response, "etag", &format!("\"{}\"", row.etag));
    set(response, "last-modified", &dates::http(row.modified));
    for (name, value) in &details.headers {
        set(response, name, value);
    }
    confine(response);
    for (name, value) in &details.user {
        set(response, &format!("x-amz-meta-{name}"), value);
    }
    encryption::headers(response, details.encryption.as_ref());
    for (name, value) in lock::headers(details) {
        set(response, name, &value);
    }
    lifecycle::header(response, &located.bucket.settings.lifecycle, row, details);
    version_header(
        response,
        (located.bucket.versioning != bucket::Versioning::Off).then_some(&row.version),
    );
    if !details.tags.is_empty() {
        set(response, "x-amz-tagging-count", &details.tags.len().to_string());
    }
    if let Some(parts) = details.parts {
        set(response, "x-amz-mp-parts-count", &parts.to_string());
    }
    if let Some(class) = &details.class {
        set(response, "x-amz-storage-class", class);
    }
    std::mem::take(response.headers_mut())
}

/// What this reader asked to be told beside, or otherwise.
fn asked_for(call: &Call, response: &mut Response, located: &Located) {
    if call.header("x-amz-checksum-mode").is_some_and(|mode| mode.eq_ignore_ascii_case("enabled"))
        && call.header("range").is_none()
        && call.param("partNumber").is_none()
    {
        checksum_header(response, located.details.checksum.as_ref());
    }
    for (name, value) in call.query.iter() {
        if let Some(name) = wish(name) {
            set(response, name, value);
            confine(response);
        }
    }
}

const RESTORE: Action = Action::new("s3:RestoreObject", Verb::Write, Right::Bucket("WRITE"));

/// Nothing is archived here, so nothing can be brought back from an archive.
pub(super) async fn restore(call: &Call) -> Result<Response, S3Error> {
    located(call, &RESTORE).await?;
    Err(Code::InvalidObjectState
        .says("Restore is not allowed for the object's current storage class"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(kind: &str, confined: bool) {
        let mut response = empty(StatusCode::OK);
        set(&mut response, "content-type", kind);
        confine(&mut response);
        let found = response.headers().contains_key(header::CONTENT_SECURITY_POLICY);
        assert_eq!(found, confined, "{kind}");
    }

    #[test]
    fn whatever_a_browser_might_make_a_page_of_is_confined() {
        check("binary/octet-stream", false);
        check("application/octet-stream", false);
        check("text/html", true);
        check("image/svg+xml", true);
        check("application/octet-stream; charset=utf-8", true);
        check("nonsense", true);
    }
}
