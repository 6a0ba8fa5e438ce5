//! May this caller do that? One place decides for every operation.
//!
//! Order: the house and operators' keys may all; a key's scope narrows it; in the house's buckets
//! the scope is the permission; a bucket's owner may get, put and delete its policy whatever that
//! says; a policy's denial wins; then its permission, ownership, and the access control lists.
//! Silence denies.

use super::{
    call::{Call, Who},
    error::{Code, S3Error},
    policy::{Asked, Policy, Verdict},
};
use crate::{
    bucket::{Bucket, PublicBlock, is_house},
    details::{Details, Grant, Grantee},
    keys::{Scope, Verb},
};

/// What an access control list must give for an action.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Right {
    /// A permission on the bucket.
    Bucket(&'static str),
    /// A permission on the object.
    Object(&'static str),
    /// Nothing that a list could give.
    Owner,
}

/// An operation as policies, scopes and lists name it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Action {
    pub(crate) name: &'static str,
    pub(crate) verb: Verb,
    pub(crate) right: Right,
}

impl Action {
    pub(crate) const fn new(name: &'static str, verb: Verb, right: Right) -> Self {
        Self { name, verb, right }
    }

    /// An action of a bucket's owner.
    pub(crate) const fn owner(name: &'static str) -> Self {
        Self::new(name, Verb::Manage, Right::Owner)
    }
}

pub(crate) const LIST: Action = Action::new("s3:ListBucket", Verb::List, Right::Bucket("READ"));
pub(crate) const LIST_VERSIONS: Action =
    Action::new("s3:ListBucketVersions", Verb::List, Right::Bucket("READ"));
pub(crate) const LIST_UPLOADS: Action =
    Action::new("s3:ListBucketMultipartUploads", Verb::List, Right::Bucket("READ"));
pub(crate) const GET: Action = Action::new("s3:GetObject", Verb::Read, Right::Object("READ"));
pub(crate) const GET_VERSION: Action =
    Action::new("s3:GetObjectVersion", Verb::Read, Right::Object("READ"));
pub(crate) const PUT: Action = Action::new("s3:PutObject", Verb::Write, Right::Bucket("WRITE"));
pub(crate) const DELETE: Action =
    Action::new("s3:DeleteObject", Verb::Delete, Right::Bucket("WRITE"));
pub(crate) const DELETE_VERSION: Action =
    Action::new("s3:DeleteObjectVersion", Verb::Delete, Right::Bucket("WRITE"));
pub(crate) const ABORT: Action =
    Action::new("s3:AbortMultipartUpload", Verb::Write, Right::Bucket("WRITE"));
pub(crate) const LIST_PARTS: Action =
    Action::new("s3:ListMultipartUploadParts", Verb::Write, Right::Bucket("WRITE"));

/// A policy keeps no owner from these: one who shut everybody out finds the way back.
const POLICY_ACTIONS: [&str; 3] =
    ["s3:GetBucketPolicy", "s3:PutBucketPolicy", "s3:DeleteBucketPolicy"];

/// What is known of the request beside the call itself.
#[derive(Clone, Copy, Default)]
pub(crate) struct Context<'a> {
    /// The object asked for, when it is there.
    pub(crate) object: Option<&'a Details>,
    /// Tags that the request brings.
    pub(crate) tags: Option<&'a [(String, String)]>,
    /// Another key than the call's.
    pub(crate) key: Option<&'a str>,
    /// Another version than the call's.
    pub(crate) version: Option<&'a str>,
}

/// Names the owner whom the caller takes the bucket's to be.
pub(crate) const EXPECTED_OWNER: &str = "x-amz-expected-bucket-owner";

/// The same of the bucket that is copied from.
pub(crate) const EXPECTED_SOURCE_OWNER: &str = "x-amz-source-expected-bucket-owner";

/// Refuses a bucket that belongs to somebody else than the caller takes it to.
pub(crate) fn expected(call: &Call, header: &str, bucket: &Bucket) -> Result<(), S3Error> {
    match call.header(header) {
        Some(owner) if owner != bucket.owner => Err(Code::AccessDenied.into()),
        _ => Ok(()),
    }
}

/// Refuses what is not allowed.
pub(crate) fn authorize(
    call: &Call,
    action: &Action,
    bucket: &Bucket,
    context: Context<'_>,
) -> Result<(), S3Error> {
    expected(call, EXPECTED_OWNER, bucket)?;
    if is_allowed(call, action, bucket, context) { Ok(()) } else { Err(Code::AccessDenied.into()) }
}

/// The house and operators' keys.
pub(crate) fn may_all(who: &Who) -> bool {
    match who {
        Who::House => true,
        Who::Key { scope, .. } => **scope == Scope::Site,
        Who::Anonymous => false,
    }
}

/// Decides.
pub(crate) fn is_allowed(
    call: &Call,
    action: &Action,
    bucket: &Bucket,
    context: Context<'_>,
) -> bool {
    let key = context.key.unwrap_or(&call.key);
    match &call.who {
        who if may_all(who) => return true,
        Who::House | Who::Anonymous => {}
        Who::Key { scope, .. } => {
            let place = if action.verb == Verb::List {
                call.param("prefix").unwrap_or_default()
            } else {
                key
            };
            if !scope.covers(&bucket.name, place, action.verb) {
                return false;
            }
            if is_house(&bucket.name) {
                return matches!(**scope, Scope::Rules(_));
            }
        }
    }
    if POLICY_ACTIONS.contains(&action.name) && call.who.owns(&bucket.owner) {
        return true;
    }
    match policy(call, action, bucket, key, context) {
        Verdict::Deny => false,
        Verdict::Allow => true,
        Verdict::Silent => by_ownership(call, action, bucket, context.object),
    }
}

fn policy(
    call: &Call,
    action: &Action,
    bucket: &Bucket,
    key: &str,
    context: Context<'_>,
) -> Verdict {
    let Some(text) = &bucket.settings.policy else { return Verdict::Silent };
    // What was stored was checked; should it not be readable, nobody gets more by it.
    let Ok(policy) = Policy::parse(text) else { return Verdict::Silent };
    let on_object = !key.is_empty() && action.verb != Verb::List && !action.name.contains("Bucket");
    let resource = if on_object { format!("{}/{key}", bucket.name) } else { bucket.name.clone() };
    let value = |name: &str| super::context::value(call, context, name);
    let owner = call.who.owner();
    let verdict = policy.decide(&Asked {
        owner,
        service: None,
        action: action.name,
        resource: &resource,
        value: &value,
    });
    let restricted = block(bucket).restrict && policy.is_public() && !call.who.owns(&bucket.owner);
    if verdict == Verdict::Allow && restricted { Verdict::Silent } else { verdict }
}

fn block(bucket: &Bucket) -> PublicBlock {
    bucket.settings.public_block.unwrap_or_default()
}

/// Lists have no effect in the bucket: its owner owns all.
pub(crate) fn lists_are_off(bucket: &Bucket) -> bool {
    bucket.settings.ownership.as_deref() == Some("BucketOwnerEnforced")
}

fn by_ownership(call: &Call, action: &Action, bucket: &Bucket, object: Option<&Details>) -> bool {
    let owner = call.who.owner();
    let owns_bucket = call.who.owns(&bucket.owner);
    match (action.right, object) {
        (Right::Owner, _) => owns_bucket,
        (Right::Bucket(permission), _) => {
            owns_bucket
                || listed(
                    bucket,
                    &bucket.owner,
                    bucket.settings.grants.as_deref(),
                    permission,
                    owner,
                )
        }
        (Right::Object(_), _) if lists_are_off(bucket) => owns_bucket,
        // Whether a missing object may be known is the bucket's matter; see `missing`.
        (Right::Object(_), None) => owns_bucket,
        (Right::Object(permission), Some(details)) => {
            let object_owner =
                if details.owner.is_empty() { &bucket.owner } else { &details.owner };
            call.who.owns(object_owner)
                || listed(bucket, object_owner, details.grants.as_deref(), permission, owner)
        }
    }
}

/// An access control list gives a permission.
fn listed(
    bucket: &Bucket,
    resource_owner: &str,
    grants: Option<&[Grant]>,
    permission: &str,
    owner: &str,
) -> bool {
    if lists_are_off(bucket) {
        return false;
    }
    let Some(grants) = grants else { return !owner.is_empty() && owner == resource_owner };
    let public = !block(bucket).ignore_acls;
    grants.iter().any(|grant| {
        let fits = grant.permission == permission || grant.permission == "FULL_CONTROL";
        let named = match &grant.to {
            Grantee::User(user) => !owner.is_empty() && user == owner,
            Grantee::Everyone => public,
            Grantee::Authenticated => public && !owner.is_empty(),
            Grantee::LogDelivery => false,
        };
        fits && named
    })
}

/// The error for `key` that is not there: who may not list learns nothing.
pub(crate) fn missing(call: &Call, bucket: &Bucket, key: &str, error: S3Error) -> S3Error {
    let context = Context { key: Some(key), ..Context::default() };
    if is_allowed(call, &LIST, bucket, context) { error } else { Code::AccessDenied.into() }
}

/// Only holders of keys; nobody in particular is refused.
pub(crate) fn known(call: &Call) -> Result<(), S3Error> {
    if matches!(call.who, Who::Anonymous) { Err(Code::AccessDenied.into()) } else { Ok(()) }
}
