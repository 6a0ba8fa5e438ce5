//! Policies that speak of a request's proof, time and conditions, or of one version, are enforced.

use super::{
    matrix::{Site, as_owner, site},
    signed::Asked,
};
use crate::{objects::now, sigv4::date_text};
use base::time::Timestamp;

const DONE: (u16, &str) = (200, "");
const DENIED: (u16, &str) = (403, "AccessDenied");

/// Denies everybody an action on the objects of the bucket `one`, where the condition holds.
fn denial(action: &str, condition: &str) -> String {
    format!(
        r#"{{"Statement":[{{"Effect":"Deny","Principal":"*","Action":"{action}","Resource":"arn:aws:s3:::one/*","Condition":{condition}}}]}}"#
    )
}

async fn with_object() -> Site {
    let site = site().await;
    as_owner(&site, "PUT", "/one", "", "").await;
    as_owner(&site, "PUT", "/one/k", "", "bytes").await;
    site
}

async fn deny(site: &Site, action: &str, condition: &str) {
    as_owner(site, "PUT", "/one", "policy", &denial(action, condition)).await;
}

#[tokio::test]
async fn a_policy_may_ask_how_and_when_a_request_was_signed() {
    let site = with_object().await;
    let earlier = date_text(Timestamp(now().0 - 500_000_000));
    let check = async |condition: &str, by_query: bool, old: bool, expected: (u16, &str)| {
        deny(&site, "s3:GetObject", condition).await;
        let mut asked = Asked { method: "GET", by_query, ..Asked::default() };
        if old {
            asked.date.clone_from(&earlier);
        }
        let found = asked.said(&site).await;
        assert_eq!((found.0, found.1.as_str()), expected, "{condition} {by_query} {old}");
    };
    let query = r#"{"StringEquals":{"s3:authType":"REST-QUERY-STRING"}}"#;
    check(query, true, false, DENIED).await;
    check(query, false, false, DONE).await;
    let header = r#"{"StringEquals":{"s3:authtype":"REST-HEADER"}}"#;
    check(header, false, false, DENIED).await;
    check(header, true, false, DONE).await;
    let version = r#"{"StringEquals":{"s3:signatureversion":"AWS4-HMAC-SHA256"}}"#;
    check(version, false, false, DENIED).await;
    let other = r#"{"StringNotEquals":{"s3:signatureversion":"AWS4-HMAC-SHA256"}}"#;
    check(other, false, false, DONE).await;
    let age = r#"{"NumericGreaterThan":{"s3:signatureAge":"400000"}}"#;
    for by_query in [false, true] {
        check(age, by_query, true, DENIED).await;
        check(age, by_query, false, DONE).await;
    }
    check(
        r#"{"DateGreaterThan":{"aws:CurrentTime":"2020-01-01T00:00:00Z"}}"#,
        false,
        false,
        DENIED,
    )
    .await;
    check(r#"{"DateLessThan":{"aws:CurrentTime":"2020-01-01T00:00:00Z"}}"#, false, false, DONE)
        .await;
    check(r#"{"DateGreaterThan":{"aws:EpochTime":"1577836800"}}"#, false, false, DENIED).await;
    check(r#"{"NumericLessThan":{"aws:EpochTime":"1577836800"}}"#, false, false, DONE).await;
}

#[tokio::test]
async fn a_policy_may_ask_for_conditional_writes() {
    let site = with_object().await;
    let condition =
        r#"{"Null":{"s3:if-none-match":"true"},"Bool":{"s3:ObjectCreationOperation":"true"}}"#;
    deny(&site, "s3:PutObject", condition).await;
    let put = Asked { path: "/one/new", body: "bytes", ..Asked::default() };
    put.check(&site, DENIED).await;
    let headers = &[("if-none-match", "*")];
    Asked { path: "/one/new", headers, ..Asked::default() }.check(&site, DONE).await;
    let copy = &[("x-amz-copy-source", "/one/k")];
    Asked { path: "/one/copy", headers: copy, ..Asked::default() }.check(&site, DENIED).await;
    let begin = Asked { method: "POST", query: "uploads", ..Asked::default() };
    begin.check(&site, DONE).await;
    // Who may write is seen before whether the upload is there.
    let query = "uploadId=none&partNumber=1";
    Asked { query, ..Asked::default() }.check(&site, (404, "NoSuchUpload")).await;
    let complete = Asked { method: "POST", query: "uploadId=none", ..Asked::default() };
    complete.check(&site, DENIED).await;
    deny(&site, "s3:PutObject", r#"{"Null":{"s3:if-match":"false"}}"#).await;
    let headers = &[("if-match", "*")];
    Asked { headers, ..Asked::default() }.check(&site, DENIED).await;
    Asked::default().check(&site, DONE).await;
}

#[tokio::test]
async fn a_policy_that_speaks_of_what_is_not_known_is_refused() {
    let site = with_object().await;
    let check = async |condition: &str, expected: (u16, &str)| {
        let body = &denial("s3:GetObject", condition);
        let (path, query) = ("/one", "policy");
        Asked { path, query, body, ..Asked::default() }.check(&site, expected).await;
    };
    let malformed = (400, "MalformedPolicy");
    check(r#"{"StringEquals":{"s3:x-amz-acll":"private"}}"#, malformed).await;
    check(r#"{"NumericLessThan":{"s3:TlsVersion":"1.3"}}"#, malformed).await;
    check(r#"{"StringEquals":{"aws:PrincipalTag/team":"a"}}"#, malformed).await;
    check(r#"{"DateEqual":{"aws:CurrentTime":"2020-01-01"}}"#, malformed).await;
    check(r#"{"StringEquals":{"s3:ExistingObjectTag/team":"a"}}"#, (204, "")).await;
    check(r#"{"StringEquals":{"aws:SourceVpce":"vpce-1"}}"#, (204, "")).await;
}

#[tokio::test]
async fn one_version_is_asked_for_by_the_actions_of_versions() {
    let site = with_object().await;
    let on = "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>";
    as_owner(&site, "PUT", "/one", "versioning", on).await;
    let put = as_owner(&site, "PUT", "/one/k", "", "bytes").await;
    let version = put.headers()["x-amz-version-id"].to_str().unwrap().to_owned();
    let tags = "<Tagging><TagSet/></Tagging>";
    let list = "<AccessControlPolicy><AccessControlList/></AccessControlPolicy>";
    for (method, part, body, newest, named) in [
        ("GET", "tagging", "", "s3:GetObjectTagging", "s3:GetObjectVersionTagging"),
        ("PUT", "tagging", tags, "s3:PutObjectTagging", "s3:PutObjectVersionTagging"),
        ("DELETE", "tagging", "", "s3:DeleteObjectTagging", "s3:DeleteObjectVersionTagging"),
        ("GET", "acl", "", "s3:GetObjectAcl", "s3:GetObjectVersionAcl"),
        ("GET", "attributes", "", "s3:GetObjectAttributes", "s3:GetObjectVersionAttributes"),
        ("PUT", "acl", list, "s3:PutObjectAcl", "s3:PutObjectVersionAcl"),
    ] {
        let of_version = format!("{part}&versionId={version}");
        for (denied, allowed, action) in [(part, &*of_version, newest), (&of_version, part, named)]
        {
            deny(&site, action, "{}").await;
            let headers = &[("x-amz-object-attributes", "ETag")];
            let ask = async |query: &str| {
                Asked { method, query, headers, body, ..Asked::default() }.said(&site).await
            };
            let found = ask(denied).await;
            assert_eq!((found.0, found.1.as_str()), DENIED, "{method} {denied} {action}");
            let found = ask(allowed).await;
            assert!(matches!(found.0, 200 | 204), "{method} {allowed} {action}: {found:?}");
        }
    }
}
