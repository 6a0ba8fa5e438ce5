//! What a request leaves in the access log of its bucket.
//!
//! The way: [`Seen::of`] notes what is known before the request is worked on, [`Seen::asked`] who
//! asked, and [`tell`] lets the answer's body count its bytes: the line is written when the last one
//! was sent, or the client went away.

use super::{call::Call, error::S3Error};
use crate::{
    access_log::{
        Logging, Source,
        record::{Record, without_secrets},
    },
    objects::{Objects, now},
};
use axum::{body::Body, response::Response};
use bytes::Bytes;
use http::{HeaderMap, Method, header, request::Parts};
use http_body::{Frame, SizeHint};
use std::{
    net::IpAddr,
    pin::Pin,
    task::{Context, Poll},
    time::Instant,
};

/// Who is at the other end of a connection; put into a request by whoever accepts it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Peer {
    /// The client's address; `None` for a process of this machine.
    pub address: Option<IpAddr>,
    /// What is said passes through TLS, or does not leave the machine.
    pub secure: bool,
}

/// A request on its way through.
pub(super) struct Seen {
    record: Record,
    begun: Instant,
    /// Keys that a deletion of many names, and how each ended.
    batch: Vec<Gone>,
}

/// One key of a deletion of many.
pub(crate) struct Gone {
    pub(crate) key: String,
    pub(crate) version: Option<String>,
    pub(crate) error: Option<S3Error>,
}

fn text(headers: &HeaderMap, name: header::HeaderName) -> String {
    headers.get(name).and_then(super::call::text_of).unwrap_or_default().to_owned()
}

fn has(query: &str, name: &str) -> bool {
    query.split('&').any(|pair| pair.split_once('=').map_or(pair, |(name, _)| name) == name)
}

/// Sub-resources of a bucket and of an object, as the log names them.
const OF_BUCKET: [(&str, &str); 18] = [
    ("acl", "ACL"),
    ("cors", "CORS"),
    ("delete", "MULTI_OBJECT_DELETE"),
    ("encryption", "ENCRYPTION"),
    ("lifecycle", "LIFECYCLE"),
    ("location", "LOCATION"),
    ("logging", "LOGGING_STATUS"),
    ("notification", "NOTIFICATION"),
    ("object-lock", "OBJECT_LOCK_CONFIGURATION"),
    ("ownershipControls", "OWNERSHIP_CONTROLS"),
    ("policy", "BUCKETPOLICY"),
    ("policyStatus", "POLICY_STATUS"),
    ("publicAccessBlock", "PUBLIC_ACCESS_BLOCK"),
    ("requestPayment", "REQUEST_PAYMENT"),
    ("tagging", "TAGGING"),
    ("uploads", "UPLOADS"),
    ("versioning", "VERSIONING"),
    ("versions", "BUCKETVERSIONS"),
];
const OF_OBJECT: [(&str, &str); 7] = [
    ("acl", "ACL"),
    ("attributes", "OBJECT_ATTRIBUTES"),
    ("legal-hold", "OBJECT_LOCK_LEGALHOLD"),
    ("restore", "RESTORE"),
    ("retention", "OBJECT_LOCK_RETENTION"),
    ("tagging", "OBJECT_TAGGING"),
    ("uploads", "UPLOADS"),
];

/// A part of a bucket or of an object goes by that name in the query.
pub(super) fn is_known(name: &str) -> bool {
    OF_BUCKET.iter().chain(&OF_OBJECT).any(|(known, _)| *known == name)
}

/// What is done with what, as the log names it: `REST.GET.OBJECT`.
fn operation(method: &Method, key: &str, query: &str, copies: bool) -> String {
    let named = |table: &[(&str, &'static str)]| {
        table.iter().find(|(name, _)| has(query, name)).map(|(_, name)| *name)
    };
    let in_parts = has(query, "uploadId");
    let resource =
        match (key.is_empty(), named(if key.is_empty() { &OF_BUCKET } else { &OF_OBJECT })) {
            (_, Some(name)) => name,
            (_, None) if *method == Method::OPTIONS => "PREFLIGHT",
            (true, None) if *method == Method::POST => "OBJECT",
            (true, None) => "BUCKET",
            (false, None) if in_parts && *method == Method::PUT => "PART",
            (false, None) if in_parts => "UPLOAD",
            (false, None) => "OBJECT",
        };
    let verb = if copies && *method == Method::PUT { "COPY" } else { method.as_str() };
    format!("REST.{verb}.{resource}")
}

impl Seen {
    /// What is known before the request is worked on.
    pub(super) fn of(
        parts: &Parts,
        peer: Peer,
        id: &str,
        (bucket, key): (&str, &str),
        host: &str,
    ) -> Self {
        let query = parts.uri.query().unwrap_or_default();
        let target = parts.uri.path_and_query().map_or("/", |target| target.as_str());
        let copies = parts.headers.contains_key("x-amz-copy-source");
        let sizes = ["x-amz-decoded-content-length", "content-length"];
        let sent = sizes.iter().find_map(|name| parts.headers.get(*name));
        let record = Record {
            bucket: bucket.to_owned(),
            at: now().0,
            address: peer.address,
            id: id.to_owned(),
            operation: operation(&parts.method, key, query, copies),
            key: key.to_owned(),
            request: format!("{} {} {:?}", parts.method, without_secrets(target), parts.version),
            size: sent
                .filter(|_| parts.method == Method::PUT && !key.is_empty())
                .and_then(|size| size.to_str().ok()?.parse().ok()),
            referer: text(&parts.headers, header::REFERER),
            agent: text(&parts.headers, header::USER_AGENT),
            host: host.to_owned(),
            ..Record::default()
        };
        Self { record, begun: Instant::now(), batch: Vec::new() }
    }

    /// Notes who asked, once that is proven.
    pub(super) fn asked(&mut self, call: &mut Call) {
        call.who.owner().clone_into(&mut self.record.requester);
        if let Some(version) = call.version() {
            version.clone_into(&mut self.record.version);
        }
        if !self.record.requester.is_empty() {
            let in_query = call.has("X-Amz-Signature");
            self.record.auth = if in_query { "QueryString" } else { "AuthHeader" };
        }
        self.batch = std::mem::take(&mut call.gone);
    }

    /// Notes how the request failed.
    pub(super) fn failed(&mut self, error: &S3Error) {
        self.record.error = error.code.name();
    }

    fn answered(&mut self, response: &Response) {
        let header = |name: &str| response.headers().get(name).and_then(super::call::text_of);
        self.record.status = response.status().as_u16();
        self.record.turn = self.begun.elapsed().as_millis();
        if let Some(version) = header("x-amz-version-id") {
            version.clone_into(&mut self.record.version);
        }
        let whole = header("content-range").and_then(|range| range.rsplit_once('/'));
        let whole = whole.map(|(_, size)| size).or_else(|| header("content-length"));
        let reads = response.status().is_success() && self.record.operation.ends_with(".OBJECT");
        if let Some(size) = whole.filter(|_| reads && self.record.size.is_none()) {
            self.record.size = size.parse().ok();
        }
    }
}

/// Lets the answer's body write the line of its request, if its bucket is logged.
pub(super) async fn tell(objects: &Objects, mut seen: Seen, response: &mut Response) {
    let Ok(bucket) = objects.bucket(&seen.record.bucket).await else { return };
    let Some(logging) = bucket.settings.logging.clone() else { return };
    seen.answered(response);
    seen.record.bucket_owner.clone_from(&bucket.owner);
    let body = std::mem::take(response.body_mut());
    let told = Told { body, seen, logging, objects: objects.clone() };
    *response.body_mut() = Body::new(told);
}

/// A body that counts what is sent, and writes the line when it ends.
struct Told {
    body: Body,
    seen: Seen,
    logging: Logging,
    objects: Objects,
}

impl http_body::Body for Told {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = Pin::new(&mut self.body).poll_frame(context);
        if let Poll::Ready(Some(Ok(frame))) = &frame {
            self.seen.record.sent += frame.data_ref().map_or(0, Bytes::len) as u64;
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Told {
    fn drop(&mut self) {
        let mut record = std::mem::take(&mut self.seen.record);
        record.total = self.seen.begun.elapsed().as_millis();
        let source = Source { bucket: record.bucket.clone(), owner: record.bucket_owner.clone() };
        let logs = &self.objects.inner.access_logs;
        logs.add(&self.logging, source.clone(), &record.line());
        for gone in self.seen.batch.drain(..) {
            let status = gone.error.as_ref().map_or(204, |error| error.status().as_u16());
            let error = gone.error.map_or("", |error| error.code.name());
            let one = Record {
                operation: "BATCH.DELETE.OBJECT".into(),
                key: gone.key,
                version: gone.version.unwrap_or_default(),
                status,
                error,
                sent: 0,
                size: None,
                ..record.clone()
            };
            logs.add(&self.logging, source.clone(), &one.line());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(method: &Method, key: &str, query: &str, copies: bool, expected: &str) {
        assert_eq!(operation(method, key, query, copies), expected);
    }

    #[test]
    fn operations_have_the_names_of_s3() {
        check(&Method::GET, "k", "", false, "REST.GET.OBJECT");
        check(&Method::GET, "k", "versionId=1", false, "REST.GET.OBJECT");
        check(&Method::PUT, "k", "", true, "REST.COPY.OBJECT");
        check(&Method::PUT, "k", "partNumber=1&uploadId=2", false, "REST.PUT.PART");
        check(&Method::PUT, "k", "partNumber=1&uploadId=2", true, "REST.COPY.PART");
        check(&Method::POST, "k", "uploads", false, "REST.POST.UPLOADS");
        check(&Method::POST, "k", "uploadId=2", false, "REST.POST.UPLOAD");
        check(&Method::DELETE, "k", "uploadId=2", false, "REST.DELETE.UPLOAD");
        check(&Method::PUT, "k", "tagging=", false, "REST.PUT.OBJECT_TAGGING");
        check(&Method::GET, "", "list-type=2", false, "REST.GET.BUCKET");
        check(&Method::GET, "", "policy", false, "REST.GET.BUCKETPOLICY");
        check(&Method::POST, "", "delete", false, "REST.POST.MULTI_OBJECT_DELETE");
        check(&Method::POST, "", "", false, "REST.POST.OBJECT");
        check(&Method::PUT, "", "logging", false, "REST.PUT.LOGGING_STATUS");
        check(&Method::OPTIONS, "k", "", false, "REST.OPTIONS.PREFLIGHT");
    }
}
