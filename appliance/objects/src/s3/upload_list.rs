//! Listing unfinished uploads and their parts.

use super::{
    access::{self, Context, authorize},
    acl,
    call::Call,
    dates,
    error::S3Error,
    object::{bucket_of, type_name},
    route::xml,
    upload::upload_of,
    xml::Xml,
};
use crate::{
    details::{self, Details, PieceDetails},
    listing::PAGE_MAX,
};
use axum::response::Response;
use std::collections::HashMap;
use store::objects::UploadRow;

pub(super) async fn list_parts(call: &Call) -> Result<Response, S3Error> {
    let bucket = bucket_of(call).await?;
    authorize(call, &access::LIST_PARTS, &bucket, Context::default())?;
    let upload = upload_of(call, bucket.id).await?;
    let limit = call.number("max-parts")?.unwrap_or(PAGE_MAX).min(PAGE_MAX);
    let after = call.number("part-number-marker")?.unwrap_or(0);
    let id = upload.id;
    let mut parts =
        call.objects.read(move |reader| Ok(reader.upload_parts(id, after, limit + 1)?)).await?;
    let more = parts.len() > usize::try_from(limit).unwrap_or(usize::MAX);
    parts.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
    let begun: Details = details::parse(&upload.key, &upload.details)?;
    let names = acl::displays(&call.objects, vec![begun.owner.clone()]).await?;
    Ok(xml(Xml::document("ListPartsResult", |xml| {
        xml.text("Bucket", &call.bucket);
        xml.text("Key", &call.key);
        xml.text("UploadId", &upload.name);
        xml.value("PartNumberMarker", after);
        xml.value("NextPartNumberMarker", parts.last().map_or(0, |part| part.number));
        xml.value("MaxParts", limit);
        xml.value("IsTruncated", more);
        owners(xml, &begun, &names);
        xml.text("StorageClass", begun.class.as_deref().unwrap_or("STANDARD"));
        if let Some(sum) = &begun.checksum {
            xml.text("ChecksumAlgorithm", sum.algorithm.name());
            xml.text("ChecksumType", type_name(sum.composite));
        }
        for part in &parts {
            xml.nest("Part", |xml| {
                xml.value("PartNumber", part.number);
                xml.text("LastModified", &dates::iso(part.modified));
                xml.text("ETag", &format!("\"{}\"", part.etag));
                xml.value("Size", part.size);
                let own = details::parse::<PieceDetails>(&upload.key, &part.details);
                if let Some(sum) = own.ok().and_then(|own| own.checksum) {
                    xml.text(&format!("Checksum{}", sum.algorithm.name()), &sum.value);
                }
            });
        }
    })))
}

/// Who began an upload, and who will own its object: one and the same here.
fn owners(xml: &mut Xml, details: &Details, names: &HashMap<String, String>) {
    let id = details.owner.as_str();
    let name = names.get(id).map_or(id, String::as_str);
    acl::write_owner(xml, "Initiator", id, name);
    acl::write_owner(xml, "Owner", id, name);
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
    let begun: Vec<Details> = uploads
        .iter()
        .map(|upload| details::parse(&upload.key, &upload.details))
        .collect::<Result<_, _>>()?;
    let ids = begun.iter().map(|details| details.owner.clone()).collect();
    let names = acl::displays(&call.objects, ids).await?;
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
        for (upload, details) in uploads.iter().zip(&begun) {
            xml.nest("Upload", |xml| {
                xml.text("Key", &upload.key);
                xml.text("UploadId", &upload.name);
                xml.text("Initiated", &dates::iso(upload.started));
                owners(xml, details, &names);
                xml.text("StorageClass", details.class.as_deref().unwrap_or("STANDARD"));
            });
        }
    })))
}
