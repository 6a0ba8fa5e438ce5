//! Uploads of blobs: whole, in chunks, resumed after a break or a restart, mounted from elsewhere.
//!
//! The way: an upload is an unfinished multipart upload of the store, each chunk one part of it,
//! durable before it is answered; finishing makes rows and moves no bytes. The SHA-256 runs along
//! in memory; after a restart it is computed anew from the parts.
//! Invariants: a chunk begins where the last one ended, checked again in its transaction; a blob is
//! named by the digest of all its bytes or not at all.
//! Memory: what one ingest holds for each request, and [`SESSIONS_MAX`] hash states.

use super::{
    Action, Call,
    blob::full,
    fault::{Code, Fault, empty, set},
    incoming,
};
use crate::{
    content,
    details::{self, PieceDetails},
    digest::hex,
    error::Error,
    ingest::{Body as Input, Plan},
    objects::{Objects, now},
    oci::{
        blob_key,
        reference::hex_of,
        shelf::{Shelf, link_key},
    },
    seal,
};
use axum::response::Response;
use futures_util::{StreamExt, TryStreamExt};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::json;
use sha2::{Digest, Sha256};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};
use store::objects::{NewPart, PartRow, PieceRow, UploadRow};

/// Chunks of one blob; clients send one, or some of many megabytes.
const CHUNKS_MAX: u32 = 10_000;

/// Running hashes kept; an upload whose hash was let go is read again at its end.
const SESSIONS_MAX: usize = 256;

/// Unfinished uploads at once, over all clients; cut ones are swept after a day.
const UPLOADS_MAX: u32 = 1000;

/// Those of one account: a push has some for each of its layers, and nobody takes all from the others.
const UPLOADS_OF_ONE: usize = UPLOADS_MAX as usize / 4;

/// Hashes of unfinished uploads, with the number of bytes that went into each.
#[derive(Default)]
pub(crate) struct Sessions(Mutex<HashMap<String, (u64, Sha256)>>);

impl Sessions {
    /// The hash of the first `offset` bytes, if it is at hand.
    fn take(&self, id: &str, offset: u64) -> Option<Sha256> {
        if offset == 0 {
            return Some(Sha256::new());
        }
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.remove(id).filter(|(at, _)| *at == offset).map(|(_, hasher)| hasher)
    }

    fn keep(&self, id: &str, offset: u64, hasher: Sha256) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= SESSIONS_MAX {
            // Whichever goes is computed again; which one does not matter.
            let one = all.keys().next().cloned();
            one.and_then(|one| all.remove(&one));
        }
        all.insert(id.to_owned(), (offset, hasher));
    }
}

/// An upload, and how far it has come.
struct Session {
    row: UploadRow,
    parts: Vec<PartRow>,
}

impl Session {
    fn offset(&self) -> u64 {
        self.parts.iter().map(|part| part.size).sum()
    }
}

fn upload_key(name: &str) -> String {
    format!("uploading/{name}")
}

async fn session(call: &Call, name: &str, id: &str) -> Result<Session, Fault> {
    let (key, id) = (upload_key(&full(name)?), id.to_owned());
    let found = call
        .objects
        .read(move |reader| {
            let Some(row) = reader.upload_get(&id)?.filter(|row| row.key == key) else {
                return Ok(None);
            };
            let parts = reader.upload_parts(row.id, 0, CHUNKS_MAX)?;
            Ok(Some(Session { row, parts }))
        })
        .await?;
    found.ok_or_else(|| Code::BlobUploadUnknown.plain())
}

/// Where an upload stands, as every answer about it says.
fn standing(status: StatusCode, name: &str, id: &str, offset: u64) -> Response {
    let mut response = empty(status);
    set(&mut response, "location", &format!("/v2/{name}/blobs/uploads/{id}"));
    set(&mut response, "range", &format!("0-{}", offset.saturating_sub(1)));
    set(&mut response, "docker-upload-uuid", id);
    response
}

fn created(name: &str, digest: &str) -> Response {
    let mut response = empty(StatusCode::CREATED);
    set(&mut response, "location", &format!("/v2/{name}/blobs/{digest}"));
    set(&mut response, "docker-content-digest", digest);
    response
}

pub(super) async fn begin(mut call: Call, name: &str) -> Result<Response, Fault> {
    call.permit(name, Action::Push)?;
    let full = full(name)?;
    call.objects.room_for_rows(0)?;
    if let Some(digest) = call.param("mount")
        && mount(&call, &full, &digest).await?
    {
        return Ok(created(name, &digest));
    }
    let id = hex(&seal::random::<16>());
    let (key, upload, owner) = (upload_key(&full), id.clone(), call.account().to_owned());
    let work = move |txn: &mut store::Txn<'_>| {
        let mut shelf = Shelf::open(txn, now())?;
        let bucket = shelf.bucket();
        room(&shelf.txn().upload_list(bucket, "", 0, UPLOADS_MAX)?, &owner)?;
        let details = details::text(&Begun { owner });
        shelf.txn().upload_insert(bucket, &key, &upload, now(), &details)?;
        Ok(())
    };
    call.objects.write::<_, Fault, _>(work).await?;
    if let Some(digest) = call.param("digest") {
        return complete(&mut call, name, &id, &digest).await;
    }
    Ok(standing(StatusCode::ACCEPTED, name, &id, 0))
}

/// Who began an upload, as its row tells.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct Begun {
    owner: String,
}

/// One more upload of `owner` may begin beside these.
fn room(open: &[UploadRow], owner: &str) -> Result<(), Fault> {
    let full = |whose: &str| {
        Err(Code::TooManyRequests
            .says(format!("too many uploads{whose} are unfinished: finish or cancel some")))
    };
    let is_own = |row: &&UploadRow| {
        details::parse::<Begun>(&row.name, &row.details).is_ok_and(|begun| begun.owner == owner)
    };
    match open.len() {
        all if all >= UPLOADS_MAX as usize => full(""),
        _ if open.iter().filter(is_own).count() >= UPLOADS_OF_ONE => full(" of yours"),
        _ => Ok(()),
    }
}

/// Links a blob of another repository; `false` when that cannot be, and the bytes are to be sent.
async fn mount(call: &Call, target: &str, digest: &str) -> Result<bool, Fault> {
    let Some(from) = call.param("from").filter(|from| super::route::is_name(from)) else {
        return Ok(false);
    };
    let may = call.caller.as_ref().is_some_and(|caller| caller.may(&from, Action::Pull));
    let (Some(blob), true) = (blob_key(digest), may) else { return Ok(false) };
    let (source, target) = (link_key(&full(&from)?, digest), link_key(target, digest));
    let work = move |txn: &mut store::Txn<'_>| {
        let mut shelf = Shelf::open(txn, now())?;
        if !shelf.has(&source)? || !shelf.has(&blob)? {
            return Ok(false);
        }
        shelf.put(&target, b"")?;
        Ok::<_, Error>(true)
    };
    Ok(call.objects.write(work).await?)
}

pub(super) async fn state(call: &Call, name: &str, id: &str) -> Result<Response, Fault> {
    call.permit(name, Action::Push)?;
    let session = session(call, name, id).await?;
    Ok(standing(StatusCode::NO_CONTENT, name, id, session.offset()))
}

pub(super) async fn cancel(call: &Call, name: &str, id: &str) -> Result<Response, Fault> {
    call.permit(name, Action::Push)?;
    let row = session(call, name, id).await?.row.id;
    call.objects.write(move |txn| Ok::<_, Fault>(txn.upload_delete(row, now())?)).await?;
    drop(call.objects.inner.sessions.take(id, u64::MAX));
    Ok(empty(StatusCode::NO_CONTENT))
}

pub(super) async fn chunk(mut call: Call, name: &str, id: &str) -> Result<Response, Fault> {
    call.permit(name, Action::Push)?;
    let session = session(&call, name, id).await?;
    let offset = take(&mut call, name, &session).await?;
    Ok(standing(StatusCode::ACCEPTED, name, id, offset))
}

pub(super) async fn finish(mut call: Call, name: &str, id: &str) -> Result<Response, Fault> {
    call.permit(name, Action::Push)?;
    let digest = call.param("digest").ok_or_else(|| Code::DigestInvalid.says("name the digest"))?;
    complete(&mut call, name, id, &digest).await
}

/// Takes in the body as the next chunk; returns how far the upload has come.
async fn take(call: &mut Call, name: &str, session: &Session) -> Result<u64, Fault> {
    let (id, offset) = (session.row.name.clone(), session.offset());
    let range = incoming::range(call)?;
    let elsewhere = |at: u64| {
        Code::RangeInvalid
            .plain()
            .with("location", format!("/v2/{name}/blobs/uploads/{id}"))
            .with("range", format!("0-{}", at.saturating_sub(1)))
    };
    if range.is_some_and(|(first, _)| first != offset) {
        return Err(elsewhere(offset));
    }
    let promised = range.map(|(first, last)| (last - first).saturating_add(1));
    let hasher = call.objects.inner.sessions.take(&id, offset);
    let running = Arc::new(Mutex::new(hasher));
    let along = Arc::clone(&running);
    let announced = incoming::length(call);
    let bytes = incoming::body(call).inspect_ok(move |bytes| {
        if let Some(hasher) = along.lock().unwrap_or_else(PoisonError::into_inner).as_mut() {
            hasher.update(bytes);
        }
    });
    let expected = promised.unwrap_or(announced);
    let plan = Plan { expected, ..Plan::default() };
    let bytes = incoming::cut_behind(bytes, promised.unwrap_or(u64::MAX));
    let ingested = call.objects.ingest(Input::from(bytes.boxed()), &plan).await?;
    let size = ingested.summed.size;
    if promised.is_some_and(|promised| promised != size) {
        return Err(Code::SizeInvalid.plain());
    }
    if size > 0 {
        let (upload, etag) = (session.row.name.clone(), hex(&ingested.summed.md5));
        let blob = ingested.blob.clone();
        let work = move |txn: &mut store::Txn<'_>| {
            let row = txn.upload_get(&upload)?.ok_or_else(|| Code::BlobUploadUnknown.plain())?;
            let parts = txn.upload_parts(row.id, 0, CHUNKS_MAX)?;
            let reached: u64 = parts.iter().map(|part| part.size).sum();
            let number = parts.last().map_or(0, |part| part.number) + 1;
            if reached != offset || number > CHUNKS_MAX {
                return Err(elsewhere_of(reached));
            }
            let held = blob.hold(txn)?;
            let details = details::text(&PieceDetails::default());
            let (upload, etag, details) = (row.id, etag.as_str(), details.as_str());
            let (modified, blob) = (now(), held.id);
            txn.upload_part_put(&NewPart { upload, number, size, etag, modified, blob, details })?;
            Ok(held)
        };
        let held = call.objects.write::<_, Fault, _>(work).await?;
        ingested.settle(held);
    }
    let hasher = running.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some(hasher) = hasher {
        call.objects.inner.sessions.keep(&session.row.name, offset + size, hasher);
    }
    Ok(offset + size)
}

/// Another chunk came first.
fn elsewhere_of(reached: u64) -> Fault {
    Code::RangeInvalid.plain().with("range", format!("0-{}", reached.saturating_sub(1)))
}

/// Takes in what the last request carries, compares the digest, and makes the blob.
async fn complete(call: &mut Call, name: &str, id: &str, digest: &str) -> Result<Response, Fault> {
    let hex = hex_of(digest).ok_or_else(|| Code::DigestInvalid.plain())?.to_owned();
    let before = session(call, name, id).await?;
    take(call, name, &before).await?;
    let session = session(call, name, id).await?;
    let hasher = match call.objects.inner.sessions.take(id, session.offset()) {
        Some(hasher) => hasher,
        None => hash(&call.objects, &session.parts).await?,
    };
    if crate::digest::hex(&hasher.finalize()) != hex {
        let row = session.row.id;
        // Its bytes are of no use: a client begins again.
        call.objects.write(move |txn| Ok::<_, Fault>(txn.upload_delete(row, now())?)).await?;
        return Err(Code::DigestInvalid.plain().about(json!({ "digest": digest })));
    }
    let key = blob_key(digest).ok_or_else(|| Code::DigestInvalid.plain())?;
    let link = link_key(&full(name)?, digest);
    let work = move |txn: &mut store::Txn<'_>| {
        let row =
            txn.upload_get(&session.row.name)?.ok_or_else(|| Code::BlobUploadUnknown.plain())?;
        let parts = txn.upload_parts(row.id, 0, CHUNKS_MAX)?;
        if parts.iter().map(|part| part.size).sum::<u64>() != session.offset() {
            return Err(elsewhere_of(session.offset()));
        }
        let mut shelf = Shelf::open(txn, now())?;
        assemble(&mut shelf, &key, row.id, &parts)?;
        shelf.put(&link, b"")?;
        Ok(())
    };
    call.objects.write::<_, Fault, _>(work).await?;
    Ok(created(name, digest))
}

/// Ends an upload and makes the object of all its parts: of one part it is that part's blob, of more
/// their list.
fn assemble(
    shelf: &mut Shelf<'_, '_>,
    key: &str,
    upload: i64,
    parts: &[PartRow],
) -> Result<(), Error> {
    let size = parts.iter().map(|part| part.size).sum();
    for part in parts {
        shelf.txn().blob_hold_again(part.blob)?;
    }
    // Before the object comes: its bytes count once against the bucket's quota.
    shelf.txn().upload_delete(upload, now())?;
    let whole = match parts {
        [part] => Some(part.blob),
        _ => None,
    };
    let object = shelf.put_blob(key, size, whole)?;
    if whole.is_none() {
        for part in parts {
            let details = part.details.clone();
            let piece = PieceRow { number: part.number, size: part.size, blob: part.blob, details };
            shelf.txn().object_piece_insert(object, &piece)?;
        }
    }
    Ok(())
}

/// The hash of parts that are read again.
async fn hash(objects: &Objects, parts: &[PartRow]) -> Result<Sha256, Error> {
    let mut hasher = Sha256::new();
    for part in parts {
        let (number, size, blob) = (part.number, part.size, part.blob);
        let piece = objects
            .read(move |reader| content::piece(reader, number, size, blob, PieceDetails::default()))
            .await?;
        let bytes = content::stream(&objects.inner.vault, &[piece], 0..size, None).await?;
        hasher = bytes
            .try_fold(hasher, |mut hasher, bytes| async move {
                hasher.update(&bytes);
                Ok(hasher)
            })
            .await?;
    }
    Ok(hasher)
}

#[cfg(test)]
mod tests {
    use super::*;
    use base::time::Timestamp;

    /// Open uploads by owner; may `ann` begin one more?
    fn check(open: &[(&str, usize)], expected: bool) {
        let row = |owner: &str| UploadRow {
            id: 0,
            name: String::new(),
            bucket: 0,
            key: String::new(),
            started: Timestamp(0),
            details: details::text(&Begun { owner: owner.into() }),
        };
        let rows: Vec<_> = open
            .iter()
            .flat_map(|(owner, count)| std::iter::repeat_n(row(owner), *count))
            .collect();
        assert_eq!(room(&rows, "ann").is_ok(), expected, "{open:?}");
    }

    #[test]
    fn no_account_takes_all_uploads() {
        check(&[("ann", 249)], true);
        check(&[("ann", 250)], false);
        check(&[("bob", 250)], true);
        check(&[("bob", 250), ("eve", 250), ("joe", 250), ("ann", 249)], true);
        check(&[("bob", 250), ("eve", 250), ("joe", 250), ("zoe", 250)], false);
    }
}
