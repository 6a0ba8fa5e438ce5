//! Access control lists: canned names, grant headers and XML.

use super::{
    access::lists_are_off,
    call::Call,
    error::{Code, S3Error},
    xml::{Element, Xml},
};
use crate::{
    bucket::Bucket,
    details::{Grant, Grantee},
    objects::Objects,
};
use std::collections::HashMap;

const EVERYONE: &str = "http://acs.amazonaws.com/groups/global/AllUsers";
const AUTHENTICATED: &str = "http://acs.amazonaws.com/groups/global/AuthenticatedUsers";
const LOG_DELIVERY: &str = "http://acs.amazonaws.com/groups/s3/LogDelivery";

/// The canned list by which a writer gives an object away.
pub(crate) const OWNER_FULL: &str = "bucket-owner-full-control";

/// Grants of one list, as on S3.
const GRANTS_MAX: usize = 100;

const HEADERS: [(&str, &str); 5] = [
    ("x-amz-grant-read", "READ"),
    ("x-amz-grant-write", "WRITE"),
    ("x-amz-grant-read-acp", "READ_ACP"),
    ("x-amz-grant-write-acp", "WRITE_ACP"),
    ("x-amz-grant-full-control", "FULL_CONTROL"),
];

fn grant(to: Grantee, permission: &str) -> Grant {
    Grant { to, permission: permission.to_owned() }
}

/// A list that lets anybody in.
pub(crate) fn is_public(grants: &[Grant]) -> bool {
    grants.iter().any(|grant| matches!(grant.to, Grantee::Everyone | Grantee::Authenticated))
}

/// A list that gives nothing to anybody but `owner`.
pub(crate) fn is_owners_alone(grants: Option<&[Grant]>, owner: &str) -> bool {
    grants.is_none_or(|grants| {
        grants.iter().all(|grant| matches!(&grant.to, Grantee::User(user) if user == owner))
    })
}

/// The list that a canned name stands for; `None` for a private one.
pub(crate) fn canned(
    name: &str,
    owner: &str,
    bucket_owner: &str,
) -> Result<Option<Vec<Grant>>, S3Error> {
    let own = || grant(Grantee::User(owner.to_owned()), "FULL_CONTROL");
    let bucket = |permission| grant(Grantee::User(bucket_owner.to_owned()), permission);
    Ok(match name {
        // Nobody here fetches machine images by right of their name.
        "private" | "aws-exec-read" => None,
        "public-read" => Some(vec![own(), grant(Grantee::Everyone, "READ")]),
        "public-read-write" => {
            Some(vec![own(), grant(Grantee::Everyone, "READ"), grant(Grantee::Everyone, "WRITE")])
        }
        "authenticated-read" => Some(vec![own(), grant(Grantee::Authenticated, "READ")]),
        "bucket-owner-read" if owner == bucket_owner => None,
        "bucket-owner-full-control" if owner == bucket_owner => None,
        "bucket-owner-read" => Some(vec![own(), bucket("READ")]),
        "bucket-owner-full-control" => Some(vec![own(), bucket("FULL_CONTROL")]),
        "log-delivery-write" => Some(vec![
            own(),
            grant(Grantee::LogDelivery, "WRITE"),
            grant(Grantee::LogDelivery, "READ_ACP"),
        ]),
        _ => return Err(Code::InvalidArgument.says("The canned ACL is not known.")),
    })
}

/// The headers of a request ask for a list.
pub(crate) fn in_headers(call: &Call) -> bool {
    let names = HEADERS.iter().map(|(name, _)| *name).chain(["x-amz-acl"]);
    names.into_iter().any(|name| call.headers.contains_key(name))
}

/// The list that the headers of a request ask for; the outer `None` when they ask for none.
pub(crate) async fn from_headers(
    call: &Call,
    owner: &str,
    bucket: &Bucket,
) -> Result<Option<Option<Vec<Grant>>>, S3Error> {
    let canned_name = call.header("x-amz-acl");
    if lists_are_off(bucket) && canned_name.is_some_and(|name| name != OWNER_FULL) {
        return Err(Code::AccessControlListNotSupported.into());
    }
    let granted: Vec<(&str, &str)> = HEADERS
        .iter()
        .filter_map(|(name, permission)| Some((call.header(name)?, *permission)))
        .collect();
    let wanted = match (canned_name, granted.is_empty()) {
        (Some(_), false) => {
            return Err(Code::InvalidRequest
                .says("Specifying both Canned ACLs and Header Grants is not allowed"));
        }
        (Some(name), true) => canned(name, owner, &bucket.owner)?,
        (None, false) => Some(from_grant_headers(&call.objects, &granted).await?),
        (None, true) => return Ok(None),
    };
    permit(bucket, wanted.as_deref())?;
    Ok(Some(wanted))
}

/// Refuses a list that the bucket's settings do not take.
pub(crate) fn permit(bucket: &Bucket, wanted: Option<&[Grant]>) -> Result<(), S3Error> {
    let owned = is_owners_alone(wanted, &bucket.owner);
    if lists_are_off(bucket) && !owned {
        return Err(Code::AccessControlListNotSupported.into());
    }
    let blocked = bucket.settings.public_block.is_some_and(|block| block.block_acls);
    if blocked && wanted.is_some_and(is_public) {
        return Err(Code::AccessDenied.into());
    }
    Ok(())
}

async fn from_grant_headers(
    objects: &Objects,
    granted: &[(&str, &str)],
) -> Result<Vec<Grant>, S3Error> {
    let mut grants = Vec::new();
    for (text, permission) in granted {
        for one in text.split(',') {
            let (kind, name) = one.trim().split_once('=').ok_or(Code::InvalidArgument)?;
            let name = name.trim().trim_matches('"');
            let to = match kind.trim() {
                "uri" => group(name)?,
                "id" => Grantee::User(known_id(objects, name).await?),
                "emailAddress" => Grantee::User(known_email(objects, name).await?),
                _ => return Err(Code::InvalidArgument.into()),
            };
            grants.push(grant(to, permission));
        }
    }
    if grants.len() > GRANTS_MAX { Err(Code::InvalidArgument.into()) } else { Ok(grants) }
}

fn group(uri: &str) -> Result<Grantee, S3Error> {
    match uri {
        EVERYONE => Ok(Grantee::Everyone),
        AUTHENTICATED => Ok(Grantee::Authenticated),
        LOG_DELIVERY => Ok(Grantee::LogDelivery),
        _ => Err(Code::InvalidArgument.says("Invalid group uri")),
    }
}

async fn lookup(objects: &Objects, name: &str) -> Result<Option<(String, String)>, S3Error> {
    let name = name.to_owned();
    Ok(objects.read(move |reader| Ok(reader.access_owner_get(&name)?)).await?)
}

async fn known_id(objects: &Objects, id: &str) -> Result<String, S3Error> {
    let found = lookup(objects, id).await?.filter(|(known, _)| known == id);
    found.map(|(id, _)| id).ok_or_else(|| Code::InvalidArgument.says("Invalid id"))
}

async fn known_email(objects: &Objects, email: &str) -> Result<String, S3Error> {
    let found = lookup(objects, email).await?.filter(|_| email.contains('@'));
    Ok(found.map(|(id, _)| id).ok_or(Code::UnresolvableGrantByEmailAddress)?)
}

/// Reads an `AccessControlPolicy`: its owner, if named, and its grants.
pub(crate) async fn from_xml(
    objects: &Objects,
    root: &Element,
) -> Result<(Option<String>, Vec<Grant>), S3Error> {
    let list = root.child("AccessControlList").filter(|_| root.name == "AccessControlPolicy");
    let list = list.ok_or(Code::MalformedACLError)?;
    let owner = root.child("Owner").and_then(|owner| owner.text_of("ID")).map(str::to_owned);
    Ok((owner, grants(objects, list).await?))
}

/// The grants in a list of them.
pub(crate) async fn grants(objects: &Objects, list: &Element) -> Result<Vec<Grant>, S3Error> {
    let mut grants = Vec::new();
    for one in list.all("Grant") {
        let permission = one.text_of("Permission").ok_or(Code::MalformedACLError)?;
        if !HEADERS.iter().any(|(_, known)| *known == permission) {
            return Err(Code::MalformedACLError.into());
        }
        let to = one.child("Grantee").ok_or(Code::MalformedACLError)?;
        grants.push(grant(grantee(objects, to).await?, permission));
    }
    if grants.len() > GRANTS_MAX { Err(Code::MalformedACLError.into()) } else { Ok(grants) }
}

async fn grantee(objects: &Objects, to: &Element) -> Result<Grantee, S3Error> {
    if let Some(uri) = to.text_of("URI") {
        return group(uri.trim());
    }
    if let Some(email) = to.text_of("EmailAddress") {
        return Ok(Grantee::User(known_email(objects, email.trim()).await?));
    }
    let id = to.text_of("ID").ok_or(Code::MalformedACLError)?;
    Ok(Grantee::User(known_id(objects, id.trim()).await?))
}

/// Names of owners for people, as far as they have keys.
pub(crate) async fn displays(
    objects: &Objects,
    ids: Vec<String>,
) -> Result<HashMap<String, String>, S3Error> {
    let work = move |reader: &store::Reader<'_>| {
        let mut found = HashMap::new();
        for id in ids {
            if let Some((known, display)) = reader.access_owner_get(&id)? {
                found.insert(known, display);
            }
        }
        Ok(found)
    };
    Ok(objects.read(work).await?)
}

/// An `AccessControlPolicy`.
pub(crate) async fn to_xml(
    objects: &Objects,
    owner: &str,
    grants: Option<&[Grant]>,
) -> Result<String, S3Error> {
    let private = [grant(Grantee::User(owner.to_owned()), "FULL_CONTROL")];
    let grants = grants.unwrap_or(&private);
    let users = grants.iter().filter_map(|grant| match &grant.to {
        Grantee::User(id) => Some(id.clone()),
        _ => None,
    });
    let names = displays(objects, users.chain([owner.to_owned()]).collect()).await?;
    let name = |id: &str| names.get(id).map_or(id, String::as_str).to_owned();
    Ok(Xml::document("AccessControlPolicy", |xml| {
        write_owner(xml, "Owner", owner, &name(owner));
        // Groups first, as clients and the conformance suite expect them.
        let (users, groups): (Vec<_>, Vec<_>) =
            grants.iter().partition(|grant| matches!(grant.to, Grantee::User(_)));
        xml.nest("AccessControlList", |xml| {
            for grant in groups.into_iter().chain(users) {
                xml.nest("Grant", |xml| {
                    write_grantee(xml, &grant.to, &name);
                    xml.text("Permission", &grant.permission);
                });
            }
        });
    }))
}

/// An owner with id and name.
pub(crate) fn write_owner(xml: &mut Xml, element: &str, id: &str, display: &str) {
    xml.nest(element, |xml| {
        xml.text("ID", id);
        xml.text("DisplayName", display);
    });
}

pub(crate) fn write_grantee(xml: &mut Xml, to: &Grantee, name: &dyn Fn(&str) -> String) {
    let uri = match to {
        Grantee::User(id) => {
            return xml.grantee("CanonicalUser", |xml| {
                xml.text("ID", id);
                xml.text("DisplayName", &name(id));
            });
        }
        Grantee::Everyone => EVERYONE,
        Grantee::Authenticated => AUTHENTICATED,
        Grantee::LogDelivery => LOG_DELIVERY,
    };
    xml.grantee("Group", |xml| xml.text("URI", uri));
}
