//! Objects: put, and what a request tells of one that is to be stored.

use super::{
    access::{self, Context, authorize},
    acl,
    call::Call,
    conditions, copy, dates,
    encryption::{self, Sealing},
    error::{Code, S3Error},
    lock, meta,
    payload::{self, Promise},
    route::{empty, set},
    tags,
};
use crate::{
    bucket::{self, Bucket},
    details::{self, Checksum, Details},
    digest,
    ingest::Plan,
    lifecycle::{self, Subject},
    located::Located,
    lock::retain,
    notify::Deed,
    objects::now,
    versions::{self, NewVersion},
};
use axum::response::Response;
use http::StatusCode;
use std::{collections::BTreeMap, sync::Arc};

/// Headers that are kept and given back as they came.
pub(super) const KEPT: [&str; 6] = [
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
pub(super) async fn bucket_of(call: &Call) -> Result<Arc<Bucket>, S3Error> {
    Ok(call.objects.bucket(&call.bucket).await?)
}

/// Refuses a header that asks for what is not done here: it must not pass for a plain upload.
fn refuse_others(call: &Call) -> Result<(), S3Error> {
    payload::only_known(&call.headers)?;
    // An append, and a page that leads elsewhere.
    let others = ["x-amz-write-offset-bytes", "x-amz-website-redirect-location"];
    match others.into_iter().find(|name| call.headers.contains_key(*name)) {
        None => Ok(()),
        Some(name) => {
            Err(Code::NotImplemented.says(format!("`{name}` is not implemented by this server.")))
        }
    }
}

/// The tags that the request brings; a copy has its own only where it replaces the source's.
fn tags_of(call: &Call) -> Result<Vec<(String, String)>, S3Error> {
    let copies = call.headers.contains_key("x-amz-copy-source");
    if copies && !copy::replaces(call, copy::RETAG)? {
        return Ok(Vec::new());
    }
    Ok(call.header("x-amz-tagging").map(tags::from_header).transpose()?.unwrap_or_default())
}

/// What the headers tell of an object to be stored; whoever would lock it, tag it or give it to
/// others must be allowed to.
pub(super) async fn details_of(call: &Call, bucket: &Bucket) -> Result<Details, S3Error> {
    refuse_others(call)?;
    let tags = tags_of(call)?;
    meta::authorize_upload(call, bucket, &tags)?;
    let (retention, legal_hold) = lock::of_upload(call, bucket)?;
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
        _ if access::lists_are_off(bucket) || given_away(call, bucket) => bucket.owner.clone(),
        owner => owner.to_owned(),
    };
    let grants = acl::from_headers(call, &owner, bucket).await?.flatten();
    let class =
        call.header("x-amz-storage-class").filter(|class| *class != "STANDARD").map(str::to_owned);
    Ok(Details {
        retention,
        legal_hold,
        headers,
        user: user_metadata(call)?,
        tags,
        owner,
        grants,
        class,
        ..Details::default()
    })
}

/// The bucket prefers to own what its writer gives away.
fn given_away(call: &Call, bucket: &Bucket) -> bool {
    bucket.settings.ownership.as_deref() == Some("BucketOwnerPreferred")
        && call.header("x-amz-acl") == Some(acl::OWNER_FULL)
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
    let details = details_of(call, &bucket).await?;
    let sealing = encryption::of_upload(call, &bucket)?;
    let promise = Promise::of(call)?;
    let body = payload::stream(call, &promise);
    let stored = store(call, &promise, body, details, sealing).await?;
    let mut response = empty(StatusCode::OK);
    stored.describe(&mut response);
    Ok(response)
}

/// An object that was stored.
pub(super) struct Stored {
    pub(super) etag: String,
    pub(super) put: versions::Put,
    pub(super) details: Details,
    end: Option<(base::time::Timestamp, String)>,
}

impl Stored {
    /// The headers that tell of it.
    pub(super) fn describe(&self, response: &mut Response) {
        set(response, "etag", &format!("\"{}\"", self.etag));
        version_header(response, self.put.version.as_deref());
        checksum_header(response, self.details.checksum.as_ref());
        encryption::headers(response, self.details.encryption.as_ref());
        if let Some((at, id)) = &self.end {
            let text = format!("expiry-date=\"{}\", rule-id=\"{id}\"", dates::http(*at));
            set(response, "x-amz-expiration", &text);
        }
    }
}

/// Takes in a body, and makes it the object of the call in one transaction.
pub(super) async fn store(
    call: &Call,
    promise: &Promise,
    body: crate::ingest::Body,
    mut details: Details,
    sealing: Sealing,
) -> Result<Stored, S3Error> {
    let wanted = promise.sums();
    let expected = promise.length.unwrap_or(0);
    let plan = Plan { wrap: sealing.wrap.as_ref(), sums: &wanted, expected };
    let ingested = call.objects.ingest(body, &plan).await?;
    let kept = promise.check(&ingested.summed)?;
    details.checksum = kept.map(|(algorithm, value)| Checksum {
        algorithm,
        value: digest::base64(&value),
        composite: false,
    });
    details.seal = ingested.seal.clone();
    details.encryption = sealing.encryption;
    let etag = digest::hex(&ingested.summed.md5);
    let (mut row_details, row_etag) = (details.clone(), etag.clone());
    let (name, key) = (call.bucket.clone(), call.key.clone());
    let (size, blob) = (ingested.summed.size, ingested.blob.clone());
    let condition = conditions::Write::of(call);
    let deed = match call.method {
        http::Method::POST => Deed::Post,
        _ if call.headers.contains_key("x-amz-copy-source") => Deed::Copy,
        _ => Deed::Put,
    };
    let work = move |txn: &mut store::Txn<'_>| {
        // The time at which it is stored: the bytes may have been on their way for hours.
        let (bucket, now) = (bucket::get(txn, &name)?, now());
        condition.check(txn.object_latest(bucket.id, &key)?.as_ref())?;
        retain(&mut row_details, &bucket.settings, now);
        let held = blob.hold(txn)?;
        let new = NewVersion {
            key: &key,
            size,
            etag: &row_etag,
            blob: Some(held.id),
            details: &details::text(&row_details),
            marker: false,
            deed,
        };
        let put = versions::put(txn, &bucket, new, now)?;
        let subject = Subject { key: &key, size, tags: &row_details.tags, since: now };
        let end = lifecycle::current_end(&bucket.settings.lifecycle, &subject);
        let end = end.map(|(at, id)| (at, id.to_owned()));
        Ok::<_, S3Error>((held, put, end))
    };
    let (held, put, end) = call.objects.write(work).await?;
    ingested.settle(held);
    Ok(Stored { etag, put, details, end })
}

pub(super) fn version_header(response: &mut Response, version: Option<&str>) {
    if let Some(version) = version {
        set(response, "x-amz-version-id", version);
    }
}

/// What kind a checksum is, as S3 names it.
pub(super) const fn type_name(composite: bool) -> &'static str {
    if composite { "COMPOSITE" } else { "FULL_OBJECT" }
}

pub(super) fn checksum_header(response: &mut Response, checksum: Option<&Checksum>) {
    if let Some(sum) = checksum {
        set(response, sum.algorithm.header(), &sum.value);
        set(response, "x-amz-checksum-type", type_name(sum.composite));
    }
}

/// Changes the details of a version as they are now.
pub(super) async fn save(
    call: &Call,
    located: &Located,
    change: impl FnOnce(&mut Details) -> Result<(), S3Error> + Send + 'static,
) -> Result<(), S3Error> {
    let (bucket, key, version) =
        (located.bucket.id, located.row.key.clone(), located.row.version.clone());
    let work = move |txn: &mut store::Txn<'_>| {
        let row = txn.object_version(bucket, &key, &version)?.ok_or(Code::NoSuchKey)?;
        let mut details: Details = details::parse(&key, &row.details)?;
        change(&mut details)?;
        Ok::<_, S3Error>(txn.object_update(row.id, &details::text(&details))?)
    };
    call.objects.write(work).await
}
