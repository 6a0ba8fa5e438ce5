//! Listing objects: version 1, version 2, and all versions.

use super::{
    access::{self, Context, authorize},
    acl,
    call::Call,
    dates,
    error::{Code, S3Error},
    object::{bucket_of, type_name},
    route::xml,
    xml::Xml,
};
use crate::{
    details::{self, Details},
    digest,
    listing::{self, Line, PAGE_MAX, Query},
    sigv4::encode_path,
    version_listing::{self, Listed, Page},
};
use axum::response::Response;
use std::collections::{BTreeSet, HashMap};
use store::objects::ObjectRow;

/// Names as the client wants them: plain, or URL-encoded.
pub(super) fn encoder(call: &Call) -> Result<fn(&str) -> String, S3Error> {
    match call.param("encoding-type") {
        None | Some("") => Ok(str::to_owned),
        Some("url") => Ok(|text| encode_path(text.as_bytes())),
        Some(_) => Err(Code::InvalidArgument.says("Invalid Encoding Method specified in Request")),
    }
}

fn after(call: &Call, second: bool) -> Result<String, S3Error> {
    if !second {
        return Ok(call.param("marker").unwrap_or_default().to_owned());
    }
    match call.param("continuation-token") {
        Some(token) if !token.is_empty() => {
            let text = digest::unbase64(token).and_then(|bytes| String::from_utf8(bytes).ok());
            text.ok_or_else(|| {
                Code::InvalidArgument.says("The continuation token provided is incorrect")
            })
        }
        _ => Ok(call.param("start-after").unwrap_or_default().to_owned()),
    }
}

pub(super) async fn objects(call: &Call) -> Result<Response, S3Error> {
    let bucket = bucket_of(call).await?;
    authorize(call, &access::LIST, &bucket, Context::default())?;
    let second = call.param("list-type") == Some("2");
    let encode = encoder(call)?;
    let query = Query {
        prefix: call.param("prefix").unwrap_or_default().to_owned(),
        delimiter: call.param("delimiter").unwrap_or_default().to_owned(),
        after: after(call, second)?,
        limit: call.number("max-keys")?.unwrap_or(PAGE_MAX).min(PAGE_MAX),
    };
    let asked = query.clone();
    let lines = call.objects.read(move |reader| listing::page(reader, bucket.id, &asked)).await?;
    let last = lines.lines.last().filter(|_| lines.more).map(Line::name);
    let with_owner = !second || call.param("fetch-owner") == Some("true");
    let rows = lines.lines.iter().filter_map(|line| match line {
        Line::Object(row) => Some(&**row),
        Line::Prefix(_) => None,
    });
    let names = if with_owner { Some(names_of(call, rows).await?) } else { None };
    Ok(xml(Xml::document("ListBucketResult", |xml| {
        xml.text("Name", &call.bucket);
        xml.text("Prefix", &encode(&query.prefix));
        xml.optional(
            "Delimiter",
            Some(encode(&query.delimiter)).filter(|text| !text.is_empty()).as_deref(),
        );
        xml.value("MaxKeys", query.limit);
        xml.value("IsTruncated", lines.more);
        xml.optional("EncodingType", call.param("encoding-type").filter(|text| !text.is_empty()));
        if second {
            xml.value("KeyCount", lines.lines.len());
            xml.optional("ContinuationToken", call.param("continuation-token"));
            xml.optional("StartAfter", call.param("start-after").map(encode).as_deref());
            let token = last.map(|name| digest::base64(name.as_bytes()));
            xml.optional("NextContinuationToken", token.as_deref());
        } else {
            xml.text("Marker", &encode(&query.after));
            xml.optional("NextMarker", last.map(encode).as_deref());
        }
        for line in &lines.lines {
            match line {
                Line::Object(row) => contents(xml, row, encode, names.as_ref()),
                Line::Prefix(prefix) => {
                    xml.nest("CommonPrefixes", |xml| xml.text("Prefix", &encode(prefix)));
                }
            }
        }
    })))
}

/// What a line tells of its row's details.
fn details_of(row: &ObjectRow) -> Details {
    details::parse(&row.key, &row.details).unwrap_or_default()
}

/// Names of the owners of all lines, each looked up once.
async fn names_of(
    call: &Call,
    rows: impl Iterator<Item = &ObjectRow>,
) -> Result<HashMap<String, String>, S3Error> {
    let ids: BTreeSet<String> = rows.map(|row| details_of(row).owner).collect();
    acl::displays(&call.objects, ids.into_iter().collect()).await
}

fn write_owner(xml: &mut Xml, id: &str, names: &HashMap<String, String>) {
    acl::write_owner(xml, "Owner", id, names.get(id).map_or(id, String::as_str));
}

fn contents(
    xml: &mut Xml,
    row: &ObjectRow,
    encode: fn(&str) -> String,
    names: Option<&HashMap<String, String>>,
) {
    let details = details_of(row);
    xml.nest("Contents", |xml| {
        xml.text("Key", &encode(&row.key));
        xml.text("LastModified", &dates::iso(row.modified));
        xml.text("ETag", &format!("\"{}\"", row.etag));
        xml.value("Size", row.size);
        if let Some(sum) = &details.checksum {
            xml.text("ChecksumAlgorithm", sum.algorithm.name());
            xml.text("ChecksumType", type_name(sum.composite));
        }
        if let Some(names) = names {
            write_owner(xml, &details.owner, names);
        }
        xml.text("StorageClass", details.class.as_deref().unwrap_or("STANDARD"));
    });
}

pub(super) async fn versions(call: &Call) -> Result<Response, S3Error> {
    let bucket = bucket_of(call).await?;
    authorize(call, &access::LIST_VERSIONS, &bucket, Context::default())?;
    let encode = encoder(call)?;
    let query = version_listing::Query {
        prefix: call.param("prefix").unwrap_or_default().to_owned(),
        delimiter: call.param("delimiter").unwrap_or_default().to_owned(),
        key_after: call.param("key-marker").unwrap_or_default().to_owned(),
        id_after: call.param("version-id-marker").filter(|id| !id.is_empty()).map(str::to_owned),
        limit: call.number("max-keys")?.unwrap_or(PAGE_MAX).min(PAGE_MAX),
    };
    let asked = query.clone();
    let work = move |reader: &store::Reader<'_>| version_listing::page(reader, bucket.id, &asked);
    let page: Page<ObjectRow> = call.objects.read(work).await?;
    let rows = page.lines.iter().filter_map(|line| match line {
        version_listing::Line::Row(row) => Some(row),
        version_listing::Line::Prefix(_) => None,
    });
    let names = names_of(call, rows).await?;
    Ok(xml(Xml::document("ListVersionsResult", |xml| {
        xml.text("Name", &call.bucket);
        xml.text("Prefix", &encode(&query.prefix));
        xml.text("KeyMarker", &encode(&query.key_after));
        xml.text("VersionIdMarker", query.id_after.as_deref().unwrap_or_default());
        xml.optional("Delimiter", call.param("delimiter").map(encode).as_deref());
        xml.value("MaxKeys", query.limit);
        xml.value("IsTruncated", page.more);
        xml.optional("EncodingType", call.param("encoding-type").filter(|text| !text.is_empty()));
        match page.lines.last().filter(|_| page.more) {
            Some(version_listing::Line::Row(row)) => {
                xml.text("NextKeyMarker", &encode(&row.key));
                xml.text("NextVersionIdMarker", &row.mark());
            }
            Some(version_listing::Line::Prefix(prefix)) => {
                xml.text("NextKeyMarker", &encode(prefix));
            }
            None => {}
        }
        for line in &page.lines {
            match line {
                version_listing::Line::Row(row) => version_line(xml, row, encode, &names),
                version_listing::Line::Prefix(prefix) => {
                    xml.nest("CommonPrefixes", |xml| xml.text("Prefix", &encode(prefix)));
                }
            }
        }
    })))
}

fn version_line(
    xml: &mut Xml,
    row: &ObjectRow,
    encode: fn(&str) -> String,
    names: &HashMap<String, String>,
) {
    let details = details_of(row);
    xml.nest(if row.marker { "DeleteMarker" } else { "Version" }, |xml| {
        xml.text("Key", &encode(&row.key));
        xml.text("VersionId", &row.version);
        xml.value("IsLatest", row.latest);
        xml.text("LastModified", &dates::iso(row.modified));
        if !row.marker {
            xml.text("ETag", &format!("\"{}\"", row.etag));
            xml.value("Size", row.size);
            xml.text("StorageClass", details.class.as_deref().unwrap_or("STANDARD"));
        }
        write_owner(xml, &details.owner, names);
    });
}
