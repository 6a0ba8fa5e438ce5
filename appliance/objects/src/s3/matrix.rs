//! Who may do what: every operation of the routes by every kind of caller, by header and by query,
//! against a reviewed table.
//!
//! The list of operations is held against `route.rs` itself: a handler that is routed and not
//! listed here fails the test. To accept a change, run with `APPLIANCE_UPDATE=1` and review the
//! difference of `matrix.txt`.

use crate::{
    Config, Objects, Owner, Rule, Scope, Verb,
    objects::now,
    query::Query,
    sigv4::{
        self, ALGORITHM, Canonical, SigningKey, UNSIGNED, date_text, encode_path, encode_value,
    },
};
use axum::{Router, body::Body};
use base::{secret::Secret, time::Timestamp};
use http::{Request, Response};
use http_body_util::BodyExt;
use std::{collections::BTreeSet, fmt::Write, time::Duration};
use store::{SiteKey, Store};
use tower::ServiceExt;

const REVIEWED: &str = include_str!("matrix.txt");
const ROUTES: &str = include_str!("route.rs");
const HOST: &str = "s3.test";

/// Handler, method, query, body; `{b}` is the bucket, `{u}` an upload, `{e}` its part's ETag.
type Operation = (&'static str, &'static str, &'static str, &'static str, &'static str);

const OPERATIONS: [Operation; 60] = [
    ("bucket::list_all", "GET", "/", "", ""),
    ("bucket::create", "PUT", "/new-{b}", "", ""),
    ("bucket::head", "HEAD", "/{b}", "", ""),
    ("bucket::delete", "DELETE", "/{b}", "", ""),
    ("bucket::location", "GET", "/{b}", "location", ""),
    ("bucket::get_versioning", "GET", "/{b}", "versioning", ""),
    (
        "bucket::put_versioning",
        "PUT",
        "/{b}",
        "versioning",
        "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>",
    ),
    ("bucket::get_policy", "GET", "/{b}", "policy", ""),
    (
        "bucket::put_policy",
        "PUT",
        "/{b}",
        "policy",
        "{\"Statement\":[{\"Effect\":\"Deny\",\"Principal\":\"*\",\"Action\":\"s3:X\",\"Resource\":\"arn:aws:s3:::{b}/x\"}]}",
    ),
    ("bucket::delete_policy", "DELETE", "/{b}", "policy", ""),
    ("bucket::get_acl", "GET", "/{b}", "acl", ""),
    (
        "bucket::put_acl",
        "PUT",
        "/{b}",
        "acl",
        "<AccessControlPolicy><AccessControlList/></AccessControlPolicy>",
    ),
    ("setting::get_encryption", "GET", "/{b}", "encryption", ""),
    (
        "setting::put_encryption",
        "PUT",
        "/{b}",
        "encryption",
        "<ServerSideEncryptionConfiguration><Rule><ApplyServerSideEncryptionByDefault><SSEAlgorithm>AES256</SSEAlgorithm></ApplyServerSideEncryptionByDefault></Rule></ServerSideEncryptionConfiguration>",
    ),
    ("setting::delete_encryption", "DELETE", "/{b}", "encryption", ""),
    ("setting::get_ownership", "GET", "/{b}", "ownershipControls", ""),
    (
        "setting::put_ownership",
        "PUT",
        "/{b}",
        "ownershipControls",
        "<OwnershipControls><Rule><ObjectOwnership>ObjectWriter</ObjectOwnership></Rule></OwnershipControls>",
    ),
    ("setting::delete_ownership", "DELETE", "/{b}", "ownershipControls", ""),
    ("setting::policy_status", "GET", "/{b}", "policyStatus", ""),
    ("setting::get_block", "GET", "/{b}", "publicAccessBlock", ""),
    ("setting::put_block", "PUT", "/{b}", "publicAccessBlock", "<PublicAccessBlockConfiguration/>"),
    ("setting::delete_block", "DELETE", "/{b}", "publicAccessBlock", ""),
    ("setting::get_payment", "GET", "/{b}", "requestPayment", ""),
    ("setting::get_tags", "GET", "/{b}", "tagging", ""),
    ("setting::put_tags", "PUT", "/{b}", "tagging", "<Tagging><TagSet/></Tagging>"),
    ("setting::delete_tags", "DELETE", "/{b}", "tagging", ""),
    ("cors::get", "GET", "/{b}", "cors", ""),
    (
        "cors::put",
        "PUT",
        "/{b}",
        "cors",
        "<CORSConfiguration><CORSRule><AllowedMethod>GET</AllowedMethod><AllowedOrigin>*</AllowedOrigin></CORSRule></CORSConfiguration>",
    ),
    ("cors::delete", "DELETE", "/{b}", "cors", ""),
    ("lifecycle::get", "GET", "/{b}", "lifecycle", ""),
    (
        "lifecycle::put",
        "PUT",
        "/{b}",
        "lifecycle",
        "<LifecycleConfiguration><Rule><Status>Enabled</Status><Expiration><Days>1</Days></Expiration></Rule></LifecycleConfiguration>",
    ),
    ("lifecycle::delete", "DELETE", "/{b}", "lifecycle", ""),
    ("lock::get_configuration", "GET", "/{b}", "object-lock", ""),
    (
        "lock::put_configuration",
        "PUT",
        "/{b}",
        "object-lock",
        "<ObjectLockConfiguration><ObjectLockEnabled>Enabled</ObjectLockEnabled></ObjectLockConfiguration>",
    ),
    ("logging::get", "GET", "/{b}", "logging", ""),
    ("logging::put", "PUT", "/{b}", "logging", "<BucketLoggingStatus/>"),
    ("notification::get", "GET", "/{b}", "notification", ""),
    ("notification::put", "PUT", "/{b}", "notification", "<NotificationConfiguration/>"),
    ("list::objects", "GET", "/{b}", "list-type=2", ""),
    ("list::versions", "GET", "/{b}", "versions", ""),
    ("upload_list::list", "GET", "/{b}", "uploads", ""),
    (
        "delete::many",
        "POST",
        "/{b}",
        "delete",
        "<Delete><Object><Key>absent</Key></Object></Delete>",
    ),
    ("read::get", "GET", "/{b}/k", "", ""),
    ("meta::get_tags", "GET", "/{b}/k", "tagging", ""),
    ("meta::put_tags", "PUT", "/{b}/k", "tagging", "<Tagging><TagSet/></Tagging>"),
    ("meta::delete_tags", "DELETE", "/{b}/k", "tagging", ""),
    ("meta::get_acl", "GET", "/{b}/k", "acl", ""),
    (
        "meta::put_acl",
        "PUT",
        "/{b}/k",
        "acl",
        "<AccessControlPolicy><AccessControlList/></AccessControlPolicy>",
    ),
    ("lock::get_retention", "GET", "/{b}/k", "retention", ""),
    ("lock::put_retention", "PUT", "/{b}/k", "retention", "<Retention/>"),
    ("lock::get_hold", "GET", "/{b}/k", "legal-hold", ""),
    (
        "lock::put_hold",
        "PUT",
        "/{b}/k",
        "legal-hold",
        "<LegalHold><Status>OFF</Status></LegalHold>",
    ),
    ("read::restore", "POST", "/{b}/k", "restore", ""),
    ("object::put", "PUT", "/{b}/k2", "", "bytes"),
    ("upload::create", "POST", "/{b}/k3", "uploads", ""),
    ("upload::put_part", "PUT", "/{b}/up", "uploadId={u}&partNumber=1", "part"),
    ("upload_list::list_parts", "GET", "/{b}/up", "uploadId={u}", ""),
    (
        "complete::complete",
        "POST",
        "/{b}/up",
        "uploadId={u}",
        "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>{e}</ETag></Part></CompleteMultipartUpload>",
    ),
    ("upload::abort", "DELETE", "/{b}/up", "uploadId={u}", ""),
    ("delete::one", "DELETE", "/{b}/k", "", ""),
];

/// Handlers that a header tells apart from one above, or that bear their own proof: their tests
/// stand elsewhere.
const ELSEWHERE: [&str; 6] = [
    "attributes::get",
    "copy::object",
    "copy::part",
    "payload::document",
    "post::is_form",
    "post::upload",
];

/// A caller: name, key, secret.
const CALLERS: [(&str, &str, &str); 8] = [
    ("nobody", "", ""),
    ("unknown", "AKNONE", "x"),
    ("forged", "AKOWNER", "not-the-secret"),
    ("expired", "AKEXPIRED", "s"),
    ("revoked", "AKREVOKED", "s"),
    ("other", "AKOTHER", "s"),
    ("reader", "AKREADER", "s"),
    ("owner", "AKOWNER", "s"),
];

pub(super) struct Site {
    app: Router,
    pub(super) objects: Objects,
    _folder: tempfile::TempDir,
}

pub(super) async fn site() -> Site {
    let folder = tempfile::tempdir().unwrap();
    let config = store::Config::new(folder.path().join("store"));
    let store = Store::open(&config, SiteKey::new([7; 32])).unwrap();
    let config = Config { keep_free: 0, ..Config::new(folder.path().join("blobs")) };
    let objects = Objects::open(config, store).await.unwrap();
    let rule = |bucket: String| Rule {
        bucket,
        prefix: String::new(),
        verbs: vec![Verb::Read, Verb::List],
    };
    let buckets = (0..OPERATIONS.len()).flat_map(|n| [name(n, false), name(n, true)]);
    let reader = Scope::Rules(buckets.map(rule).collect());
    let keys: [(&str, &str, Scope, Option<Timestamp>); 5] = [
        ("AKOWNER", "ann", Scope::Owner, None),
        ("AKEXPIRED", "ann", Scope::Owner, Some(Timestamp(1))),
        ("AKREVOKED", "ann", Scope::Owner, None),
        ("AKOTHER", "bob", Scope::Owner, None),
        ("AKREADER", "ann", reader, None),
    ];
    for (id, owner, scope, expires) in keys {
        let owner = Owner { id: owner.into(), ..Owner::default() };
        objects.key_import(id, &Secret::new("s"), owner, scope, expires).await.unwrap();
    }
    objects.key_revoke("AKREVOKED").await.unwrap();
    Site { app: super::router(objects.clone()), objects, _folder: folder }
}

/// The bucket of one operation by one way.
fn name(number: usize, by_query: bool) -> String {
    format!("b{number}-{}", if by_query { "query" } else { "header" })
}

/// A request, signed in the header or in the query; without a key it is not signed.
pub(super) fn request(
    (method, path, query, body): (&str, &str, &str, &str),
    (key, secret): (&str, &str),
    by_query: bool,
) -> Request<Body> {
    let date = date_text(now());
    let place = sigv4::scope(&date[..8], "us-east-1");
    let mut query = Query::parse(query);
    let credential = format!("{key}/{place}");
    let mut headers = vec![("host", HOST.into())];
    if by_query && !key.is_empty() {
        let own = [
            ("X-Amz-Algorithm", ALGORITHM),
            ("X-Amz-Credential", &credential),
            ("X-Amz-Date", &date),
            ("X-Amz-Expires", "60"),
            ("X-Amz-SignedHeaders", "host"),
        ];
        own.into_iter().for_each(|(name, value)| query.push(name, value));
    } else if !key.is_empty() {
        headers.push(("x-amz-content-sha256", UNSIGNED.into()));
        headers.push(("x-amz-date", date.as_str().into()));
    }
    let canonical = Canonical {
        method,
        path: path.as_bytes(),
        query: &query,
        headers: &headers,
        payload: UNSIGNED,
    };
    let signature = SigningKey::new(secret, &place).sign_request(&date, &place, &canonical);
    let mut text: Vec<String> =
        query.iter().map(|(name, value)| format!("{name}={}", encode_value(value))).collect();
    if by_query && !key.is_empty() {
        text.push(format!("X-Amz-Signature={signature}"));
    }
    let uri = format!("{}?{}", encode_path(path.as_bytes()), text.join("&"));
    let mut request =
        Request::builder().method(method).uri(uri).header("content-length", body.len());
    for (name, value) in &headers {
        request = request.header(*name, value.as_ref());
    }
    if !by_query && !key.is_empty() {
        let names: Vec<&str> = headers.iter().map(|(name, _)| *name).collect();
        let proof = format!(
            "{ALGORITHM} Credential={credential},SignedHeaders={},Signature={signature}",
            names.join(";")
        );
        request = request.header("authorization", proof);
    }
    request.body(Body::from(body.to_owned())).unwrap()
}

pub(super) async fn ask(site: &Site, request: Request<Body>) -> Response<Body> {
    site.app.clone().oneshot(request).await.unwrap()
}

pub(super) async fn as_owner(
    site: &Site,
    method: &str,
    path: &str,
    query: &str,
    body: &str,
) -> Response<Body> {
    let response = ask(site, request((method, path, query, body), ("AKOWNER", "s"), false)).await;
    assert!(response.status().is_success(), "{method} {path}?{query}: {}", response.status());
    response
}

/// A bucket with an object; where the operation needs it, a lock, or an upload and its part's ETag.
async fn prepare(site: &Site, bucket: &str, operation: &Operation) -> (String, String) {
    as_owner(site, "PUT", &format!("/{bucket}"), "", "").await;
    as_owner(site, "PUT", &format!("/{bucket}/k"), "", "bytes").await;
    if operation.0.starts_with("lock::") {
        let on = "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>";
        as_owner(site, "PUT", &format!("/{bucket}"), "versioning", on).await;
        let lock = "<ObjectLockConfiguration><ObjectLockEnabled>Enabled</ObjectLockEnabled></ObjectLockConfiguration>";
        as_owner(site, "PUT", &format!("/{bucket}"), "object-lock", lock).await;
    }
    if !operation.3.contains("{u}") {
        return Default::default();
    }
    let begun = as_owner(site, "POST", &format!("/{bucket}/up"), "uploads", "").await;
    let text = begun.into_body().collect().await.unwrap().to_bytes();
    let root = super::xml::parse(&text).unwrap();
    let upload = root.text_of("UploadId").unwrap().to_owned();
    let query = format!("uploadId={upload}&partNumber=1");
    let part = as_owner(site, "PUT", &format!("/{bucket}/up"), &query, "part").await;
    let etag = part.headers()["etag"].to_str().unwrap().trim_matches('"').to_owned();
    (upload, etag)
}

async fn row(site: &Site, number: usize, by_query: bool) -> Vec<String> {
    let (_, method, path, query, body) = OPERATIONS[number];
    let bucket = name(number, by_query);
    let (upload, etag) = prepare(site, &bucket, &OPERATIONS[number]).await;
    let fill =
        |text: &str| text.replace("{b}", &bucket).replace("{u}", &upload).replace("{e}", &etag);
    let (path, query, body) = (fill(path), fill(query), fill(body));
    let mut found = Vec::new();
    for (_, key, secret) in CALLERS {
        let asked = request((method, &path, &query, &body), (key, secret), by_query);
        let answer = ask(site, asked).await;
        let status = answer.status().as_u16();
        let text = answer.into_body().collect().await.unwrap().to_bytes();
        let denied = String::from_utf8_lossy(&text).contains("<Code>AccessDenied</Code>");
        // A bulk request answers for each of its objects.
        found.push(if denied && status == 200 { "(403)".to_owned() } else { status.to_string() });
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn every_operation_answers_every_caller_as_reviewed() {
    let begun = std::time::Instant::now();
    let site = site().await;
    let names: Vec<String> = CALLERS.iter().map(|(name, ..)| format!("{name:>8}")).collect();
    let mut table = format!("{:<30}{:<7}{}\n", "operation", "by", names.join(""));
    for (number, operation) in OPERATIONS.iter().enumerate() {
        for by_query in [false, true] {
            let way = if by_query { "query" } else { "header" };
            let cells: Vec<String> = row(&site, number, by_query)
                .await
                .iter()
                .map(|code| format!("{code:>8}"))
                .collect();
            writeln!(table, "{:<30}{way:<7}{}", operation.0, cells.join("")).unwrap();
        }
    }
    if std::env::var_os("APPLIANCE_UPDATE").is_some() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/src/s3/matrix.txt");
        std::fs::write(path, &table).unwrap();
        return;
    }
    for (found, reviewed) in table.lines().zip(REVIEWED.lines()) {
        assert_eq!(found, reviewed);
    }
    assert_eq!(table.lines().count(), REVIEWED.lines().count());
    assert!(begun.elapsed() < Duration::from_secs(300), "it took {:?}", begun.elapsed());
}

#[test]
fn every_routed_handler_is_in_the_table() {
    let listed: BTreeSet<&str> = OPERATIONS.iter().map(|one| one.0).chain(ELSEWHERE).collect();
    let routed: BTreeSet<&str> = ROUTES
        .split_whitespace()
        .filter_map(|word| word.split_once("(call"))
        .map(|(handler, _)| handler)
        .filter(|handler| {
            let plain = |c: char| c.is_ascii_lowercase() || matches!(c, '_' | ':');
            handler.contains("::") && handler.chars().all(plain)
        })
        .collect();
    assert!(routed.len() > 40, "the routes are found in their source: {routed:?}");
    let missing: Vec<_> = routed.difference(&listed).collect();
    assert!(missing.is_empty(), "not in the table: {missing:?}");
}
