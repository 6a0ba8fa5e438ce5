//! Buckets and access keys of the S3 face, for the command line.
//!
//! Invariants: for administrators alone, as a key may open what its owner could not; the secret of
//! a key is in the answer of its making and nowhere else; each change is noted in the audit log.

use super::{body::Sent, message, projects::audit, shapes};
use crate::{
    State,
    access::{Admin, Routes, User},
    accounts::tokens,
    error::Failure,
};
use axum::{
    Json,
    extract::{Path, Query},
};
use base::units::Bytes;
use http::StatusCode;
use objects::{BucketInfo, Entry, KeyInfo, Owner, Quota, Rule, Scope, Verb};
use serde::Deserialize;
use serde_json::{Value, json};
use store::Txn;

/// Objects of one page.
const PAGE: u32 = 1000;

pub(super) fn routes() -> Routes {
    Routes::new()
        .get("/api/appliance/v1/bucket", list)
        .post("/api/appliance/v1/bucket", create)
        .post("/api/appliance/v1/bucket/delete", delete)
        .post("/api/appliance/v1/bucket/quota", set_quota)
        .get("/api/appliance/v1/bucket/{bucket}/object", objects_of)
        .get("/api/appliance/v1/bucket/{bucket}/notice", notices)
        .post("/api/appliance/v1/bucket/notice-key", notice_key)
        .get("/api/appliance/v1/key", keys)
        .post("/api/appliance/v1/key", create_key)
        .post("/api/appliance/v1/key/revoke", revoke_key)
}

impl From<objects::Error> for Failure {
    fn from(error: objects::Error) -> Self {
        use objects::Error;
        match error {
            Error::NoBucket(_) | Error::NoObject { .. } => Self::Missing(error.to_string()),
            Error::BucketName(_) | Error::Range { .. } => Self::Invalid(error.to_string()),
            Error::House(_) | Error::Sealed => Self::Forbidden(error.to_string()),
            Error::Quota => Self::Conflict(error.to_string()),
            Error::Full => Self::Unavailable(error.to_string()),
            other => Self::inside(other),
        }
    }
}

fn shape(info: &BucketInfo) -> Value {
    json!({
        "name": info.name,
        "owner": info.owner,
        "created_at": info.created,
        "objects": info.usage.objects,
        "bytes": info.usage.bytes,
        "max_objects": info.quota.objects,
        "max_bytes": info.quota.bytes,
    })
}

async fn list(_: Admin, state: State) -> Result<Json<Value>, Failure> {
    let infos = state.objects.bucket_infos().await?;
    Ok(Json(shapes::page(infos.iter().map(shape).collect(), None)))
}

/// A bucket to be made.
#[derive(Debug, Deserialize)]
pub(super) struct AskedBucket {
    name: String,
    owner: Option<String>,
}

/// Whose it is to be: the caller's when nobody is named. Without an owner it would be everybody's.
fn owner(asked: Option<String>, user: &User) -> Result<String, Failure> {
    let owner = asked.unwrap_or_else(|| user.login.clone());
    if owner.trim().is_empty() {
        let why = "the owner is empty: name an account, or ORG/REPO, or leave it out to be it";
        return Err(Failure::Invalid(why.into()));
    }
    if owner == objects::HOUSE_OWNER {
        let why = format!("`{owner}` is the appliance itself: name another owner");
        return Err(Failure::Invalid(why));
    }
    Ok(owner)
}

async fn create(
    Admin(user): Admin,
    state: State,
    Sent(asked): Sent<AskedBucket>,
) -> Result<(StatusCode, Json<Value>), Failure> {
    let owner = owner(asked.owner, &user)?;
    let subject = format!("{} of {owner}", asked.name);
    let (now, deed) = (state.now(), audit(&user, "bucket.create", &subject));
    let note = move |txn: &Txn<'_>| txn.audit_append(now, &deed);
    if !state.objects.bucket_create(&asked.name, &owner, note).await? {
        return Err(Failure::Conflict(format!("bucket `{}` exists already", asked.name)));
    }
    Ok(message(StatusCode::CREATED, "Bucket made."))
}

/// A bucket.
#[derive(Debug, Deserialize)]
pub(super) struct Named {
    name: String,
}

async fn delete(
    Admin(user): Admin,
    state: State,
    Sent(asked): Sent<Named>,
) -> Result<(StatusCode, Json<Value>), Failure> {
    let (now, deed) = (state.now(), audit(&user, "bucket.delete", &asked.name));
    let note = move |txn: &Txn<'_>| txn.audit_append(now, &deed);
    if !state.objects.bucket_delete(&asked.name, note).await? {
        let why = format!("bucket `{}` is not empty: delete its objects first", asked.name);
        return Err(Failure::Conflict(why));
    }
    Ok(message(StatusCode::OK, "Bucket deleted."))
}

/// What a bucket may hold.
#[derive(Debug, Deserialize)]
pub(super) struct AskedQuota {
    name: String,
    max_bytes: Option<u64>,
    max_objects: Option<u64>,
}

async fn set_quota(
    Admin(user): Admin,
    state: State,
    Sent(asked): Sent<AskedQuota>,
) -> Result<(StatusCode, Json<Value>), Failure> {
    let quota = Quota { bytes: asked.max_bytes, objects: asked.max_objects };
    let is_bound = quota.bytes.is_some() || quota.objects.is_some();
    let subject = format!("{}: {}", asked.name, told_quota(quota));
    let (now, deed) = (state.now(), audit(&user, "bucket.quota", &subject));
    let note = move |txn: &Txn<'_>| txn.audit_append(now, &deed);
    state.objects.bucket_quota(&asked.name, quota, note).await?;
    Ok(message(StatusCode::OK, if is_bound { "Quota set." } else { "Quota lifted." }))
}

fn told_scope(scope: &Scope) -> String {
    match scope {
        Scope::Site => "everything everywhere".into(),
        Scope::Rules(rules) => {
            let rule = |rule: &Rule| {
                let verbs = if rule.verbs.contains(&Verb::Write) { "all" } else { "read-only" };
                format!("{}/{} {verbs}", rule.bucket, rule.prefix)
            };
            rules.iter().map(rule).collect::<Vec<_>>().join(", ")
        }
        Scope::Owner | Scope::Protected | Scope::Unprotected => "all that its owner may".into(),
    }
}

fn told_quota(quota: Quota) -> String {
    let bytes = quota.bytes.map(|bytes| format!("at most {}", Bytes(bytes)));
    let objects = quota.objects.map(|objects| format!("at most {objects} objects"));
    match (bytes, objects) {
        (None, None) => "no bound".into(),
        (bytes, objects) => bytes.into_iter().chain(objects).collect::<Vec<_>>().join(", "),
    }
}

/// Which part of a listing.
#[derive(Debug, Deserialize)]
pub(super) struct Part {
    #[serde(default)]
    prefix: String,
    #[serde(rename = "page-token")]
    after: Option<String>,
}

async fn objects_of(
    _: Admin,
    state: State,
    Path(bucket): Path<String>,
    Query(part): Query<Part>,
) -> Result<Json<Value>, Failure> {
    let page = state.objects.list(&bucket, &part.prefix, None, part.after.as_deref(), PAGE).await?;
    let items = page.entries.iter().filter_map(|entry| match entry {
        Entry::Object(info) => Some(json!({
            "key": info.key, "size": info.size, "etag": info.etag, "modified_at": info.modified,
        })),
        Entry::Prefix(_) => None,
    });
    Ok(Json(shapes::page(items.collect(), page.next)))
}

async fn notices(
    _: Admin,
    state: State,
    Path(bucket): Path<String>,
) -> Result<Json<Value>, Failure> {
    // A bucket that is not there has no page.
    state.objects.list(&bucket, "", None, None, 1).await?;
    let targets = state.objects.notice_targets(Some(&bucket)).await?;
    let items = targets.into_iter().map(|target| {
        json!({
            "address": target.target, "waiting": target.waiting, "told": target.told,
            "lost": target.lost, "error": target.error,
        })
    });
    Ok(Json(shapes::page(items.collect(), None)))
}

async fn notice_key(
    Admin(user): Admin,
    state: State,
    Sent(asked): Sent<Named>,
) -> Result<Json<Value>, Failure> {
    let key = state.objects.bucket_webhook_key(&asked.name).await?;
    // Noted before it is told.
    let (now, deed) = (state.now(), audit(&user, "bucket.notice-key", &asked.name));
    state.store.write(move |txn| txn.audit_append(now, &deed)).await?;
    Ok(Json(json!({ "name": asked.name, "key": key.expose() })))
}

fn key_shape(key: &KeyInfo) -> Value {
    json!({
        "id": key.id,
        "owner": key.owner.id,
        "scope": key.scope,
        "created_at": key.created,
        "expires_at": key.expires,
        "revoked_at": key.revoked,
        "locked_out": key.locked_out,
    })
}

async fn keys(_: Admin, state: State) -> Result<Json<Value>, Failure> {
    let keys = state.objects.key_list(None).await?;
    Ok(Json(shapes::page(keys.iter().map(key_shape).collect(), None)))
}

/// A key to be made. Without rules it may all that its owner may.
#[derive(Debug, Deserialize)]
pub(super) struct AskedKey {
    owner: Option<String>,
    /// `BUCKET` or `BUCKET/PREFIX`.
    #[serde(default)]
    only: Vec<String>,
    #[serde(default)]
    read_only: bool,
    /// Everything everywhere.
    #[serde(default)]
    site: bool,
    days: Option<u32>,
}

/// Why a rule that could never fit is refused.
fn no_bucket(only: &str, bucket: &str) -> String {
    format!(
        "`{only}` opens nothing, as no bucket can be named `{bucket}`: write BUCKET or BUCKET/PREFIX, for example `reports/2026`"
    )
}

impl AskedKey {
    fn scope(&self) -> Result<Scope, Failure> {
        if self.site {
            return Ok(Scope::Site);
        }
        if self.only.is_empty() && self.read_only {
            let why = "name the buckets that a read-only key may read";
            return Err(Failure::Invalid(why.into()));
        }
        if self.only.is_empty() {
            return Ok(Scope::Owner);
        }
        let verbs = if self.read_only {
            vec![Verb::Read, Verb::List]
        } else {
            vec![Verb::Read, Verb::Write, Verb::Delete, Verb::List]
        };
        let rule = |text: &String| {
            let (bucket, prefix) = text.split_once('/').unwrap_or((text, ""));
            if !objects::is_bucket_name(bucket) {
                return Err(Failure::Invalid(no_bucket(text, bucket)));
            }
            Ok(Rule { bucket: bucket.to_owned(), prefix: prefix.to_owned(), verbs: verbs.clone() })
        };
        Ok(Scope::Rules(self.only.iter().map(rule).collect::<Result<_, _>>()?))
    }
}

async fn create_key(
    Admin(user): Admin,
    state: State,
    Sent(asked): Sent<AskedKey>,
) -> Result<(StatusCode, Json<Value>), Failure> {
    let scope = asked.scope()?;
    let now = state.now();
    let life = asked.days.map(tokens::life).transpose()?;
    let expires = life.map(|life| now.plus(life));
    let login = owner(asked.owner, &user)?;
    let granted = told_scope(&scope);
    let owner = Owner { id: login.clone(), display: login.clone(), email: String::new() };
    let until = expires.map_or_else(String::new, |end| format!(" until {end}"));
    let note = move |txn: &Txn<'_>, id: &str| {
        let subject = format!("{id} of {login}: {granted}{until}");
        txn.audit_append(now, &audit(&user, "key.create", &subject))
    };
    let made = state.objects.key_create(owner, scope, expires, note).await?;
    // Shown once: it cannot be read again.
    let body = json!({ "id": made.id, "secret": made.secret.expose(), "expires_at": expires });
    Ok((StatusCode::CREATED, Json(body)))
}

/// A key.
#[derive(Debug, Deserialize)]
pub(super) struct KeyId {
    id: String,
}

async fn revoke_key(
    Admin(user): Admin,
    state: State,
    Sent(asked): Sent<KeyId>,
) -> Result<(StatusCode, Json<Value>), Failure> {
    let (now, deed) = (state.now(), audit(&user, "key.revoke", &asked.id));
    let note = move |txn: &Txn<'_>| txn.audit_append(now, &deed);
    if !state.objects.key_revoke(&asked.id, note).await? {
        return Err(Failure::Missing(format!("there is no key {}", asked.id)));
    }
    Ok(message(StatusCode::OK, "Key revoked."))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(only: &[&str], read_only: bool, site: bool, expected: Option<&str>) {
        let only = only.iter().map(|text| (*text).to_owned()).collect();
        let asked = AskedKey { owner: None, only, read_only, site, days: None };
        let found = asked.scope().ok().map(|scope| serde_json::to_string(&scope).unwrap());
        assert_eq!(found.as_deref(), expected, "{asked:?}");
    }

    #[test]
    fn a_key_is_as_narrow_as_it_was_asked_to_be() {
        check(&[], false, false, Some("\"owner\""));
        check(&[], false, true, Some("\"site\""));
        check(&[], true, false, None);
        for never in ["/x", "", "BAD_B", "a/b"] {
            check(&["good", never], false, false, None);
        }
        check(
            &["backup/db"],
            true,
            false,
            Some(r#"{"rules":[{"bucket":"backup","prefix":"db","verbs":["read","list"]}]}"#),
        );
    }
}
