//! Uploads in parts: begun, filled, given up.

use super::{
    access::{self, Context, authorize},
    call::Call,
    encryption,
    error::{Code, S3Error},
    object::{bucket_of, details_of, type_name},
    payload::{self, Promise},
    route::{empty, set, xml},
    xml::Xml,
};
use crate::{
    details::{self, Checksum, Details, Encryption, PieceDetails},
    digest::{self, Algorithm},
    ingest::Plan,
    objects::now,
};
use axum::response::Response;
use base::time::Timestamp;
use http::StatusCode;
use store::objects::{NewPart, UploadRow};

/// Part numbers end here, as on S3.
pub(super) const PARTS_MAX: u32 = 10_000;

/// Whether the checksum of the whole is to be made of those of the parts, as far as it is told.
pub(super) fn composite(call: &Call) -> Result<Option<bool>, S3Error> {
    match call.header("x-amz-checksum-type") {
        None => Ok(None),
        Some(name) if name.eq_ignore_ascii_case("COMPOSITE") => Ok(Some(true)),
        Some(name) if name.eq_ignore_ascii_case("FULL_OBJECT") => Ok(Some(false)),
        Some(_) => {
            Err(Code::InvalidRequest.says("Value for x-amz-checksum-type header is invalid."))
        }
    }
}

/// The checksum that the parts and the whole will have.
fn wanted_sum(call: &Call) -> Result<Option<Checksum>, S3Error> {
    let composite = composite(call)?;
    let Some(name) = call.header("x-amz-checksum-algorithm") else {
        return match composite {
            None => Ok(None),
            Some(_) => Err(Code::InvalidRequest
                .says("The x-amz-checksum-type header can only be used with the x-amz-checksum-algorithm header.")),
        };
    };
    let algorithm = payload::algorithm(name)?;
    let hashed = matches!(algorithm, Algorithm::Sha1 | Algorithm::Sha256);
    let composite = composite.unwrap_or(algorithm != Algorithm::Crc64nvme);
    if (hashed && !composite) || (composite && algorithm == Algorithm::Crc64nvme) {
        return Err(Code::InvalidRequest.says(format!(
            "The {} checksum type cannot be used with the {} checksum algorithm.",
            type_name(composite),
            algorithm.name().to_ascii_lowercase()
        )));
    }
    Ok(Some(Checksum { algorithm, value: String::new(), composite }))
}

pub(super) async fn create(call: &Call) -> Result<Response, S3Error> {
    let bucket = bucket_of(call).await?;
    authorize(call, &access::PUT, &bucket, Context::default())?;
    let mut details = details_of(call, &bucket).await?;
    details.encryption = encryption::of_upload(call, &bucket)?.encryption;
    // Of an unfinished upload it tells which checksum is to be computed; the value comes later.
    details.checksum = wanted_sum(call)?;
    let name = digest::hex(&crate::seal::random::<20>());
    details.upload = Some(name.clone());
    let (upload, key) = (name.clone(), call.key.clone());
    let row = details::text(&details);
    let begin = move |txn: &mut store::Txn<'_>| {
        Ok::<_, S3Error>(txn.upload_insert(bucket.id, &key, &upload, now(), &row)?)
    };
    call.objects.write(begin).await?;
    let mut response = xml(Xml::document("InitiateMultipartUploadResult", |xml| {
        xml.text("Bucket", &call.bucket);
        xml.text("Key", &call.key);
        xml.text("UploadId", &name);
    }));
    encryption::headers(&mut response, details.encryption.as_ref());
    if let Some(sum) = &details.checksum {
        set(&mut response, "x-amz-checksum-algorithm", sum.algorithm.name());
        set(&mut response, "x-amz-checksum-type", type_name(sum.composite));
    }
    Ok(response)
}

/// The upload of the call.
pub(super) async fn upload_of(call: &Call, bucket: i64) -> Result<UploadRow, S3Error> {
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
    let mut promise = Promise::of(call)?;
    let body = payload::stream(call, &promise);
    let part = store_part(call, &upload, number, &mut promise, body).await?;
    let mut response = empty(StatusCode::OK);
    set(&mut response, "etag", &format!("\"{}\"", part.etag));
    if let Some(sum) = &part.checksum {
        set(&mut response, sum.algorithm.header(), &sum.value);
    }
    encryption::headers(&mut response, part.encryption.as_ref());
    Ok(response)
}

/// A part that was stored.
pub(super) struct Part {
    pub(super) etag: String,
    pub(super) checksum: Option<Checksum>,
    pub(super) encryption: Option<Encryption>,
    pub(super) modified: Timestamp,
}

/// Takes in a part, sealed as its upload asks, with the checksum that its upload asks for.
pub(super) async fn store_part(
    call: &Call,
    upload: &UploadRow,
    number: u32,
    promise: &mut Promise,
    body: crate::ingest::Body,
) -> Result<Part, S3Error> {
    let details: Details = details::parse(&upload.key, &upload.details)?;
    let wrap = encryption::key_for(call, encryption::OWN, details.encryption.as_ref())?;
    match (&details.checksum, &promise.checksum) {
        (Some(asked), None) => promise.checksum = Some((asked.algorithm, None)),
        (Some(asked), Some((given, _))) if asked.algorithm != *given => {
            return Err(Code::InvalidRequest.says(format!(
                "Checksum Type mismatch occurred, expected checksum Type: {}, actual checksum Type: {}",
                asked.algorithm.name().to_ascii_lowercase(),
                given.name().to_ascii_lowercase()
            )));
        }
        _ => {}
    }
    let expected = promise.length.unwrap_or(0);
    let plan = Plan { wrap: wrap.as_ref(), sums: &promise.sums(), expected };
    let ingested = call.objects.ingest(body, &plan).await?;
    let checksum = promise.check(&ingested.summed)?.map(|(algorithm, value)| Checksum {
        algorithm,
        value: digest::base64(&value),
        composite: false,
    });
    let etag = digest::hex(&ingested.summed.md5);
    let row = PieceDetails { seal: ingested.seal.clone(), checksum: checksum.clone() };
    let (size, blob) = (ingested.summed.size, ingested.blob.clone());
    let (row, row_etag, name) = (details::text(&row), etag.clone(), upload.name.clone());
    let id = upload.id;
    let work = move |txn: &mut store::Txn<'_>| {
        txn.upload_get(&name)?.ok_or(Code::NoSuchUpload)?;
        let held = blob.hold(txn)?;
        let (etag, details) = (row_etag.as_str(), row.as_str());
        let (upload, blob, modified) = (id, held.id, now());
        txn.upload_part_put(&NewPart { upload, number, size, etag, modified, blob, details })?;
        Ok::<_, S3Error>((held, modified))
    };
    let (held, modified) = call.objects.write(work).await?;
    ingested.settle(held);
    Ok(Part { etag, checksum, encryption: details.encryption, modified })
}

pub(super) async fn abort(call: &Call) -> Result<Response, S3Error> {
    let bucket = bucket_of(call).await?;
    authorize(call, &access::ABORT, &bucket, Context::default())?;
    let upload = upload_of(call, bucket.id).await?;
    call.objects.write(move |txn| Ok::<_, S3Error>(txn.upload_delete(upload.id, now())?)).await?;
    Ok(empty(StatusCode::NO_CONTENT))
}
