//! Requests as clients sign them, in each way that a test needs.

use super::{
    matrix::{Site, ask},
    refused::said,
};
use crate::{
    objects::now,
    query::Query,
    sigv4::{
        self, ALGORITHM, Canonical, SigningKey, UNSIGNED, date_text, encode_path, encode_value,
    },
};
use axum::body::Body;
use http::{Request, Response, Version};
use std::borrow::Cow;

/// What the owner of the tests' buckets asks for, and how it is signed.
pub(super) struct Asked<'a> {
    pub(super) method: &'a str,
    pub(super) path: &'a str,
    pub(super) query: &'a str,
    pub(super) host: &'a str,
    /// Signed headers.
    pub(super) headers: &'a [(&'a str, &'a str)],
    /// Headers that are not signed.
    pub(super) loose: &'a [(&'a str, &'a str)],
    /// As the signature tells of the body.
    pub(super) payload: &'a str,
    /// When it is signed.
    pub(super) date: String,
    /// The day of the key that signs; empty for that of the date.
    pub(super) day: &'a str,
    /// The signature stands in the query.
    pub(super) by_query: bool,
    /// The body's length is told, as over HTTP/1.1; otherwise it comes over HTTP/2 without.
    pub(super) length: bool,
    pub(super) body: &'a str,
}

impl Default for Asked<'_> {
    fn default() -> Self {
        Self {
            method: "PUT",
            path: "/one/k",
            query: "",
            host: "s3.test",
            headers: &[],
            loose: &[],
            payload: UNSIGNED,
            date: date_text(now()),
            day: "",
            by_query: false,
            length: true,
            body: "",
        }
    }
}

impl Asked<'_> {
    pub(super) fn request(&self) -> Request<Body> {
        let day = if self.day.is_empty() { &self.date[..8] } else { self.day };
        let place = sigv4::scope(day, "us-east-1");
        let credential = format!("AKOWNER/{place}");
        let mut headers: Vec<(&str, Cow<'_, str>)> = vec![("host", self.host.into())];
        headers.extend(self.headers.iter().map(|(name, value)| (*name, (*value).into())));
        if !self.by_query {
            headers.push(("x-amz-content-sha256", self.payload.into()));
            headers.push(("x-amz-date", self.date.as_str().into()));
        }
        headers.sort_unstable();
        let names: Vec<&str> = headers.iter().map(|(name, _)| *name).collect();
        let names = names.join(";");
        let mut query = Query::parse(self.query);
        if self.by_query {
            for (name, value) in [
                ("X-Amz-Algorithm", ALGORITHM),
                ("X-Amz-Credential", &credential),
                ("X-Amz-Date", &self.date),
                ("X-Amz-Expires", "600"),
                ("X-Amz-SignedHeaders", &names),
            ] {
                query.push(name, value);
            }
        }
        let canonical = Canonical {
            method: self.method,
            path: self.path.as_bytes(),
            query: &query,
            headers: &headers,
            payload: self.payload,
        };
        let key = SigningKey::new("s", &place);
        let signature = key.sign_request(&self.date, &place, &canonical);
        let mut text: Vec<String> =
            query.iter().map(|(name, value)| format!("{name}={}", encode_value(value))).collect();
        if self.by_query {
            text.push(format!("X-Amz-Signature={signature}"));
        }
        let uri = format!("{}?{}", encode_path(self.path.as_bytes()), text.join("&"));
        let mut request = Request::builder().method(self.method).uri(uri);
        for (name, value) in &headers {
            request = request.header(*name, value.as_ref());
        }
        for (name, value) in self.loose {
            request = request.header(*name, *value);
        }
        if !self.by_query {
            let proof = format!(
                "{ALGORITHM} Credential={credential},SignedHeaders={names},Signature={signature}"
            );
            request = request.header("authorization", proof);
        }
        let request = match self.length {
            true => request.header("content-length", self.body.len()),
            false => request.version(Version::HTTP_2),
        };
        request.body(Body::from(self.body.to_owned())).unwrap()
    }

    pub(super) async fn answer(&self, site: &Site) -> Response<Body> {
        ask(site, self.request()).await
    }

    /// The status and the code of an error.
    pub(super) async fn said(&self, site: &Site) -> (u16, String) {
        said(self.answer(site).await).await
    }

    /// Holds the answer against what is expected.
    pub(super) async fn check(&self, site: &Site, (status, code): (u16, &str)) {
        let found = self.said(site).await;
        let Self { method, path, query, headers, .. } = self;
        assert_eq!(found, (status, code.to_owned()), "{method} {path}?{query} {headers:?}");
    }
}
