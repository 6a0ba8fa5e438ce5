//! Each way to an object asks for the same rights: no way leads around them.

use super::{
    dates,
    matrix::{Site, as_owner, ask, request_with, site},
    refused::said,
};
use crate::objects::now;
use http_body_util::BodyExt;
use std::time::Duration;

/// The status and the code of the answer to a request with these headers.
async fn answer(
    site: &Site,
    key: &str,
    (method, path, query, text): (&str, &str, &str, &str),
    headers: &[(&str, &str)],
) -> (u16, String) {
    let asked = request_with((method, path, query, text), (key, "s"), false, headers);
    said(ask(site, asked).await).await
}

/// A bucket of the owner whose objects have versions and may be locked.
async fn lockable(site: &Site, path: &str) {
    as_owner(site, "PUT", path, "", "").await;
    let on = "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>";
    as_owner(site, "PUT", path, "versioning", on).await;
    let lock = "<ObjectLockConfiguration><ObjectLockEnabled>Enabled</ObjectLockEnabled></ObjectLockConfiguration>";
    as_owner(site, "PUT", path, "object-lock", lock).await;
}

fn tomorrow() -> String {
    dates::iso(now().plus(Duration::from_secs(24 * 3600)))
}

fn policy(effect: &str, action: &str, resource: &str) -> String {
    format!(
        r#"{{"Statement":[{{"Effect":"{effect}","Principal":"*","Action":"{action}","Resource":"arn:aws:s3:::{resource}"}}]}}"#
    )
}

#[tokio::test]
async fn who_may_not_pass_by_a_retention_may_not_by_deleting_many_either() {
    let site = site().await;
    lockable(&site, "/kept").await;
    let until = tomorrow();
    let lock = [
        ("x-amz-object-lock-mode", "GOVERNANCE"),
        ("x-amz-object-lock-retain-until-date", &*until),
    ];
    let put = request_with(("PUT", "/kept/a/k", "", "bytes"), ("AKOWNER", "s"), false, &lock);
    let put = ask(&site, put).await;
    let version = put.headers()["x-amz-version-id"].to_str().unwrap().to_owned();
    let misspelt = policy("Deny", "s3:BypassGovernanceRetenshun", "kept/a/*");
    let found = answer(&site, "AKOWNER", ("PUT", "/kept", "policy", &misspelt), &[]).await;
    assert_eq!(found, (400, "MalformedPolicy".to_owned()));
    let denial = policy("Deny", "s3:BypassGovernanceRetention", "kept/a/*");
    as_owner(&site, "PUT", "/kept", "policy", &denial).await;
    let many =
        format!("<Delete><Object><Key>a/k</Key><VersionId>{version}</VersionId></Object></Delete>");
    let bypass = [("x-amz-bypass-governance-retention", "true")];
    let denied = (200, "AccessDenied".to_owned());
    let found = answer(&site, "AKOWNER", ("POST", "/kept", "delete", &many), &bypass).await;
    assert_eq!(found, denied, "the policy denies the bypass at that key");
    as_owner(&site, "GET", "/kept/a/k", &format!("versionId={version}"), "").await;
    as_owner(&site, "DELETE", "/kept", "policy", "").await;
    let found = answer(&site, "AKOWNER", ("POST", "/kept", "delete", &many), &[]).await;
    assert_eq!(found, denied, "nobody asked to pass by");
    let found = answer(&site, "AKOWNER", ("POST", "/kept", "delete", &many), &bypass).await;
    assert_eq!(found, (200, String::new()));
}

#[tokio::test]
async fn every_way_to_write_asks_for_the_right_to_lock() {
    let site = site().await;
    lockable(&site, "/kept").await;
    as_owner(&site, "PUT", "/kept/k", "", "bytes").await;
    let until = tomorrow();
    let retention = [
        ("x-amz-object-lock-mode", "GOVERNANCE"),
        ("x-amz-object-lock-retain-until-date", &*until),
    ];
    let hold = [("x-amz-object-lock-legal-hold", "ON")];
    let copy = ("x-amz-copy-source", "/kept/k");
    let check = async |expected: u16| {
        for lock in [&retention[..], &hold] {
            let copied = [&[copy], lock].concat();
            for (asked, headers) in [
                (("PUT", "/kept/put", "", "bytes"), lock),
                (("PUT", "/kept/copy", "", ""), &copied),
                (("POST", "/kept/parts", "uploads", ""), lock),
            ] {
                let found = answer(&site, "AKOWNER", asked, headers).await;
                assert_eq!(found.0, expected, "{asked:?} {headers:?}: {}", found.1);
            }
        }
    };
    check(200).await;
    let denial = policy("Deny", "s3:PutObject*", "kept/*")
        .replace("\"s3:PutObject*\"", "[\"s3:PutObjectRetention\",\"s3:PutObjectLegalHold\"]");
    as_owner(&site, "PUT", "/kept", "policy", &denial).await;
    check(403).await;
    let plain = answer(&site, "AKOWNER", ("PUT", "/kept/copy", "", ""), &[copy]).await;
    assert_eq!(plain.0, 200, "a copy without a lock of its own: {}", plain.1);
}

#[tokio::test]
async fn every_way_to_write_asks_for_the_right_to_tag_and_to_give_away() {
    let site = site().await;
    as_owner(&site, "PUT", "/kept", "", "").await;
    as_owner(&site, "PUT", "/kept/k", "", "bytes").await;
    let retag = ("x-amz-tagging-directive", "REPLACE");
    let copy = ("x-amz-copy-source", "/kept/k");
    let canned = [("x-amz-acl", "private")];
    let granted = [("x-amz-grant-read", "id=ann")];
    let tagged = [("x-amz-tagging", "a=1")];
    let check = async |more: &[(&str, &str)], expected: u16| {
        for (asked, own) in [
            (("PUT", "/kept/put", "", "bytes"), &[][..]),
            (("PUT", "/kept/copy", "", ""), &[copy, retag]),
            (("POST", "/kept/parts", "uploads", ""), &[]),
        ] {
            let headers = [own, more].concat();
            let found = answer(&site, "AKOWNER", asked, &headers).await;
            assert_eq!(found.0, expected, "{asked:?} {headers:?}: {}", found.1);
        }
    };
    for more in [&canned[..], &granted, &tagged] {
        check(more, 200).await;
    }
    as_owner(&site, "PUT", "/kept", "policy", &policy("Deny", "s3:PutObjectAcl", "kept/*")).await;
    check(&canned, 403).await;
    check(&granted, 403).await;
    check(&tagged, 200).await;
    let denial = policy("Deny", "s3:PutObjectTagging", "kept/*");
    as_owner(&site, "PUT", "/kept", "policy", &denial).await;
    check(&canned, 200).await;
    check(&granted, 200).await;
    check(&tagged, 403).await;
    check(&[], 200).await;
    let plain = [&[copy], &tagged[..]].concat();
    let plain = answer(&site, "AKOWNER", ("PUT", "/kept/copy", "", ""), &plain).await;
    assert_eq!(plain.0, 200, "a copy that keeps the tags of its source: {}", plain.1);
}

#[tokio::test]
async fn a_copy_with_tags_asks_for_the_right_to_read_and_to_give_them() {
    let site = site().await;
    for bucket in ["src", "dst"] {
        as_owner(&site, "PUT", &format!("/{bucket}"), "", "").await;
    }
    let tagged = [("x-amz-tagging", "a=1")];
    for (key, headers) in [("tagged", &tagged[..]), ("plain", &[])] {
        let put = ("PUT", &*format!("/src/{key}"), "", "bytes");
        assert_eq!(answer(&site, "AKOWNER", put, headers).await.0, 200);
    }
    let check = async |source: &str, more: &[(&str, &str)], expected: u16| {
        let headers = [&[("x-amz-copy-source", source)], more].concat();
        let found = answer(&site, "AKOWNER", ("PUT", "/dst/copy", "", ""), &headers).await;
        assert_eq!(found.0, expected, "{source} {more:?}: {}", found.1);
    };
    let retag = [("x-amz-tagging-directive", "REPLACE")];
    check("/src/tagged", &[], 200).await;
    for (bucket, action) in [("src", "s3:GetObjectTagging"), ("dst", "s3:PutObjectTagging")] {
        let denial = policy("Deny", action, &format!("{bucket}/*"));
        as_owner(&site, "PUT", &format!("/{bucket}"), "policy", &denial).await;
        check("/src/tagged", &[], 403).await;
        check("/src/tagged", &retag, 200).await;
        check("/src/plain", &[], 200).await;
        as_owner(&site, "DELETE", &format!("/{bucket}"), "policy", "").await;
    }
    check("/src/tagged", &[], 200).await;
}

#[tokio::test]
async fn a_copy_reads_its_source_as_any_reader_does() {
    let site = site().await;
    lockable(&site, "/src").await;
    let put = as_owner(&site, "PUT", "/src/k", "", "bytes").await;
    let version = put.headers()["x-amz-version-id"].to_str().unwrap().to_owned();
    as_owner(&site, "PUT", "/dst", "", "").await;
    assert_eq!(answer(&site, "AKOTHER", ("PUT", "/own", "", ""), &[]).await.0, 200);
    let named = format!("/src/k?versionId={version}");
    let check = async |key: &str, source: &str, expected: (u16, &str)| {
        let target = if key == "AKOWNER" { "/dst/k" } else { "/own/k" };
        let header = [("x-amz-copy-source", source)];
        let found = answer(&site, key, ("PUT", target, "", ""), &header).await;
        assert_eq!((found.0, found.1.as_str()), expected, "{key} {source}");
    };
    let (done, denied) = ((200, ""), (403, "AccessDenied"));
    as_owner(&site, "PUT", "/src", "policy", &policy("Allow", "s3:GetObject", "src/*")).await;
    check("AKOTHER", "/src/k", done).await;
    check("AKOTHER", &named, denied).await;
    check("AKOTHER", "/src/absent", denied).await;
    check("AKOWNER", &named, done).await;
    check("AKOWNER", "/src/absent", (404, "NoSuchKey")).await;
    check("AKOWNER", "/src/k?versionId=none", (404, "NoSuchVersion")).await;
    let read = policy("Allow", "s3:GetObjectVersion", "src/*");
    as_owner(&site, "PUT", "/src", "policy", &read).await;
    check("AKOTHER", &named, done).await;
    check("AKOTHER", "/src/k", denied).await;
    let one = policy("Allow", "s3:GetObjectVersion", "src/*").replace(
        "\"Resource\"",
        "\"Condition\":{\"StringEquals\":{\"s3:VersionId\":\"another\"}},\"Resource\"",
    );
    as_owner(&site, "PUT", "/src", "policy", &one).await;
    check("AKOTHER", &named, denied).await;
    let list = policy("Allow", "s3:ListBucket", "src").replace(
        "\"Resource\"",
        "\"Condition\":{\"StringEquals\":{\"s3:prefix\":\"absent\"}},\"Resource\"",
    );
    as_owner(&site, "PUT", "/src", "policy", &list).await;
    check("AKOTHER", "/src/absent", (404, "NoSuchKey")).await;
    check("AKOTHER", "/src/gone", denied).await;
}

#[tokio::test]
async fn a_copy_from_a_bucket_of_another_owner_than_expected_is_refused() {
    let site = site().await;
    as_owner(&site, "PUT", "/src", "", "").await;
    as_owner(&site, "PUT", "/src/k", "", "bytes").await;
    for (owner, expected) in [("bob", 403), ("ann", 200)] {
        let headers =
            [("x-amz-copy-source", "/src/k"), ("x-amz-source-expected-bucket-owner", owner)];
        let found = answer(&site, "AKOWNER", ("PUT", "/src/copy", "", ""), &headers).await;
        assert_eq!(found.0, expected, "{owner}");
    }
    let again =
        ask(&site, request_with(("GET", "/src/copy", "", ""), ("AKOWNER", "s"), false, &[]));
    assert_eq!(again.await.into_body().collect().await.unwrap().to_bytes(), "bytes");
}

#[tokio::test]
async fn what_nobody_owns_is_nobodys() {
    let site = site().await;
    site.objects.bucket_create("lost", "", crate::alone).await.unwrap();
    let cases = [
        ("GET", "/lost", "", ""),
        ("PUT", "/lost/k", "", "bytes"),
        ("GET", "/lost", "policy", ""),
        ("DELETE", "/lost", "policy", ""),
    ];
    for (method, path, query, text) in cases {
        let found = answer(&site, "", (method, path, query, text), &[]).await;
        assert_eq!(found, (403, "AccessDenied".to_owned()), "{method} {path}?{query}");
    }
}
