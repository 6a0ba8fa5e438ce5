//! Condition keys of policies: where each takes its value from.

use super::{
    access::Context,
    auth,
    call::{Call, Who},
    dates, tags,
};
use crate::sigv4::ALGORITHM;
use http::Method;

/// Keys that policies may name, in small letters: those that requests here can have a value of, and
/// those of networks and organisations, which no request here ever comes from. Others would be
/// passed over in silence, and with them what they are to deny.
const KNOWN: [&str; 38] = [
    "aws:currenttime",
    "aws:epochtime",
    "aws:principalorgid",
    "aws:referer",
    "aws:securetransport",
    "aws:sourceaccount",
    "aws:sourcearn",
    "aws:sourceip",
    "aws:sourcevpc",
    "aws:sourcevpce",
    "aws:useragent",
    "aws:userid",
    "aws:username",
    "s3:authtype",
    "s3:delimiter",
    "s3:if-match",
    "s3:if-none-match",
    "s3:max-keys",
    "s3:objectcreationoperation",
    "s3:prefix",
    "s3:requestobjecttagkeys",
    "s3:signatureage",
    "s3:signatureversion",
    "s3:versionid",
    "s3:x-amz-acl",
    "s3:x-amz-content-sha256",
    "s3:x-amz-copy-source",
    "s3:x-amz-grant-full-control",
    "s3:x-amz-grant-read",
    "s3:x-amz-grant-read-acp",
    "s3:x-amz-grant-write",
    "s3:x-amz-grant-write-acp",
    "s3:x-amz-metadata-directive",
    "s3:x-amz-object-ownership",
    "s3:x-amz-server-side-encryption",
    "s3:x-amz-server-side-encryption-aws-kms-key-id",
    "s3:x-amz-server-side-encryption-customer-algorithm",
    "s3:x-amz-storage-class",
];

/// Keys behind whose slash the name of a tag stands.
const OF_TAGS: [&str; 2] = ["s3:existingobjecttag/", "s3:requestobjecttag/"];

/// A new policy may name the key.
pub(super) fn is_known(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    let of_tag = |start: &&str| key.strip_prefix(*start).is_some_and(|tag| !tag.is_empty());
    KNOWN.contains(&key.as_str()) || OF_TAGS.iter().any(of_tag)
}

/// The values of a condition key; `None` when the request has none.
pub(crate) fn value(call: &Call, context: Context<'_>, name: &str) -> Option<Vec<String>> {
    let (service, key) = name.split_once(':')?;
    let one = |text: Option<&str>| text.map(|text| vec![text.to_owned()]);
    match service.to_ascii_lowercase().as_str() {
        "aws" => match key.to_ascii_lowercase().as_str() {
            "referer" => one(call.header("referer")),
            "useragent" => one(call.header("user-agent")),
            // What a header says of it, anybody may say.
            "sourceip" => Some(vec![call.peer.address?.to_string()]),
            "username" | "userid" => one(Some(call.who.owner()).filter(|owner| !owner.is_empty())),
            "securetransport" => Some(vec![call.peer.secure.to_string()]),
            "currenttime" => Some(vec![dates::iso(call.now)]),
            "epochtime" => Some(vec![dates::seconds(call.now).to_string()]),
            _ => None,
        },
        "s3" => s3(call, context, key),
        _ => None,
    }
}

fn s3(call: &Call, context: Context<'_>, key: &str) -> Option<Vec<String>> {
    let (kind, tag) = key.split_once('/').unwrap_or((key, ""));
    let named = context.key.unwrap_or(&call.key);
    let one = |text: Option<&str>| text.map(|text| vec![text.to_owned()]);
    let kind = kind.to_ascii_lowercase();
    match kind.as_str() {
        // Who asks for a missing object learns whether it is there if a listing would tell.
        "prefix" if !named.is_empty() => Some(vec![named.to_owned()]),
        "prefix" | "delimiter" | "max-keys" => one(call.param(&kind)),
        "versionid" => one(context.version.or(call.version())),
        "existingobjecttag" => tag_value(&context.object?.tags, tag),
        "requestobjecttag" => tag_value(&request_tags(call, context)?, tag),
        "requestobjecttagkeys" => {
            Some(request_tags(call, context)?.into_iter().map(|(name, _)| name).collect())
        }
        "authtype" => one(proof(call)),
        "signatureversion" => one(proof(call).map(|_| ALGORITHM)),
        "signatureage" => Some(vec![signed_before(call)?.to_string()]),
        "if-match" | "if-none-match" => one(call.header(&kind)),
        "objectcreationoperation" => Some(vec![creates(call).to_string()]),
        header if header.starts_with("x-amz-") => copy_or_header(call, header),
        _ => None,
    }
}

/// How the caller proved who it is, as S3 names it.
fn proof(call: &Call) -> Option<&'static str> {
    match &call.who {
        Who::Anonymous => None,
        _ if call.has("X-Amz-Signature") => Some("REST-QUERY-STRING"),
        _ if call.headers.contains_key(http::header::AUTHORIZATION) => Some("REST-HEADER"),
        _ => Some("POST"),
    }
}

/// Milliseconds since the proof was made.
fn signed_before(call: &Call) -> Option<u128> {
    proof(call)?;
    let date = call.param("X-Amz-Date").or_else(|| call.header("x-amz-date"));
    let at = auth::parse_any_date(date.or_else(|| call.header("date"))?)?;
    Some(call.now.since(at).as_millis())
}

/// The request makes an object, and not a part of one or an upload.
fn creates(call: &Call) -> bool {
    match call.method {
        Method::PUT => !call.has("uploadId"),
        Method::POST => !call.has("uploads"),
        _ => false,
    }
}

fn copy_or_header(call: &Call, name: &str) -> Option<Vec<String>> {
    let value = call.header(name)?;
    if name == "x-amz-copy-source" {
        let decoded = percent_encoding::percent_decode_str(value).decode_utf8_lossy();
        return Some(vec![decoded.trim_start_matches('/').to_owned()]);
    }
    Some(vec![value.to_owned()])
}

fn request_tags(call: &Call, context: Context<'_>) -> Option<Vec<(String, String)>> {
    match context.tags {
        Some(tags) => Some(tags.to_vec()),
        None => tags::from_header(call.header("x-amz-tagging")?).ok(),
    }
}

fn tag_value(tags: &[(String, String)], name: &str) -> Option<Vec<String>> {
    tags.iter().find(|(known, _)| known == name).map(|(_, value)| vec![value.clone()])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(key: &str, known: bool) {
        assert_eq!(is_known(key), known, "{key}");
    }

    #[test]
    fn keys_are_known_in_any_case_and_misspelt_ones_are_not() {
        for key in ["aws:SourceIp", "s3:authType", "s3:VersionId", "s3:ExistingObjectTag/a b"] {
            check(key, true);
        }
        for key in ["aws:SourceIP4", "s3:x-amz-acll", "s3:TlsVersion", "s3:ExistingObjectTag/", "x"]
        {
            check(key, false);
        }
    }
}
