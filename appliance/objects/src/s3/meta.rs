//! What belongs to an object beside its bytes: tags and access control list.

use super::{
    access::{self, Action, Context, Right, authorize},
    acl,
    call::Call,
    error::{Code, S3Error},
    object::save,
    read::located,
    route::{document, empty, set, xml},
    tags,
};
use crate::{
    bucket::{self, Bucket},
    keys::Verb,
    located::Located,
};
use axum::response::Response;
use http::StatusCode;

/// An action on the newest version, and the same on one that is named.
pub(super) type Pair = [Action; 2];

pub(super) const fn pair(names: [&'static str; 2], verb: Verb, permission: &'static str) -> Pair {
    let right = Right::Object(permission);
    [Action::new(names[0], verb, right), Action::new(names[1], verb, right)]
}

const GET_TAGS: Pair =
    pair(["s3:GetObjectTagging", "s3:GetObjectVersionTagging"], Verb::Read, "FULL_CONTROL");
const PUT_TAGS: Pair =
    pair(["s3:PutObjectTagging", "s3:PutObjectVersionTagging"], Verb::Write, "FULL_CONTROL");
const DELETE_TAGS: Pair =
    pair(["s3:DeleteObjectTagging", "s3:DeleteObjectVersionTagging"], Verb::Write, "FULL_CONTROL");
const GET_ACL: Pair = pair(["s3:GetObjectAcl", "s3:GetObjectVersionAcl"], Verb::Manage, "READ_ACP");
const PUT_ACL: Pair =
    pair(["s3:PutObjectAcl", "s3:PutObjectVersionAcl"], Verb::Manage, "WRITE_ACP");

/// The one that the call asks for.
pub(super) fn asked(call: &Call, [newest, named]: Pair) -> Action {
    if call.version().is_some() { named } else { newest }
}

/// Whoever stores an object and gives it tags, or a list, must be allowed to.
pub(super) fn authorize_upload(
    call: &Call,
    bucket: &Bucket,
    tags: &[(String, String)],
) -> Result<(), S3Error> {
    if acl::in_headers(call) {
        authorize(call, &of_writer(PUT_ACL), bucket, Context::default())?;
    }
    authorize_tags(call, bucket, tags)
}

fn authorize_tags(call: &Call, bucket: &Bucket, tags: &[(String, String)]) -> Result<(), S3Error> {
    if tags.is_empty() {
        return Ok(());
    }
    let context = Context { tags: Some(tags), ..Context::default() };
    authorize(call, &of_writer(PUT_TAGS), bucket, context)
}

/// The action on an object that comes into being: its writer may do it who may write.
fn of_writer([newest, _]: Pair) -> Action {
    Action { right: access::PUT.right, verb: Verb::Write, ..newest }
}

/// Whoever copies an object with its tags must be allowed to read them, of that `version` where one is
/// named, and to give them to the copy.
pub(super) fn authorize_copy(
    call: &Call,
    from: &Located,
    version: Option<&str>,
    target: &Bucket,
) -> Result<(), S3Error> {
    let tags = &from.details.tags;
    if tags.is_empty() {
        return Ok(());
    }
    let [newest, named] = GET_TAGS;
    let action = if version.is_some() { named } else { newest };
    let (object, key) = (Some(&from.details), Some(from.row.key.as_str()));
    let context = Context { object, key, version, ..Context::default() };
    if !access::is_allowed(call, &action, &from.bucket, context) {
        return Err(Code::AccessDenied.into());
    }
    authorize_tags(call, target, tags)
}

/// Names the version that was spoken of.
fn versioned(located: &Located, mut response: Response) -> Response {
    if located.bucket.versioning != bucket::Versioning::Off {
        set(&mut response, "x-amz-version-id", &located.row.version);
    }
    response
}

pub(super) async fn get_tags(call: &Call) -> Result<Response, S3Error> {
    let located = located(call, &asked(call, GET_TAGS)).await?;
    Ok(versioned(&located, xml(tags::to_xml(&located.details.tags))))
}

pub(super) async fn put_tags(call: &mut Call) -> Result<Response, S3Error> {
    let located = located(call, &asked(call, PUT_TAGS)).await?;
    let root = document(call).await?;
    let wanted = tags::from_xml(&root, tags::OBJECT_TAGS_MAX)?;
    save(call, &located, move |details| {
        details.tags = wanted;
        Ok(())
    })
    .await?;
    Ok(versioned(&located, empty(StatusCode::OK)))
}

pub(super) async fn delete_tags(call: &Call) -> Result<Response, S3Error> {
    let located = located(call, &asked(call, DELETE_TAGS)).await?;
    save(call, &located, |details| {
        details.tags.clear();
        Ok(())
    })
    .await?;
    Ok(versioned(&located, empty(StatusCode::NO_CONTENT)))
}

pub(super) async fn get_acl(call: &Call) -> Result<Response, S3Error> {
    let located = located(call, &asked(call, GET_ACL)).await?;
    let details = &located.details;
    let owner = if details.owner.is_empty() { &located.bucket.owner } else { &details.owner };
    Ok(xml(acl::to_xml(&call.objects, owner, details.grants.as_deref()).await?))
}

pub(super) async fn put_acl(call: &mut Call) -> Result<Response, S3Error> {
    let located = located(call, &asked(call, PUT_ACL)).await?;
    let owner = located.details.owner.clone();
    let grants = match acl::from_headers(call, &owner, &located.bucket).await? {
        Some(grants) => grants,
        None => {
            let root = document(call).await?;
            let (_, grants) = acl::from_xml(&call.objects, &root).await?;
            acl::permit(&located.bucket, Some(&grants))?;
            Some(grants)
        }
    };
    save(call, &located, move |details| {
        details.grants = grants;
        Ok(())
    })
    .await?;
    Ok(versioned(&located, empty(StatusCode::OK)))
}
