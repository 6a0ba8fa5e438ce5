//! Deleting one object or many.

use super::{
    access::{self, Context, authorize, is_allowed},
    call::Call,
    conditions,
    error::{Code, S3Error},
    object::{bucket_of, version_header},
    route::{document, empty, set, xml},
    xml::Xml,
};
use crate::{
    bucket::{self, Bucket},
    versions::{self, Deleted},
};
use axum::response::Response;
use base::time::Timestamp;
use http::StatusCode;

/// Keys of one request, as on S3.
const KEYS_MAX: usize = 1000;

fn delete(
    txn: &mut store::Txn<'_>,
    bucket: &Bucket,
    key: &str,
    version: Option<&str>,
    now: Timestamp,
) -> Result<Deleted, store::Error> {
    let Some(version) = version else { return versions::delete(txn, bucket, key, now) };
    match txn.object_version(bucket.id, key, version)? {
        Some(row) => versions::delete_version(txn, &row, now),
        None => Ok(Deleted { marker: false, version: Some(version.to_owned()) }),
    }
}

pub(super) async fn one(call: &Call) -> Result<Response, S3Error> {
    let bucket = bucket_of(call).await?;
    let action = if call.version().is_some() { access::DELETE_VERSION } else { access::DELETE };
    authorize(call, &action, &bucket, Context::default())?;
    let (name, key, now) = (call.bucket.clone(), call.key.clone(), call.now);
    let version = call.version().map(str::to_owned);
    let condition = conditions::Write::of(call);
    let work = move |txn: &mut store::Txn<'_>| {
        let bucket = bucket::get(txn, &name)?;
        condition.check(txn.object_latest(bucket.id, &key)?.as_ref())?;
        Ok::<_, S3Error>(delete(txn, &bucket, &key, version.as_deref(), now)?)
    };
    let deleted = call.objects.write(work).await?;
    let mut response = empty(StatusCode::NO_CONTENT);
    version_header(&mut response, deleted.version.as_deref());
    if deleted.marker {
        set(&mut response, "x-amz-delete-marker", "true");
    }
    Ok(response)
}

pub(super) async fn many(call: &mut Call) -> Result<Response, S3Error> {
    let bucket = bucket_of(call).await?;
    let root = document(call).await?;
    let quiet = root.text_of("Quiet").is_some_and(|text| text.eq_ignore_ascii_case("true"));
    let mut wanted = Vec::new();
    for one in root.all("Object") {
        let key = one.text_of("Key").filter(|key| !key.is_empty()).ok_or(Code::MalformedXML)?;
        let version = one.text_of("VersionId").filter(|version| !version.is_empty());
        wanted.push((key.to_owned(), version.map(str::to_owned)));
    }
    if root.name != "Delete" || wanted.is_empty() || wanted.len() > KEYS_MAX {
        return Err(Code::MalformedXML.into());
    }
    let (allowed, denied): (Vec<_>, Vec<_>) = wanted.into_iter().partition(|(key, version)| {
        let action = if version.is_some() { access::DELETE_VERSION } else { access::DELETE };
        is_allowed(call, &action, &bucket, Context { key: Some(key), ..Context::default() })
    });
    let (name, now) = (call.bucket.clone(), call.now);
    let work = move |txn: &mut store::Txn<'_>| {
        let bucket = bucket::get(txn, &name)?;
        let mut done = Vec::new();
        for (key, version) in allowed {
            let deleted = delete(txn, &bucket, &key, version.as_deref(), now)?;
            done.push((key, version, deleted));
        }
        Ok::<_, S3Error>(done)
    };
    let done = call.objects.write(work).await?;
    Ok(xml(Xml::document("DeleteResult", |xml| {
        for (key, version, deleted) in done.iter().filter(|_| !quiet) {
            xml.nest("Deleted", |xml| deleted_line(xml, key, version.as_deref(), deleted));
        }
        for (key, version) in &denied {
            xml.nest("Error", |xml| {
                xml.text("Key", key);
                xml.optional("VersionId", version.as_deref());
                xml.text("Code", "AccessDenied");
                xml.text("Message", "Access Denied");
            });
        }
    })))
}

fn deleted_line(xml: &mut Xml, key: &str, asked: Option<&str>, deleted: &Deleted) {
    xml.text("Key", key);
    xml.optional("VersionId", asked);
    if deleted.marker {
        xml.text("DeleteMarker", "true");
        xml.optional("DeleteMarkerVersionId", deleted.version.as_deref());
    }
}
