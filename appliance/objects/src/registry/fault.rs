//! Errors in the specification's form.

use crate::error::Error;
use axum::{
    body::Body,
    response::{IntoResponse, Response},
};
use http::{HeaderName, HeaderValue, StatusCode, header};
use serde_json::{Value, json};

macro_rules! codes {
    ($($code:ident $name:literal $status:literal $message:literal;)*) => {
        /// A code of the specification.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(super) enum Code { $(#[doc = $message] $code,)* }

        impl Code {
            const fn parts(self) -> (&'static str, u16, &'static str) {
                match self { $(Self::$code => ($name, $status, $message),)* }
            }
        }
    };
}

codes! {
    BlobUnknown "BLOB_UNKNOWN" 404 "this repository does not have that blob";
    BlobUploadInvalid "BLOB_UPLOAD_INVALID" 400 "the upload is not valid";
    BlobUploadUnknown "BLOB_UPLOAD_UNKNOWN" 404 "that upload is not known: begin it again";
    Denied "DENIED" 403 "you may not do that";
    DigestInvalid "DIGEST_INVALID" 400 "the digest is not that of the bytes, or is no sha256 digest";
    Inside "UNKNOWN" 500 "an internal error stopped the operation: try again";
    ManifestBlobUnknown "MANIFEST_BLOB_UNKNOWN" 404 "the manifest names what this repository does not have: push that first";
    ManifestInvalid "MANIFEST_INVALID" 400 "the manifest is not valid";
    ManifestTooLarge "MANIFEST_INVALID" 413 "a manifest has at most 4 MiB";
    ManifestUnknown "MANIFEST_UNKNOWN" 404 "this repository does not have that manifest";
    NameInvalid "NAME_INVALID" 400 "repository names are words of a-z and 0-9, joined by one of . _ __ - and by slashes";
    NameUnknown "NAME_UNKNOWN" 404 "there is no such repository";
    PaginationNumberInvalid "PAGINATION_NUMBER_INVALID" 400 "n is a number";
    RangeInvalid "BLOB_UPLOAD_INVALID" 416 "the chunk does not begin where the last one ended";
    RangeOutside "BLOB_UNKNOWN" 416 "the range begins behind the end of the blob";
    SizeInvalid "SIZE_INVALID" 400 "the number of bytes is not the promised one";
    TagInvalid "TAG_INVALID" 400 "a tag has at most 128 of letters, digits, dots, hyphens and underscores";
    TooManyRequests "TOOMANYREQUESTS" 429 "too many requests: wait a moment";
    Unauthorized "UNAUTHORIZED" 401 "log in first";
    Unavailable "UNAVAILABLE" 503 "the registry cannot take this now";
    Full "DENIED" 507 "the store has no room left for writes: delete images or lower a retention";
    Unsupported "UNSUPPORTED" 405 "this address does not take that method";
}

/// A failed request.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) code: Code,
    message: Option<String>,
    detail: Option<Box<Value>>,
    headers: Vec<(&'static str, String)>,
}

impl Code {
    pub(super) fn plain(self) -> Fault {
        Fault { code: self, message: None, detail: None, headers: Vec::new() }
    }

    pub(super) fn says(self, message: impl Into<String>) -> Fault {
        Fault { message: Some(message.into()), ..self.plain() }
    }
}

/// For a quoted header value.
fn quoted(text: &str) -> String {
    text.chars().filter(|c| (' '..='~').contains(c) && !matches!(c, '"' | '\\')).collect()
}

impl Fault {
    /// Tells where a pass is given out, and which one.
    pub(super) fn unauthorized(realm: &str, scope: &str, why: &str) -> Self {
        let mut challenge = format!("Bearer realm=\"{}\",service=\"appliance\"", quoted(realm));
        if !scope.is_empty() {
            challenge += &format!(",scope=\"{}\"", quoted(scope));
        }
        Code::Unauthorized.says(why).with("www-authenticate", challenge)
    }

    pub(super) fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    pub(super) fn about(mut self, detail: Value) -> Self {
        self.detail = Some(Box::new(detail));
        self
    }

    pub(super) fn response(self) -> Response {
        let (name, status, message) = self.code.parts();
        let message = self.message.as_deref().unwrap_or(message);
        let mut error = json!({ "code": name, "message": message });
        if let Some(detail) = self.detail {
            error["detail"] = *detail;
        }
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = json(status, &json!({ "errors": [error] }));
        for (name, value) in &self.headers {
            set(&mut response, name, value);
        }
        response
    }
}

/// An answer with a JSON body.
pub(super) fn json(status: StatusCode, body: &Value) -> Response {
    let mut response = (status, Body::from(body.to_string())).into_response();
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// An answer without a body.
pub(super) fn empty(status: StatusCode) -> Response {
    let mut response = status.into_response();
    set(&mut response, "content-length", "0");
    response
}

/// Sets a header; a value that no header can carry is left out.
pub(super) fn set(response: &mut Response, name: &'static str, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(HeaderName::from_static(name), value);
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        match &error {
            Error::NoObject { .. } => Code::BlobUnknown.plain(),
            Error::Range { .. } => Code::RangeOutside.plain(),
            Error::Receive { .. } => Code::BlobUploadInvalid.says("the bytes did not arrive whole"),
            Error::Full => Code::Full.plain(),
            Error::Quota => Code::Denied.says(error.to_string()),
            Error::Damaged(_) => {
                tracing::error!(%error, "an image cannot be read");
                Code::Inside.says("the stored bytes are damaged: push them again")
            }
            _ => {
                let cause: &dyn std::error::Error = &error;
                tracing::error!(error = cause, "a registry request failed inside");
                Code::Inside.plain()
            }
        }
    }
}

impl From<store::Error> for Fault {
    fn from(error: store::Error) -> Self {
        Error::from(error).into()
    }
}
