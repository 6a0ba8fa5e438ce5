//! Requests by the letter: what a name in the query stands for.

use super::{
    matrix::{as_owner, ask, request, site},
    refused::said,
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
