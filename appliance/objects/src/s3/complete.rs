//! Completing an upload in parts: rows only, the parts' bytes stay where they are.
//!
//! A completion that is asked for again, because its answer was lost, is answered again.

use super::{
    call::Call,
    conditions, encryption,
    error::{Code, S3Error},
    object::{type_name, version_header},
    route::{document, xml},
    upload::{self, PARTS_MAX},
    xml::{Element, Xml},
};
use crate::{
    bucket,
    details::{self, Checksum, Details, PieceDetails},
    digest::{self, Algorithm},
    lock,
    notify::Deed,
    objects::now,
    versions::{self, NewVersion},
};
use axum::response::Response;
use base::time::Timestamp;
use store::objects::{PartRow, PieceRow, UploadRow};

/// Every part but the last has at least so many bytes, as on S3.
const PART_MIN: u64 = 5 << 20;

/// A part as the client lists it.
#[derive(Debug, Clone)]
pub(super) struct Listed {
    number: u32,
    etag: String,
    sums: Vec<(Algorithm, String)>,
}

/// What the client lists.
pub(super) fn listed(root: &Element) -> Result<Vec<Listed>, S3Error> {
    let part = |part: &Element| {
        let number = part.text_of("PartNumber").and_then(|text| text.trim().parse().ok());
        let etag = part.text_of("ETag").map(|text| text.trim().trim_matches('"').to_owned());
        let sums = Algorithm::ALL.into_iter().filter_map(|one| {
            let text = part.text_of(&format!("Checksum{}", one.name()))?;
            Some((one, text.trim().to_owned()))
        });
        let (number, etag) = number.zip(etag).ok_or(Code::MalformedXML)?;
        Ok(Listed { number, etag, sums: sums.collect() })
    };
    let parts: Vec<_> = root.all("Part").map(part).collect::<Result<_, S3Error>>()?;
    if root.name != "CompleteMultipartUpload" || parts.is_empty() {
        return Err(Code::MalformedXML.into());
    }
    if parts.windows(2).any(|pair| pair[0].number >= pair[1].number) {
        return Err(Code::InvalidPartOrder.into());
    }
    Ok(parts)
}

/// The checksum of a stored part.
fn sum_of(part: &PartRow) -> Option<Checksum> {
    details::parse::<PieceDetails>("a part", &part.details).ok()?.checksum
}

/// The stored parts that a client lists, checked, pure.
fn chosen(stored: &[PartRow], wanted: &[Listed]) -> Result<Vec<PartRow>, S3Error> {
    let mut parts = Vec::with_capacity(wanted.len());
    for one in wanted {
        let part = stored.iter().find(|part| part.number == one.number && part.etag == one.etag);
        let part = part.ok_or(Code::InvalidPart)?;
        let known = sum_of(part);
        let stored = |(algorithm, value): &(Algorithm, String)| {
            known.as_ref().is_some_and(|sum| sum.algorithm == *algorithm && sum.value == *value)
        };
        if !one.sums.iter().all(stored) {
            return Err(Code::InvalidPart.into());
        }
        parts.push(part.clone());
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

/// The checksum of the whole from those of its parts, as the upload asked for it.
fn whole_sum(asked: &Checksum, parts: &[PartRow]) -> Option<Checksum> {
    let algorithm = asked.algorithm;
    let sums: Vec<Vec<u8>> = parts
        .iter()
        .map(|part| {
            let sum = sum_of(part).filter(|sum| sum.algorithm == algorithm)?;
            digest::unbase64(&sum.value)
        })
        .collect::<Option<_>>()?;
    let value = if asked.composite {
        let joined = digest::checksum(algorithm, &sums.concat());
        format!("{}-{}", digest::base64(&joined), parts.len())
    } else {
        let mut pairs = sums.into_iter().zip(parts);
        let (first, _) = pairs.next()?;
        let joined =
            pairs.try_fold(first, |all, (sum, part)| algorithm.combined(&all, &sum, part.size))?;
        digest::base64(&joined)
    };
    Some(Checksum { value, ..asked.clone() })
}

/// What the headers promise of the whole.
struct Promised {
    sums: Vec<(Algorithm, String)>,
    composite: Option<bool>,
    size: Option<u64>,
}

impl Promised {
    fn of(call: &Call) -> Result<Self, S3Error> {
        let sum = |one: Algorithm| Some((one, call.header(one.header())?.trim().to_owned()));
        let bad =
            |_| Code::InvalidRequest.says("Value for x-amz-mp-object-size header is invalid.");
        let size = call.header("x-amz-mp-object-size");
        Ok(Self {
            sums: Algorithm::ALL.into_iter().filter_map(sum).collect(),
            composite: upload::composite(call)?,
            size: size.map(|text| text.trim().parse().map_err(bad)).transpose()?,
        })
    }

    /// Compares it with the kind of checksum that was asked for when the upload was begun.
    fn check_kind(&self, asked: Option<&Checksum>) -> Result<(), S3Error> {
        let composite = asked.is_some_and(|asked| asked.composite);
        if self.composite.is_some_and(|told| told != composite) {
            return Err(Code::BadDigest.says(
                "The checksum type you specified is not the one with which the upload was created.",
            ));
        }
        Ok(())
    }

    /// Compares it with the whole, whose checksum, if it is to have one, is `sum`.
    fn check(&self, sum: Option<&Checksum>, parts: &[PartRow]) -> Result<(), S3Error> {
        let size: u64 = parts.iter().map(|part| part.size).sum();
        if self.size.is_some_and(|told| told != size) {
            return Err(Code::InvalidRequest.says(
                "The provided 'x-amz-mp-object-size' header does not match what was computed.",
            ));
        }
        self.sums.iter().try_for_each(|(algorithm, value)| {
            let found = match sum {
                Some(sum) => Some(sum.clone()).filter(|sum| sum.algorithm == *algorithm),
                // Not asked for when it was begun, it may still follow from what the parts brought.
                None => whole_sum(&full(*algorithm), parts),
            };
            same(*algorithm, value, &found.ok_or_else(|| another(sum, *algorithm))?)
        })
    }
}

/// Not all parts brought what the checksum of the whole is made of.
fn without_sum(asked: &Checksum) -> S3Error {
    Code::InvalidRequest.says(format!(
        "The upload was created using a {} checksum. The complete request must include the checksum for each part.",
        asked.algorithm.name().to_ascii_lowercase()
    ))
}

const fn full(algorithm: Algorithm) -> Checksum {
    Checksum { algorithm, value: String::new(), composite: false }
}

fn another(sum: Option<&Checksum>, given: Algorithm) -> S3Error {
    Code::InvalidRequest.says(format!(
        "Checksum Type mismatch occurred, expected checksum Type: {}, actual checksum Type: {}",
        sum.map_or("null", |sum| sum.algorithm.name()).to_ascii_lowercase(),
        given.name().to_ascii_lowercase()
    ))
}

/// The value is the sum's, with or without the number of parts behind.
fn same(algorithm: Algorithm, value: &str, sum: &Checksum) -> Result<(), S3Error> {
    let plain = sum.value.split_once('-').map(|(plain, _)| plain);
    if value == sum.value || Some(value) == plain {
        return Ok(());
    }
    Err(Code::BadDigest.says(format!(
        "The {} you specified did not match the calculated checksum.",
        algorithm.name()
    )))
}

/// What was completed.
struct Done {
    etag: String,
    version: Option<String>,
    details: Details,
}

pub(super) async fn complete(call: &mut Call) -> Result<Response, S3Error> {
    let done = match upload::writable(call).await {
        Ok(upload) => finish_now(call, upload).await?,
        Err(error) if error.code == Code::NoSuchUpload => {
            finished_before(call).await?.ok_or(error)?
        }
        Err(error) => return Err(error),
    };
    let mut response = xml(Xml::document("CompleteMultipartUploadResult", |xml| {
        xml.text("Location", &call.posted_to);
        xml.text("Bucket", &call.bucket);
        xml.text("Key", &call.key);
        xml.text("ETag", &format!("\"{}\"", done.etag));
        if let Some(sum) = &done.details.checksum {
            xml.text(&format!("Checksum{}", sum.algorithm.name()), &sum.value);
            xml.text("ChecksumType", type_name(sum.composite));
        }
    }));
    version_header(&mut response, done.version.as_deref());
    encryption::headers(&mut response, done.details.encryption.as_ref());
    Ok(response)
}

async fn finish_now(call: &mut Call, upload: UploadRow) -> Result<Done, S3Error> {
    let begun: Details = details::parse(&upload.key, &upload.details)?;
    encryption::key_for(call, encryption::OWN, begun.encryption.as_ref())?;
    // The checksum header is the whole object's, not the document's.
    let promised = Promised::of(call)?;
    let wanted = listed(&payload_document(call).await?)?;
    let name = call.bucket.clone();
    let condition = conditions::Write::of(call);
    let work = move |txn: &mut store::Txn<'_>| {
        finish(txn, &name, &upload, &wanted, &promised, &condition, now())
    };
    call.objects.write(work).await
}

async fn payload_document(call: &mut Call) -> Result<Element, S3Error> {
    for algorithm in Algorithm::ALL {
        call.headers.remove(algorithm.header());
    }
    document(call).await
}

/// The object that an earlier request of the same upload made, while it is the newest.
async fn finished_before(call: &Call) -> Result<Option<Done>, S3Error> {
    let (bucket, key) = (call.bucket.clone(), call.key.clone());
    let name = call.param("uploadId").unwrap_or_default().to_owned();
    let work = move |reader: &store::Reader<'_>| {
        let bucket = bucket::get(reader, &bucket)?;
        let Some(row) = reader.object_latest(bucket.id, &key)? else { return Ok(None) };
        let details: Details = details::parse(&key, &row.details)?;
        let version = (bucket.versioning == bucket::Versioning::On).then_some(row.version);
        let same = details.upload.as_ref() == Some(&name);
        Ok(same.then_some(Done { etag: row.etag, version, details }))
    };
    Ok(call.objects.read(work).await?)
}

fn finish(
    txn: &mut store::Txn<'_>,
    bucket: &str,
    upload: &UploadRow,
    wanted: &[Listed],
    promised: &Promised,
    condition: &conditions::Write,
    now: Timestamp,
) -> Result<Done, S3Error> {
    let bucket = bucket::get(txn, bucket)?;
    txn.upload_get(&upload.name)?.ok_or(Code::NoSuchUpload)?;
    condition.check(txn.object_latest(bucket.id, &upload.key)?.as_ref())?;
    let parts = chosen(&txn.upload_parts(upload.id, 0, PARTS_MAX)?, wanted)?;
    let (etag, size) = (etag_of(&parts), parts.iter().map(|part| part.size).sum());
    let mut details: Details = details::parse(&upload.key, &upload.details)?;
    details.parts = u32::try_from(parts.len()).ok();
    promised.check_kind(details.checksum.as_ref())?;
    let asked = details.checksum.take();
    details.checksum = asked
        .map(|asked| whole_sum(&asked, &parts).ok_or_else(|| without_sum(&asked)))
        .transpose()?;
    promised.check(details.checksum.as_ref(), &parts)?;
    lock::retain(&mut details, &bucket.settings, now);
    let new = NewVersion {
        key: &upload.key,
        size,
        etag: &etag,
        blob: None,
        details: &details::text(&details),
        marker: false,
        deed: Deed::Complete,
    };
    for part in &parts {
        txn.blob_hold_again(part.blob)?;
    }
    // Before the object comes: its bytes count once against the bucket's quota.
    txn.upload_delete(upload.id, now)?;
    let put = versions::put(txn, &bucket, new, now)?;
    for part in parts {
        let piece = PieceRow {
            number: part.number,
            size: part.size,
            blob: part.blob,
            details: part.details,
        };
        txn.object_piece_insert(put.row, &piece)?;
    }
    Ok(Done { etag, version: put.version, details })
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
        let one = |(number, tag): &(u32, u32)| Listed {
            number: *number,
            etag: format!("{tag:032x}"),
            sums: Vec::new(),
        };
        let wanted: Vec<_> = wanted.iter().map(one).collect();
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

    #[test]
    fn sums_of_parts_become_the_sum_of_the_whole() {
        let bodies: [&[u8]; 3] = [b"one", b"two", b"three"];
        let part = |number: u32, algorithm| {
            let body = bodies[number as usize];
            let sum = Checksum {
                algorithm,
                value: digest::base64(&digest::checksum(algorithm, body)),
                composite: false,
            };
            let details = details::text(&PieceDetails { seal: None, checksum: Some(sum) });
            PartRow { details, ..part(number, body.len() as u64) }
        };
        let whole = |algorithm, composite| {
            let parts: Vec<_> = (0..3).map(|number| part(number, algorithm)).collect();
            let asked = Checksum { algorithm, value: String::new(), composite };
            whole_sum(&asked, &parts).map(|sum| sum.value)
        };
        let full = digest::base64(&digest::checksum(Algorithm::Crc64nvme, &bodies.concat()));
        assert_eq!(whole(Algorithm::Crc64nvme, false), Some(full));
        assert!(whole(Algorithm::Sha256, true).unwrap().ends_with("-3"));
        assert_eq!(whole(Algorithm::Sha256, false), None);
    }
}
