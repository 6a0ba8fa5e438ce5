//! Copies: rows that name the same blobs; bytes move only where they are sealed anew, and for parts.

use super::{
    access::{self, Context, authorize},
    call::Call,
    conditions, dates,
    encryption::{self, Sealing},
    error::{Code, S3Error},
    meta,
    object::{bucket_of, details_of, store, type_name, version_header},
    payload::{self, Promise},
    range::{self, Asked},
    read::{self, Named},
    route::{set, xml},
    upload,
    xml::Xml,
};
use crate::{
    bucket::{self, Bucket},
    content,
    details::{self, Checksum, Details, Encryption},
    digest::{self, Algorithm, Sums},
    ingest::Body,
    located::Located,
    lock,
    notify::Deed,
    objects::now,
    versions::{self, NewVersion},
};
use axum::response::Response;
use futures_util::StreamExt;
use std::sync::Arc;
use store::objects::PieceRow;

fn copy_source(call: &Call) -> &str {
    call.header("x-amz-copy-source").unwrap_or_default()
}

/// Bucket, key and version of `x-amz-copy-source`.
pub(super) fn source(text: &str) -> Result<(String, String, Option<String>), S3Error> {
    let invalid = || {
        Code::InvalidArgument
            .says("Copy Source must mention the source bucket and key: sourcebucket/sourcekey")
    };
    let (path, version) = match text.split_once("?versionId=") {
        Some((_, "")) => {
            return Err(Code::InvalidArgument.says("Version id cannot be the empty string"));
        }
        Some((path, version)) => (path, Some(version.to_owned())),
        None => (text, None),
    };
    let path = percent_encoding::percent_decode_str(path).decode_utf8().map_err(|_| invalid())?;
    let (bucket, key) =
        path.strip_prefix('/').unwrap_or(&path).split_once('/').ok_or_else(invalid)?;
    if bucket.is_empty() || key.is_empty() {
        return Err(invalid());
    }
    Ok((bucket.to_owned(), key.to_owned(), version))
}

/// The source, if the caller may read it.
async fn readable(call: &Call) -> Result<Arc<Located>, S3Error> {
    let (bucket, key, version) = source(copy_source(call))?;
    let named = Named { bucket: &bucket, key: &key, version: version.as_deref() };
    let found = read::find(call, named, &named.action()).await?;
    access::expected(call, access::EXPECTED_SOURCE_OWNER, &found.bucket)?;
    conditions::read(call, "x-amz-copy-source-", &found.row)?;
    Ok(found)
}

/// A directive of the copy asks to replace what the source has.
pub(super) fn replaces(call: &Call, directive: &'static str) -> Result<bool, S3Error> {
    match call.header(directive) {
        None => Ok(false),
        Some(text) if text.eq_ignore_ascii_case("COPY") => Ok(false),
        Some(text) if text.eq_ignore_ascii_case("REPLACE") => Ok(true),
        Some(_) => Err(Code::InvalidArgument
            .says(format!("Unknown directive: {directive} must be COPY or REPLACE."))),
    }
}

/// Says whether the copy's tags are its own.
pub(super) const RETAG: &str = "x-amz-tagging-directive";

pub(super) async fn object(call: &Call) -> Result<Response, S3Error> {
    let target = bucket_of(call).await?;
    authorize(call, &access::PUT, &target, Context::default())?;
    let from = readable(call).await?;
    let replace = replaces(call, "x-amz-metadata-directive")?;
    let wanted = call.header("x-amz-checksum-algorithm").map(payload::algorithm).transpose()?;
    let sealing = encryption::of_upload(call, &target)?;
    let itself = from.bucket.id == target.id && from.row.key == call.key;
    let sealed_anew = sealing.encryption != from.details.encryption;
    if itself && !replace && !sealed_anew && from.row.latest {
        return Err(Code::InvalidRequest.says("This copy request is illegal because it is trying to copy an object to itself without changing the object's metadata, storage class, website redirect location or encryption attributes."));
    }
    let mut details = copied(call, &from, &target, replace).await?;
    // Bytes under the room's own key, or under none, need not move.
    let moves = sealed_anew || matches!(sealing.encryption, Some(Encryption::Customer(_)));
    let source_version = from.row.version.clone();
    let versioned = from.bucket.versioning != bucket::Versioning::Off;
    let (etag, put, checksum) = if moves {
        rewrite(call, &from, details, sealing.clone(), wanted).await?
    } else {
        if let Some(algorithm) = wanted {
            details.checksum = Some(summed(call, &from, algorithm).await?);
        }
        let checksum = details.checksum.clone();
        (from.row.etag.clone(), link(call, &from, details).await?, checksum)
    };
    let mut response = xml(Xml::document("CopyObjectResult", |xml| {
        xml.text("LastModified", &dates::iso(put.modified));
        xml.text("ETag", &format!("\"{etag}\""));
        if let Some(sum) = &checksum {
            xml.text("ChecksumType", type_name(sum.composite));
            xml.text(&format!("Checksum{}", sum.algorithm.name()), &sum.value);
        }
    }));
    version_header(&mut response, put.version.as_deref());
    encryption::headers(&mut response, sealing.encryption.as_ref());
    if versioned {
        set(&mut response, "x-amz-copy-source-version-id", &source_version);
    }
    Ok(response)
}

/// The details of the copy: the source's, but for what is never copied or is to be replaced.
async fn copied(
    call: &Call,
    from: &Located,
    target: &Bucket,
    replace: bool,
) -> Result<Details, S3Error> {
    let asked = details_of(call, target).await?;
    let retag = replaces(call, RETAG)?;
    if !retag {
        let (_, _, version) = source(copy_source(call))?;
        meta::authorize_copy(call, from, version.as_deref(), target)?;
    }
    let mut details = Details {
        owner: asked.owner,
        grants: asked.grants,
        class: asked.class,
        retention: asked.retention,
        legal_hold: asked.legal_hold,
        upload: None,
        ..from.details.clone()
    };
    if replace {
        (details.headers, details.user) = (asked.headers, asked.user);
    }
    if retag {
        details.tags = asked.tags;
    }
    Ok(details)
}

/// Opens the source and seals it anew, as one piece.
async fn rewrite(
    call: &Call,
    from: &Located,
    details: Details,
    sealing: Sealing,
    wanted: Option<Algorithm>,
) -> Result<(String, versions::Put, Option<Checksum>), S3Error> {
    let key = encryption::key_for(call, encryption::SOURCE, from.details.encryption.as_ref())?;
    let size = from.row.size;
    let vault = &call.objects.inner.vault;
    let bytes = content::stream(vault, &from.pieces, 0..size, key.as_ref()).await?;
    let algorithm = wanted.or_else(|| details.checksum.as_ref().map(|sum| sum.algorithm));
    let checksum = algorithm.map(|algorithm| (algorithm, None));
    let mut promise = Promise::default();
    (promise.length, promise.checksum) = (Some(size), checksum);
    let details = Details { parts: None, seal: None, ..details };
    let stored = store(call, &promise, Body::from(bytes), details, sealing).await?;
    Ok((stored.etag, stored.put, stored.details.checksum))
}

/// The checksum that the request asks for, of all bytes: the source's own, or read from them.
async fn summed(call: &Call, from: &Located, algorithm: Algorithm) -> Result<Checksum, S3Error> {
    let own = from.details.checksum.clone();
    if let Some(own) = own.filter(|own| own.algorithm == algorithm && !own.composite) {
        return Ok(own);
    }
    let key = encryption::key_for(call, encryption::SOURCE, from.details.encryption.as_ref())?;
    let vault = &call.objects.inner.vault;
    let mut bytes = content::stream(vault, &from.pieces, 0..from.row.size, key.as_ref()).await?;
    let mut sums = Sums::without_md5(&[algorithm]);
    while let Some(part) = bytes.next().await {
        sums.update(&part?);
    }
    let summed = sums.finish();
    let value = digest::base64(summed.get(algorithm).unwrap_or_default());
    Ok(Checksum { algorithm, value, composite: false })
}

/// Stores a version that names the blobs of `from`, if it is still there.
async fn link(call: &Call, from: &Located, mut details: Details) -> Result<versions::Put, S3Error> {
    let (name, key) = (call.bucket.clone(), call.key.clone());
    let (source, condition) = (from.row.clone(), conditions::Write::of(call));
    let work = move |txn: &mut store::Txn<'_>| {
        let (bucket, now) = (bucket::get(txn, &name)?, now());
        condition.check(txn.object_latest(bucket.id, &key)?.as_ref())?;
        lock::retain(&mut details, &bucket.settings, now);
        let still = txn.object_version(source.bucket, &source.key, &source.version)?;
        let row = still.filter(|row| row.id == source.id).ok_or(Code::NoSuchKey)?;
        let pieces: Vec<PieceRow> = txn.object_pieces(row.id)?;
        for blob in pieces.iter().map(|piece| piece.blob).chain(row.blob) {
            txn.blob_hold_again(blob)?;
        }
        let details = details::text(&details);
        let new = NewVersion {
            key: &key,
            size: row.size,
            etag: &row.etag,
            blob: row.blob,
            details: &details,
            marker: false,
            deed: Deed::Copy,
        };
        let put = versions::put(txn, &bucket, new, now)?;
        for piece in &pieces {
            txn.object_piece_insert(put.row, piece)?;
        }
        Ok::<_, S3Error>(put)
    };
    call.objects.write(work).await
}

pub(super) async fn part(call: &Call) -> Result<Response, S3Error> {
    let number = upload::part_number(call)?;
    let target = upload::writable(call).await?;
    let from = readable(call).await?;
    let size = from.row.size;
    let wanted = call.header("x-amz-copy-source-range");
    let range = match (wanted, range::parse(wanted, size)) {
        (None, _) => 0..size,
        (Some(text), Asked::Part(range)) if text.ends_with(&format!("-{}", range.end - 1)) => range,
        (Some(_), Asked::Whole) => {
            return Err(Code::InvalidArgument
                .says("The x-amz-copy-source-range value must be of the form bytes=first-last"));
        }
        (Some(_), _) => return Err(Code::InvalidRange.into()),
    };
    let key = encryption::key_for(call, encryption::SOURCE, from.details.encryption.as_ref())?;
    let mut promise = Promise::default();
    promise.length = Some(range.end - range.start);
    let bytes =
        content::stream(&call.objects.inner.vault, &from.pieces, range, key.as_ref()).await?;
    let part = upload::store_part(call, &target, number, &mut promise, Body::from(bytes)).await?;
    let mut response = xml(Xml::document("CopyPartResult", |xml| {
        xml.text("LastModified", &dates::iso(part.modified));
        xml.text("ETag", &format!("\"{}\"", part.etag));
        if let Some(sum) = &part.checksum {
            xml.text(&format!("Checksum{}", sum.algorithm.name()), &sum.value);
        }
    }));
    encryption::headers(&mut response, part.encryption.as_ref());
    if from.bucket.versioning != bucket::Versioning::Off {
        set(&mut response, "x-amz-copy-source-version-id", &from.row.version);
    }
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Option<(&str, &str, Option<&str>)>) {
        let found = source(text).ok();
        let found = found.as_ref().map(|(b, k, v)| (b.as_str(), k.as_str(), v.as_deref()));
        assert_eq!(found, expected, "{text}");
    }

    #[test]
    fn sources_are_decoded_and_may_name_a_version() {
        check("/b/a%20b", Some(("b", "a b", None)));
        check("b/k?versionId=1", Some(("b", "k", Some("1"))));
        check("b/k?versionId=", None);
        check("b", None);
        check("/b/", None);
    }
}
