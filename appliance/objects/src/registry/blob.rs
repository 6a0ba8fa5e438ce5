//! Blobs: pulled whole or in ranges, and taken from a repository.

use super::{
    Action, Call,
    fault::{Code, Fault, empty, set},
};
use crate::{
    error::Error,
    objects::now,
    oci::{
        BUCKET, Reference, blob_key,
        shelf::{Shelf, link_key},
        there,
    },
    s3::range::{self, Asked},
};
use axum::{
    body::Body,
    response::{IntoResponse, Response},
};
use http::{Method, StatusCode, header};
use serde_json::json;

/// The full name of a repository: `ns/app` is `docker.io/ns/app`, as jobs name it.
pub(super) fn full(name: &str) -> Result<String, Fault> {
    let reference: Reference = name.parse().map_err(|_| Code::NameInvalid.plain())?;
    Ok(reference.name().to_owned())
}

fn unknown(digest: &str) -> Fault {
    Code::BlobUnknown.plain().about(json!({ "digest": digest }))
}

pub(super) async fn get(call: &Call, name: &str, digest: &str) -> Result<Response, Fault> {
    call.permit(name, Action::Pull)?;
    let key = blob_key(digest).ok_or_else(|| Code::DigestInvalid.plain())?;
    let link = link_key(&full(name)?, digest);
    there(call.objects.head(BUCKET, &link).await)?.ok_or_else(|| unknown(digest))?;
    let info = there(call.objects.head(BUCKET, &key).await)?.ok_or_else(|| unknown(digest))?;
    let asked = range::parse(call.header(header::RANGE), info.size);
    let (status, range) = match asked {
        Asked::Whole => (StatusCode::OK, None),
        Asked::Part(range) => (StatusCode::PARTIAL_CONTENT, Some(range)),
        Asked::Unsatisfiable => {
            return Err(Code::RangeOutside
                .plain()
                .with("content-range", format!("bytes */{}", info.size)));
        }
    };
    let length = range.as_ref().map_or(info.size, |range| range.end - range.start);
    let mut response = if call.parts.method == Method::HEAD {
        status.into_response()
    } else {
        let found = call.objects.get(BUCKET, &key, range.clone()).await?;
        (status, Body::from_stream(found.bytes)).into_response()
    };
    set(&mut response, "content-type", "application/octet-stream");
    set(&mut response, "content-length", &length.to_string());
    set(&mut response, "docker-content-digest", digest);
    set(&mut response, "accept-ranges", "bytes");
    set(&mut response, "etag", &format!("\"{digest}\""));
    if let Some(range) = range {
        let text = format!("bytes {}-{}/{}", range.start, range.end - 1, info.size);
        set(&mut response, "content-range", &text);
    }
    Ok(response)
}

pub(super) async fn delete(call: &Call, name: &str, digest: &str) -> Result<Response, Fault> {
    call.permit(name, Action::Delete)?;
    let link = link_key(&full(name)?, digest);
    let note = call.note();
    let work = move |txn: &mut store::Txn<'_>| {
        let gone = Shelf::open(txn, now())?.remove(&link)?;
        note.when(gone, txn)?;
        Ok::<_, Error>(gone)
    };
    let gone = call.objects.write(work).await?;
    if gone { Ok(empty(StatusCode::ACCEPTED)) } else { Err(unknown(digest)) }
}
