//! Manifests: pulled, pushed with everything that they name, removed.

use super::{
    Action, Call,
    blob::full,
    fault::{Code, Fault, empty, set},
    incoming,
    route::Wanted,
};
use crate::{
    digest::hex,
    error::Error,
    ingest::{Body as Input, Plan},
    objects::{Objects, now},
    oci::{
        BUCKET, DOCUMENT_MAX, blob_key,
        record::{self, Record},
        shelf::{Shelf, link_key, manifest_key, tag_key},
        there,
    },
};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::StreamExt;
use http::{Method, StatusCode, header};
use serde_json::json;
use sha2::{Digest, Sha256};

/// A small object's text, if it is there.
async fn text(objects: &Objects, key: &str) -> Result<Option<String>, Fault> {
    let bytes = there(objects.get_small(BUCKET, key, DOCUMENT_MAX).await)?;
    Ok(bytes.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()))
}

/// The digest that is meant.
async fn resolve(call: &Call, name: &str, wanted: Wanted<'_>) -> Result<String, Fault> {
    match wanted {
        Wanted::Digest(digest) => Ok(digest.to_owned()),
        Wanted::Tag(tag) => {
            let found = text(&call.objects, &tag_key(name, tag)).await?;
            found.ok_or_else(|| Code::ManifestUnknown.plain().about(json!({ "tag": tag })))
        }
    }
}

pub(super) async fn get(call: &Call, name: &str, wanted: Wanted<'_>) -> Result<Response, Fault> {
    call.permit(name, Action::Pull)?;
    let full = full(name)?;
    let digest = resolve(call, &full, wanted).await?;
    let unknown = || Code::ManifestUnknown.plain().about(json!({ "digest": digest }));
    let record = text(&call.objects, &manifest_key(&full, &digest)).await?.ok_or_else(unknown)?;
    let record: Record = crate::details::parse(&digest, &record)?;
    let key = blob_key(&digest).ok_or_else(unknown)?;
    let found = there(call.objects.get_small(BUCKET, &key, DOCUMENT_MAX).await)?;
    let bytes = found.ok_or_else(unknown)?;
    let mut response = if call.parts.method == Method::HEAD {
        StatusCode::OK.into_response()
    } else {
        Bytes::from(bytes).into_response()
    };
    set(&mut response, "content-type", &record.media_type);
    set(&mut response, "content-length", &record.size.to_string());
    set(&mut response, "docker-content-digest", &digest);
    set(&mut response, "etag", &format!("\"{digest}\""));
    Ok(response)
}

/// The whole body, at most [`DOCUMENT_MAX`] of it.
async fn document(call: &mut Call) -> Result<Vec<u8>, Fault> {
    let mut bytes = incoming::body(call);
    let mut all = Vec::new();
    while let Some(part) = bytes.next().await {
        all.extend_from_slice(&part?);
        if all.len() as u64 > DOCUMENT_MAX {
            return Err(Code::ManifestTooLarge.plain());
        }
    }
    Ok(all)
}

pub(super) async fn put(mut call: Call, name: &str, wanted: Wanted<'_>) -> Result<Response, Fault> {
    call.permit(name, Action::Push)?;
    let full = full(name)?;
    let bytes = document(&mut call).await?;
    let digest = format!("sha256:{}", hex(&Sha256::digest(&bytes)));
    let tag = match wanted {
        Wanted::Tag(tag) => Some(tag.to_owned()),
        Wanted::Digest(told) if told == digest => None,
        Wanted::Digest(_) => return Err(Code::DigestInvalid.plain()),
    };
    let told = call.header(header::CONTENT_TYPE);
    let record =
        record::read(&bytes, told).map_err(|why| Code::ManifestInvalid.says(why.to_string()))?;
    let subject = record.subject.clone();
    keep(&call.objects, full, &digest, bytes, record, tag).await?;
    let mut response = empty(StatusCode::CREATED);
    set(&mut response, "location", &format!("/v2/{name}/manifests/{digest}"));
    set(&mut response, "docker-content-digest", &digest);
    if let Some(subject) = subject {
        set(&mut response, "oci-subject", &subject);
    }
    Ok(response)
}

/// Stores bytes, record and tag in one transaction, which also looks whether all parts are there.
async fn keep(
    objects: &Objects,
    name: String,
    digest: &str,
    bytes: Vec<u8>,
    record: Record,
    tag: Option<String>,
) -> Result<(), Fault> {
    let size = bytes.len() as u64;
    let ingested = objects.ingest(Input::from(bytes), &Plan::default()).await?;
    let (blob, digest) = (ingested.blob.clone(), digest.to_owned());
    let work = move |txn: &mut store::Txn<'_>| {
        let mut shelf = Shelf::open(txn, now())?;
        let key = |digest: &str| blob_key(digest).unwrap_or_default();
        for part in &record.blobs {
            if !shelf.has(&link_key(&name, part))? || !shelf.has(&key(part))? {
                return Err(Code::ManifestBlobUnknown.plain().about(json!({ "digest": part })));
            }
        }
        for part in &record.manifests {
            if !shelf.has(&manifest_key(&name, part))? {
                return Err(Code::ManifestBlobUnknown.plain().about(json!({ "digest": part })));
            }
        }
        let held = blob.hold(shelf.txn())?;
        shelf.put_blob(&key(&digest), size, Some(held.id))?;
        shelf.add(&name, &digest, &record)?;
        if let Some(tag) = &tag {
            shelf.tag(&name, tag, &digest)?;
        }
        Ok::<_, Fault>(held)
    };
    let held = objects.write(work).await?;
    ingested.settle(held);
    Ok(())
}

pub(super) async fn delete(call: &Call, name: &str, wanted: Wanted<'_>) -> Result<Response, Fault> {
    call.permit(name, Action::Delete)?;
    let full = full(name)?;
    let (digest, tag) = match wanted {
        Wanted::Digest(digest) => (Some(digest.to_owned()), String::new()),
        Wanted::Tag(tag) => (None, tag.to_owned()),
    };
    let note = call.note();
    let work = move |txn: &mut store::Txn<'_>| {
        let gone = Shelf::open(txn, now())?.take_away(&full, &tag, digest.as_deref())?;
        note.when(gone, txn)?;
        Ok(gone)
    };
    let gone: Result<bool, Error> = call.objects.write(work).await;
    if gone? { Ok(empty(StatusCode::ACCEPTED)) } else { Err(Code::ManifestUnknown.plain()) }
}
