//! What a sender promises of its bytes is compared, whatever way they come by.

use super::{
    matrix::{Site, as_owner, site},
    signed::Asked,
    xml::{self, Element},
};
use crate::digest::{self, Algorithm};
use axum::body::Body;
use http::Response;
use http_body_util::BodyExt;
use sha2::{Digest, Sha256};

const DONE: (u16, &str) = (200, "");
const BAD: (u16, &str) = (400, "BadDigest");
const INVALID: (u16, &str) = (400, "InvalidRequest");
const TRAILER: (u16, &str) = (400, "MalformedTrailerError");

fn sum(algorithm: Algorithm, text: &str) -> String {
    digest::base64(&digest::checksum(algorithm, text.as_bytes()))
}

fn crc32(text: &str) -> String {
    sum(Algorithm::Crc32, text)
}

fn sha256(text: &str) -> String {
    digest::hex(&Sha256::digest(text))
}

async fn with_bucket() -> Site {
    let site = site().await;
    as_owner(&site, "PUT", "/one", "", "").await;
    site
}

async fn document(answer: Response<Body>) -> Element {
    assert_eq!(answer.status(), 200);
    let text = answer.into_body().collect().await.unwrap().to_bytes();
    xml::parse(&text).unwrap()
}

#[tokio::test]
async fn a_document_without_a_length_is_the_one_that_was_promised() {
    let site = with_bucket().await;
    let body = "<Tagging><TagSet/></Tagging>";
    let md5 = |text: &str| digest::base64(&digest::md5(text.as_bytes()));
    let unsigned = "UNSIGNED-PAYLOAD";
    let check = async |payload: &str, headers: &[(&str, &str)], expected: (u16, &str)| {
        for length in [true, false] {
            let (path, query) = ("/one", "tagging");
            let asked = Asked { path, query, payload, headers, length, body, ..Asked::default() };
            asked.check(&site, expected).await;
        }
    };
    let taken = (204, "");
    check(unsigned, &[], taken).await;
    check(&sha256(body), &[], taken).await;
    check(&sha256("other"), &[], (400, "XAmzContentSHA256Mismatch")).await;
    check(unsigned, &[("content-md5", &md5(body))], taken).await;
    check(unsigned, &[("content-md5", &md5("other"))], BAD).await;
    check(unsigned, &[("x-amz-checksum-crc32", &crc32(body))], taken).await;
    check(unsigned, &[("x-amz-checksum-crc32", &crc32("other"))], BAD).await;
}

/// Puts `bytes` in one chunk with these headers and this trailer.
async fn put(site: &Site, headers: &[(&str, &str)], trailer: &str, expected: (u16, &str)) {
    let body = format!("5\r\nbytes\r\n0\r\n{trailer}\r\n");
    let length = [("x-amz-decoded-content-length", "5")];
    let headers = &[&length[..], headers].concat();
    let payload = "STREAMING-UNSIGNED-PAYLOAD-TRAILER";
    Asked { headers, payload, body: &body, ..Asked::default() }.check(site, expected).await;
}

#[tokio::test]
async fn the_checksum_behind_the_bytes_is_the_announced_one_and_right() {
    let site = with_bucket().await;
    let announced = [("x-amz-trailer", "x-amz-checksum-crc32")];
    let line = |name: &str, value: &str| format!("{name}:{value}\r\n");
    let right = line("x-amz-checksum-crc32", &crc32("bytes"));
    let wrong = line("x-amz-checksum-crc32", &crc32("other"));
    let another = line("x-amz-checksum-sha1", &sum(Algorithm::Sha1, "bytes"));
    put(&site, &announced, &right, DONE).await;
    put(&site, &announced, &wrong, BAD).await;
    put(&site, &announced, "", TRAILER).await;
    put(&site, &announced, &another, TRAILER).await;
    put(&site, &announced, &format!("{right}{another}"), TRAILER).await;
    put(&site, &[], "", DONE).await;
    put(&site, &[], &wrong, TRAILER).await;
    let value = crc32("bytes");
    let header = [("x-amz-checksum-crc32", value.as_str())];
    put(&site, &header, "", DONE).await;
    put(&site, &header, &wrong, TRAILER).await;
    put(&site, &[header, announced].concat(), &wrong, INVALID).await;
    put(&site, &[("x-amz-trailer", "x-amz-checksum-xxhash64")], "", INVALID).await;
}

#[tokio::test]
async fn a_checksum_that_nobody_here_can_compute_is_refused() {
    let site = with_bucket().await;
    as_owner(&site, "PUT", "/one/k", "", "bytes").await;
    let headers = &[("x-amz-checksum-xxhash64", "AAAAAAAAAAA=")][..];
    Asked { headers, body: "bytes", ..Asked::default() }.check(&site, INVALID).await;
    let copy = &[headers, &[("x-amz-copy-source", "/one/k")]].concat();
    Asked { headers: copy, ..Asked::default() }.check(&site, INVALID).await;
    let (method, query) = ("POST", "uploads");
    Asked { method, query, headers, ..Asked::default() }.check(&site, INVALID).await;
    let headers = &[("x-amz-checksum-mode", "ENABLED")];
    Asked { headers, body: "bytes", ..Asked::default() }.check(&site, DONE).await;
}

#[tokio::test]
async fn chunks_come_with_the_length_of_what_is_in_them() {
    let site = with_bucket().await;
    let (payload, body) = ("STREAMING-UNSIGNED-PAYLOAD-TRAILER", "5\r\nbytes\r\n0\r\n\r\n");
    let asked = Asked { payload, body, ..Asked::default() };
    asked.check(&site, (411, "MissingContentLength")).await;
}

/// An upload of one part, `part`, from its beginning to its end.
#[derive(Default)]
struct Upload<'a> {
    begun: &'a [(&'a str, &'a str)],
    sent: &'a [(&'a str, &'a str)],
    /// What the client lists of its part beside number and ETag.
    listed: &'a str,
    completed: &'a [(&'a str, &'a str)],
}

impl Upload<'_> {
    async fn check(&self, site: &Site, expected: (u16, &str)) {
        let asked =
            Asked { method: "POST", query: "uploads", headers: self.begun, ..Asked::default() };
        let begun = document(asked.answer(site).await).await;
        let upload = format!("uploadId={}", begun.text_of("UploadId").unwrap());
        let query = &format!("{upload}&partNumber=1");
        let sent = Asked { query, headers: self.sent, body: "part", ..Asked::default() };
        sent.check(site, DONE).await;
        let etag = digest::hex(&digest::md5(b"part"));
        let body = &format!(
            "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>{etag}</ETag>{}</Part></CompleteMultipartUpload>",
            self.listed
        );
        let headers = self.completed;
        let end = Asked { method: "POST", query: &upload, headers, body, ..Asked::default() };
        end.check(site, expected).await;
    }
}

#[tokio::test]
async fn a_completion_holds_what_its_headers_promise_of_the_whole() {
    let site = with_bucket().await;
    let (right, wrong) = (crc32("part"), crc32("other"));
    let check = async |completed: &[(&str, &str)], expected: (u16, &str)| {
        Upload { completed, ..Upload::default() }.check(&site, expected).await;
    };
    check(&[("x-amz-mp-object-size", "4")], DONE).await;
    check(&[("x-amz-mp-object-size", "5")], INVALID).await;
    check(&[("x-amz-mp-object-size", "four")], INVALID).await;
    check(&[("x-amz-checksum-type", "FULL_OBJECT")], DONE).await;
    check(&[("x-amz-checksum-type", "COMPOSITE")], BAD).await;
    check(&[("x-amz-checksum-crc32", &right)], INVALID).await;
    let whole = [("x-amz-checksum-algorithm", "CRC32"), ("x-amz-checksum-type", "FULL_OBJECT")];
    let check = async |completed: &[(&str, &str)], expected: (u16, &str)| {
        let upload = Upload { begun: &whole, completed, ..Upload::default() };
        upload.check(&site, expected).await;
        let sent = &[("x-amz-checksum-crc32", right.as_str())];
        // Not named when it was begun, the checksum follows from that of the part.
        Upload { sent, completed, ..Upload::default() }.check(&site, expected).await;
    };
    check(&[], DONE).await;
    check(&[("x-amz-checksum-crc32", &right)], DONE).await;
    check(&[("x-amz-checksum-crc32", &wrong)], BAD).await;
    check(&[("x-amz-checksum-crc32c", &right)], INVALID).await;
}

#[tokio::test]
async fn the_checksums_that_are_listed_are_those_of_the_parts() {
    let site = with_bucket().await;
    let listed = |name: &str, value: &str| format!("<Checksum{name}>{value}</Checksum{name}>");
    let begun = &[("x-amz-checksum-algorithm", "SHA256")][..];
    let check = async |begun: &[(&str, &str)],
                       listed: &str,
                       completed: &[(&str, &str)],
                       expected: (u16, &str)| {
        Upload { begun, listed, completed, ..Upload::default() }.check(&site, expected).await;
    };
    let right = sum(Algorithm::Sha256, "part");
    let in_list = listed("SHA256", &right);
    check(begun, &in_list, &[], DONE).await;
    // Those of the parts are known, whether they are listed or not.
    check(begun, "", &[], DONE).await;
    check(begun, "", &[("x-amz-checksum-sha256", "bad")], BAD).await;
    check(begun, &listed("SHA256", &sum(Algorithm::Sha256, "other")), &[], (400, "InvalidPart"))
        .await;
    let both = format!("{in_list}{}", listed("CRC32", &crc32("part")));
    check(begun, &both, &[], (400, "InvalidPart")).await;
    check(begun, &in_list, &[("x-amz-checksum-type", "FULL_OBJECT")], BAD).await;
    check(begun, &in_list, &[("x-amz-checksum-crc32", &crc32("part"))], INVALID).await;
    check(&[], &listed("CRC32", &crc32("part")), &[], (400, "InvalidPart")).await;
}

#[tokio::test]
async fn a_checksum_that_is_told_of_and_did_not_come_is_missed() {
    let site = with_bucket().await;
    let check = async |headers: &[(&str, &str)], expected: (u16, &str)| {
        let told = [&[("x-amz-sdk-checksum-algorithm", "CRC32")][..], headers].concat();
        let asked = Asked { headers: &told, body: "bytes", ..Asked::default() };
        asked.check(&site, expected).await;
    };
    check(&[], INVALID).await;
    check(&[("x-amz-checksum-crc32", &crc32("bytes"))], DONE).await;
    check(&[("x-amz-checksum-crc32", &crc32("other"))], BAD).await;
    let headers = &[("x-amz-sdk-checksum-algorithm", "")];
    Asked { headers, body: "bytes", ..Asked::default() }.check(&site, INVALID).await;
}

#[tokio::test]
async fn a_copy_has_the_checksum_that_is_asked_for() {
    let site = with_bucket().await;
    let sum_of_source = crc32("bytes");
    let headers = &[("x-amz-checksum-crc32", sum_of_source.as_str())];
    Asked { headers, body: "bytes", ..Asked::default() }.check(&site, DONE).await;
    let check = async |more: &[(&str, &str)], algorithm: Algorithm| {
        let headers = &[more, &[("x-amz-copy-source", "/one/k")]].concat();
        let copied = Asked { path: "/one/copy", headers, ..Asked::default() }.answer(&site).await;
        let copied = document(copied).await;
        let expected = sum(algorithm, "bytes");
        let name = format!("Checksum{}", algorithm.name());
        assert_eq!(copied.text_of(&name), Some(expected.as_str()), "{more:?}");
        assert_eq!(copied.text_of("ChecksumType"), Some("FULL_OBJECT"), "{more:?}");
        let headers = &[("x-amz-checksum-mode", "ENABLED")];
        let (method, path) = ("HEAD", "/one/copy");
        let read = Asked { method, path, headers, ..Asked::default() }.answer(&site).await;
        assert_eq!(read.headers()[algorithm.header()], expected.as_str(), "{more:?}");
    };
    check(&[], Algorithm::Crc32).await;
    check(&[("x-amz-checksum-algorithm", "SHA256")], Algorithm::Sha256).await;
    let sealed = ("x-amz-server-side-encryption", "AES256");
    check(&[sealed, ("x-amz-checksum-algorithm", "CRC64NVME")], Algorithm::Crc64nvme).await;
    let headers = &[("x-amz-copy-source", "/one/k"), ("x-amz-checksum-algorithm", "MD4")];
    Asked { path: "/one/copy", headers, ..Asked::default() }.check(&site, INVALID).await;
}
