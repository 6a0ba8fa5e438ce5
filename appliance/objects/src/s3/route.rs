//! From an HTTP request to its handler, and from the handler's error to an answer.

use super::{
    attributes, auth, bucket,
    call::{self, Call},
    complete, copy, cors, delete,
    error::{Code, S3Error},
    growth,
    journal::{self, Peer, Seen},
    lifecycle, list, lock, logging, meta, notification, object, payload, post, read, setting,
    upload, upload_list,
};
use crate::{
    objects::{Objects, now},
    query::Query,
};
use axum::{
    Router,
    body::Body,
    extract::{OriginalUri, Request, State},
    response::{IntoResponse, Response},
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header, request::Parts};
use std::borrow::Cow;

/// The S3 face as a router. At the root of its own listener it answers path style and the
/// configured virtual hosts; nested under a prefix (`/s3`) it answers path style and the addresses
/// that [`Objects::presign`] makes.
pub fn router(objects: Objects) -> Router {
    let routed = |State(objects): State<Objects>, request: Request| async move {
        let peer = request.extensions().get::<Peer>().copied().unwrap_or_default();
        serve(objects, peer, request).await
    };
    Router::new().fallback(routed).with_state(objects)
}

/// The host of a request is one of the room's domains, or a bucket below one.
#[must_use]
pub fn is_ours<B>(objects: &Objects, request: &http::Request<B>) -> bool {
    call::is_ours(host(request.headers(), request.uri()), &objects.inner.config.domains)
}

/// Answers one request of the S3 face.
pub async fn serve(objects: Objects, peer: Peer, request: Request) -> Response {
    let (mut parts, body) = request.into_parts();
    let id = auth::request_id();
    let head = parts.method == Method::HEAD;
    let origin = parts.headers.contains_key(header::ORIGIN);
    let mut seen = seen(&objects, peer, &parts, &id);
    let answer = if parts.method == Method::OPTIONS {
        preflight(&objects, &parts).await
    } else {
        answer(objects.clone(), peer, &mut parts, body, &id, seen.as_mut()).await
    };
    let mut response = answer.unwrap_or_else(|error| {
        if let Some(seen) = &mut seen {
            seen.failed(&error);
        }
        if let Some(cause) = error.cause().filter(|_| error.status().is_server_error()) {
            tracing::error!(request.id = id, cause = %report(cause), "an S3 request failed");
        }
        error.response(parts.uri.path(), &id, !head)
    });
    if origin && parts.method != Method::OPTIONS {
        // A request that names no bucket has no rules that could speak of it.
        if let Ok((bucket, _)) = place(&objects, &parts) {
            let (method, headers) = (&parts.method, &parts.headers);
            cors::annotate(&objects, &bucket, method, headers, &mut response).await;
        }
    }
    let headers = response.headers_mut();
    headers.insert(header::SERVER, HeaderValue::from_static("appliance"));
    if let Ok(value) = HeaderValue::try_from(id) {
        headers.insert(HeaderName::from_static("x-amz-request-id"), value);
    }
    if let Some(seen) = seen {
        journal::tell(&objects, seen, &mut response).await;
    }
    response
}

/// The request as the access log sees it, where any bucket has one.
fn seen(objects: &Objects, peer: Peer, parts: &Parts, id: &str) -> Option<Seen> {
    if !objects.inner.access_logs.is_on() {
        return None;
    }
    let (bucket, key) = place(objects, parts).ok()?;
    Some(Seen::of(parts, peer, id, (&bucket, &key), host(&parts.headers, &parts.uri)))
}

/// An error with its causes.
pub(crate) fn report(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

async fn answer(
    objects: Objects,
    peer: Peer,
    parts: &mut Parts,
    body: Body,
    id: &str,
    seen: Option<&mut Seen>,
) -> Result<Response, S3Error> {
    let mut call = take_apart(objects, peer, parts, body, id).await?;
    let answer = match growth::check(&call) {
        Ok(()) => dispatch(&mut call).await,
        Err(full) => Err(full),
    };
    parts.headers = std::mem::take(&mut call.headers);
    if let Some(seen) = seen {
        seen.asked(&mut call);
    }
    answer
}

fn host<'a>(headers: &'a HeaderMap, uri: &'a Uri) -> &'a str {
    let host = headers.get(header::HOST).and_then(call::text_of);
    host.or_else(|| uri.authority().map(http::uri::Authority::as_str)).unwrap_or_default()
}

fn decoded(path: &str) -> Cow<'_, [u8]> {
    percent_encoding::percent_decode_str(path).into()
}

/// The bucket and key that a request names.
fn place(objects: &Objects, parts: &Parts) -> Result<(String, String), S3Error> {
    let host = host(&parts.headers, &parts.uri);
    let host_bucket = call::host_bucket(host, &objects.inner.config.domains);
    call::place(&decoded(parts.uri.path()), host_bucket.as_deref())
}

async fn preflight(objects: &Objects, parts: &Parts) -> Result<Response, S3Error> {
    let (bucket, _) = place(objects, parts)?;
    cors::preflight(objects, &bucket, &parts.headers).await
}

/// The headers go with the call, and come back after it.
async fn take_apart(
    objects: Objects,
    peer: Peer,
    parts: &mut Parts,
    body: Body,
    id: &str,
) -> Result<Call, S3Error> {
    let original = parts.extensions.get::<OriginalUri>().map_or(&parts.uri, |original| &original.0);
    let query = Query::parse(parts.uri.query().unwrap_or_default());
    let host = host(&parts.headers, &parts.uri);
    let (bucket, key) = place(&objects, parts)?;
    let now = now();
    let path = &decoded(original.path());
    let request = auth::Request { parts, path, query: &query, host, now };
    let (who, mode) = auth::authenticate(&objects, &request).await?;
    let posted_to = if parts.method == Method::POST {
        let scheme = if peer.secure { "https" } else { "http" };
        format!("{scheme}://{host}{}", original.path())
    } else {
        String::new()
    };
    let (method, headers) = (parts.method.clone(), std::mem::take(&mut parts.headers));
    let body = std::sync::Mutex::new(Some(body));
    let gone = Vec::new();
    Ok(Call {
        objects,
        method,
        bucket,
        key,
        query,
        headers,
        who,
        now,
        mode,
        body,
        posted_to,
        id: id.to_owned(),
        peer,
        gone,
    })
}

/// Parts of S3 that are not built: asked for, they are refused by name and never passed over.
const ABSENT: [&str; 9] = [
    "accelerate",
    "analytics",
    "intelligent-tiering",
    "inventory",
    "metrics",
    "replication",
    "select",
    "torrent",
    "website",
];

async fn dispatch(call: &mut Call) -> Result<Response, S3Error> {
    if let Some(name) = ABSENT.into_iter().find(|name| call.has(name)) {
        return Err(absent(name));
    }
    let method = call.method.clone();
    match (call.bucket.is_empty(), call.key.is_empty()) {
        (false, false) if is_reading(call) => read::get(call, method == Method::GET).await,
        // Apart from the most frequent one, so that a small reading does not carry room for all.
        (false, false) => Box::pin(on_object(call, &method)).await,
        (false, true) => Box::pin(on_bucket(call, &method)).await,
        (true, _) if method == Method::GET => Box::pin(bucket::list_all(call)).await,
        (true, _) => Err(Code::MethodNotAllowed.into()),
    }
}

/// Parts of an object that are read by their name in the query.
const PARTS: [&str; 6] = ["uploadId", "tagging", "acl", "attributes", "retention", "legal-hold"];

/// The object itself is asked for, its bytes or what is told of it.
fn is_reading(call: &Call) -> bool {
    let named = || PARTS.into_iter().any(|name| call.has(name));
    call.method == Method::HEAD || (call.method == Method::GET && !named())
}

/// The settings of a bucket that are named in the query.
const SETTINGS: [&str; 11] = [
    "cors",
    "encryption",
    "lifecycle",
    "logging",
    "notification",
    "object-lock",
    "ownershipControls",
    "policyStatus",
    "publicAccessBlock",
    "requestPayment",
    "tagging",
];

async fn on_setting(call: &mut Call, method: &Method, name: &str) -> Result<Response, S3Error> {
    match (method.as_str(), name) {
        ("GET", "cors") => cors::get(call).await,
        ("PUT", "cors") => cors::put(call).await,
        ("DELETE", "cors") => cors::delete(call).await,
        ("GET", "encryption") => setting::get_encryption(call).await,
        ("PUT", "encryption") => setting::put_encryption(call).await,
        ("DELETE", "encryption") => setting::delete_encryption(call).await,
        ("GET", "lifecycle") => lifecycle::get(call).await,
        ("PUT", "lifecycle") => lifecycle::put(call).await,
        ("DELETE", "lifecycle") => lifecycle::delete(call).await,
        ("GET", "logging") => logging::get(call).await,
        ("PUT", "logging") => logging::put(call).await,
        ("GET", "notification") => notification::get(call).await,
        ("PUT", "notification") => notification::put(call).await,
        ("GET", "object-lock") => lock::get_configuration(call).await,
        ("PUT", "object-lock") => lock::put_configuration(call).await,
        ("GET", "ownershipControls") => setting::get_ownership(call).await,
        ("PUT", "ownershipControls") => setting::put_ownership(call).await,
        ("DELETE", "ownershipControls") => setting::delete_ownership(call).await,
        ("GET", "policyStatus") => setting::policy_status(call).await,
        ("GET", "publicAccessBlock") => setting::get_block(call).await,
        ("PUT", "publicAccessBlock") => setting::put_block(call).await,
        ("DELETE", "publicAccessBlock") => setting::delete_block(call).await,
        ("GET", "requestPayment") => setting::get_payment(call).await,
        ("GET", "tagging") => setting::get_tags(call).await,
        ("PUT", "tagging") => setting::put_tags(call).await,
        ("DELETE", "tagging") => setting::delete_tags(call).await,
        _ => Err(Code::MethodNotAllowed.into()),
    }
}

async fn on_bucket(call: &mut Call, method: &Method) -> Result<Response, S3Error> {
    if let Some(name) = SETTINGS.into_iter().find(|name| call.has(name)) {
        return on_setting(call, method, name).await;
    }
    let refused = || Err(Code::MethodNotAllowed.into());
    match *method {
        Method::GET if call.has("location") => bucket::location(call).await,
        Method::GET if call.has("versioning") => bucket::get_versioning(call).await,
        Method::GET if call.has("policy") => bucket::get_policy(call).await,
        Method::GET if call.has("acl") => bucket::get_acl(call).await,
        Method::GET if call.has("uploads") => upload_list::list(call).await,
        Method::GET if call.has("versions") => list::versions(call).await,
        Method::GET => list::objects(call).await,
        Method::HEAD => bucket::head(call).await,
        Method::PUT if call.has("versioning") => bucket::put_versioning(call).await,
        Method::PUT if call.has("policy") => bucket::put_policy(call).await,
        Method::PUT if call.has("acl") => bucket::put_acl(call).await,
        Method::DELETE if call.has("policy") => bucket::delete_policy(call).await,
        Method::POST if call.has("delete") => delete::many(call).await,
        _ if stray(call).is_some() => Err(refuse_stray(call)),
        _ if misplaced(call).is_some() => Err(refuse_misplaced(call)),
        Method::PUT => bucket::create(call).await,
        Method::DELETE => bucket::delete(call).await,
        Method::POST if post::is_form(call) => post::upload(call).await,
        _ => refused(),
    }
}

async fn on_object(call: &mut Call, method: &Method) -> Result<Response, S3Error> {
    let copies = call.headers.contains_key("x-amz-copy-source");
    let parts = call.has("uploadId");
    match *method {
        Method::GET if parts => upload_list::list_parts(call).await,
        Method::GET if call.has("tagging") => meta::get_tags(call).await,
        Method::GET if call.has("acl") => meta::get_acl(call).await,
        Method::GET if call.has("attributes") => attributes::get(call).await,
        Method::GET if call.has("retention") => lock::get_retention(call).await,
        Method::GET if call.has("legal-hold") => lock::get_hold(call).await,
        Method::PUT if parts && copies => copy::part(call).await,
        Method::PUT if parts => upload::put_part(call).await,
        Method::PUT if call.has("tagging") => meta::put_tags(call).await,
        Method::PUT if call.has("acl") => meta::put_acl(call).await,
        Method::PUT if call.has("retention") => lock::put_retention(call).await,
        Method::PUT if call.has("legal-hold") => lock::put_hold(call).await,
        Method::POST if call.has("uploads") => upload::create(call).await,
        Method::POST if parts => complete::complete(call).await,
        Method::POST if call.has("restore") => read::restore(call).await,
        Method::DELETE if parts => upload::abort(call).await,
        Method::DELETE if call.has("tagging") => meta::delete_tags(call).await,
        _ if stray(call).is_some() => Err(refuse_stray(call)),
        _ if misplaced(call).is_some() => Err(refuse_misplaced(call)),
        Method::PUT if copies => copy::object(call).await,
        Method::PUT => object::put(call).await,
        Method::DELETE => delete::one(call).await,
        _ => Err(Code::MethodNotAllowed.into()),
    }
}

/// A name in the query of a write that stands for something else than the bucket or object itself,
/// and that nothing here does: it must not pass for the plain write, which would store, or delete,
/// what nobody meant.
fn stray(call: &Call) -> Option<&str> {
    // These tell more of the plain request; a client may send them empty.
    let of_request = |name: &str| {
        name == "versionId" || name.get(..2).is_some_and(|start| start.eq_ignore_ascii_case("x-"))
    };
    let is_stray = |(name, value): &(&str, &str)| {
        journal::is_known(name) || (value.is_empty() && !of_request(name))
    };
    call.query.iter().find(is_stray).map(|(name, _)| name)
}

fn refuse_stray(call: &Call) -> S3Error {
    let name = stray(call).unwrap_or_default();
    if journal::is_known(name) { Code::MethodNotAllowed.into() } else { absent(name) }
}

/// A name in the query that belongs to another operation: a part without its upload, or a version
/// that nobody can choose for what is to be stored, and that no bucket has.
fn misplaced(call: &Call) -> Option<&'static str> {
    let chooses = call.method != Method::PUT && !call.key.is_empty();
    let names: &[&'static str] =
        if chooses { &["partNumber"] } else { &["partNumber", "versionId"] };
    names.iter().copied().find(|name| call.has(name))
}

fn refuse_misplaced(call: &Call) -> S3Error {
    let name = misplaced(call).unwrap_or_default();
    Code::InvalidArgument.says(format!("This operation does not accept a {name}."))
}

fn absent(name: &str) -> S3Error {
    Code::NotImplemented.says(format!("`?{name}` is not implemented by this server."))
}

/// An answer with an XML body.
pub(super) fn xml(text: String) -> Response {
    ([(header::CONTENT_TYPE, "application/xml")], text).into_response()
}

/// An answer without a body.
pub(super) fn empty(status: StatusCode) -> Response {
    status.into_response()
}

/// Adds a header whose value may be anything; what HTTP cannot carry is left out.
pub(super) fn set(response: &mut Response, name: &str, value: &str) {
    let name = HeaderName::from_bytes(name.as_bytes());
    if let (Ok(name), Ok(value)) = (name, HeaderValue::from_bytes(value.as_bytes())) {
        response.headers_mut().insert(name, value);
    }
}

/// Reads an XML body.
pub(super) async fn document(call: &mut Call) -> Result<super::xml::Element, S3Error> {
    let bytes = payload::document(call).await?;
    Ok(super::xml::parse(&bytes).ok_or(Code::MalformedXML)?)
}
