//! Requests by the letter: what a name in the query, a condition on a range, a length stand for.

use super::{
    Peer,
    matrix::{Site, as_owner, ask, request, request_with, site},
    refused::said,
    xml,
};
use axum::body::Body;
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http::Response;
use http_body_util::BodyExt;
use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

#[tokio::test]
async fn a_name_in_the_query_that_nothing_here_does_never_passes_for_the_plain_write() {
    let site = site().await;
    as_owner(&site, "PUT", "/empty", "", "").await;
    as_owner(&site, "PUT", "/full", "", "").await;
    as_owner(&site, "PUT", "/full/k", "", "bytes").await;
    let check = async |method: &str, path: &str, query: &str, expected: (u16, &str)| {
        let asked = request((method, path, query, ""), ("AKOWNER", "s"), false);
        let found = said(ask(&site, asked).await).await;
        assert_eq!((found.0, found.1.as_str()), expected, "{method} {path}?{query}");
    };
    let (unknown, wrong) = ((501, "NotImplemented"), (405, "MethodNotAllowed"));
    check("PUT", "/full/new", "renameObject", unknown).await;
    check("PUT", "/full/new", "renameObject=", unknown).await;
    check("DELETE", "/full/k", "annotation", unknown).await;
    check("DELETE", "/full/k", "legal-hold", wrong).await;
    check("PUT", "/full/k", "versions", wrong).await;
    check("POST", "/full/k", "annotation", unknown).await;
    check("PUT", "/new", "metadataConfiguration", unknown).await;
    check("DELETE", "/empty", "metadataConfiguration", unknown).await;
    check("DELETE", "/empty", "versioning", wrong).await;
    check("DELETE", "/empty", "acl", wrong).await;
    check("POST", "/full", "annotation", unknown).await;
    check("GET", "/full/k", "", (200, "")).await;
    check("GET", "/full/new", "", (404, "NoSuchKey")).await;
    check("GET", "/new", "", (404, "NoSuchBucket")).await;
    check("GET", "/empty", "", (200, "")).await;
    let done = (200, "");
    check("PUT", "/full/new", "x-id=PutObject", done).await;
    check("PUT", "/full/new", "x-id&X-Amz-Meta=", done).await;
    check("DELETE", "/full/new", "x-id=DeleteObject&versionId=", (204, "")).await;
    check("DELETE", "/empty", "x-id=DeleteBucket", (204, "")).await;
}

/// The status of a request for the first two bytes, if they are still of the object named so.
async fn first_two(site: &Site, method: &str, condition: &str) -> u16 {
    let mut asked = request((method, "/one/k", "", ""), ("AKOWNER", "s"), false);
    asked.headers_mut().insert("range", "bytes=0-1".parse().unwrap());
    asked.headers_mut().insert("if-range", condition.parse().unwrap());
    ask(site, asked).await.status().as_u16()
}

#[tokio::test]
async fn a_range_is_of_the_object_that_its_condition_names_or_the_answer_is_whole() {
    let site = site().await;
    as_owner(&site, "PUT", "/one", "", "").await;
    as_owner(&site, "PUT", "/one/k", "", "bytes").await;
    let read = as_owner(&site, "HEAD", "/one/k", "", "").await;
    let told = |name: &str| read.headers()[name].to_str().unwrap().to_owned();
    let (etag, time) = (told("etag"), told("last-modified"));
    let check = async |condition: &str, expected: u16| {
        for method in ["GET", "HEAD"] {
            let found = first_two(&site, method, condition).await;
            assert_eq!(found, expected, "{method} {condition}");
        }
    };
    check(&etag, 206).await;
    check(&time, 206).await;
    check("\"another\"", 200).await;
    check(&format!("W/{etag}"), 200).await;
    check(etag.trim_matches('"'), 200).await;
    check("Mon, 02 Jan 2006 15:04:05 GMT", 200).await;
    check("Fri, 01 Jan 2100 00:00:00 GMT", 200).await;
    check("*", 200).await;
}

#[tokio::test]
async fn chunks_beyond_the_promised_length_are_not_taken() {
    const FRAME: usize = 64 << 10;
    let site = site().await;
    as_owner(&site, "PUT", "/one", "", "").await;
    let taken = Arc::new(AtomicUsize::new(0));
    let chunk = [b"10000\r\n", &[b'x'; FRAME][..], b"\r\n"].concat();
    let (count, chunk) = (Arc::clone(&taken), Bytes::from(chunk));
    let body = stream::iter(0..256).map(move |_| {
        count.fetch_add(FRAME, Ordering::Relaxed);
        Ok::<_, Infallible>(chunk.clone())
    });
    let promise = [("x-amz-decoded-content-length", "1")];
    let mut asked = request_with(("PUT", "/one/k", "", ""), ("AKOWNER", "s"), true, &promise);
    let how = "STREAMING-UNSIGNED-PAYLOAD-TRAILER".parse().unwrap();
    asked.headers_mut().insert("x-amz-content-sha256", how);
    asked.headers_mut().remove("content-length");
    *asked.body_mut() = Body::from_stream(body);
    let found = said(ask(&site, asked).await).await;
    assert_eq!(found, (400, "IncompleteBody".to_owned()));
    let taken = taken.load(Ordering::Relaxed);
    assert!(taken <= 8 * FRAME, "{taken} bytes were taken");
}

/// The address that a completed upload has, as the client at that end is told.
async fn location(site: &Site, secure: bool) -> String {
    let text = async |answer: Response<Body>| {
        assert_eq!(answer.status(), 200);
        let text = answer.into_body().collect().await.unwrap().to_bytes();
        xml::parse(&text).unwrap()
    };
    let begun = text(as_owner(site, "POST", "/one/a b", "uploads", "").await).await;
    let upload = begun.text_of("UploadId").unwrap();
    let query = format!("uploadId={upload}&partNumber=1");
    let part = as_owner(site, "PUT", "/one/a b", &query, "part").await;
    let etag = part.headers()["etag"].to_str().unwrap();
    let parts = format!(
        "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>{}</ETag></Part></CompleteMultipartUpload>",
        etag.trim_matches('"')
    );
    let query = format!("uploadId={upload}");
    let mut asked = request(("POST", "/one/a b", &query, &parts), ("AKOWNER", "s"), false);
    asked.extensions_mut().insert(Peer { address: None, secure });
    text(ask(site, asked).await).await.text_of("Location").unwrap().to_owned()
}

#[tokio::test]
async fn a_completed_upload_is_told_where_its_client_reaches_it() {
    let site = site().await;
    as_owner(&site, "PUT", "/one", "", "").await;
    assert_eq!(location(&site, true).await, "https://s3.test/one/a%20b");
    assert_eq!(location(&site, false).await, "http://s3.test/one/a%20b");
}
