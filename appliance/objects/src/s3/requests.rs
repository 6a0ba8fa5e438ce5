//! Requests by the letter: what a name in the query, a condition on a range, a length stand for.

use super::{
    Peer,
    matrix::{Site, as_owner, ask, request, request_with, site},
    refused::said,
    signed::Asked,
    xml,
};
use axum::body::Body;
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http::{Request, Response};
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
    check("DELETE", "/empty", "versionId=1", (400, "InvalidArgument")).await;
    check("DELETE", "/empty", "versionId=", (400, "InvalidArgument")).await;
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

#[tokio::test]
async fn headers_that_mean_another_operation_never_pass_for_a_plain_upload() {
    let site = site().await;
    as_owner(&site, "PUT", "/one", "", "").await;
    as_owner(&site, "PUT", "/one/k", "", "bytes").await;
    let (absent, wrong) = ((501, "NotImplemented"), (400, "InvalidArgument"));
    let copy = ("x-amz-copy-source", "/one/k");
    for (query, headers, expected) in [
        ("", &[("x-amz-write-offset-bytes", "5")][..], absent),
        ("", &[("x-amz-website-redirect-location", "/other")], absent),
        ("partNumber=1", &[], wrong),
        ("versionId=null", &[], wrong),
        ("versionId=", &[], wrong),
        ("", &[copy, ("x-amz-metadata-directive", "REPLACED")], wrong),
        ("", &[copy, ("x-amz-tagging-directive", "KEEP")], wrong),
        ("", &[("x-amz-copy-source", "/one/k?versionId=")], wrong),
        ("", &[copy, ("x-amz-metadata-directive", "replace")], (200, "")),
    ] {
        let path = "/one/new";
        Asked { path, query, headers, body: "more", ..Asked::default() }
            .check(&site, expected)
            .await;
    }
    let asked = Asked { method: "DELETE", query: "partNumber=1", ..Asked::default() };
    asked.check(&site, wrong).await;
    Asked { path: "/two", query: "versionId=1", ..Asked::default() }.check(&site, wrong).await;
    Asked { method: "GET", ..Asked::default() }.check(&site, (200, "")).await;
}

#[tokio::test]
async fn what_is_as_the_caller_has_it_still_tells_caches_what_they_go_by() {
    let site = site().await;
    as_owner(&site, "PUT", "/one", "", "").await;
    let on = "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>";
    as_owner(&site, "PUT", "/one", "versioning", on).await;
    let told = [("cache-control", "no-cache"), ("expires", "Fri, 01 Jan 2100 00:00:00 GMT")];
    let put = Asked { headers: &told, body: "bytes", ..Asked::default() }.answer(&site).await;
    let etag = put.headers()["etag"].to_str().unwrap();
    for method in ["GET", "HEAD"] {
        let headers = &[("if-none-match", etag)];
        let read = Asked { method, headers, ..Asked::default() }.answer(&site).await;
        assert_eq!(read.status(), 304);
        for (name, value) in told {
            assert_eq!(read.headers()[name], value, "{method}");
        }
        assert_eq!(read.headers()["x-amz-version-id"], put.headers()["x-amz-version-id"]);
    }
}

#[tokio::test]
async fn nobody_in_particular_does_not_choose_the_headers_of_an_answer() {
    let site = site().await;
    as_owner(&site, "PUT", "/one", "", "").await;
    let headers = &[("x-amz-acl", "public-read")];
    Asked { headers, body: "bytes", ..Asked::default() }.check(&site, (200, "")).await;
    let ask = async |key: &str, query: &str| {
        said(ask(&site, request(("GET", "/one/k", query, ""), (key, "s"), false)).await).await
    };
    let query = "response-content-type=text%2Fhtml";
    assert_eq!(ask("", "").await, (200, String::new()));
    assert_eq!(ask("", query).await, (400, "InvalidRequest".to_owned()));
    assert_eq!(ask("AKOWNER", query).await, (200, String::new()));
}

#[tokio::test]
async fn settings_come_back_as_they_were_made() {
    let site = site().await;
    let headers = &[("x-amz-acl", "aws-exec-read")];
    Asked { path: "/one", headers, ..Asked::default() }.check(&site, (200, "")).await;
    let rules = "<CORSConfiguration><CORSRule><AllowedMethod>GET</AllowedMethod><AllowedOrigin>*</AllowedOrigin><AllowedHeader>X-Custom-*</AllowedHeader></CORSRule></CORSConfiguration>";
    as_owner(&site, "PUT", "/one", "cors", rules).await;
    let read = as_owner(&site, "GET", "/one", "cors", "").await;
    let text = read.into_body().collect().await.unwrap().to_bytes();
    assert!(String::from_utf8_lossy(&text).contains("<AllowedHeader>X-Custom-*</AllowedHeader>"));
    let asked = Request::builder().method("OPTIONS").uri("/one/k").header("host", "s3.test");
    let asked =
        asked.header("origin", "http://page").header("access-control-request-method", "GET");
    let asked = asked.header("access-control-request-headers", "X-CUSTOM-A");
    let answer = ask(&site, asked.body(Body::empty()).unwrap()).await;
    assert_eq!(answer.status(), 200);
}
