//! Lists: tags of a repository, repositories, referrers of a manifest.

use super::{
    Action, Call,
    blob::full,
    fault::{Code, Fault, json, set},
};
use crate::{
    details,
    error::Error,
    listing::Entry,
    objects::Objects,
    oci::{
        BUCKET, Reference, TAGS,
        record::Record,
        shelf::{self, MANIFESTS, manifest_key, referrers_prefix},
    },
};
use axum::response::Response;
use http::StatusCode;
use serde_json::{Value, json};

/// Lines of one page at most.
pub(super) const PAGE_MAX: u32 = 1000;

/// Repositories that the catalogue looks through.
const REPOSITORIES_MAX: usize = 100_000;

pub(super) async fn tags(call: &Call, name: &str) -> Result<Response, Fault> {
    call.permit(name, Action::Pull)?;
    let (full, limit) = (full(name)?, call.page()?);
    let prefix = format!("{TAGS}{full}:");
    let after = call.param("last").map(|last| format!("{prefix}{last}"));
    let page = call.objects.list(BUCKET, &prefix, None, after.as_deref(), limit).await?;
    if page.entries.is_empty() && after.is_none() && limit > 0 {
        let known = format!("{MANIFESTS}{full}:");
        if call.objects.list(BUCKET, &known, None, None, 1).await?.entries.is_empty() {
            return Err(Code::NameUnknown.plain().about(json!({ "name": name })));
        }
    }
    let tags: Vec<String> = page
        .entries
        .iter()
        .filter_map(|entry| match entry {
            Entry::Object(info) => info.key.strip_prefix(&prefix).map(str::to_owned),
            Entry::Prefix(_) => None,
        })
        .collect();
    let more = page.next.is_some().then(|| tags.last().cloned()).flatten();
    let mut response = json(StatusCode::OK, &json!({ "name": name, "tags": tags }));
    next_page(&mut response, &format!("/v2/{name}/tags/list"), limit, more);
    Ok(response)
}

/// The address of what follows, as RFC 5988 has it.
fn next_page(response: &mut Response, path: &str, limit: u32, last: Option<String>) {
    if let Some(last) = last {
        let last = crate::sigv4::encode_value(&last);
        set(response, "link", &format!("<{path}?n={limit}&last={last}>; rel=\"next\""));
    }
}

pub(super) async fn catalogue(call: &Call) -> Result<Response, Fault> {
    let may_list = |caller: &&super::Caller| !caller.by_pass || caller.lists_all;
    let Some(caller) = call.caller.as_ref().filter(may_list) else {
        return Err(Fault::unauthorized(&call.realm, "registry:catalog:*", "log in first"));
    };
    let limit = call.page()?;
    let last = call.param("last").unwrap_or_default();
    let mut names = repositories(&call.objects).await?;
    names.retain(|name| *name > last && (caller.lists_all || caller.may(name, Action::Pull)));
    let limit_ = usize::try_from(limit).unwrap_or(usize::MAX);
    let more = names.len() > limit_;
    names.truncate(limit_);
    let mut response = json(StatusCode::OK, &json!({ "repositories": names }));
    next_page(&mut response, "/v2/_catalog", limit, names.pop().filter(|_| more));
    Ok(response)
}

/// Names of all repositories that have a tag, sorted.
async fn repositories(objects: &Objects) -> Result<Vec<String>, Error> {
    let (mut names, mut after) = (Vec::new(), None::<String>);
    while names.len() < REPOSITORIES_MAX {
        let page = objects.list(BUCKET, TAGS, Some(":"), after.as_deref(), PAGE_MAX).await?;
        for entry in page.entries {
            let Entry::Prefix(prefix) = entry else { continue };
            names.extend(prefix.strip_prefix(TAGS).and_then(short));
        }
        match page.next {
            Some(next) => after = Some(next),
            None => break,
        }
    }
    names.sort_unstable();
    Ok(names)
}

/// `docker.io/library/alpine:` as this registry calls it: `alpine`. A host with a port has no such name.
fn short(prefix: &str) -> Option<String> {
    let full = prefix.strip_suffix(':')?;
    let docker = full.strip_prefix("docker.io/");
    let short = docker.map_or(full, |rest| rest.strip_prefix("library/").unwrap_or(rest));
    let back: Reference = short.parse().ok()?;
    (super::route::is_name(short) && back.name() == full).then(|| short.to_owned())
}

pub(super) async fn referrers(call: &Call, name: &str, subject: &str) -> Result<Response, Fault> {
    call.permit(name, Action::Pull)?;
    let (full, wanted) = (full(name)?, call.param("artifactType"));
    let prefix = referrers_prefix(&full, subject);
    let found = call
        .objects
        .read(move |reader| {
            let bucket = crate::bucket::get(reader, BUCKET)?.id;
            let mut found = Vec::new();
            for (row, _) in shelf::rows(reader, bucket, &prefix)? {
                let digest = format!("sha256:{}", &row.key[prefix.len()..]);
                let key = manifest_key(&full, &digest);
                let Some(text) = shelf::small(reader, bucket, &key)? else { continue };
                let record: Record = details::parse(&key, &String::from_utf8_lossy(&text))?;
                found.push((digest, record));
            }
            Ok(found)
        })
        .await?;
    let manifests: Vec<Value> = found
        .into_iter()
        .filter(|(_, record)| wanted.is_none() || record.artifact_type == wanted)
        .map(|(digest, record)| descriptor(&digest, &record))
        .collect();
    let media_type = "application/vnd.oci.image.index.v1+json";
    let body = json!({ "schemaVersion": 2, "mediaType": media_type, "manifests": manifests });
    let mut response = json(StatusCode::OK, &body);
    set(&mut response, "content-type", media_type);
    if wanted.is_some() {
        set(&mut response, "oci-filters-applied", "artifactType");
    }
    Ok(response)
}

fn descriptor(digest: &str, record: &Record) -> Value {
    let mut one = json!({ "mediaType": record.media_type, "digest": digest, "size": record.size });
    if let Some(kind) = &record.artifact_type {
        one["artifactType"] = kind.as_str().into();
    }
    if !record.annotations.is_empty() {
        one["annotations"] = json!(record.annotations);
    }
    one
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repositories_are_called_as_jobs_call_them() {
        for (prefix, expected) in [
            ("docker.io/library/alpine:", Some("alpine")),
            ("docker.io/ns/app:", Some("ns/app")),
            ("ghcr.io/a/b:", Some("ghcr.io/a/b")),
            ("localhost:", None),
            ("docker.io/ns/app", None),
        ] {
            assert_eq!(short(prefix).as_deref(), expected, "{prefix}");
        }
    }
}
