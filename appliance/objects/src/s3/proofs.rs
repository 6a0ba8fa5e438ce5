//! Signatures by the letter: what they must be of, and what they bring along.

use super::{
    matrix::{as_owner, site},
    signed::Asked,
};
use crate::{digest, objects::now, sigv4::date_text};
use base::time::Timestamp;
use sha2::{Digest, Sha256};

const DONE: (u16, &str) = (200, "");

#[tokio::test]
async fn the_key_of_another_day_signs_nothing() {
    let site = site().await;
    as_owner(&site, "PUT", "/one", "", "").await;
    let yesterday = date_text(Timestamp(now().0 - 24 * 3600 * 1_000_000));
    for (by_query, code) in
        [(false, "AuthorizationHeaderMalformed"), (true, "AuthorizationQueryParametersError")]
    {
        let day = &yesterday[..8];
        Asked { by_query, day, ..Asked::default() }.check(&site, (400, code)).await;
        Asked { by_query, ..Asked::default() }.check(&site, DONE).await;
    }
}

#[tokio::test]
async fn a_hash_among_the_signed_headers_of_an_address_is_that_of_the_body() {
    let site = site().await;
    as_owner(&site, "PUT", "/one", "", "").await;
    let hash = digest::hex(&Sha256::digest(b"bytes"));
    let headers = &[("x-amz-content-sha256", hash.as_str())];
    // As one form of client signs it, and as the other does.
    for payload in [hash.as_str(), "UNSIGNED-PAYLOAD"] {
        let check = async |body: &str, expected: (u16, &str)| {
            let asked = Asked { by_query: true, headers, payload, body, ..Asked::default() };
            asked.check(&site, expected).await;
        };
        check("bytes", DONE).await;
        check("other", (400, "XAmzContentSHA256Mismatch")).await;
    }
    let (loose, body) = (&[("x-amz-content-sha256", hash.as_str())], "other");
    // What is not signed is no promise of whoever signed.
    Asked { by_query: true, loose, body, ..Asked::default() }.check(&site, DONE).await;
}

#[tokio::test]
async fn a_request_has_one_proof() {
    let site = site().await;
    as_owner(&site, "PUT", "/one", "", "").await;
    let loose = &[("authorization", "Bearer x")];
    let both = Asked { by_query: true, loose, ..Asked::default() };
    both.check(&site, (400, "InvalidArgument")).await;
    let loose = &[("authorization", "")];
    Asked { by_query: true, loose, ..Asked::default() }.check(&site, DONE).await;
}
