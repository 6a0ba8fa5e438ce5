//! Uploads by an HTML form: fields first, then the file, streamed.
//!
//! Invariants: a form with any credential is proven by Signature Version 4 or refused; a form
//! without one is nobody's. Fields are bounded in size and number, and so is all else that comes
//! before the file; the file is never held. Nothing but the fields says what is stored and how: the
//! request's own headers are covered by no signature.
//! Source: "Browser-based uploads using POST" of the S3 API reference.

use super::{
    access::{self, Context, authorize},
    auth,
    call::{Call, Who},
    encryption,
    error::{Code, S3Error, in_stream},
    meta,
    object::{self, KEPT, bucket_of, details_of},
    payload::{PUT_MAX, Promise},
    post_gate::Gate,
    post_policy::{Fields, PostPolicy, field},
    route::{empty, set, xml},
    tags,
    xml::{self as form_xml, Xml},
};
use crate::{
    digest,
    ingest::Body,
    sigv4::{ALGORITHM, SigningKey, encode_path, encode_value},
};
use axum::response::Response;
use futures_util::{StreamExt, TryStreamExt};
use http::{HeaderName, HeaderValue, StatusCode};
use multer::{Field, Multipart};
use std::{ops::RangeInclusive, sync::PoisonError};
use subtle::ConstantTimeEq;

/// All fields before the file together, as on S3.
pub(super) const FIELDS_SIZE_MAX: usize = 20 << 10;

/// More than any form has.
const FIELDS_MAX: usize = 100;

/// The request is a form.
pub(super) fn is_form(call: &Call) -> bool {
    call.header("content-type")
        .is_some_and(|text| text.to_ascii_lowercase().starts_with("multipart/form-data"))
}

fn broken(error: multer::Error) -> S3Error {
    match error {
        multer::Error::StreamReadFailed(cause) => match cause.downcast::<crate::Error>() {
            Ok(own) => (*own).into(),
            Err(_) => Code::IncompleteBody.into(),
        },
        _ => Code::MalformedPOSTRequest.into(),
    }
}

/// A form up to its file.
struct Form {
    /// Names in lower case, in their order.
    fields: Vec<(String, String)>,
    file: Field<'static>,
}

async fn read(call: &mut Call) -> Result<Form, S3Error> {
    let boundary = multer::parse_boundary(call.header("content-type").unwrap_or_default());
    let body =
        call.body.get_mut().unwrap_or_else(PoisonError::into_inner).take().unwrap_or_default();
    let gate = Gate::default();
    let bytes = gate.hold(super::payload::wire(body, String::new()));
    let mut form = Multipart::new(bytes, boundary.map_err(broken)?);
    let (mut fields, mut size) = (Vec::new(), 0);
    while let Some(mut one) = gate.feed(form.next_field()).await.map_err(broken)? {
        let name = one.name().unwrap_or_default().to_ascii_lowercase();
        if name == "file" {
            gate.open();
            return Ok(Form { fields, file: one });
        }
        let mut value = Vec::new();
        while let Some(part) = gate.feed(one.chunk()).await.map_err(broken)? {
            size += part.len();
            if size > FIELDS_SIZE_MAX {
                return Err(Code::MaxPostPreDataLengthExceeded.into());
            }
            value.extend_from_slice(&part);
        }
        size += name.len();
        if fields.len() >= FIELDS_MAX || size > FIELDS_SIZE_MAX {
            return Err(Code::MaxPostPreDataLengthExceeded.into());
        }
        let value = String::from_utf8(value).map_err(|_| Code::MalformedPOSTRequest)?;
        fields.push((name, value));
    }
    Err(Code::InvalidArgument.says("POST requires exactly one file upload per request."))
}

/// Who signed the form; nobody in particular when it bears no credential.
async fn signer(call: &Call, fields: &Fields) -> Result<Who, S3Error> {
    let value = |name| field(fields, name);
    if value("awsaccesskeyid").is_some() || value("signature").is_some() {
        return Err(auth::version_2());
    }
    let missing = |name: &str| {
        Code::InvalidArgument.says(format!("Bucket POST must contain a field named '{name}'. If it is specified, please check the order of the fields."))
    };
    let names = ["x-amz-algorithm", "x-amz-credential", "x-amz-date", "x-amz-signature"];
    let Some(policy) = value("policy") else {
        return match names.into_iter().find(|name| value(name).is_some()) {
            Some(_) => Err(missing("policy")),
            None => Ok(Who::Anonymous),
        };
    };
    let need = |name| value(name).ok_or_else(|| missing(name));
    if need("x-amz-algorithm")? != ALGORITHM {
        return Err(
            Code::InvalidArgument.says("X-Amz-Algorithm only supports \"AWS4-HMAC-SHA256\"")
        );
    }
    let credential = auth::credential(need("x-amz-credential")?);
    let (key, scope) = credential.ok_or(Code::AuthorizationQueryParametersError)?;
    if need("x-amz-date")?.get(..8).is_none_or(|day| !scope.starts_with(day)) {
        return Err(Code::AccessDenied.says("X-Amz-Date is not of the credential's day"));
    }
    let given = need("x-amz-signature")?;
    let (who, secret) = match value("x-amz-security-token") {
        Some(token) => auth::session(&call.objects, key, token, call.now).await?,
        None => auth::holder(&call.objects, key, call.now).await?,
    };
    let expected = SigningKey::new(secret.expose(), scope).sign(policy);
    if !bool::from(expected.as_bytes().ct_eq(given.as_bytes())) {
        return Err(Code::SignatureDoesNotMatch.into());
    }
    Ok(who)
}

/// The sizes that the form's policy allows.
fn sizes(call: &Call, fields: &Fields) -> Result<RangeInclusive<u64>, S3Error> {
    let Some(text) = field(fields, "policy") else { return Ok(0..=PUT_MAX) };
    let text = digest::unbase64(text.trim())
        .ok_or_else(|| Code::InvalidPolicyDocument.says("Invalid Policy: it is not base64."))?;
    PostPolicy::parse(&text)?.check(fields, &call.bucket, call.now)
}

/// Lets the fields speak as the headers of a plain upload would, in the place of the request's own;
/// of fields with one name the first, which is the one that the policy was held against.
fn adopt(call: &mut Call, fields: &Fields) -> Result<(), S3Error> {
    let own: Vec<_> = call.headers.keys().filter(|name| speaks(name.as_str())).cloned().collect();
    for name in own {
        call.headers.remove(name);
    }
    for (name, value) in fields {
        let name = if name == "acl" { "x-amz-acl" } else { name };
        if !speaks(name) {
            continue;
        }
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| Code::InvalidArgument)?;
        let value = HeaderValue::from_bytes(value.as_bytes()).map_err(|_| Code::InvalidArgument)?;
        call.headers.entry(name).or_insert(value);
    }
    Ok(())
}

/// A header that says what is stored, or how.
fn speaks(name: &str) -> bool {
    KEPT.contains(&name) || name.starts_with("x-amz-")
}

/// The file's bytes; a size outside of the form's bounds ends with an error.
fn bytes_of(file: Field<'static>, sizes: &RangeInclusive<u64>, key: String) -> Body {
    let (least, most) = (*sizes.start(), (*sizes.end()).min(PUT_MAX));
    let mut size: u64 = 0;
    let late_key = key.clone();
    let error = move |error: multer::Error| in_stream(&key, broken(error));
    let end = futures_util::stream::once(async { Ok(None) });
    let parts = file.map_err(error).map_ok(Some).chain(end).map(move |part| {
        let too = |code: Code| Err(in_stream(&late_key, code.into()));
        match part? {
            Some(part) => {
                size += part.len() as u64;
                if size > most { too(Code::EntityTooLarge) } else { Ok(part) }
            }
            None if size < least => too(Code::EntityTooSmall),
            None => Ok(bytes::Bytes::new()),
        }
    });
    Body::from(parts.boxed())
}

pub(super) async fn upload(call: &mut Call) -> Result<Response, S3Error> {
    let Form { mut fields, file } = read(call).await?;
    let key = field(&fields, "key").filter(|key| !key.is_empty()).ok_or_else(|| {
        Code::InvalidArgument.says("Bucket POST must contain a field named 'key'. If it is specified, please check the order of the fields.")
    })?;
    let key = key.replace("${filename}", file.file_name().unwrap_or_default());
    fields.iter_mut().filter(|(name, _)| name == "key").for_each(|(_, value)| *value = key.clone());
    call.key = super::call::checked_key(&key)?.to_owned();
    call.who = signer(call, &fields).await?;
    let sizes = sizes(call, &fields)?;
    adopt(call, &fields)?;
    let bucket = bucket_of(call).await?;
    let tags = tags_of(&fields)?;
    let context = Context { tags: tags.as_deref(), ..Context::default() };
    authorize(call, &access::PUT, &bucket, context)?;
    let mut details = details_of(call, &bucket).await?;
    if let Some(tags) = tags {
        meta::authorize_upload(call, &bucket, &tags)?;
        details.tags = tags;
    }
    let sealing = encryption::of_upload(call, &bucket)?;
    let promise = Promise::of_form(call)?;
    let body = bytes_of(file, &sizes, key);
    let stored = object::store(call, &promise, body, details, sealing).await?;
    Ok(answer(call, &fields, &stored))
}

/// The tags of a form stand in a document of their own.
fn tags_of(fields: &Fields) -> Result<Option<Vec<(String, String)>>, S3Error> {
    let Some(text) = field(fields, "tagging") else { return Ok(None) };
    let root = form_xml::parse(text.as_bytes()).ok_or(Code::MalformedXML)?;
    tags::from_xml(&root, tags::OBJECT_TAGS_MAX).map(Some)
}

fn answer(call: &Call, fields: &Fields, stored: &object::Stored) -> Response {
    let place = call.posted_to.trim_end_matches('/');
    let location = format!("{place}/{}", encode_path(call.key.as_bytes()));
    let quoted = format!("\"{}\"", stored.etag);
    let redirect = field(fields, "success_action_redirect").or_else(|| field(fields, "redirect"));
    let absolute = redirect.filter(|to| to.starts_with("http://") || to.starts_with("https://"));
    let mut response = match (absolute, field(fields, "success_action_status")) {
        (Some(to), _) => {
            let join = if to.contains('?') { '&' } else { '?' };
            let (bucket, key) = (encode_value(&call.bucket), encode_value(&call.key));
            let mut response = empty(StatusCode::SEE_OTHER);
            let to = format!("{to}{join}bucket={bucket}&key={key}&etag={}", encode_value(&quoted));
            set(&mut response, "location", &to);
            stored.describe(&mut response);
            return response;
        }
        (None, Some("200")) => empty(StatusCode::OK),
        (None, Some("201")) => {
            let mut response = xml(Xml::bare("PostResponse", |xml| {
                xml.text("Location", &location);
                xml.text("Bucket", &call.bucket);
                xml.text("Key", &call.key);
                xml.text("ETag", &quoted);
            }));
            *response.status_mut() = StatusCode::CREATED;
            response
        }
        _ => empty(StatusCode::NO_CONTENT),
    };
    set(&mut response, "location", &location);
    stored.describe(&mut response);
    response
}
