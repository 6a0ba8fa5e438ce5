//! Errors as S3 tells them: code, status, message and the XML body.

use super::xml::Xml;
use crate::error::Error;
use axum::{
    body::Body,
    response::{IntoResponse, Response},
};
use http::{HeaderName, HeaderValue, StatusCode, header};
use std::sync::Arc;

macro_rules! codes {
    ($($code:ident $status:literal $message:literal;)*) => {
        /// A code of S3's error table.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum Code { $($code,)* }

        impl Code {
            /// Its name.
            pub(crate) const fn name(self) -> &'static str {
                match self { $(Self::$code => stringify!($code),)* }
            }

            const fn status(self) -> u16 {
                match self { $(Self::$code => $status,)* }
            }

            const fn message(self) -> &'static str {
                match self { $(Self::$code => $message,)* }
            }
        }
    };
}

codes! {
    AccessControlListNotSupported 400 "The bucket does not allow ACLs";
    AccessDenied 403 "Access Denied";
    AccessForbidden 403 "CORSResponse: This CORS request is not allowed.";
    AuthorizationHeaderMalformed 400 "The authorization header that you provided is not valid.";
    AuthorizationQueryParametersError 400 "The authorization query parameters are not valid.";
    BadDigest 400 "The Content-MD5 or checksum value that you specified did not match what the server received.";
    BadRequest 400 "The request is not valid.";
    BucketAlreadyExists 409 "The requested bucket name is not available.";
    BucketNotEmpty 409 "The bucket that you tried to delete is not empty.";
    EntityTooLarge 400 "Your proposed upload exceeds the maximum allowed object size.";
    EntityTooSmall 400 "Your proposed upload is smaller than the minimum allowed object size.";
    ExpiredToken 400 "The provided token has expired.";
    IllegalVersioningConfigurationException 400 "The versioning configuration specified in the request is invalid.";
    IncompleteBody 400 "You did not provide the number of bytes specified by the Content-Length HTTP header.";
    InternalError 500 "An internal error occurred. Try again.";
    InvalidAccessKeyId 403 "The access key ID that you provided does not exist in our records.";
    InvalidArgument 400 "Invalid argument.";
    InvalidBucketAclWithObjectOwnership 400 "Bucket cannot have ACLs set with ObjectOwnership's BucketOwnerEnforced setting";
    InvalidBucketName 400 "The specified bucket is not valid.";
    InvalidBucketState 409 "The request is not valid with the current state of the bucket.";
    InvalidDigest 400 "The Content-MD5 or checksum value that you specified is not valid.";
    InvalidEncryptionAlgorithmError 400 "The encryption request that you specified is not valid. The valid value is AES256.";
    InvalidObjectState 403 "The operation is not valid for the current state of the object.";
    InvalidPart 400 "One or more of the specified parts could not be found. The part might not have been uploaded, or the specified entity tag might not have matched the part's entity tag.";
    InvalidPartOrder 400 "The list of parts was not in ascending order. The parts list must be specified in order by part number.";
    InvalidPolicyDocument 400 "The content of the form does not meet the conditions specified in the policy document.";
    InvalidRange 416 "The requested range cannot be satisfied.";
    InvalidRequest 400 "The request is not valid.";
    InvalidRetentionPeriod 400 "The retention period must be a positive integer of at most 36500 days or 100 years.";
    InvalidTag 400 "The tag that you provided is not valid.";
    InvalidTargetBucketForLogging 400 "The target bucket for logging does not exist, is not owned by you, or does not have the appropriate grants for the log-delivery group.";
    InvalidToken 400 "The provided token is malformed or otherwise not valid.";
    InvalidURI 400 "The specified URI couldn't be parsed.";
    KeyTooLongError 400 "Your key is too long.";
    MalformedACLError 400 "The ACL that you provided was not well formed or did not validate against our published schema.";
    MalformedPOSTRequest 400 "The body of your POST request is not well-formed multipart/form-data.";
    MalformedPolicy 400 "Policies must be valid JSON and the first byte must be '{'";
    MalformedTrailerError 400 "The request contained trailing data that was not well-formed or did not conform to our published schema.";
    MalformedXML 400 "The XML that you provided was not well formed or did not validate against our published schema.";
    MaxMessageLengthExceeded 400 "Your request was too large.";
    MaxPostPreDataLengthExceeded 400 "Your POST request fields preceding the upload file were too large.";
    MetadataTooLarge 400 "Your metadata headers exceed the maximum allowed metadata size.";
    MethodNotAllowed 405 "The specified method is not allowed against this resource.";
    MissingContentLength 411 "You must provide the Content-Length HTTP header.";
    NoSuchBucket 404 "The specified bucket does not exist.";
    NoSuchBucketPolicy 404 "The specified bucket does not have a bucket policy.";
    NoSuchCORSConfiguration 404 "The CORS configuration does not exist";
    NoSuchKey 404 "The specified key does not exist.";
    NoSuchLifecycleConfiguration 404 "The lifecycle configuration does not exist";
    NoSuchObjectLockConfiguration 404 "The specified object does not have a ObjectLock configuration";
    NoSuchPublicAccessBlockConfiguration 404 "The public access block configuration was not found";
    NoSuchTagSet 404 "The TagSet does not exist";
    NoSuchUpload 404 "The specified multipart upload does not exist. The upload ID might be invalid, or the multipart upload might have been aborted or completed.";
    NoSuchVersion 404 "The version ID specified in the request does not match an existing version.";
    NotImplemented 501 "A header or query that you provided implies functionality that is not implemented.";
    NotModified 304 "Not Modified";
    ObjectLockConfigurationNotFoundError 404 "Object Lock configuration does not exist for this bucket";
    OwnershipControlsNotFoundError 404 "The bucket ownership controls were not found";
    PreconditionFailed 412 "At least one of the preconditions that you specified did not hold.";
    QuotaExceeded 403 "The bucket has reached its quota: delete objects, abort uploads in parts, or raise it.";
    RequestTimeTooSkewed 403 "The difference between the request time and the server's time is too large.";
    RequestTimeout 400 "Your socket connection to the server was not read from or written to within the timeout period.";
    ServerSideEncryptionConfigurationNotFoundError 404 "The server side encryption configuration was not found";
    ServiceUnavailable 503 "The object store has no room left for writes: delete objects or lower a retention.";
    SignatureDoesNotMatch 403 "The request signature that the server calculated does not match the signature that you provided. Check your secret access key and signing method.";
    UnresolvableGrantByEmailAddress 400 "The email address that you provided does not match any account on record.";
    XAmzContentSHA256Mismatch 400 "The provided 'x-amz-content-sha256' header does not match what was computed.";
}

/// A failed operation, ready to be told.
#[derive(Debug, Clone)]
pub(crate) struct S3Error {
    pub(crate) code: Code,
    message: Option<String>,
    headers: Vec<(&'static str, String)>,
    /// For the log of the service, never for the client.
    cause: Option<Arc<Error>>,
}

impl std::fmt::Display for S3Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.code.name())
    }
}

impl std::error::Error for S3Error {}

impl From<Code> for S3Error {
    fn from(code: Code) -> Self {
        Self { code, message: None, headers: Vec::new(), cause: None }
    }
}

impl Code {
    /// With a message of its own.
    pub(crate) fn says(self, message: impl Into<String>) -> S3Error {
        S3Error { message: Some(message.into()), ..self.into() }
    }
}

impl S3Error {
    /// Adds a response header.
    pub(crate) fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// What went wrong inside, for the log.
    pub(crate) fn cause(&self) -> Option<&Error> {
        self.cause.as_deref()
    }

    pub(crate) fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.code.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    pub(crate) fn message(&self) -> &str {
        self.message.as_deref().unwrap_or(self.code.message())
    }

    /// The answer; without a body for `HEAD` and 304.
    pub(crate) fn response(&self, resource: &str, request: &str, body: bool) -> Response {
        let text = Xml::bare("Error", |xml| {
            xml.text("Code", self.code.name());
            xml.text("Message", self.message());
            xml.text("Resource", resource);
            xml.text("RequestId", request);
            xml.text("HostId", "appliance");
        });
        let bare = !body || self.code == Code::NotModified;
        let body = if bare { Body::empty() } else { Body::from(text) };
        let mut response = (self.status(), body).into_response();
        if !bare {
            let xml = HeaderValue::from_static("application/xml");
            response.headers_mut().insert(header::CONTENT_TYPE, xml);
        }
        for (name, value) in &self.headers {
            if let Ok(value) = HeaderValue::from_str(value) {
                response.headers_mut().insert(HeaderName::from_static(name), value);
            }
        }
        response
    }
}

impl From<store::Error> for S3Error {
    fn from(error: store::Error) -> Self {
        Error::from(error).into()
    }
}

impl From<Error> for S3Error {
    fn from(error: Error) -> Self {
        let code = match &error {
            Error::NoBucket(_) => Code::NoSuchBucket,
            Error::NoObject { .. } => Code::NoSuchKey,
            Error::Range { .. } => Code::InvalidRange,
            Error::Receive { source, .. } => return received(source, &error),
            Error::Damaged(_) => return damaged(error),
            Error::Full => Code::ServiceUnavailable,
            Error::Quota => Code::QuotaExceeded,
            Error::Sealed => Code::AccessDenied,
            _ => Code::InternalError,
        };
        Self { cause: Some(Arc::new(error)), ..code.into() }
    }
}

/// To ask again is in vain.
fn damaged(error: Error) -> S3Error {
    let told =
        "The stored bytes of the object are damaged. Put it again, or restore it from a backup.";
    S3Error { cause: Some(Arc::new(error)), ..Code::InternalError.says(told) }
}

/// A stream that ended with an error of S3's own carries it inside.
fn received(source: &Arc<std::io::Error>, error: &Error) -> S3Error {
    let own = source.get_ref().and_then(|inner| inner.downcast_ref::<S3Error>());
    own.cloned().unwrap_or_else(|| S3Error {
        cause: Some(Arc::new(error.clone())),
        ..Code::IncompleteBody.into()
    })
}

/// Carries an error of S3's own through a stream of bytes.
pub(crate) fn in_stream(key: &str, error: S3Error) -> Error {
    Error::Receive { key: key.to_owned(), source: Arc::new(std::io::Error::other(error)) }
}
