//! Listings of versions and of unfinished uploads go on although the row that a page ended with is gone.

use super::{
    matrix::{Site, as_owner, site},
    xml::{self, Element},
};
use http_body_util::BodyExt;

async fn document(site: &Site, method: &str, path: &str, query: &str) -> Element {
    let answer = as_owner(site, method, path, query, "").await;
    let text = answer.into_body().collect().await.unwrap().to_bytes();
    xml::parse(&text).unwrap()
}

/// What one listing goes by.
struct Names {
    list: &'static str,
    line: &'static str,
    id: &'static str,
    marker: &'static str,
    next: &'static str,
    /// The name in the query by which one is removed.
    gone: &'static str,
}

const VERSIONS: Names = Names {
    list: "versions&max-keys=1",
    line: "Version",
    id: "VersionId",
    marker: "version-id-marker",
    next: "NextVersionIdMarker",
    gone: "versionId",
};

const UPLOADS: Names = Names {
    list: "uploads&max-uploads=1",
    line: "Upload",
    id: "UploadId",
    marker: "upload-id-marker",
    next: "NextUploadIdMarker",
    gone: "uploadId",
};

/// Lists in pages of one line, and removes each line before it asks for the next page: the ids told.
async fn listed(site: &Site, names: &Names) -> Vec<String> {
    let (mut told, mut from) = (Vec::new(), String::new());
    loop {
        let page = document(site, "GET", "/pages", &format!("{}{from}", names.list)).await;
        for line in page.all(names.line) {
            let id = line.text_of(names.id).unwrap();
            told.push(id.to_owned());
            as_owner(site, "DELETE", "/pages/k", &format!("{}={id}", names.gone), "").await;
        }
        if page.text_of("IsTruncated") != Some("true") {
            return told;
        }
        let next = page.text_of(names.next).unwrap();
        from = format!("&key-marker=k&{}={next}", names.marker);
    }
}

#[tokio::test]
async fn a_listing_goes_on_behind_a_version_that_was_removed() {
    let site = site().await;
    as_owner(&site, "PUT", "/pages", "", "").await;
    let on = "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>";
    as_owner(&site, "PUT", "/pages", "versioning", on).await;
    let mut put = Vec::new();
    for body in ["one", "two", "three"] {
        let answer = as_owner(&site, "PUT", "/pages/k", "", body).await;
        put.insert(0, answer.headers()["x-amz-version-id"].to_str().unwrap().to_owned());
    }
    // A client may go on from any version that it knows, too.
    let query = format!("versions&key-marker=k&version-id-marker={}", put[1]);
    let rest = document(&site, "GET", "/pages", &query).await;
    assert_eq!(rest.all("Version").next().unwrap().text_of("VersionId"), Some(&*put[2]));
    assert_eq!(listed(&site, &VERSIONS).await, put);
}

#[tokio::test]
async fn a_listing_goes_on_behind_an_upload_that_was_given_up() {
    let site = site().await;
    as_owner(&site, "PUT", "/pages", "", "").await;
    let mut begun = Vec::new();
    for _ in 0..3 {
        let answer = document(&site, "POST", "/pages/k", "uploads").await;
        begun.push(answer.text_of("UploadId").unwrap().to_owned());
    }
    assert_eq!(listed(&site, &UPLOADS).await, begun);
}
