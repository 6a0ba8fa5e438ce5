//! Small settings of a bucket: tags, default encryption, ownership, public access block.

use super::{
    access::{Action, Context, authorize},
    acl,
    bucket::change,
    call::Call,
    encryption,
    error::{Code, S3Error},
    object::bucket_of,
    policy::Policy,
    route::{document, empty, xml},
    tags,
    xml::{Element, Xml},
};
use crate::{
    bucket::{Bucket, PublicBlock},
    details::Encryption,
};
use axum::response::Response;
use http::StatusCode;

/// Tags of one bucket, as on S3.
const BUCKET_TAGS_MAX: usize = 50;

/// The bucket of the call, if its caller may do `name` with its settings.
pub(super) async fn allowed(call: &Call, name: &'static str) -> Result<Bucket, S3Error> {
    let bucket = bucket_of(call).await?;
    authorize(call, &Action::owner(name), &bucket, Context::default())?;
    Ok(Bucket::clone(&bucket))
}

pub(super) async fn get_tags(call: &Call) -> Result<Response, S3Error> {
    let bucket = allowed(call, "s3:GetBucketTagging").await?;
    if bucket.settings.tags.is_empty() {
        return Err(Code::NoSuchTagSet.into());
    }
    Ok(xml(tags::to_xml(&bucket.settings.tags)))
}

pub(super) async fn put_tags(call: &mut Call) -> Result<Response, S3Error> {
    allowed(call, "s3:PutBucketTagging").await?;
    let wanted = tags::from_xml(&document(call).await?, BUCKET_TAGS_MAX)?;
    change(call, "tagging", move |bucket| bucket.settings.tags = wanted).await?;
    Ok(empty(StatusCode::NO_CONTENT))
}

pub(super) async fn delete_tags(call: &Call) -> Result<Response, S3Error> {
    allowed(call, "s3:PutBucketTagging").await?;
    change(call, "tagging", |bucket| bucket.settings.tags.clear()).await?;
    Ok(empty(StatusCode::NO_CONTENT))
}

pub(super) async fn get_encryption(call: &Call) -> Result<Response, S3Error> {
    let bucket = allowed(call, "s3:GetEncryptionConfiguration").await?;
    let default = bucket.settings.encryption;
    let default = default.ok_or(Code::ServerSideEncryptionConfigurationNotFoundError)?;
    Ok(xml(Xml::document("ServerSideEncryptionConfiguration", |xml| {
        xml.nest("Rule", |xml| {
            xml.nest("ApplyServerSideEncryptionByDefault", |xml| match &default {
                Encryption::Named(name) => {
                    xml.text("SSEAlgorithm", "aws:kms");
                    xml.text("KMSMasterKeyID", name);
                }
                _ => xml.text("SSEAlgorithm", "AES256"),
            });
            xml.value("BucketKeyEnabled", false);
        });
    })))
}

pub(super) async fn put_encryption(call: &mut Call) -> Result<Response, S3Error> {
    allowed(call, "s3:PutEncryptionConfiguration").await?;
    let root = document(call).await?;
    let default = root
        .child("Rule")
        .and_then(|rule| rule.child("ApplyServerSideEncryptionByDefault"))
        .filter(|_| root.name == "ServerSideEncryptionConfiguration")
        .ok_or(Code::MalformedXML)?;
    let key = default.text_of("KMSMasterKeyID");
    let wanted =
        encryption::named(default.text_of("SSEAlgorithm").unwrap_or_default().trim(), key)?;
    change(call, "encryption", move |bucket| bucket.settings.encryption = Some(wanted)).await?;
    Ok(empty(StatusCode::OK))
}

pub(super) async fn delete_encryption(call: &Call) -> Result<Response, S3Error> {
    allowed(call, "s3:PutEncryptionConfiguration").await?;
    change(call, "encryption", |bucket| bucket.settings.encryption = None).await?;
    Ok(empty(StatusCode::NO_CONTENT))
}

pub(super) async fn get_block(call: &Call) -> Result<Response, S3Error> {
    let bucket = allowed(call, "s3:GetBucketPublicAccessBlock").await?;
    let block = bucket.settings.public_block;
    let block = block.ok_or(Code::NoSuchPublicAccessBlockConfiguration)?;
    Ok(xml(Xml::document("PublicAccessBlockConfiguration", |xml| {
        xml.value("BlockPublicAcls", block.block_acls);
        xml.value("IgnorePublicAcls", block.ignore_acls);
        xml.value("BlockPublicPolicy", block.block_policy);
        xml.value("RestrictPublicBuckets", block.restrict);
    })))
}

pub(super) async fn put_block(call: &mut Call) -> Result<Response, S3Error> {
    allowed(call, "s3:PutBucketPublicAccessBlock").await?;
    let root = document(call).await?;
    if root.name != "PublicAccessBlockConfiguration" {
        return Err(Code::MalformedXML.into());
    }
    let is = |name| flag(&root, name);
    let block = PublicBlock {
        block_acls: is("BlockPublicAcls")?,
        ignore_acls: is("IgnorePublicAcls")?,
        block_policy: is("BlockPublicPolicy")?,
        restrict: is("RestrictPublicBuckets")?,
    };
    change(call, "publicAccessBlock", move |bucket| bucket.settings.public_block = Some(block))
        .await?;
    Ok(empty(StatusCode::OK))
}

fn flag(root: &Element, name: &str) -> Result<bool, S3Error> {
    match root.text_of(name).map(str::trim) {
        None => Ok(false),
        Some(text) if text.eq_ignore_ascii_case("true") => Ok(true),
        Some(text) if text.eq_ignore_ascii_case("false") => Ok(false),
        Some(_) => Err(Code::MalformedXML.into()),
    }
}

pub(super) async fn delete_block(call: &Call) -> Result<Response, S3Error> {
    allowed(call, "s3:PutBucketPublicAccessBlock").await?;
    change(call, "publicAccessBlock", |bucket| bucket.settings.public_block = None).await?;
    Ok(empty(StatusCode::NO_CONTENT))
}

/// Who owns objects that others put into the bucket, as S3 names it.
pub(super) fn ownership(name: &str) -> Result<String, S3Error> {
    const KNOWN: [&str; 3] = ["BucketOwnerEnforced", "BucketOwnerPreferred", "ObjectWriter"];
    let known = KNOWN.into_iter().find(|known| *known == name.trim());
    known.map(str::to_owned).ok_or_else(|| Code::MalformedXML.into())
}

pub(super) async fn get_ownership(call: &Call) -> Result<Response, S3Error> {
    let bucket = allowed(call, "s3:GetBucketOwnershipControls").await?;
    let owner = bucket.settings.ownership.ok_or(Code::OwnershipControlsNotFoundError)?;
    Ok(xml(Xml::document("OwnershipControls", |xml| {
        xml.nest("Rule", |xml| xml.text("ObjectOwnership", &owner));
    })))
}

pub(super) async fn put_ownership(call: &mut Call) -> Result<Response, S3Error> {
    let bucket = allowed(call, "s3:PutBucketOwnershipControls").await?;
    let root = document(call).await?;
    let mut rules = root.all("Rule");
    let (rule, more) = (rules.next(), rules.next());
    if root.name != "OwnershipControls" || more.is_some() {
        return Err(Code::MalformedXML.into());
    }
    let name = rule.and_then(|rule| rule.text_of("ObjectOwnership")).ok_or(Code::MalformedXML)?;
    let wanted = ownership(name)?;
    let granted = bucket.settings.grants.as_deref();
    if wanted == "BucketOwnerEnforced" && !acl::is_owners_alone(granted, &bucket.owner) {
        return Err(Code::InvalidBucketAclWithObjectOwnership.into());
    }
    change(call, "ownershipControls", move |bucket| bucket.settings.ownership = Some(wanted))
        .await?;
    Ok(empty(StatusCode::OK))
}

pub(super) async fn delete_ownership(call: &Call) -> Result<Response, S3Error> {
    allowed(call, "s3:PutBucketOwnershipControls").await?;
    change(call, "ownershipControls", |bucket| bucket.settings.ownership = None).await?;
    Ok(empty(StatusCode::NO_CONTENT))
}

pub(super) async fn policy_status(call: &Call) -> Result<Response, S3Error> {
    let bucket = allowed(call, "s3:GetBucketPolicyStatus").await?;
    let settings = &bucket.settings;
    let by_list = settings.grants.as_deref().is_some_and(acl::is_public);
    let policy = settings.policy.as_deref().and_then(|text| Policy::parse(text).ok());
    let public = by_list || policy.is_some_and(|policy| policy.is_public());
    Ok(xml(Xml::document("PolicyStatus", |xml| xml.value("IsPublic", public))))
}

pub(super) async fn get_payment(call: &Call) -> Result<Response, S3Error> {
    allowed(call, "s3:GetBucketRequestPayment").await?;
    Ok(xml(Xml::document("RequestPaymentConfiguration", |xml| xml.text("Payer", "BucketOwner"))))
}
