//! Who is shut out, and from what nobody can be.

use super::matrix::{Site, as_owner, ask, request, site};
use crate::{Owner, Quota, Scope};
use axum::body::Body;
use base::secret::Secret;
use http::Response;
use http_body_util::BodyExt;
use store::access::{NewUser, Role};

/// The status of an answer, and the code of the error in it.
pub(super) async fn said(response: Response<Body>) -> (u16, String) {
    let status = response.status().as_u16();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    let body = String::from_utf8_lossy(&body).into_owned();
    let code = body.split_once("<Code>").and_then(|(_, rest)| rest.split_once("</Code>"));
    (status, code.map(|(code, _)| code.to_owned()).unwrap_or_default())
}

/// The status and the code of an error.
async fn answer(
    site: &Site,
    key: &str,
    (method, path, query, text): (&str, &str, &str, &str),
) -> (u16, String) {
    said(ask(site, request((method, path, query, text), (key, "s"), false)).await).await
}

async fn lock_out(site: &Site, login: &'static str, disabled: bool) {
    let work = move |txn: &mut store::Txn<'_>| {
        let id = txn.user_by_login(login)?.unwrap().id;
        txn.user_disabled_set(id, disabled)
    };
    site.objects.inner.store.write(work).await.unwrap();
}

#[tokio::test]
async fn an_account_that_is_locked_out_takes_its_keys_along_and_brings_them_back() {
    let site = site().await;
    let make = |txn: &mut store::Txn<'_>| {
        for (login, role) in [("root", Role::Admin), ("ann", Role::Member), ("bob", Role::Member)] {
            let (login, password) = (login.to_owned(), None);
            let new = NewUser { name: login.clone(), login, role, password, one_time: false };
            txn.user_create(&new, crate::objects::now())?;
        }
        Ok::<_, store::Error>(())
    };
    site.objects.inner.store.write(make).await.unwrap();
    let owner = Owner { id: "press-7".into(), ..Owner::default() };
    let secret = Secret::new("s");
    site.objects.key_import("AKMACHINE", &secret, owner, Scope::Owner, None).await.unwrap();
    let check = async |key: &str, works: bool| {
        let expected = if works { (200, "") } else { (403, "InvalidAccessKeyId") };
        let found = answer(&site, key, ("GET", "/", "", "")).await;
        assert_eq!((found.0, found.1.as_str()), expected, "{key}");
        let login = site.objects.key_login(key, "s").await.unwrap();
        assert_eq!(login.is_some(), works, "{key} at a registry's log-in");
        let scope = site.objects.key_scope(key).await.unwrap();
        assert_eq!(scope.is_some(), works, "{key} behind a registry's pass");
    };
    check("AKOWNER", true).await;
    lock_out(&site, "ann", true).await;
    check("AKOWNER", false).await;
    check("AKREADER", false).await;
    check("AKOTHER", true).await;
    check("AKMACHINE", true).await;
    lock_out(&site, "ann", false).await;
    check("AKOWNER", true).await;
    check("AKREVOKED", false).await;
}

async fn begin(site: &Site, path: &str) -> String {
    let begun = as_owner(site, "POST", path, "uploads", "").await;
    let text = begun.into_body().collect().await.unwrap().to_bytes();
    super::xml::parse(&text).unwrap().text_of("UploadId").unwrap().to_owned()
}

#[tokio::test]
async fn parts_under_way_count_against_the_quota_of_their_bucket() {
    let site = site().await;
    as_owner(&site, "PUT", "/full", "", "").await;
    let quota = Quota { bytes: Some(10_000_000), objects: None };
    site.objects.bucket_quota("full", quota, crate::alone).await.unwrap();
    let (large, small) = ("l".repeat(6_000_000), "s".repeat(3_000_000));
    let upload = begin(&site, "/full/k").await;
    let put = async |number: u32, text: &str, expected: (u16, &str)| {
        let query = format!("partNumber={number}&uploadId={upload}");
        let found = answer(&site, "AKOWNER", ("PUT", "/full/k", &query, text)).await;
        assert_eq!((found.0, found.1.as_str()), expected, "part {number}");
    };
    let (taken, refused) = ((200, ""), (403, "QuotaExceeded"));
    put(1, &large, taken).await;
    put(2, &large, refused).await;
    put(1, &large, taken).await;
    put(2, &small, taken).await;
    let other = answer(&site, "AKOWNER", ("PUT", "/full/other", "", &small)).await;
    assert_eq!(other, (403, "QuotaExceeded".into()));
    let tag = |text: &str| crate::digest::hex(&crate::digest::md5(text.as_bytes()));
    let part = |number: u32, text: &str| {
        format!("<Part><PartNumber>{number}</PartNumber><ETag>{}</ETag></Part>", tag(text))
    };
    let both = format!(
        "<CompleteMultipartUpload>{}{}</CompleteMultipartUpload>",
        part(1, &large),
        part(2, &small)
    );
    as_owner(&site, "POST", "/full/k", &format!("uploadId={upload}"), &both).await;
    as_owner(&site, "DELETE", "/full/k", "", "").await;
    let upload = begin(&site, "/full/k").await;
    let query = format!("uploadId={upload}");
    as_owner(&site, "PUT", "/full/k", &format!("partNumber=1&{query}"), &large).await;
    as_owner(&site, "DELETE", "/full/k", &query, "").await;
    as_owner(&site, "PUT", "/full/k", "", &large).await;
}

#[tokio::test]
async fn a_policy_keeps_no_owner_from_the_policy_itself() {
    const NOBODY: &str = r#"{"Statement":[{"Effect":"Deny","Principal":"*","Action":"s3:*","Resource":["arn:aws:s3:::shut","arn:aws:s3:::shut/*"]}]}"#;
    let site = site().await;
    as_owner(&site, "PUT", "/shut", "", "").await;
    as_owner(&site, "PUT", "/shut", "policy", NOBODY).await;
    let check = async |key: &str, asked: (&str, &str, &str, &str), expected: u16| {
        assert_eq!(answer(&site, key, asked).await.0, expected, "{key} {asked:?}");
    };
    check("AKOWNER", ("GET", "/shut", "", ""), 403).await;
    check("AKOWNER", ("GET", "/shut", "policyStatus", ""), 403).await;
    check("AKOWNER", ("DELETE", "/shut", "", ""), 403).await;
    for other in ["AKOTHER", "AKREADER"] {
        check(other, ("GET", "/shut", "policy", ""), 403).await;
        check(other, ("PUT", "/shut", "policy", NOBODY), 403).await;
        check(other, ("DELETE", "/shut", "policy", ""), 403).await;
    }
    check("AKOWNER", ("GET", "/shut", "policy", ""), 200).await;
    check("AKOWNER", ("PUT", "/shut", "policy", NOBODY), 204).await;
    check("AKOWNER", ("DELETE", "/shut", "policy", ""), 204).await;
    check("AKOWNER", ("GET", "/shut", "", ""), 200).await;
}

/// What the house needs is told by its name; somebody may have been called by the word for its owner.
#[tokio::test]
async fn who_is_called_as_the_house_has_buckets_of_their_own_and_none_of_the_house() {
    let site = site().await;
    let owner = Owner { id: crate::HOUSE_OWNER.into(), ..Owner::default() };
    let secret = Secret::new("s");
    site.objects.key_import("AKSITE", &secret, owner, Scope::Owner, None).await.unwrap();
    let check = async |method: &str, path: &str, expected: (u16, &str)| {
        let found = answer(&site, "AKSITE", (method, path, "", "")).await;
        assert_eq!((found.0, found.1.as_str()), expected, "{method} {path}");
    };
    check("PUT", "/own", (200, "")).await;
    check("PUT", "/own/k", (200, "")).await;
    check("DELETE", "/own/k", (204, "")).await;
    check("DELETE", "/own", (204, "")).await;
    for house in crate::HOUSE {
        check("GET", &format!("/{house}"), (403, "AccessDenied")).await;
        check("PUT", &format!("/{house}/k"), (403, "AccessDenied")).await;
        check("DELETE", &format!("/{house}"), (403, "AccessDenied")).await;
    }
    check("PUT", "/again", (200, "")).await;
    assert!(site.objects.bucket_delete("again", crate::alone).await.unwrap());
}

/// Nothing is done of which nobody could be told who did it.
#[tokio::test]
async fn a_deed_that_cannot_be_noted_is_not_done() {
    let site = site().await;
    let objects = &site.objects;
    objects.bucket_create("mine", "ann", crate::alone).await.unwrap();
    let refuse = |_: &store::Txn<'_>| Err(store::Error::Closed);
    assert!(objects.bucket_create("other", "ann", refuse).await.is_err());
    assert!(objects.bucket_delete("mine", refuse).await.is_err());
    let quota = Quota { bytes: Some(1), objects: None };
    assert!(objects.bucket_quota("mine", quota, refuse).await.is_err());
    let infos = objects.bucket_infos().await.unwrap();
    assert!(infos.iter().all(|info| info.name != "other" && info.quota == Quota::default()));
    assert!(infos.iter().any(|info| info.name == "mine"));
    let keys = objects.key_list(None).await.unwrap().len();
    let made =
        objects.key_create(Owner::default(), Scope::Owner, None, |_, _| Err(store::Error::Closed));
    assert!(made.await.is_err());
    assert!(objects.key_revoke("AKOTHER", refuse).await.is_err());
    assert_eq!(objects.key_list(None).await.unwrap().len(), keys);
    assert_eq!(answer(&site, "AKOTHER", ("GET", "/", "", "")).await.0, 200);
}
