//! Condition keys of policies: where each takes its value from.

use super::{access::Context, call::Call, tags};

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
            _ => None,
        },
        "s3" => s3(call, context, key),
        _ => None,
    }
}

fn s3(call: &Call, context: Context<'_>, key: &str) -> Option<Vec<String>> {
    let (kind, tag) = key.split_once('/').unwrap_or((key, ""));
    let named = context.key.unwrap_or(&call.key);
    match kind {
        // Who asks for a missing object learns whether it is there if a listing would tell.
        "prefix" if !named.is_empty() => Some(vec![named.to_owned()]),
        "prefix" | "delimiter" | "max-keys" => Some(vec![call.param(kind)?.to_owned()]),
        "VersionId" | "versionid" => Some(vec![context.version.or(call.version())?.to_owned()]),
        "ExistingObjectTag" => tag_value(&context.object?.tags, tag),
        "RequestObjectTag" => tag_value(&request_tags(call, context)?, tag),
        "RequestObjectTagKeys" => {
            Some(request_tags(call, context)?.into_iter().map(|(name, _)| name).collect())
        }
        "authType" | "signatureversion" => None,
        header if header.starts_with("x-amz-") => copy_or_header(call, header),
        _ => None,
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
