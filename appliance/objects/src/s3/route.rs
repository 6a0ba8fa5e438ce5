//! From an HTTP request to its handler, and from the handler's error to an answer.

use super::{
    auth, bucket,
    call::{self, Call},
    copy, delete,
    error::{Code, S3Error},
    list, object, payload, upload,
};
use crate::objects::{Objects, now};
use axum::{
    Router,
    body::Body,
    extract::{OriginalUri, Request, State},
    response::{IntoResponse, Response},
};
use http::{HeaderName, HeaderValue, Method, StatusCode, header, request::Parts};

/// The S3 face. At the root of its own listener it answers path style and the configured virtual
/// hosts; nested under a prefix (`/s3`) it answers path style and the addresses that
/// [`Objects::presign`] makes.
pub fn router(objects: Objects) -> Router {
    Router::new().fallback(serve).with_state(objects)
}

async fn serve(State(objects): State<Objects>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let id = auth::request_id();
    let head = parts.method == Method::HEAD;
    let resource = parts.uri.path().to_owned();
    let answer = answer(objects, &parts, body).await;
    let mut response = answer.unwrap_or_else(|error| {
        if let Some(cause) = error.cause().filter(|_| error.status().is_server_error()) {
            tracing::error!(request.id = id, cause = %report(cause), "an S3 request failed");
        }
        error.response(&resource, &id, !head)
    });
    let headers = response.headers_mut();
    headers.insert(header::SERVER, HeaderValue::from_static("appliance"));
    if let Ok(value) = HeaderValue::from_str(&id) {
        headers.insert(HeaderName::from_static("x-amz-request-id"), value);
    }
    response
}

/// An error with its causes.
fn report(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

async fn answer(objects: Objects, parts: &Parts, body: Body) -> Result<Response, S3Error> {
    let mut call = take_apart(objects, parts, body).await?;
    dispatch(&mut call).await
}

async fn take_apart(objects: Objects, parts: &Parts, body: Body) -> Result<Call, S3Error> {
    let original = parts.extensions.get::<OriginalUri>().map_or(&parts.uri, |original| &original.0);
    let decode = |path: &str| percent_encoding::percent_decode_str(path).collect::<Vec<u8>>();
    let query = crate::sigv4::parse_query(parts.uri.query().unwrap_or_default());
    let host = parts.headers.get(header::HOST).and_then(call::text_of);
    let host = host
        .or_else(|| parts.uri.authority().map(http::uri::Authority::as_str))
        .unwrap_or_default();
    let host_bucket = call::host_bucket(host, &objects.inner.config.domains);
    let (bucket, key) = call::place(&decode(parts.uri.path()), host_bucket)?;
    let now = now();
    let request = auth::Request { parts, path: &decode(original.path()), query: &query, host, now };
    let (who, mode) = auth::authenticate(&objects, &request).await?;
    let (method, headers) = (parts.method.clone(), parts.headers.clone());
    let host = host.to_owned();
    let body = std::sync::Mutex::new(Some(body));
    Ok(Call { objects, method, bucket, key, query, headers, who, now, mode, body, host })
}

/// Parts of S3 that are not built: asked for, they are refused by name and never passed over.
const ABSENT: [&str; 20] = [
    "accelerate",
    "analytics",
    "cors",
    "encryption",
    "intelligent-tiering",
    "inventory",
    "legal-hold",
    "lifecycle",
    "logging",
    "metrics",
    "notification",
    "object-lock",
    "publicAccessBlock",
    "replication",
    "requestPayment",
    "restore",
    "retention",
    "select",
    "torrent",
    "website",
];

async fn dispatch(call: &mut Call) -> Result<Response, S3Error> {
    if let Some(name) = ABSENT.into_iter().find(|name| call.has(name)) {
        return Err(
            Code::NotImplemented.says(format!("`?{name}` is not implemented by this server."))
        );
    }
    let method = call.method.clone();
    match (call.bucket.is_empty(), call.key.is_empty()) {
        (true, _) if method == Method::GET => bucket::list_all(call).await,
        (true, _) => Err(Code::MethodNotAllowed.into()),
        (false, true) => on_bucket(call, &method).await,
        (false, false) => on_object(call, &method).await,
    }
}

async fn on_bucket(call: &mut Call, method: &Method) -> Result<Response, S3Error> {
    let refused = || Err(Code::MethodNotAllowed.into());
    match *method {
        Method::GET if call.has("location") => bucket::location(call).await,
        Method::GET if call.has("versioning") => bucket::get_versioning(call).await,
        Method::GET if call.has("policy") => bucket::get_policy(call).await,
        Method::GET if call.has("acl") => bucket::get_acl(call).await,
        Method::GET if call.has("uploads") => upload::list(call).await,
        Method::GET if call.has("versions") => list::versions(call).await,
        Method::GET => list::objects(call).await,
        Method::HEAD => bucket::head(call).await,
        Method::PUT if call.has("versioning") => bucket::put_versioning(call).await,
        Method::PUT if call.has("policy") => bucket::put_policy(call).await,
        Method::PUT if call.has("acl") => bucket::put_acl(call).await,
        Method::PUT if call.has("tagging") => refused(),
        Method::PUT => bucket::create(call).await,
        Method::DELETE if call.has("policy") => bucket::delete_policy(call).await,
        Method::DELETE => bucket::delete(call).await,
        Method::POST if call.has("delete") => delete::many(call).await,
        _ => refused(),
    }
}

async fn on_object(call: &mut Call, method: &Method) -> Result<Response, S3Error> {
    let copies = call.headers.contains_key("x-amz-copy-source");
    let parts = call.has("uploadId");
    match *method {
        Method::GET if parts => upload::list_parts(call).await,
        Method::GET if call.has("tagging") => object::get_tags(call).await,
        Method::GET if call.has("acl") => object::get_acl(call).await,
        Method::GET => object::get(call, true).await,
        Method::HEAD => object::get(call, false).await,
        Method::PUT if parts && copies => copy::part(call).await,
        Method::PUT if parts => upload::put_part(call).await,
        Method::PUT if call.has("tagging") => object::put_tags(call).await,
        Method::PUT if call.has("acl") => object::put_acl(call).await,
        Method::PUT if copies => copy::object(call).await,
        Method::PUT => object::put(call).await,
        Method::POST if call.has("uploads") => upload::create(call).await,
        Method::POST if parts => upload::complete(call).await,
        Method::DELETE if parts => upload::abort(call).await,
        Method::DELETE if call.has("tagging") => object::delete_tags(call).await,
        Method::DELETE => delete::one(call).await,
        _ => Err(Code::MethodNotAllowed.into()),
    }
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
