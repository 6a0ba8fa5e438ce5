//! Who may do what: every operation of the routes by every kind of caller, by header and by query,
//! against a reviewed table.
//!
//! The list of operations is held against `route.rs` itself: a handler that is routed and not
//! listed here fails the test. To accept a change, run with `APPLIANCE_UPDATE=1` and review the
//! difference of `matrix.txt`.

mod operations;

use crate::{
    Config, Objects, Owner, Rule, Scope, SessionScope, Verb,
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
use operations::{ELSEWHERE, HEADERS, OPERATIONS, Operation};
use std::{collections::BTreeSet, fmt::Write, time::Duration};
use store::{SiteKey, Store};
use tower::ServiceExt;

const REVIEWED: &str = include_str!("matrix.txt");
const ROUTES: &str = include_str!("route.rs");
const HOST: &str = "s3.test";

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

pub(crate) struct Site {
    app: Router,
    pub(crate) objects: Objects,
    _folder: tempfile::TempDir,
}

pub(crate) async fn site() -> Site {
    let folder = tempfile::tempdir().unwrap();
    let config = store::Config::new(folder.path().join("store"));
    let store = Store::open(&config, SiteKey::new([7; 32])).unwrap();
    let session_stands = |_: &store::Reader<'_>, subject: &str| Ok(subject != "over");
    let config =
        Config { keep_free: 0, session_stands, ..Config::new(folder.path().join("blobs")) };
    let config = Config { domains: vec![HOST.to_owned()], ..config };
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
    objects.key_revoke("AKREVOKED", crate::alone).await.unwrap();
    Site { app: super::router(objects.clone()), objects, _folder: folder }
}

/// The bucket of one operation by one way.
fn name(number: usize, by_query: bool) -> String {
    format!("b{number}-{}", if by_query { "query" } else { "header" })
}

/// A request, signed in the header or in the query; without a key it is not signed.
pub(super) fn request(
    asked: (&str, &str, &str, &str),
    key: (&str, &str),
    by_query: bool,
) -> Request<Body> {
    request_with(asked, key, by_query, &[])
}

/// The same with more headers, which are signed.
pub(super) fn request_with(
    (method, path, query, body): (&str, &str, &str, &str),
    (key, secret): (&str, &str),
    by_query: bool,
    more: &[(&str, &str)],
) -> Request<Body> {
    let date = date_text(now());
    let place = sigv4::scope(&date[..8], "us-east-1");
    let mut query = Query::parse(query);
    let credential = format!("{key}/{place}");
    let mut headers = vec![("host", HOST.into())];
    headers.extend(more.iter().map(|(name, value)| (*name, (*value).into())));
    headers.sort_unstable();
    if by_query && !key.is_empty() {
        let own = [
            ("X-Amz-Algorithm", ALGORITHM),
            ("X-Amz-Credential", &credential),
            ("X-Amz-Date", &date),
            ("X-Amz-Expires", "60"),
            ("X-Amz-SignedHeaders", &names(&headers)),
        ];
        own.into_iter().for_each(|(name, value)| query.push(name, value));
    } else if !key.is_empty() {
        headers.push(("x-amz-content-sha256", UNSIGNED.into()));
        headers.push(("x-amz-date", date.as_str().into()));
        headers.sort_unstable();
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
        let proof = format!(
            "{ALGORITHM} Credential={credential},SignedHeaders={},Signature={signature}",
            names(&headers)
        );
        request = request.header("authorization", proof);
    }
    request.body(Body::from(body.to_owned())).unwrap()
}

fn names<T>(headers: &[(&str, T)]) -> String {
    headers.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(";")
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
    let (operation, method, path, query, body) = OPERATIONS[number];
    let bucket = name(number, by_query);
    let (upload, etag) = prepare(site, &bucket, &OPERATIONS[number]).await;
    let fill =
        |text: &str| text.replace("{b}", &bucket).replace("{u}", &upload).replace("{e}", &etag);
    let (path, query, body) = (fill(path), fill(query), fill(body));
    let header = HEADERS
        .iter()
        .find(|(of, ..)| *of == operation)
        .map(|(_, name, value)| (*name, fill(value)));
    let header = header.as_ref().map(|(name, value)| (*name, value.as_str()));
    let mut found = Vec::new();
    for (_, key, secret) in CALLERS {
        let asked = (method, path.as_str(), query.as_str(), body.as_str());
        let asked = request_with(asked, (key, secret), by_query, header.as_slice());
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

#[tokio::test]
async fn a_key_for_a_while_ends_with_what_it_was_made_for() {
    let site = site().await;
    as_owner(&site, "PUT", "/given", "", "").await;
    let later = now().plus(Duration::from_secs(60));
    let check = async |subject: &str, by_query: bool, expected: &str| {
        let key = site.objects.session_key(subject, "ann", SessionScope::Owner, later);
        let pair = (key.id.as_str(), key.secret.expose());
        let token = key.token.expose();
        let (query, header) = match by_query {
            true => (format!("X-Amz-Security-Token={}", encode_value(token)), None),
            false => (String::new(), Some(("x-amz-security-token", token))),
        };
        let asked = ("GET", "/given", query.as_str(), "");
        let asked = request_with(asked, pair, by_query, header.as_slice());
        let answer = ask(&site, asked).await;
        let text = answer.into_body().collect().await.unwrap().to_bytes();
        let text = String::from_utf8_lossy(&text).into_owned();
        assert!(text.contains(expected), "{subject} {by_query}: {text}");
    };
    for by_query in [false, true] {
        check("runs", by_query, "ListBucketResult").await;
        check("over", by_query, "<Code>ExpiredToken</Code>").await;
    }
}

#[tokio::test]
async fn keys_of_two_levels_write_where_only_their_own_level_reads() {
    let site = site().await;
    as_owner(&site, "PUT", "/results", "", "").await;
    as_owner(&site, "PUT", "/results/release", "", "good").await;
    let later = now().plus(Duration::from_secs(60));
    let check = async |scope: SessionScope, asked: (&str, &str, &str, &str), expected: u16| {
        let key = site.objects.session_key("runs", "ann", scope, later);
        let pair = (key.id.as_str(), key.secret.expose());
        let header = [("x-amz-security-token", key.token.expose())];
        let answer = ask(&site, request_with(asked, pair, false, &header)).await;
        let status = answer.status().as_u16();
        let text = answer.into_body().collect().await.unwrap().to_bytes();
        let text = String::from_utf8_lossy(&text).into_owned();
        assert_eq!(status, expected, "{scope:?} {asked:?}: {text}");
        assert_eq!(status == 403, text.contains("<Code>AccessDenied</Code>"), "{asked:?}: {text}");
    };
    let policy = r#"{"Version":"2012-10-17","Statement":[]}"#;
    let lower = SessionScope::Unprotected;
    check(lower, ("GET", "/results/release", "", ""), 200).await;
    check(lower, ("PUT", "/results/release", "", "bad"), 403).await;
    check(lower, ("DELETE", "/results/release", "", ""), 403).await;
    check(lower, ("PUT", "/results/release", "tagging", ""), 403).await;
    check(lower, ("POST", "/results/release", "uploads", ""), 403).await;
    check(lower, ("PUT", "/results", "policy", policy), 403).await;
    check(lower, ("DELETE", "/results", "", ""), 403).await;
    check(lower, ("PUT", "/made-by-it", "", ""), 403).await;
    check(lower, ("PUT", "/results/unprotected/try", "", "bad"), 200).await;
    let upper = SessionScope::Protected;
    check(upper, ("GET", "/results/unprotected/try", "", ""), 403).await;
    check(upper, ("GET", "/results/release", "", ""), 200).await;
    check(upper, ("PUT", "/results/release", "", "better"), 200).await;
    check(upper, ("DELETE", "/results/unprotected/try", "", ""), 204).await;
    check(upper, ("PUT", "/made-by-it", "", ""), 200).await;
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
