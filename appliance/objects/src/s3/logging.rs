//! Access logging over S3: where a bucket's requests are told.
//!
//! The target's owner must let the log service write below the prefix, by its policy or by its list
//! (`log-delivery-write`); the owner of the source alone cannot fill another's bucket.

use super::{
    access, acl,
    call::Call,
    deed::Deed,
    error::{Code, S3Error},
    policy::{Asked, Policy, Verdict},
    route::{document, empty, xml},
    setting::allowed,
    xml::{Element, Xml},
};
use crate::{
    access_log::{KeyFormat, Logging, Source},
    bucket::{self, Bucket},
    details::Grantee,
};
use axum::response::Response;
use http::StatusCode;

/// Bytes of a prefix: the rest of the key must fit, too.
const PREFIX_MAX: usize = 800;

/// Who writes access logs, as policies name it.
const SERVICE: &str = "logging.s3.amazonaws.com";

pub(super) async fn get(call: &Call) -> Result<Response, S3Error> {
    let bucket = allowed(call, "s3:GetBucketLogging").await?;
    let Some(logging) = &bucket.settings.logging else {
        return Ok(xml(Xml::document("BucketLoggingStatus", |_| ())));
    };
    let users = logging.grants.iter().filter_map(|grant| match &grant.to {
        Grantee::User(id) => Some(id.clone()),
        _ => None,
    });
    let names = acl::displays(&call.objects, users.collect()).await?;
    let name = |id: &str| names.get(id).map_or(id, String::as_str).to_owned();
    Ok(xml(Xml::document("BucketLoggingStatus", |xml| {
        xml.nest("LoggingEnabled", |xml| write(xml, logging, &name));
    })))
}

fn write(xml: &mut Xml, logging: &Logging, name: &dyn Fn(&str) -> String) {
    xml.text("TargetBucket", &logging.target);
    xml.text("TargetPrefix", &logging.prefix);
    if !logging.grants.is_empty() {
        xml.nest("TargetGrants", |xml| {
            for grant in &logging.grants {
                xml.nest("Grant", |xml| {
                    acl::write_grantee(xml, &grant.to, name);
                    xml.text("Permission", &grant.permission);
                });
            }
        });
    }
    let by = |xml: &mut Xml, source: &str| {
        xml.nest("PartitionedPrefix", |xml| xml.text("PartitionDateSource", source));
    };
    xml.nest("TargetObjectKeyFormat", |xml| match logging.format {
        KeyFormat::Simple => xml.nest("SimplePrefix", |_| ()),
        KeyFormat::ByDelivery => by(xml, "DeliveryTime"),
        KeyFormat::ByEvent => by(xml, "EventTime"),
    });
}

/// What a document asks for, without its grants; `None` ends logging.
pub(super) fn wanted(root: &Element) -> Result<Option<Logging>, S3Error> {
    if root.name != "BucketLoggingStatus" {
        return Err(Code::MalformedXML.into());
    }
    let Some(enabled) = root.child("LoggingEnabled") else { return Ok(None) };
    let target = enabled.text_of("TargetBucket").ok_or(Code::MalformedXML)?.trim();
    let prefix = enabled.text_of("TargetPrefix").ok_or(Code::MalformedXML)?;
    if prefix.len() > PREFIX_MAX || prefix.contains('\0') {
        return Err(Code::InvalidArgument.says("TargetPrefix has at most 800 bytes, without NUL."));
    }
    let format = match enabled.child("TargetObjectKeyFormat") {
        None => KeyFormat::Simple,
        Some(format) => key_format(format)?,
    };
    Ok(Some(Logging { target: target.into(), prefix: prefix.into(), format, grants: Vec::new() }))
}

fn key_format(format: &Element) -> Result<KeyFormat, S3Error> {
    let source =
        |by: &Element| by.text_of("PartitionDateSource").map(|text| text.trim().to_owned());
    match (format.child("SimplePrefix"), format.child("PartitionedPrefix")) {
        (Some(_), None) => Ok(KeyFormat::Simple),
        (None, Some(by)) => match source(by).as_deref() {
            Some("DeliveryTime") => Ok(KeyFormat::ByDelivery),
            Some("EventTime") => Ok(KeyFormat::ByEvent),
            _ => Err(Code::MalformedXML.into()),
        },
        _ => Err(Code::MalformedXML.into()),
    }
}

pub(super) async fn put(call: &mut Call) -> Result<Response, S3Error> {
    let bucket = allowed(call, "s3:PutBucketLogging").await?;
    let root = document(call).await?;
    let mut wanted = wanted(&root)?;
    if let Some(logging) = &mut wanted {
        let list = root.child("LoggingEnabled").and_then(|enabled| enabled.child("TargetGrants"));
        if let Some(list) = list {
            logging.grants = acl::grants(&call.objects, list).await?;
        }
    }
    let source = Source { bucket: bucket.name, owner: bucket.owner };
    let (on, deed) = (wanted.is_some(), Deed::set(call, "logging"));
    let work = move |txn: &mut store::Txn<'_>| {
        if let Some(logging) = &wanted {
            let target = txn.bucket_get(&logging.target)?.ok_or_else(no_target)?;
            check(&Bucket::from_row(target)?, logging, &source)?;
        }
        let mut bucket = bucket::get(txn, &source.bucket)?;
        bucket.settings.logging = wanted;
        bucket::save(txn, &bucket)?;
        deed.note(txn)
    };
    call.objects.write(work).await?;
    if on {
        call.objects.inner.access_logs.begin();
    }
    Ok(empty(StatusCode::OK))
}

fn no_target() -> S3Error {
    Code::InvalidTargetBucketForLogging.says("The target bucket for logging does not exist.")
}

fn check(target: &Bucket, logging: &Logging, source: &Source) -> Result<(), S3Error> {
    if target.settings.lock_default.is_some() {
        return Err(Code::InvalidTargetBucketForLogging
            .says("The target bucket for logging has a default retention."));
    }
    if access::lists_are_off(target) && !logging.grants.is_empty() {
        return Err(Code::AccessControlListNotSupported.into());
    }
    if may_deliver(target, &logging.prefix, source) {
        return Ok(());
    }
    Err(Code::AccessDenied.says(format!(
        "The bucket `{}` does not let {SERVICE} put objects below `{}` for this bucket: say so in its policy.",
        target.name, logging.prefix
    )))
}

/// The target's owner lets logs of `source` be put below `prefix`.
pub(crate) fn may_deliver(target: &Bucket, prefix: &str, source: &Source) -> bool {
    // The list names no source: it speaks of the owner's own buckets.
    let by_list = !access::lists_are_off(target)
        && target.owner == source.owner
        && target.settings.grants.iter().flatten().any(|grant| {
            grant.to == Grantee::LogDelivery
                && matches!(grant.permission.as_str(), "WRITE" | "FULL_CONTROL")
        });
    match by_policy(target, prefix, source) {
        Verdict::Deny => false,
        Verdict::Allow => true,
        Verdict::Silent => by_list,
    }
}

fn by_policy(target: &Bucket, prefix: &str, source: &Source) -> Verdict {
    let policy = target.settings.policy.as_deref().map(Policy::parse);
    let Some(Ok(policy)) = policy else { return Verdict::Silent };
    let value = |key: &str| match key.to_ascii_lowercase().as_str() {
        "aws:sourcearn" => Some(vec![format!("arn:aws:s3:::{}", source.bucket)]),
        "aws:sourceaccount" => Some(vec![source.owner.clone()]),
        _ => None,
    };
    // A policy may name the prefix itself, or what lies below it.
    let verdicts = ["", "2026"].map(|below| {
        let resource = format!("{}/{prefix}{below}", target.name);
        let (owner, action) = ("", "s3:PutObject");
        policy.decide(&Asked {
            owner,
            service: Some(SERVICE),
            action,
            resource: &resource,
            value: &value,
        })
    });
    if verdicts.contains(&Verdict::Deny) {
        Verdict::Deny
    } else if verdicts.contains(&Verdict::Allow) {
        Verdict::Allow
    } else {
        Verdict::Silent
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bucket::{Settings, Versioning};

    /// The target's policy, with one statement of these parts, lets logs of `src` of ann be put
    /// below `log/`.
    fn check(effect: &str, principal: &str, action: &str, resource: &str, condition: &str) -> bool {
        let allow = r#"{"Effect":"Allow","Principal":{"Service":"logging.s3.amazonaws.com"},"Action":"s3:PutObject","Resource":"arn:aws:s3:::dst/log/*"}"#;
        let one = format!(
            r#"{{"Effect":"{effect}","Principal":{principal},"Action":"{action}","Resource":"arn:aws:s3:::{resource}","Condition":{condition}}}"#
        );
        let statements = if effect == "Deny" { format!("{allow},{one}") } else { one };
        let settings = Settings {
            policy: Some(format!(r#"{{"Statement":[{statements}]}}"#)),
            ..Settings::default()
        };
        let target = Bucket {
            id: 1,
            name: "dst".into(),
            owner: "bob".into(),
            created: base::time::Timestamp(0),
            versioning: Versioning::Off,
            settings,
        };
        may_deliver(&target, "log/", &Source { bucket: "src".into(), owner: "ann".into() })
    }

    const LOGS: &str = r#"{"Service":"logging.s3.amazonaws.com"}"#;

    #[test]
    fn the_targets_policy_decides() {
        let put = "s3:PutObject";
        assert!(check("Allow", LOGS, put, "dst/log/*", "{}"));
        assert!(check("Allow", LOGS, put, "dst/log/", "{}"));
        assert!(!check("Allow", r#"{"AWS":"*"}"#, put, "dst/*", "{}"));
        assert!(!check("Allow", "\"*\"", put, "dst/*", "{}"));
        assert!(!check("Allow", r#"{"Service":"other.amazonaws.com"}"#, put, "dst/*", "{}"));
        assert!(!check("Allow", LOGS, "s3:GetObject", "dst/*", "{}"));
        assert!(!check("Allow", LOGS, put, "dst/other/*", "{}"));
        let arn = r#"{"ArnLike":{"aws:SourceArn":"arn:aws:s3:::src"},"StringEquals":{"aws:SourceAccount":"ann"}}"#;
        assert!(check("Allow", LOGS, put, "dst/log/*", arn));
        assert!(!check("Allow", LOGS, put, "dst/log/*", &arn.replace(":::src", ":::other")));
        assert!(!check("Allow", LOGS, put, "dst/log/*", &arn.replace("ann", "eve")));
        assert!(!check("Deny", "\"*\"", put, "dst/*", "{}"));
        assert!(!check("Deny", LOGS, "s3:*", "dst/log/*", "{}"));
        assert!(check("Deny", r#"{"AWS":"eve"}"#, put, "dst/*", "{}"));
    }

    fn parsed(text: &str) -> Result<Option<KeyFormat>, Code> {
        let root = super::super::xml::parse(text.as_bytes()).unwrap();
        wanted(&root).map(|found| found.map(|found| found.format)).map_err(|error| error.code)
    }

    #[test]
    fn documents_are_read_with_their_limits() {
        let enabled = |inner: &str| {
            parsed(&format!(
                "<BucketLoggingStatus><LoggingEnabled>{inner}</LoggingEnabled></BucketLoggingStatus>"
            ))
        };
        let named = "<TargetBucket>b</TargetBucket><TargetPrefix>p</TargetPrefix>";
        let by = |source: &str| {
            enabled(&format!(
                "{named}<TargetObjectKeyFormat><PartitionedPrefix><PartitionDateSource>{source}</PartitionDateSource></PartitionedPrefix></TargetObjectKeyFormat>"
            ))
        };
        assert_eq!(parsed("<BucketLoggingStatus/>"), Ok(None));
        assert_eq!(parsed("<Other/>"), Err(Code::MalformedXML));
        assert_eq!(enabled(named), Ok(Some(KeyFormat::Simple)));
        assert_eq!(by("EventTime"), Ok(Some(KeyFormat::ByEvent)));
        assert_eq!(by("kaboom"), Err(Code::MalformedXML));
        assert_eq!(enabled("<TargetBucket>b</TargetBucket>"), Err(Code::MalformedXML));
        let long = format!(
            "<TargetBucket>b</TargetBucket><TargetPrefix>{}</TargetPrefix>",
            "p".repeat(801)
        );
        assert_eq!(enabled(&long), Err(Code::InvalidArgument));
    }
}
