//! What belongs to an object beside its bytes: tags and access control list.

use super::{
    access::{Action, Right},
    acl,
    call::Call,
    error::S3Error,
    object::save,
    read::located,
    route::{document, empty, set, xml},
    tags,
};
use crate::{bucket, keys::Verb, located::Located};
use axum::response::Response;
use http::StatusCode;

const GET_TAGS: Action =
    Action::new("s3:GetObjectTagging", Verb::Read, Right::Object("FULL_CONTROL"));
const PUT_TAGS: Action =
    Action::new("s3:PutObjectTagging", Verb::Write, Right::Object("FULL_CONTROL"));
const DELETE_TAGS: Action =
    Action::new("s3:DeleteObjectTagging", Verb::Write, Right::Object("FULL_CONTROL"));
const GET_ACL: Action = Action::new("s3:GetObjectAcl", Verb::Manage, Right::Object("READ_ACP"));
const PUT_ACL: Action = Action::new("s3:PutObjectAcl", Verb::Manage, Right::Object("WRITE_ACP"));

/// Names the version that was spoken of.
fn versioned(located: &Located, mut response: Response) -> Response {
    if located.bucket.versioning != bucket::Versioning::Off {
        set(&mut response, "x-amz-version-id", &located.row.version);
    }
    response
}

pub(super) async fn get_tags(call: &Call) -> Result<Response, S3Error> {
    let located = located(call, &GET_TAGS).await?;
    Ok(versioned(&located, xml(tags::to_xml(&located.details.tags))))
}

pub(super) async fn put_tags(call: &mut Call) -> Result<Response, S3Error> {
    let located = located(call, &PUT_TAGS).await?;
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
    let located = located(call, &DELETE_TAGS).await?;
    save(call, &located, |details| {
        details.tags.clear();
        Ok(())
    })
    .await?;
    Ok(versioned(&located, empty(StatusCode::NO_CONTENT)))
}

pub(super) async fn get_acl(call: &Call) -> Result<Response, S3Error> {
    let located = located(call, &GET_ACL).await?;
    let details = &located.details;
    let owner = if details.owner.is_empty() { &located.bucket.owner } else { &details.owner };
    Ok(xml(acl::to_xml(&call.objects, owner, details.grants.as_deref()).await?))
}

pub(super) async fn put_acl(call: &mut Call) -> Result<Response, S3Error> {
    let located = located(call, &PUT_ACL).await?;
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
