//! Uploads in parts. Completing writes rows only: the parts' bytes stay where they are.

use super::{
    access::{self, Context, authorize},
    call::Call,
    conditions, dates,
    error::{Code, S3Error},
    object::{bucket_of, details_of, version_header},
    payload::{self, Promise},
    route::{document, empty, set, xml},
    xml::{Element, Xml},
};
use crate::{
    bucket,
    details::{self, Checksum, Details, PieceDetails},
    digest,
    ingest::Plan,
    listing::PAGE_MAX,
    versions::{self, NewVersion},
};
use axum::response::Response;
use base::time::Timestamp;
use http::StatusCode;
use store::objects::{NewPart, PartRow, PieceRow, UploadRow};

/// Every part but the last has at least so many bytes, as on S3.
const PART_MIN: u64 = 5 << 20;

/// Part numbers end here, as on S3.
const PARTS_MAX: u32 = 10_000;

pub(super) async fn create(call: &Call) -> Result<Response, S3Error> {
    let bucket = bucket_of(call).await?;
    authorize(call, &access::PUT, &bucket, Context::default())?;
    let details = details::text(&details_of(call, &bucket).await?);
    let name = digest::hex(&crate::seal::random::<20>());
    let (upload, key, now) = (name.clone(), call.key.clone(), call.now);
    call.objects
        .write(move |txn| {
            Ok::<_, S3Error>(txn.upload_insert(bucket.id, &key, &upload, now, &details)?)
        })
        .await?;
    Ok(xml(Xml::document("InitiateMultipartUploadResult", |xml| {
        xml.text("Bucket", &call.bucket);
        xml.text("Key", &call.key);
        xml.text("UploadId", &name);
    })))
}

/// The upload of the call.
async fn upload_of(call: &Call, bucket: i64) -> Result<UploadRow, S3Error> {
    let name = call.param("uploadId").unwrap_or_default().to_owned();
    let found = call.objects.read(move |reader| Ok(reader.upload_get(&name)?)).await?;
    let fits = found.filter(|upload| upload.bucket == bucket && upload.key == call.key);
    Ok(fits.ok_or(Code::NoSuchUpload)?)
}

/// The part number of the call.
pub(super) fn part_number(call: &Call) -> Result<u32, S3Error> {
    let number = call.number("partNumber")?.filter(|number| (1..=PARTS_MAX).contains(number));
    number.ok_or_else(|| {
        Code::InvalidArgument.says("Part number must be an integer between 1 and 10000, inclusive")
    })
}

/// The upload of the call, if its caller may write to it.
pub(super) async fn writable(call: &Call) -> Result<UploadRow, S3Error> {
    let bucket = bucket_of(call).await?;
    authorize(call, &access::PUT, &bucket, Context::default())?;
    upload_of(call, bucket.id).await
}

pub(super) async fn put_part(call: &mut Call) -> Result<Response, S3Error> {
    let number = part_number(call)?;
    let upload = writable(call).await?;
    let promise = Promise::of(call)?;
    let wanted = promise.sums();
    let body = payload::stream(call, &promise);
    let ingested = call.objects.ingest(body, &Plan { wrap: None, sums: &wanted }).await?;
    let checksum = promise.check(&ingested.summed)?.map(|(algorithm, value)| Checksum {
        algorithm,
        value: digest::base64(&value),
        composite: false,
    });
    let etag = digest::hex(&ingested.summed.md5);
    let mut response = empty(StatusCode::OK);
    set(&mut response, "etag", &format!("\"{etag}\""));
    if let Some(sum) = &checksum {
        set(&mut response, sum.algorithm.header(), &sum.value);
    }
    let (size, blob, now) = (ingested.summed.size, ingested.blob.clone(), call.now);
    let details = details::text(&PieceDetails { seal: None, checksum });
    let work = move |txn: &mut store::Txn<'_>| {
        txn.upload_get(&upload.name)?.ok_or(Code::NoSuchUpload)?;
        let held = txn.blob_hold(&blob)?;
        let (upload, etag, details) = (upload.id, etag.as_str(), details.as_str());
        txn.upload_part_put(&NewPart {
            upload,
            number,
            size,
            etag,
            modified: now,
            blob: held.id,
            details,
        })?;
        Ok::<_, S3Error>(held)
    };
    let held = call.objects.write(work).await?;
    ingested.settle(held);
    Ok(response)
}

pub(super) async fn abort(call: &Call) -> Result<Response, S3Error> {
    let bucket = bucket_of(call).await?;
    authorize(call, &access::ABORT, &bucket, Context::default())?;
    let upload = upload_of(call, bucket.id).await?;
    let now = call.now;
    call.objects.write(move |txn| Ok::<_, S3Error>(txn.upload_delete(upload.id, now)?)).await?;
    Ok(empty(StatusCode::NO_CONTENT))
}

/// Numbers and ETags that a client lists.
fn listed(root: &Element) -> Result<Vec<(u32, String)>, S3Error> {
    let part = |part: &Element| {
        let number = part.text_of("PartNumber").and_then(|text| text.trim().parse().ok());
        let etag = part.text_of("ETag").map(|text| text.trim().trim_matches('"').to_owned());
        number.zip(etag).ok_or_else(|| Code::MalformedXML.into())
    };
    let parts: Vec<_> = root.all("Part").map(part).collect::<Result<_, S3Error>>()?;
    if root.name != "CompleteMultipartUpload" || parts.is_empty() {
        return Err(Code::MalformedXML.into());
    }
    if parts.windows(2).any(|pair| pair[0].0 >= pair[1].0) {
        return Err(Code::InvalidPartOrder.into());
    }
    Ok(parts)
}

/// The stored parts that a client lists, checked, pure.
fn chosen(stored: &[PartRow], wanted: &[(u32, String)]) -> Result<Vec<PartRow>, S3Error> {
    let mut parts = Vec::with_capacity(wanted.len());
    for (number, etag) in wanted {
        let part = stored.iter().find(|part| part.number == *number && part.etag == *etag);
        parts.push(part.ok_or(Code::InvalidPart)?.clone());
    }
    let short =
        parts.split_last().is_some_and(|(_, rest)| rest.iter().any(|part| part.size < PART_MIN));
    if short { Err(Code::EntityTooSmall.into()) } else { Ok(parts) }
}

/// The ETag of an object in parts: MD5 of their MD5s, and their number.
fn etag_of(parts: &[PartRow]) -> String {
    let sums: Vec<u8> =
        parts.iter().filter_map(|part| digest::unhex(&part.etag)).flatten().collect();
    format!("{}-{}", digest::hex(&digest::md5(&sums)), parts.len())
}

pub(super) async fn complete(call: &mut Call) -> Result<Response, S3Error> {
    let upload = writable(call).await?;
    let wanted = listed(&document(call).await?)?;
    let (name, now) = (call.bucket.clone(), call.now);
    let condition = conditions::Write::of(call);
    let work =
        move |txn: &mut store::Txn<'_>| finish(txn, &name, &upload, &wanted, &condition, now);
    let (etag, put) = call.objects.write(work).await?;
    let mut response = xml(Xml::document("CompleteMultipartUploadResult", |xml| {
        xml.text("Location", &format!("http://{}/{}/{}", call.host, call.bucket, call.key));
        xml.text("Bucket", &call.bucket);
        xml.text("Key", &call.key);
        xml.text("ETag", &format!("\"{etag}\""));
    }));
    version_header(&mut response, put.version.as_deref());
    Ok(response)
}

fn finish(
    txn: &mut store::Txn<'_>,
    bucket: &str,
    upload: &UploadRow,
    wanted: &[(u32, String)],
    condition: &conditions::Write,
    now: Timestamp,
) -> Result<(String, versions::Put), S3Error> {
    let bucket = bucket::get(txn, bucket)?;
    txn.upload_get(&upload.name)?.ok_or(Code::NoSuchUpload)?;
    condition.check(txn.object_latest(bucket.id, &upload.key)?.as_ref())?;
    let parts = chosen(&txn.upload_parts(upload.id, 0, PARTS_MAX)?, wanted)?;
    let (etag, size) = (etag_of(&parts), parts.iter().map(|part| part.size).sum());
    let mut details: Details = details::parse(&upload.key, &upload.details)?;
    details.parts = u32::try_from(parts.len()).ok();
    let details = details::text(&details);
    let new = NewVersion {
        key: &upload.key,
        size,
        etag: &etag,
        blob: None,
        details: &details,
        marker: false,
    };
    let put = versions::put(txn, &bucket, new, now)?;
    for part in parts {
        txn.blob_hold_again(part.blob)?;
        let piece = PieceRow {
            number: part.number,
            size: part.size,
            blob: part.blob,
            details: part.details,
        };
        txn.object_piece_insert(put.row, &piece)?;
    }
    txn.upload_delete(upload.id, now)?;
    Ok((etag, put))
}

pub(super) async fn list_parts(call: &Call) -> Result<Response, S3Error> {
    let bucket = bucket_of(call).await?;
    authorize(call, &access::LIST_PARTS, &bucket, Context::default())?;
    let upload = upload_of(call, bucket.id).await?;
    let limit = call.number("max-parts")?.unwrap_or(PAGE_MAX).min(PAGE_MAX);
    let after = call.number("part-number-marker")?.unwrap_or(0);
    let mut parts = call
        .objects
        .read(move |reader| Ok(reader.upload_parts(upload.id, after, limit + 1)?))
        .await?;
    let more = parts.len() > usize::try_from(limit).unwrap_or(usize::MAX);
    parts.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
    Ok(xml(Xml::document("ListPartsResult", |xml| {
        xml.text("Bucket", &call.bucket);
        xml.text("Key", &call.key);
        xml.text("UploadId", &upload.name);
        xml.value("PartNumberMarker", after);
        xml.value("NextPartNumberMarker", parts.last().map_or(0, |part| part.number));
        xml.value("MaxParts", limit);
        xml.value("IsTruncated", more);
        xml.text("StorageClass", "STANDARD");
        for part in &parts {
            xml.nest("Part", |xml| {
                xml.value("PartNumber", part.number);
                xml.text("LastModified", &dates::iso(part.modified));
                xml.text("ETag", &format!("\"{}\"", part.etag));
                xml.value("Size", part.size);
            });
        }
    })))
}

pub(super) async fn list(call: &Call) -> Result<Response, S3Error> {
    let bucket = bucket_of(call).await?;
    authorize(call, &access::LIST_UPLOADS, &bucket, Context::default())?;
    let limit = call.number("max-uploads")?.unwrap_or(PAGE_MAX).min(PAGE_MAX);
    let prefix = call.param("prefix").unwrap_or_default().to_owned();
    let marker = call.param("key-marker").unwrap_or_default().to_owned();
    let upload_marker = call.param("upload-id-marker").unwrap_or_default().to_owned();
    let start = if marker < prefix { prefix.clone() } else { marker };
    let work = move |reader: &store::Reader<'_>| {
        let after = match upload_marker.as_str() {
            "" if start.is_empty() => 0,
            "" => 0,
            name => reader.upload_get(name)?.map_or(i64::MAX, |upload| upload.id),
        };
        Ok(reader.upload_list(bucket.id, &start, after, limit + 1)?)
    };
    let mut uploads: Vec<UploadRow> = call.objects.read(work).await?;
    uploads.retain(|upload| upload.key.starts_with(&prefix));
    let more = uploads.len() > usize::try_from(limit).unwrap_or(usize::MAX);
    uploads.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
    Ok(xml(Xml::document("ListMultipartUploadsResult", |xml| {
        xml.text("Bucket", &call.bucket);
        xml.text("Prefix", &prefix);
        xml.text("KeyMarker", call.param("key-marker").unwrap_or_default());
        xml.text("UploadIdMarker", call.param("upload-id-marker").unwrap_or_default());
        xml.value("MaxUploads", limit);
        xml.value("IsTruncated", more);
        if let Some(last) = uploads.last().filter(|_| more) {
            xml.text("NextKeyMarker", &last.key);
            xml.text("NextUploadIdMarker", &last.name);
        }
        for upload in &uploads {
            xml.nest("Upload", |xml| {
                xml.text("Key", &upload.key);
                xml.text("UploadId", &upload.name);
                xml.text("Initiated", &dates::iso(upload.started));
                xml.text("StorageClass", "STANDARD");
            });
        }
    })))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(number: u32, size: u64) -> PartRow {
        let etag = format!("{number:032x}");
        PartRow { number, size, etag, modified: Timestamp(0), blob: 0, details: "{}".into() }
    }

    fn check(wanted: &[(u32, u32)], expected: Result<usize, Code>) {
        let stored = [part(1, PART_MIN), part(2, 7), part(4, PART_MIN)];
        let wanted: Vec<_> =
            wanted.iter().map(|(number, tag)| (*number, format!("{tag:032x}"))).collect();
        let found = chosen(&stored, &wanted).map(|parts| parts.len()).map_err(|error| error.code);
        assert_eq!(found, expected, "{wanted:?}");
    }

    #[test]
    fn only_stored_parts_of_full_size_complete_an_upload() {
        check(&[(1, 1), (2, 2)], Ok(2));
        check(&[(2, 2)], Ok(1));
        check(&[(2, 2), (4, 4)], Err(Code::EntityTooSmall));
        check(&[(1, 9)], Err(Code::InvalidPart));
        check(&[(3, 3)], Err(Code::InvalidPart));
    }
}
