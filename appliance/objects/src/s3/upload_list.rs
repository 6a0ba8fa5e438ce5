//! Listing unfinished uploads and their parts.

use super::{
    access::{self, Context, authorize},
    acl,
    call::Call,
    dates,
    error::S3Error,
    list::encoder,
    object::{bucket_of, type_name},
    route::xml,
    upload::upload_of,
    xml::Xml,
};
use crate::{
    details::{self, Details, PieceDetails},
    listing::PAGE_MAX,
    version_listing::{self, Line, Listed, Page},
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
    let encode = encoder(call)?;
    let query = version_listing::Query {
        prefix: call.param("prefix").unwrap_or_default().to_owned(),
        delimiter: call.param("delimiter").unwrap_or_default().to_owned(),
        key_after: call.param("key-marker").unwrap_or_default().to_owned(),
        id_after: call.param("upload-id-marker").filter(|id| !id.is_empty()).map(str::to_owned),
        limit: call.number("max-uploads")?.unwrap_or(PAGE_MAX).min(PAGE_MAX),
    };
    let asked = query.clone();
    let work = move |reader: &store::Reader<'_>| version_listing::page(reader, bucket.id, &asked);
    let page: Page<UploadRow> = call.objects.read(work).await?;
    let mut begun = HashMap::new();
    for line in &page.lines {
        if let Line::Row(upload) = line {
            begun.insert(upload.id, details::parse::<Details>(&upload.key, &upload.details)?);
        }
    }
    let ids = begun.values().map(|details| details.owner.clone()).collect();
    let names = acl::displays(&call.objects, ids).await?;
    Ok(xml(Xml::document("ListMultipartUploadsResult", |xml| {
        xml.text("Bucket", &call.bucket);
        xml.text("Prefix", &encode(&query.prefix));
        xml.text("KeyMarker", &encode(&query.key_after));
        xml.text("UploadIdMarker", query.id_after.as_deref().unwrap_or_default());
        xml.optional("Delimiter", call.param("delimiter").map(encode).as_deref());
        xml.value("MaxUploads", query.limit);
        xml.value("IsTruncated", page.more);
        xml.optional("EncodingType", call.param("encoding-type").filter(|text| !text.is_empty()));
        match page.lines.last().filter(|_| page.more) {
            Some(Line::Row(last)) => {
                xml.text("NextKeyMarker", &encode(&last.key));
                xml.text("NextUploadIdMarker", &last.mark());
            }
            Some(Line::Prefix(prefix)) => xml.text("NextKeyMarker", &encode(prefix)),
            None => {}
        }
        for line in &page.lines {
            match line {
                Line::Row(upload) => {
                    line_of(xml, upload, encode, begun.get(&upload.id), &names);
                }
                Line::Prefix(prefix) => {
                    xml.nest("CommonPrefixes", |xml| xml.text("Prefix", &encode(prefix)));
                }
            }
        }
    })))
}

fn line_of(
    xml: &mut Xml,
    upload: &UploadRow,
    encode: fn(&str) -> String,
    details: Option<&Details>,
    names: &HashMap<String, String>,
) {
    xml.nest("Upload", |xml| {
        xml.text("Key", &encode(&upload.key));
        xml.text("UploadId", &upload.name);
        xml.text("Initiated", &dates::iso(upload.started));
        if let Some(details) = details {
            owners(xml, details, names);
            xml.text("StorageClass", details.class.as_deref().unwrap_or("STANDARD"));
        }
    });
}
