//! Deleting one object or many.

use super::{
    access::{self, Action, Context, authorize, is_allowed},
    call::Call,
    conditions,
    error::{Code, S3Error},
    journal::Gone,
    lock as s3_lock,
    object::{bucket_of, version_header},
    route::{document, empty, set, xml},
    xml::{Element, Xml},
};
use crate::{
    bucket::{self, Bucket},
    details::{self, Details},
    lock,
    notify::Cause,
    objects::now,
    versions::{self, Deleted},
};
use axum::response::Response;
use base::time::Timestamp;
use http::StatusCode;

/// Keys of one request, as on S3.
const KEYS_MAX: usize = 1000;

/// One thing to be deleted.
#[derive(Debug, Clone, Default)]
pub(super) struct Wanted {
    key: String,
    version: Option<String>,
    condition: conditions::Delete,
}

/// What may be removed although it is retained.
#[derive(Debug, Clone, Copy)]
struct Terms {
    bypass: bool,
}

fn delete(
    txn: &mut store::Txn<'_>,
    bucket: &Bucket,
    wanted: &Wanted,
    terms: Terms,
    now: Timestamp,
) -> Result<Deleted, S3Error> {
    let Wanted { key, version, condition } = wanted;
    let row = match version {
        Some(version) => txn.object_version(bucket.id, key, version)?,
        None => txn.object_latest(bucket.id, key)?,
    };
    condition.check(row.as_ref())?;
    if row.is_none() && condition.is_set() {
        return Ok(Deleted::default());
    }
    let Some(version) = version else {
        return Ok(versions::delete(txn, bucket, key, Cause::Asked, now)?);
    };
    let Some(row) = row else {
        return Ok(Deleted { marker: false, version: Some(version.clone()) });
    };
    let details: Details = details::parse(key, &row.details)?;
    if !lock::permits_removal(&details, now, terms.bypass) {
        return Err(s3_lock::locked());
    }
    Ok(versions::delete_version(txn, bucket, &row, Cause::Asked, now)?)
}

fn action(version: Option<&str>) -> Action {
    if version.is_some() { access::DELETE_VERSION } else { access::DELETE }
}

pub(super) async fn one(call: &Call) -> Result<Response, S3Error> {
    let bucket = bucket_of(call).await?;
    authorize(call, &action(call.version()), &bucket, Context::default())?;
    let wanted = Wanted {
        key: call.key.clone(),
        version: call.version().map(str::to_owned),
        condition: conditions::Delete::of(call)?,
    };
    let terms = Terms { bypass: s3_lock::bypass(call, &bucket, &call.key) };
    let name = call.bucket.clone();
    let work = move |txn: &mut store::Txn<'_>| {
        let bucket = bucket::get(txn, &name)?;
        delete(txn, &bucket, &wanted, terms, now())
    };
    let deleted = call.objects.write(work).await?;
    let mut response = empty(StatusCode::NO_CONTENT);
    version_header(&mut response, deleted.version.as_deref());
    if deleted.marker {
        set(&mut response, "x-amz-delete-marker", "true");
    }
    Ok(response)
}

/// What a document asks to delete, and whether only failures are to be told.
pub(super) fn listed(root: &Element) -> Result<(Vec<Wanted>, bool), S3Error> {
    let quiet = root.text_of("Quiet").is_some_and(|text| text.eq_ignore_ascii_case("true"));
    let mut wanted = Vec::new();
    for one in root.all("Object") {
        let key = one.text_of("Key").filter(|key| !key.is_empty()).ok_or(Code::MalformedXML)?;
        let version = one.text_of("VersionId").filter(|version| !version.is_empty());
        let condition = conditions::Delete::of_texts(
            one.text_of("ETag"),
            one.text_of("LastModifiedTime"),
            one.text_of("Size"),
        )?;
        let (key, version) = (key.to_owned(), version.map(str::to_owned));
        wanted.push(Wanted { key, version, condition });
    }
    if root.name != "Delete" || wanted.is_empty() || wanted.len() > KEYS_MAX {
        return Err(Code::MalformedXML.into());
    }
    Ok((wanted, quiet))
}

/// How one of many may be deleted; `None` when it may not.
fn terms(call: &Call, bucket: &Bucket, one: &Wanted) -> Option<Terms> {
    let (key, version) = (Some(one.key.as_str()), one.version.as_deref());
    let context = Context { key, version, ..Context::default() };
    let allowed = is_allowed(call, &action(version), bucket, context);
    let bypass = || s3_lock::bypass(call, bucket, &one.key);
    allowed.then(|| Terms { bypass: bypass() })
}

pub(super) async fn many(call: &mut Call) -> Result<Response, S3Error> {
    let bucket = bucket_of(call).await?;
    let (wanted, quiet) = listed(&document(call).await?)?;
    let judged: Vec<(Wanted, Option<Terms>)> = wanted
        .into_iter()
        .map(|one| {
            let terms = terms(call, &bucket, &one);
            (one, terms)
        })
        .collect();
    let name = call.bucket.clone();
    let work = move |txn: &mut store::Txn<'_>| {
        let (bucket, now) = (bucket::get(txn, &name)?, now());
        let mut done = Vec::new();
        for (one, terms) in judged {
            let result = match terms {
                Some(terms) => delete(txn, &bucket, &one, terms, now),
                None => Err(Code::AccessDenied.into()),
            };
            match result {
                // A failure of the store undoes all; a refusal is of this object alone.
                Err(error) if error.status().is_server_error() => return Err(error),
                result => done.push((one, result)),
            }
        }
        Ok::<_, S3Error>(done)
    };
    let done = call.objects.write(work).await?;
    if call.objects.inner.access_logs.is_on() {
        call.gone = done.iter().map(gone).collect();
    }
    Ok(xml(Xml::document("DeleteResult", |xml| {
        for (one, result) in &done {
            match result {
                Ok(_) if quiet => {}
                Ok(deleted) => xml.nest("Deleted", |xml| {
                    deleted_line(xml, &one.key, one.version.as_deref(), deleted);
                }),
                Err(error) => xml.nest("Error", |xml| {
                    xml.text("Key", &one.key);
                    xml.optional("VersionId", one.version.as_deref());
                    xml.text("Code", error.code.name());
                    xml.text("Message", error.message());
                }),
            }
        }
    })))
}

/// For the access log.
fn gone((one, result): &(Wanted, Result<Deleted, S3Error>)) -> Gone {
    let (key, version) = (one.key.clone(), one.version.clone());
    Gone { key, version, error: result.as_ref().err().cloned() }
}

fn deleted_line(xml: &mut Xml, key: &str, asked: Option<&str>, deleted: &Deleted) {
    xml.text("Key", key);
    xml.optional("VersionId", asked);
    if deleted.marker {
        xml.text("DeleteMarker", "true");
        xml.optional("DeleteMarkerVersionId", deleted.version.as_deref());
    }
}
