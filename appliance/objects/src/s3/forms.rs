//! Forms as a browser sends them, and as somebody does who means ill.

use super::{
    dates,
    matrix::{Site, as_owner, ask, request, site},
    refused::said,
};
use crate::{
    SessionScope, digest,
    objects::now,
    sigv4::{self, ALGORITHM, SigningKey, date_text},
};
use axum::body::Body;
use bytes::Bytes;
use futures_util::{StreamExt, future::ready, stream};
use http::Request;
use http_body_util::BodyExt;
use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

const FRAME: usize = 64 << 10;

/// Of a form that does not end, so many come.
const FRAMES: usize = 256;

/// The most that may be taken of it.
const TAKEN_MAX: usize = 512 << 10;

fn posted(bucket: &str, body: Body) -> Request<Body> {
    let kind = "multipart/form-data; boundary=b";
    let asked = Request::builder().method("POST").uri(format!("/{bucket}"));
    asked.header("host", "s3.test").header("content-type", kind).body(body).unwrap()
}

/// A form that begins so and goes on; how it was answered, and how much was taken of it.
async fn endless(site: &Site, begin: &'static str) -> ((u16, String), usize) {
    let taken = Arc::new(AtomicUsize::new(0));
    let (count, frame) = (Arc::clone(&taken), Bytes::from(vec![b'x'; FRAME]));
    let rest = stream::iter(0..FRAMES).map(move |_| {
        count.fetch_add(FRAME, Ordering::Relaxed);
        Ok::<_, Infallible>(frame.clone())
    });
    let body = stream::once(ready(Ok(Bytes::from(begin)))).chain(rest);
    let answer = ask(site, posted("absent", Body::from_stream(body))).await;
    (said(answer).await, taken.load(Ordering::Relaxed))
}

#[tokio::test]
async fn a_form_that_never_comes_to_its_file_is_refused_before_it_fills_the_memory() {
    let site = site().await;
    let check = async |begin: &'static str, code: &str| {
        let (answer, taken) = endless(&site, begin).await;
        assert_eq!(answer.1, code, "{begin:?}");
        assert!(taken <= TAKEN_MAX, "{begin:?}: {taken} bytes were taken");
    };
    const TOO_MUCH: &str = "MaxPostPreDataLengthExceeded";
    check("", TOO_MUCH).await;
    check("--b\r\nX-Filler: ", TOO_MUCH).await;
    check("--b\r\nContent-Disposition: form-data; name=\"", TOO_MUCH).await;
    check("--b\r\nContent-Disposition: form-data; name=\"key\"\r\n\r\n", TOO_MUCH).await;
    check(
        "--b\r\nContent-Disposition: form-data; name=\"key\"\r\n\r\nk\r\n--b\r\nContent-Disposition: form-data; name=\"file\"\r\n\r\n",
        "NoSuchBucket",
    )
    .await;
}

/// A form for the bucket `forms` with these fields, signed by its owner; the file is `size` bytes.
fn signed(fields: &[(&str, &str)], size: usize) -> Vec<u8> {
    signed_by(("AKOWNER", "s"), fields, size)
}

fn signed_by((key, secret): (&str, &str), fields: &[(&str, &str)], size: usize) -> Vec<u8> {
    let date = date_text(now());
    let place = sigv4::scope(&date[..8], "us-east-1");
    let credential = format!("{key}/{place}");
    let proof = [
        ("x-amz-algorithm", ALGORITHM),
        ("x-amz-credential", credential.as_str()),
        ("x-amz-date", date.as_str()),
    ];
    let all: Vec<(&str, &str)> = proof.into_iter().chain(fields.iter().copied()).collect();
    let named: Vec<String> =
        all.iter().map(|(name, value)| format!("[\"eq\",\"${name}\",\"{value}\"]")).collect();
    let end = dates::iso(now().plus(Duration::from_secs(60)));
    let conditions = format!("[{{\"bucket\":\"forms\"}},{}]", named.join(","));
    let policy = format!("{{\"expiration\":\"{end}\",\"conditions\":{conditions}}}");
    let policy = digest::base64(policy.as_bytes());
    let signature = SigningKey::new(secret, &place).sign(&policy);
    form(
        &[&all[..], &[("policy", policy.as_str()), ("x-amz-signature", signature.as_str())]]
            .concat(),
        size,
    )
}

fn form(fields: &[(&str, &str)], size: usize) -> Vec<u8> {
    let mut text: Vec<u8> = Vec::new();
    let head = "--b\r\nContent-Disposition: form-data; name=";
    for (name, value) in fields {
        text.extend_from_slice(format!("{head}\"{name}\"\r\n\r\n{value}\r\n").as_bytes());
    }
    text.extend_from_slice(format!("{head}\"file\"; filename=\"f\"\r\n\r\n").as_bytes());
    text.resize(text.len() + size, b'f');
    text.extend_from_slice(b"\r\n--b--\r\n");
    text
}

#[tokio::test]
async fn a_form_comes_through_in_frames_of_any_size() {
    let site = site().await;
    as_owner(&site, "PUT", "/forms", "", "").await;
    for (frame, size) in [(1, 100), (1000, 100_000), (usize::MAX, 1_000_000)] {
        let bytes = signed(&[("key", "k"), ("cache-control", "no-store")], size);
        let frames: Vec<_> = bytes.chunks(frame).map(Bytes::copy_from_slice).collect();
        let body = Body::from_stream(stream::iter(frames).map(Ok::<_, Infallible>));
        let answer = said(ask(&site, posted("forms", body)).await).await;
        assert_eq!(answer, (204, String::new()), "frames of {frame}");
        let read = as_owner(&site, "HEAD", "/forms/k", "", "").await;
        assert_eq!(read.headers()["content-length"], size.to_string().as_str());
        assert_eq!(read.headers()["cache-control"], "no-store");
    }
}

#[tokio::test]
async fn a_signed_form_says_all_and_the_headers_around_it_nothing() {
    let site = site().await;
    as_owner(&site, "PUT", "/forms", "", "").await;
    let fields = [("key", "k"), ("acl", "private"), ("x-amz-meta-a", "good")];
    let mut text = signed(&fields, 10);
    // A second value under a name of the policy, which looked at the first one.
    let extra = b"--b\r\nContent-Disposition: form-data; name=\"x-amz-meta-a\"\r\n\r\nbad\r\n";
    let at = text.windows(5).rposition(|part| part == b"--b\r\n").unwrap();
    text.splice(at..at, extra.iter().copied());
    let mut asked = posted("forms", Body::from(text));
    for (name, value) in [
        ("x-amz-acl", "public-read"),
        ("x-amz-meta-b", "bad"),
        ("x-amz-object-lock-mode", "COMPLIANCE"),
        ("x-amz-storage-class", "GLACIER"),
        ("cache-control", "public"),
    ] {
        asked.headers_mut().insert(name, value.parse().unwrap());
    }
    assert_eq!(said(ask(&site, asked).await).await, (204, String::new()));
    let read = as_owner(&site, "HEAD", "/forms/k", "", "").await;
    assert_eq!(read.headers()["x-amz-meta-a"], "good");
    for name in ["x-amz-meta-b", "x-amz-storage-class", "cache-control"] {
        assert!(!read.headers().contains_key(name), "{name}");
    }
    let nobody = ask(&site, request(("GET", "/forms/k", "", ""), ("", ""), false)).await;
    assert_eq!(nobody.status(), 403, "it is private, as its form said");
}

#[tokio::test]
async fn the_key_of_a_job_signs_forms_while_its_job_runs() {
    let site = site().await;
    as_owner(&site, "PUT", "/forms", "", "").await;
    let later = now().plus(Duration::from_secs(60));
    for (subject, expected) in [("runs", (204, "")), ("over", (400, "ExpiredToken"))] {
        let key = site.objects.session_key(subject, "ann", SessionScope::Owner, later);
        let fields = [("key", "k"), ("x-amz-security-token", key.token.expose())];
        let form = signed_by((&key.id, key.secret.expose()), &fields, 10);
        let found = said(ask(&site, posted("forms", Body::from(form))).await).await;
        assert_eq!((found.0, found.1.as_str()), expected, "{subject}");
    }
}

#[tokio::test]
async fn a_form_asks_for_the_right_to_tag_and_to_give_away() {
    let site = site().await;
    as_owner(&site, "PUT", "/forms", "", "").await;
    let tags = "<Tagging><TagSet><Tag><Key>a</Key><Value>1</Value></Tag></TagSet></Tagging>";
    let post = async |field: (&str, &str)| {
        let form = signed(&[("key", "k"), field], 10);
        said(ask(&site, posted("forms", Body::from(form))).await).await.0
    };
    let deny = async |action: &str, condition: &str| {
        let policy = format!(
            r#"{{"Statement":[{{"Effect":"Deny","Principal":"*","Action":"{action}","Resource":"arn:aws:s3:::forms/*","Condition":{condition}}}]}}"#
        );
        as_owner(&site, "PUT", "/forms", "policy", &policy).await;
    };
    deny("s3:PutObjectAcl", "{}").await;
    assert_eq!((post(("acl", "private")).await, post(("tagging", tags)).await), (403, 204));
    deny("s3:PutObjectTagging", "{}").await;
    assert_eq!((post(("acl", "private")).await, post(("tagging", tags)).await), (204, 403));
    deny("s3:PutObject", r#"{"StringEquals":{"s3:RequestObjectTag/a":"1"}}"#).await;
    assert_eq!((post(("acl", "private")).await, post(("tagging", tags)).await), (204, 403));
    deny("s3:PutObject", r#"{"StringEquals":{"s3:authType":"POST"}}"#).await;
    assert_eq!(post(("acl", "private")).await, 403);
}

#[tokio::test]
async fn a_form_is_told_where_its_object_is() {
    let site = site().await;
    as_owner(&site, "PUT", "/forms", "", "").await;
    let check = async |host: &str, path: &str, expected: &str| {
        let form = signed(&[("key", "a b/ü"), ("success_action_status", "201")], 10);
        let mut asked = posted("forms", Body::from(form));
        asked.headers_mut().insert("host", host.parse().unwrap());
        *asked.uri_mut() = path.parse().unwrap();
        let answer = ask(&site, asked).await;
        assert_eq!(answer.headers()["location"], expected, "{host}");
        let text = answer.into_body().collect().await.unwrap().to_bytes();
        let root = super::xml::parse(&text).unwrap();
        assert_eq!(root.text_of("Location"), Some(expected), "{host}");
    };
    check("s3.test", "/forms", "http://s3.test/forms/a%20b/%C3%BC").await;
    check("forms.s3.test:9000", "/", "http://forms.s3.test:9000/a%20b/%C3%BC").await;
    check("Forms.S3.Test", "/", "http://Forms.S3.Test/a%20b/%C3%BC").await;
}
