//! `GetObjectAttributes`: what is known of an object, as far as it is asked for.

use super::{
    access::{Context, authorize},
    call::Call,
    dates, encryption,
    error::{Code, S3Error},
    meta::{self, Pair},
    object::{type_name, version_header},
    read::{action, located},
    route::{set, xml},
    xml::Xml,
};
use crate::{
    bucket, content::Piece, details::Checksum, keys::Verb, listing::PAGE_MAX, located::Located,
};
use axum::response::Response;

const ATTRIBUTES: Pair =
    meta::pair(["s3:GetObjectAttributes", "s3:GetObjectVersionAttributes"], Verb::Read, "READ");

const KNOWN: [&str; 5] = ["ETag", "Checksum", "ObjectParts", "StorageClass", "ObjectSize"];

/// The attributes that the header names.
fn wanted(call: &Call) -> Result<Vec<String>, S3Error> {
    let values = call.headers.get_all("x-amz-object-attributes");
    let names: Vec<String> = values
        .iter()
        .filter_map(super::call::text_of)
        .flat_map(|text| text.split(','))
        .map(|name| name.trim().to_owned())
        .filter(|name| !name.is_empty())
        .collect();
    if names.is_empty() || names.iter().any(|name| !KNOWN.contains(&name.as_str())) {
        return Err(Code::InvalidArgument.says("Invalid attribute name specified."));
    }
    Ok(names)
}

fn header_number(call: &Call, name: &str) -> Result<Option<u32>, S3Error> {
    let bad = |_| Code::InvalidArgument.says(format!("{name} is not a number"));
    call.header(name).map(|text| text.trim().parse().map_err(bad)).transpose()
}

fn sum(xml: &mut Xml, sum: &Checksum) {
    xml.text(&format!("Checksum{}", sum.algorithm.name()), &sum.value);
}

pub(super) async fn get(call: &Call) -> Result<Response, S3Error> {
    let located = located(call, &action(call)).await?;
    let context = Context { object: Some(&located.details), ..Context::default() };
    authorize(call, &meta::asked(call, ATTRIBUTES), &located.bucket, context)?;
    encryption::key_for(call, encryption::OWN, located.details.encryption.as_ref())?;
    let names = wanted(call)?;
    let limit = header_number(call, "x-amz-max-parts")?.unwrap_or(PAGE_MAX).min(PAGE_MAX);
    let after = header_number(call, "x-amz-part-number-marker")?.unwrap_or(0);
    let has = |name: &str| names.iter().any(|one| one == name);
    let details = &located.details;
    let mut response = xml(Xml::document("GetObjectAttributesResponse", |xml| {
        if has("ETag") {
            xml.text("ETag", &located.row.etag);
        }
        if let Some(whole) = details.checksum.as_ref().filter(|_| has("Checksum")) {
            xml.nest("Checksum", |xml| {
                sum(xml, whole);
                xml.text("ChecksumType", type_name(whole.composite));
            });
        }
        if has("ObjectParts") && details.parts.is_some() {
            xml.nest("ObjectParts", |xml| parts(xml, &located, after, limit));
        }
        if has("StorageClass") {
            xml.text("StorageClass", details.class.as_deref().unwrap_or("STANDARD"));
        }
        if has("ObjectSize") {
            xml.value("ObjectSize", located.row.size);
        }
    }));
    set(&mut response, "last-modified", &dates::http(located.row.modified));
    let versioned = located.bucket.versioning != bucket::Versioning::Off;
    version_header(&mut response, versioned.then_some(&located.row.version));
    Ok(response)
}

fn parts(xml: &mut Xml, located: &Located, after: u32, limit: u32) {
    let limit_size = usize::try_from(limit).unwrap_or(usize::MAX);
    let mut behind = located.pieces.iter().filter(|piece| piece.number > after).peekable();
    let page: Vec<&Piece> = behind.by_ref().take(limit_size).collect();
    xml.value("PartsCount", located.pieces.len());
    xml.value("PartNumberMarker", after);
    xml.value("NextPartNumberMarker", page.last().map_or(after, |piece| piece.number));
    xml.value("MaxParts", limit);
    xml.value("IsTruncated", behind.peek().is_some());
    for piece in page {
        xml.nest("Part", |xml| {
            xml.value("PartNumber", piece.number);
            xml.value("Size", piece.size);
            if let Some(own) = &piece.details.checksum {
                sum(xml, own);
            }
        });
    }
}
