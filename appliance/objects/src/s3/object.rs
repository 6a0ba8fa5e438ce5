//! Objects: put, get, head, tags and lists.

use super::{
    access::{self, Action, Context, Right, authorize},
    acl,
    call::Call,
    conditions, dates,
    error::{Code, S3Error},
    payload::{self, Promise},
    range::{self, Asked},
    route::{document, empty, set, xml},
    tags,
};
use crate::{
    bucket::{self, Bucket},
    content,
    details::{self, Checksum, Details},
    digest,
    ingest::Plan,
    keys::Verb,
    objects::Located,
    versions::{self, NewVersion},
};
use axum::{body::Body, response::Response};
use http::StatusCode;
use std::collections::BTreeMap;

/// Headers that are kept and given back as they came.
const KEPT: [&str; 6] = [
    "cache-control",
    "content-disposition",
    "content-encoding",
    "content-language",
    "content-type",
    "expires",
];

/// Names and values of user metadata together, as on S3.
const USER_MAX: usize = 2048;

/// The bucket of the call.
pub(super) async fn bucket_of(call: &Call) -> Result<Bucket, S3Error> {
    let name = call.bucket.clone();
    Ok(call.objects.read(move |reader| bucket::get(reader, &name)).await?)
}

/// What the headers tell of an object to be stored.
pub(super) async fn details_of(call: &Call, bucket: &Bucket) -> Result<Details, S3Error> {
    for name in [
        "x-amz-server-side-encryption",
        "x-amz-server-side-encryption-customer-algorithm",
        "x-amz-object-lock-mode",
    ] {
        if call.headers.contains_key(name) {
            return Err(
                Code::NotImplemented.says(format!("`{name}` is not implemented by this server."))
            );
        }
    }
    let mut headers = BTreeMap::new();
    for name in KEPT {
        if let Some(value) = call.header(name) {
            let value =
                if name == "content-encoding" { plain_encoding(value) } else { value.to_owned() };
            if !value.is_empty() {
                headers.insert(name.to_owned(), value);
            }
        }
    }
    let owner = match call.who.owner() {
        "" => bucket.owner.clone(),
        _ if access::lists_are_off(bucket) => bucket.owner.clone(),
        owner => owner.to_owned(),
    };
    let grants = acl::from_headers(call, &owner, bucket).await?.flatten();
    let tags = call.header("x-amz-tagging").map(tags::from_header).transpose()?.unwrap_or_default();
    let class =
        call.header("x-amz-storage-class").filter(|class| *class != "STANDARD").map(str::to_owned);
    Ok(Details {
        headers,
        user: user_metadata(call)?,
        tags,
        owner,
        grants,
        class,
        ..Details::default()
    })
}

/// `aws-chunked` is of the transfer, not of the object.
fn plain_encoding(text: &str) -> String {
    let kept: Vec<&str> =
        text.split(',').map(str::trim).filter(|one| *one != "aws-chunked").collect();
    kept.join(", ")
}

fn user_metadata(call: &Call) -> Result<BTreeMap<String, String>, S3Error> {
    let mut user: BTreeMap<String, String> = BTreeMap::new();
    for (name, value) in &call.headers {
        let Some(name) = name.as_str().strip_prefix("x-amz-meta-") else { continue };
        let value = super::call::text_of(value).ok_or(Code::InvalidArgument)?;
        user.entry(name.to_owned())
            .and_modify(|all| {
                all.push(',');
                all.push_str(value);
            })
            .or_insert_with(|| value.to_owned());
    }
    let size: usize = user.iter().map(|(name, value)| name.len() + value.len()).sum();
    if size > USER_MAX { Err(Code::MetadataTooLarge.into()) } else { Ok(user) }
}

pub(super) async fn put(call: &mut Call) -> Result<Response, S3Error> {
    let bucket = bucket_of(call).await?;
    authorize(call, &access::PUT, &bucket, Context::default())?;
    let mut details = details_of(call, &bucket).await?;
    let promise = Promise::of(call)?;
    let wanted = promise.sums();
    let body = payload::stream(call, &promise);
    let ingested = call.objects.ingest(body, &Plan { wrap: None, sums: &wanted }).await?;
    let kept = promise.check(&ingested.summed)?;
    details.checksum = kept.map(|(algorithm, value)| Checksum {
        algorithm,
        value: digest::base64(&value),
        composite: false,
    });
    details.seal = ingested.seal.clone();
    let etag = digest::hex(&ingested.summed.md5);
    let (checksum, row_etag) = (details.checksum.clone(), etag.clone());
    let (name, key, now) = (call.bucket.clone(), call.key.clone(), call.now);
    let (size, blob) = (ingested.summed.size, ingested.blob.clone());
    let condition = conditions::Write::of(call);
    let work = move |txn: &mut store::Txn<'_>| {
        let bucket = bucket::get(txn, &name)?;
        condition.check(txn.object_latest(bucket.id, &key)?.as_ref())?;
        let held = txn.blob_hold(&blob)?;
        let details = details::text(&details);
        let new = NewVersion {
            key: &key,
            size,
            etag: &row_etag,
            blob: Some(held.id),
            details: &details,
            marker: false,
        };
        Ok::<_, S3Error>((held, versions::put(txn, &bucket, new, now)?))
    };
    let (held, put) = call.objects.write(work).await?;
    ingested.settle(held);
    let mut response = empty(StatusCode::OK);
    set(&mut response, "etag", &format!("\"{etag}\""));
    version_header(&mut response, put.version.as_deref());
    checksum_header(&mut response, checksum.as_ref());
    Ok(response)
}

pub(super) fn version_header(response: &mut Response, version: Option<&str>) {
    if let Some(version) = version {
        set(response, "x-amz-version-id", version);
    }
}

fn checksum_header(response: &mut Response, checksum: Option<&Checksum>) {
    if let Some(sum) = checksum {
        set(response, sum.algorithm.header(), &sum.value);
        set(
            response,
            "x-amz-checksum-type",
            if sum.composite { "COMPOSITE" } else { "FULL_OBJECT" },
        );
    }
}

/// Finds the object of the call for a reader; who may not know of it learns nothing.
pub(super) async fn located(call: &Call, action: &Action) -> Result<Located, S3Error> {
    let found = call.objects.locate(&call.bucket, &call.key, call.version()).await;
    match found {
        Ok(located) => {
            let context = Context { object: Some(&located.details), ..Context::default() };
            authorize(call, action, &located.bucket, context)?;
            Ok(located)
        }
        Err(crate::Error::NoObject { .. }) => {
            let bucket = bucket_of(call).await?;
            let code = if call.version().is_some() { Code::NoSuchVersion } else { Code::NoSuchKey };
            Err(access::missing(call, &bucket, code.into()))
        }
        Err(other) => Err(other.into()),
    }
}

pub(super) async fn get(call: &Call, body: bool) -> Result<Response, S3Error> {
    let action = if call.version().is_some() { access::GET_VERSION } else { access::GET };
    let located = located(call, &action).await?;
    conditions::read(call, "", &located.row)?;
    let size = located.row.size;
    let part = match range::parse(call.header("range"), size) {
        Asked::Whole => None,
        Asked::Part(range) => Some(range),
        Asked::Unsatisfiable => {
            return Err(
                S3Error::from(Code::InvalidRange).with("content-range", format!("bytes */{size}"))
            );
        }
    };
    let mut response =
        empty(if part.is_some() { StatusCode::PARTIAL_CONTENT } else { StatusCode::OK });
    describe(call, &mut response, &located);
    let range = part.clone().unwrap_or(0..size);
    set(&mut response, "content-length", &(range.end - range.start).to_string());
    if let Some(part) = part {
        set(
            &mut response,
            "content-range",
            &format!("bytes {}-{}/{size}", part.start, part.end.saturating_sub(1)),
        );
    }
    if body {
        let unwrap = call.objects.wrapping_key(located.details.encryption.as_ref());
        let bytes =
            content::stream(&call.objects.inner.vault, located.pieces, range, unwrap.as_ref())?;
        *response.body_mut() = Body::from_stream(bytes);
    }
    Ok(response)
}

fn describe(call: &Call, response: &mut Response, located: &Located) {
    let (row, details) = (&located.row, &located.details);
    set(response, "content-type", "binary/octet-stream");
    set(response, "etag", &format!("\"{}\"", row.etag));
    set(response, "last-modified", &dates::http(row.modified));
    set(response, "accept-ranges", "bytes");
    for (name, value) in &details.headers {
        set(response, name, value);
    }
    for (name, value) in &details.user {
        set(response, &format!("x-amz-meta-{name}"), value);
    }
    // A page among the objects must not act with the rights of this origin.
    set(
        response,
        "content-security-policy",
        "sandbox; default-src 'none'; img-src 'self'; style-src 'unsafe-inline'",
    );
    set(response, "x-content-type-options", "nosniff");
    version_header(
        response,
        (located.bucket.versioning != bucket::Versioning::Off).then_some(&row.version),
    );
    if !details.tags.is_empty() {
        set(response, "x-amz-tagging-count", &details.tags.len().to_string());
    }
    if let Some(parts) = details.parts {
        set(response, "x-amz-mp-parts-count", &parts.to_string());
    }
    if let Some(class) = &details.class {
        set(response, "x-amz-storage-class", class);
    }
    if call.header("x-amz-checksum-mode").is_some_and(|mode| mode.eq_ignore_ascii_case("enabled"))
        && call.header("range").is_none()
    {
        checksum_header(response, details.checksum.as_ref());
    }
    for name in KEPT {
        if let Some(value) = call.param(&format!("response-{name}")) {
            set(response, name, value);
        }
    }
}

const GET_TAGS: Action =
    Action::new("s3:GetObjectTagging", Verb::Read, Right::Object("FULL_CONTROL"));
const PUT_TAGS: Action =
    Action::new("s3:PutObjectTagging", Verb::Write, Right::Object("FULL_CONTROL"));
const DELETE_TAGS: Action =
    Action::new("s3:DeleteObjectTagging", Verb::Write, Right::Object("FULL_CONTROL"));
const GET_ACL: Action = Action::new("s3:GetObjectAcl", Verb::Manage, Right::Object("READ_ACP"));
const PUT_ACL: Action = Action::new("s3:PutObjectAcl", Verb::Manage, Right::Object("WRITE_ACP"));

pub(super) async fn get_tags(call: &Call) -> Result<Response, S3Error> {
    let located = located(call, &GET_TAGS).await?;
    Ok(xml(tags::to_xml(&located.details.tags)))
}

pub(super) async fn put_tags(call: &mut Call) -> Result<Response, S3Error> {
    let located = located(call, &PUT_TAGS).await?;
    let root = document(call).await?;
    let wanted = tags::from_xml(&root, tags::OBJECT_TAGS_MAX)?;
    save(call, &located, move |details| details.tags = wanted).await?;
    Ok(empty(StatusCode::OK))
}

pub(super) async fn delete_tags(call: &Call) -> Result<Response, S3Error> {
    let located = located(call, &DELETE_TAGS).await?;
    save(call, &located, |details| details.tags.clear()).await?;
    Ok(empty(StatusCode::NO_CONTENT))
}

pub(super) async fn get_acl(call: &Call) -> Result<Response, S3Error> {
    let located = located(call, &GET_ACL).await?;
    let details = &located.details;
    let owner = if details.owner.is_empty() { &located.bucket.owner } else { &details.owner };
    Ok(xml(acl::to_xml(&call.objects, owner, details.grants.as_deref()).await?))
}

pub(super) async fn put_acl(call: &mut Call) -> Result<Response, S3Error> {
    let located = located(call, &PUT_ACL).await?;
    let owner = located.details.owner.clone();
    let grants = match acl::from_headers(call, &owner, &located.bucket).await? {
        Some(grants) => grants,
        None => {
            let root = document(call).await?;
            let (_, grants) = acl::from_xml(&call.objects, &root).await?;
            acl::permit(&located.bucket, Some(&grants))?;
            Some(grants)
        }
    };
    save(call, &located, move |details| details.grants = grants).await?;
    Ok(empty(StatusCode::OK))
}

/// Changes the details of a version as they are now.
async fn save(
    call: &Call,
    located: &Located,
    change: impl FnOnce(&mut Details) + Send + 'static,
) -> Result<(), S3Error> {
    let (bucket, key, version) =
        (located.bucket.id, located.row.key.clone(), located.row.version.clone());
    let work = move |txn: &mut store::Txn<'_>| {
        let row = txn.object_version(bucket, &key, &version)?.ok_or(Code::NoSuchKey)?;
        let mut details: Details = details::parse(&key, &row.details)?;
        change(&mut details);
        Ok::<_, S3Error>(txn.object_update(row.id, &details::text(&details))?)
    };
    call.objects.write(work).await
}
