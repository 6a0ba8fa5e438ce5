//! Copies: rows that name the same blobs; bytes are moved only for a part of a range.

use super::{
    access::{self, Context, authorize, is_allowed},
    call::Call,
    conditions, dates,
    error::{Code, S3Error},
    object::{bucket_of, details_of, version_header},
    range::{self, Asked},
    route::{set, xml},
    upload,
    xml::Xml,
};
use crate::{
    bucket, content,
    details::{self, Details},
    digest,
    ingest::{Body, Plan},
    objects::Located,
    versions::{self, NewVersion},
};
use axum::response::Response;
use store::objects::{NewPart, PieceRow};

/// Bucket, key and version of `x-amz-copy-source`.
fn source(text: &str) -> Result<(String, String, Option<String>), S3Error> {
    let invalid = || {
        Code::InvalidArgument
            .says("Copy Source must mention the source bucket and key: sourcebucket/sourcekey")
    };
    let (path, version) = match text.split_once("?versionId=") {
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
async fn readable(call: &Call) -> Result<Located, S3Error> {
    let (bucket, key, version) = source(call.header("x-amz-copy-source").unwrap_or_default())?;
    let found = call.objects.locate(&bucket, &key, version.as_deref()).await?;
    let context = Context { object: Some(&found.details), key: Some(&key), tags: None };
    if !is_allowed(call, &access::GET, &found.bucket, context) {
        return Err(Code::AccessDenied.into());
    }
    conditions::read(call, "x-amz-copy-source-", &found.row)?;
    Ok(found)
}

pub(super) async fn object(call: &Call) -> Result<Response, S3Error> {
    let target = bucket_of(call).await?;
    authorize(call, &access::PUT, &target, Context::default())?;
    let from = readable(call).await?;
    let replace = call
        .header("x-amz-metadata-directive")
        .is_some_and(|text| text.eq_ignore_ascii_case("REPLACE"));
    let itself = from.bucket.id == target.id && from.row.key == call.key;
    if itself && !replace && from.row.latest {
        return Err(Code::InvalidRequest.says("This copy request is illegal because it is trying to copy an object to itself without changing the object's metadata, storage class, website redirect location or encryption attributes."));
    }
    let asked = details_of(call, &target).await?;
    let retag = call
        .header("x-amz-tagging-directive")
        .is_some_and(|text| text.eq_ignore_ascii_case("REPLACE"));
    let mut details = Details { owner: asked.owner, grants: asked.grants, ..from.details.clone() };
    if replace {
        (details.headers, details.user) = (asked.headers, asked.user);
    }
    if retag {
        details.tags = asked.tags;
    }
    let put = link(call, &from, details).await?;
    let mut response = xml(Xml::document("CopyObjectResult", |xml| {
        xml.text("LastModified", &dates::iso(call.now));
        xml.text("ETag", &format!("\"{}\"", from.row.etag));
    }));
    version_header(&mut response, put.version.as_deref());
    if from.bucket.versioning != bucket::Versioning::Off {
        set(&mut response, "x-amz-copy-source-version-id", &from.row.version);
    }
    Ok(response)
}

/// Stores a version that names the blobs of `from`, if it is still there.
async fn link(call: &Call, from: &Located, details: Details) -> Result<versions::Put, S3Error> {
    let (name, key, now) = (call.bucket.clone(), call.key.clone(), call.now);
    let (source, condition) = (from.row.clone(), conditions::Write::of(call));
    let work = move |txn: &mut store::Txn<'_>| {
        let bucket = bucket::get(txn, &name)?;
        condition.check(txn.object_latest(bucket.id, &key)?.as_ref())?;
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
    let unwrap = call.objects.wrapping_key(from.details.encryption.as_ref());
    let bytes = content::stream(&call.objects.inner.vault, from.pieces, range, unwrap.as_ref())?;
    let ingested = call.objects.ingest(Body::from(bytes), &Plan::default()).await?;
    let etag = digest::hex(&ingested.summed.md5);
    let (row_etag, size, blob, now) =
        (etag.clone(), ingested.summed.size, ingested.blob.clone(), call.now);
    let work = move |txn: &mut store::Txn<'_>| {
        txn.upload_get(&target.name)?.ok_or(Code::NoSuchUpload)?;
        let held = txn.blob_hold(&blob)?;
        txn.upload_part_put(&NewPart {
            upload: target.id,
            number,
            size,
            etag: &row_etag,
            modified: now,
            blob: held.id,
            details: "{}",
        })?;
        Ok::<_, S3Error>(held)
    };
    let held = call.objects.write(work).await?;
    ingested.settle(held);
    Ok(xml(Xml::document("CopyPartResult", |xml| {
        xml.text("LastModified", &dates::iso(now));
        xml.text("ETag", &format!("\"{etag}\""));
    })))
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
        check("b", None);
        check("/b/", None);
    }
}
