//! Listings as their query asks for them: encoded, by prefix, by region, in pages.

use super::{
    matrix::{Site, as_owner, site},
    signed::Asked,
    xml::{self, Element},
};
use http_body_util::BodyExt;

async fn listed(site: &Site, path: &str, query: &str) -> Element {
    let answer = as_owner(site, "GET", path, query, "").await;
    let text = answer.into_body().collect().await.unwrap().to_bytes();
    xml::parse(&text).unwrap_or_else(|| panic!("{query}: {}", String::from_utf8_lossy(&text)))
}

#[tokio::test]
async fn uploads_of_odd_keys_are_listed_as_other_keys_are() {
    let site = site().await;
    as_owner(&site, "PUT", "/one", "", "").await;
    for key in ["/one/a\u{1}b", "/one/a\u{1}c/d", "/one/a\u{1}e"] {
        as_owner(&site, "POST", key, "uploads", "").await;
    }
    let query =
        "uploads&encoding-type=url&prefix=a%01&delimiter=%2F&max-uploads=2&key-marker=a%01a";
    let page = listed(&site, "/one", query).await;
    assert_eq!(page.text_of("EncodingType"), Some("url"));
    assert_eq!(page.text_of("Prefix"), Some("a%01"));
    assert_eq!(page.text_of("KeyMarker"), Some("a%01a"));
    assert_eq!(page.text_of("NextKeyMarker"), Some("a%01c/"));
    let keys: Vec<_> = page.all("Upload").map(|one| one.text_of("Key").unwrap()).collect();
    assert_eq!(keys, ["a%01b"]);
    let prefixes: Vec<_> = page.all("CommonPrefixes").map(|one| one.text_of("Prefix")).collect();
    assert_eq!(prefixes, [Some("a%01c/")]);
    let (method, path, query) = ("GET", "/one", "uploads&encoding-type=utf8");
    let unknown = Asked { method, path, query, ..Asked::default() };
    unknown.check(&site, (400, "InvalidArgument")).await;
}

#[tokio::test]
async fn where_a_listing_starts_is_encoded_too() {
    let site = site().await;
    as_owner(&site, "PUT", "/one", "", "").await;
    let page = listed(&site, "/one", "list-type=2&encoding-type=url&start-after=a%01").await;
    assert_eq!(page.text_of("StartAfter"), Some("a%01"));
}

/// The names of the buckets on a page.
fn names(page: &Element) -> Vec<String> {
    let buckets = page.child("Buckets").unwrap();
    buckets.all("Bucket").map(|one| one.text_of("Name").unwrap().to_owned()).collect()
}

#[tokio::test]
async fn buckets_are_listed_by_prefix_and_region_and_in_pages() {
    let site = site().await;
    for name in ["/app", "/app-a", "/app-b", "/apq", "/other"] {
        as_owner(&site, "PUT", name, "", "").await;
    }
    let check = async |query: &str, expected: &[&str], next: Option<&str>| {
        let page = listed(&site, "/", query).await;
        assert_eq!(names(&page), expected, "{query}");
        assert_eq!(page.text_of("ContinuationToken"), next, "{query}");
    };
    check("", &["app", "app-a", "app-b", "apq", "other"], None).await;
    check("prefix=app", &["app", "app-a", "app-b"], None).await;
    check("prefix=app&max-buckets=2", &["app", "app-a"], Some("app-a")).await;
    check("prefix=app&max-buckets=2&continuation-token=app-a", &["app-b"], None).await;
    check("prefix=nothing", &[], None).await;
    check("bucket-region=us-east-1&max-buckets=1", &["app"], Some("app")).await;
    check("bucket-region=eu-west-1", &[], None).await;
    let page = listed(&site, "/", "prefix=app-a").await;
    assert_eq!(page.text_of("Prefix"), Some("app-a"));
    let bucket = page.child("Buckets").unwrap().child("Bucket").unwrap();
    assert_eq!(bucket.text_of("BucketRegion"), Some("us-east-1"));
    for query in ["max-buckets=0", "max-buckets=10001", "max-buckets=x"] {
        let asked = Asked { method: "GET", path: "/", query, ..Asked::default() };
        asked.check(&site, (400, "InvalidArgument")).await;
    }
}
