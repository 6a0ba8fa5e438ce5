//! What is compressed, for whom, and that it stays what it is.

use crate::{
    doors::{BASE, CROSS, HTML, SAME, WORD, ask, cookie, log_in},
    site::{Site, work},
};
use axum::body::Body;
use flate2::read::GzDecoder;
use http::{Response, header};
use http_body_util::BodyExt;
use std::io::Read;
use store::access::Role;

const GZIP: (&str, &str) = ("accept-encoding", "gzip, deflate, br, zstd");

async fn bytes(answer: Response<Body>) -> Vec<u8> {
    answer.into_body().collect().await.unwrap().to_bytes().to_vec()
}

fn encoding(answer: &Response<Body>) -> Option<&str> {
    answer.headers().get(header::CONTENT_ENCODING).map(|value| value.to_str().unwrap())
}

fn unpacked(bytes: &[u8]) -> Vec<u8> {
    let mut all = Vec::new();
    GzDecoder::new(bytes).read_to_end(&mut all).unwrap();
    all
}

#[tokio::test]
async fn pages_and_assets_are_compressed_and_streams_and_files_are_not() {
    let site = Site::open(BASE).await;
    let (task, _) = work::populate(&site).await;
    site.artifact(task, "out/report.html", b"<p>report</p>".repeat(500)).await;
    site.account("mira", Role::Admin, WORD, false).await;
    let session = cookie(&log_in(&site, "mira", WORD).await);
    let get = async |path: &str, more: &[(&str, &str)]| {
        let own = [("cookie", session.as_str())];
        ask(&site, "GET", path, &[&own, more].concat(), "").await
    };
    let asset = web::pages::assets::address("style.css");
    for path in ["/", "/gh/acme/relay-firmware/221", &asset, "/api/v2/openapi.json"] {
        let plain = get(path, &[]).await;
        assert_eq!(encoding(&plain), None, "{path}");
        let plain = bytes(plain).await;
        let packed = get(path, &[GZIP, SAME]).await;
        assert_eq!(encoding(&packed), Some("gzip"), "{path}");
        let vary = packed.headers()[header::VARY].to_str().unwrap();
        assert!(vary.eq_ignore_ascii_case("accept-encoding"), "{path}: {vary}");
        let packed = bytes(packed).await;
        assert!(packed.len() * 2 < plain.len(), "{path}: {} of {}", packed.len(), plain.len());
        let whole = unpacked(&packed);
        assert!(whole == plain || !path.starts_with("/assets/"), "{path}");
        assert!(whole.len().abs_diff(plain.len()) < 200, "{path}: times change, and nothing else");
    }
    for path in [
        format!("/artifacts/{task}/out/report.html"),
        format!("/tasks/{task}/steps/1/raw"),
        "/api/v2/project/gh/acme/relay-firmware/job/221/log".to_owned(),
        "/events".to_owned(),
    ] {
        let answer = get(&path, &[GZIP, SAME]).await;
        assert_eq!((answer.status().as_u16(), encoding(&answer)), (200, None), "{path}");
    }
}

#[tokio::test]
async fn another_site_learns_nothing_from_lengths() {
    let site = Site::open(BASE).await;
    work::populate(&site).await;
    site.account("mira", Role::Admin, WORD, false).await;
    let session = cookie(&log_in(&site, "mira", WORD).await);
    for (by, expected) in
        [(CROSS, None), (SAME, Some("gzip")), (("sec-fetch-site", "none"), Some("gzip"))]
    {
        let headers = [("cookie", session.as_str()), HTML, GZIP, by];
        let answer = ask(&site, "GET", "/?branch=guess", &headers, "").await;
        assert_eq!(encoding(&answer), expected, "{by:?}");
    }
}

#[tokio::test]
async fn a_first_visit_stays_below_fifty_kilobytes() {
    let site = Site::open(BASE).await;
    work::populate(&site).await;
    site.account("mira", Role::Admin, WORD, false).await;
    let session = cookie(&log_in(&site, "mira", WORD).await);
    let get = async |path: &str| {
        let headers = [("cookie", session.as_str()), HTML, GZIP, SAME];
        bytes(ask(&site, "GET", path, &headers, "").await).await
    };
    for path in ["/", "/pipelines/gh/acme/relay-firmware/119", "/gh/acme/relay-firmware/221"] {
        let packed = get(path).await;
        let page = String::from_utf8(unpacked(&packed)).unwrap();
        let mut total = packed.len();
        let assets: std::collections::BTreeSet<&str> = page
            .split('"')
            .filter(|text| text.starts_with("/assets/"))
            .map(|text| text.split('#').next().unwrap())
            .collect();
        for asset in assets {
            total += get(asset).await.len();
        }
        assert!(total < web::pages::assets::TOTAL_MAX, "{path}: {total} bytes");
    }
}
