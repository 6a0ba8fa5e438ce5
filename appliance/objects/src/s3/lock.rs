//! Object lock over S3: the bucket's default, retention and legal hold of a version.

use super::{
    access::{self, Action, Context, Right, authorize, is_allowed},
    bucket::change,
    call::Call,
    dates,
    error::{Code, S3Error},
    object::save,
    read::located,
    route::{document, empty, xml},
    setting::allowed,
    xml::{Element, Xml},
};
use crate::{
    bucket::{Bucket, Versioning},
    details::{Details, Retention},
    keys::Verb,
    lock::{self, LockDefault, Period},
    objects::now,
};
use axum::response::Response;
use base::time::Timestamp;
use http::StatusCode;

const GET_RETENTION: Action =
    Action::new("s3:GetObjectRetention", Verb::Read, Right::Object("FULL_CONTROL"));
const PUT_RETENTION: Action =
    Action::new("s3:PutObjectRetention", Verb::Manage, Right::Object("FULL_CONTROL"));
const GET_HOLD: Action =
    Action::new("s3:GetObjectLegalHold", Verb::Read, Right::Object("FULL_CONTROL"));
const PUT_HOLD: Action =
    Action::new("s3:PutObjectLegalHold", Verb::Manage, Right::Object("FULL_CONTROL"));
const BYPASS: Action = Action::new("s3:BypassGovernanceRetention", Verb::Manage, Right::Owner);

/// The caller asks to pass by GOVERNANCE, and may at that key.
pub(super) fn bypass(call: &Call, bucket: &Bucket, key: &str) -> bool {
    let asked = call
        .header("x-amz-bypass-governance-retention")
        .is_some_and(|text| text.eq_ignore_ascii_case("true"));
    asked && is_allowed(call, &BYPASS, bucket, Context { key: Some(key), ..Context::default() })
}

/// The error for a version that may not be removed.
pub(super) fn locked() -> S3Error {
    Code::AccessDenied.says("Access Denied because object protected by object lock.")
}

fn mode(text: &str) -> Result<bool, S3Error> {
    match text.trim() {
        "COMPLIANCE" => Ok(true),
        "GOVERNANCE" => Ok(false),
        _ => Err(Code::MalformedXML.into()),
    }
}

const fn mode_name(compliance: bool) -> &'static str {
    if compliance { "COMPLIANCE" } else { "GOVERNANCE" }
}

fn hold(text: &str) -> Result<bool, S3Error> {
    match text.trim() {
        "ON" => Ok(true),
        "OFF" => Ok(false),
        _ => Err(Code::MalformedXML.into()),
    }
}

/// Whoever uploads with a lock of its own must be allowed to lock.
fn authorize_upload(call: &Call, bucket: &Bucket) -> Result<(), S3Error> {
    let has = |name| call.headers.contains_key(name);
    let context = Context::default;
    if has("x-amz-object-lock-mode") {
        let action = Action { right: access::PUT.right, verb: Verb::Write, ..PUT_RETENTION };
        authorize(call, &action, bucket, context())?;
    }
    if has("x-amz-object-lock-legal-hold") {
        let action = Action { right: access::PUT.right, verb: Verb::Write, ..PUT_HOLD };
        authorize(call, &action, bucket, context())?;
    }
    Ok(())
}

/// What the headers of an upload ask for, if they may. The bucket's default is given when it is stored.
pub(super) fn of_upload(
    call: &Call,
    bucket: &Bucket,
) -> Result<(Option<Retention>, bool), S3Error> {
    authorize_upload(call, bucket)?;
    let wanted_mode = call.header("x-amz-object-lock-mode");
    let wanted_until = call.header("x-amz-object-lock-retain-until-date");
    let wanted_hold = call.header("x-amz-object-lock-legal-hold");
    let asked = wanted_mode.is_some() || wanted_until.is_some() || wanted_hold.is_some();
    if !bucket.settings.lock {
        return if asked { Err(no_lock()) } else { Ok((None, false)) };
    }
    let in_header = |_| Code::InvalidArgument.says("Unknown wormMode directive.");
    let held = wanted_hold.map(hold).transpose().map_err(in_header)?.unwrap_or(false);
    let retention = match (wanted_mode, wanted_until) {
        (Some(name), Some(until)) => {
            let compliance = mode(name).map_err(in_header)?;
            Some(Retention { compliance, until: future(until, call.now)? })
        }
        (None, None) => None,
        _ => {
            return Err(Code::InvalidArgument.says(
                "x-amz-object-lock-retain-until-date and x-amz-object-lock-mode must both be supplied",
            ));
        }
    };
    Ok((retention, held))
}

fn no_lock() -> S3Error {
    Code::InvalidRequest.says("Bucket is missing Object Lock Configuration")
}

fn future(text: &str, now: Timestamp) -> Result<Timestamp, S3Error> {
    let at = dates::parse_any(text.trim())
        .ok_or_else(|| Code::InvalidArgument.says("The retain until date is not a date"))?;
    if at <= now {
        return Err(Code::InvalidArgument.says("The retain until date must be in the future!"));
    }
    Ok(at)
}

/// The headers that tell of a version's lock.
pub(super) fn headers(details: &Details) -> Vec<(&'static str, String)> {
    let mut found = Vec::new();
    if let Some(kept) = &details.retention {
        found.push(("x-amz-object-lock-mode", mode_name(kept.compliance).to_owned()));
        found.push(("x-amz-object-lock-retain-until-date", dates::iso(kept.until)));
    }
    if details.legal_hold {
        found.push(("x-amz-object-lock-legal-hold", "ON".to_owned()));
    }
    found
}

pub(super) async fn get_configuration(call: &Call) -> Result<Response, S3Error> {
    let bucket = allowed(call, "s3:GetBucketObjectLockConfiguration").await?;
    if !bucket.settings.lock {
        return Err(Code::ObjectLockConfigurationNotFoundError.into());
    }
    Ok(xml(Xml::document("ObjectLockConfiguration", |xml| {
        xml.text("ObjectLockEnabled", "Enabled");
        let Some(default) = bucket.settings.lock_default else { return };
        xml.nest("Rule", |xml| {
            xml.nest("DefaultRetention", |xml| {
                xml.text("Mode", mode_name(default.compliance));
                match default.period {
                    Period::Days(days) => xml.value("Days", days),
                    Period::Years(years) => xml.value("Years", years),
                }
            });
        });
    })))
}

pub(super) fn default_of(root: &Element) -> Result<Option<LockDefault>, S3Error> {
    if root.name != "ObjectLockConfiguration"
        || root.text_of("ObjectLockEnabled") != Some("Enabled")
    {
        return Err(Code::MalformedXML.into());
    }
    let Some(rule) = root.child("Rule") else { return Ok(None) };
    let default = rule.child("DefaultRetention").ok_or(Code::MalformedXML)?;
    let compliance = mode(default.text_of("Mode").unwrap_or_default())?;
    let number = |text: &str| {
        let found = text.trim().parse::<i64>().map_err(|_| Code::MalformedXML)?;
        // Longer than a hundred years is a slip of the hand that nobody could take back.
        u32::try_from(found)
            .ok()
            .filter(|days| (1..=36_500).contains(days))
            .ok_or(Code::InvalidRetentionPeriod)
    };
    let period = match (default.text_of("Days"), default.text_of("Years")) {
        (Some(days), None) => Period::Days(number(days)?),
        (None, Some(years)) => Period::Years(number(years)?),
        _ => return Err(Code::MalformedXML.into()),
    };
    if matches!(period, Period::Years(years) if years > 100) {
        return Err(Code::InvalidRetentionPeriod.into());
    }
    Ok(Some(LockDefault { compliance, period }))
}

pub(super) async fn put_configuration(call: &mut Call) -> Result<Response, S3Error> {
    let bucket = allowed(call, "s3:PutBucketObjectLockConfiguration").await?;
    if bucket.versioning != Versioning::On {
        return Err(Code::InvalidBucketState.says(
            "Versioning must be 'Enabled' on the bucket to apply a Object Lock configuration",
        ));
    }
    let default = default_of(&document(call).await?)?;
    change(call, "object-lock", move |bucket| {
        bucket.settings.lock = true;
        bucket.settings.lock_default = default;
    })
    .await?;
    Ok(empty(StatusCode::OK))
}

pub(super) async fn get_retention(call: &Call) -> Result<Response, S3Error> {
    let located = located(call, &GET_RETENTION).await?;
    if !located.bucket.settings.lock {
        return Err(no_lock());
    }
    let kept = located.details.retention.as_ref().ok_or(Code::NoSuchObjectLockConfiguration)?;
    Ok(xml(Xml::document("Retention", |xml| {
        xml.text("Mode", mode_name(kept.compliance));
        xml.text("RetainUntilDate", &dates::iso(kept.until));
    })))
}

pub(super) async fn put_retention(call: &mut Call) -> Result<Response, S3Error> {
    let located = located(call, &PUT_RETENTION).await?;
    if !located.bucket.settings.lock {
        return Err(no_lock());
    }
    let root = document(call).await?;
    let wanted = match (root.text_of("Mode"), root.text_of("RetainUntilDate")) {
        _ if root.name != "Retention" => return Err(Code::MalformedXML.into()),
        (None, None) => None,
        (Some(name), Some(until)) => {
            Some(Retention { compliance: mode(name)?, until: future(until, call.now)? })
        }
        _ => return Err(Code::MalformedXML.into()),
    };
    let bypass = bypass(call, &located.bucket, &call.key);
    save(call, &located, move |details| {
        if !lock::permits_change(details.retention.as_ref(), wanted.as_ref(), now(), bypass) {
            return Err(locked());
        }
        details.retention = wanted;
        Ok(())
    })
    .await?;
    Ok(empty(StatusCode::OK))
}

pub(super) async fn get_hold(call: &Call) -> Result<Response, S3Error> {
    let located = located(call, &GET_HOLD).await?;
    if !located.bucket.settings.lock {
        return Err(no_lock());
    }
    let status = if located.details.legal_hold { "ON" } else { "OFF" };
    Ok(xml(Xml::document("LegalHold", |xml| xml.text("Status", status))))
}

pub(super) async fn put_hold(call: &mut Call) -> Result<Response, S3Error> {
    let located = located(call, &PUT_HOLD).await?;
    if !located.bucket.settings.lock {
        return Err(no_lock());
    }
    let root = document(call).await?;
    if root.name != "LegalHold" {
        return Err(Code::MalformedXML.into());
    }
    let wanted = hold(root.text_of("Status").unwrap_or_default())?;
    save(call, &located, move |details| {
        details.legal_hold = wanted;
        Ok(())
    })
    .await?;
    Ok(empty(StatusCode::OK))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::s3::xml;

    fn check(rule: &str, expected: Result<bool, Code>) {
        let text = format!(
            "<ObjectLockConfiguration><ObjectLockEnabled>Enabled</ObjectLockEnabled>{rule}</ObjectLockConfiguration>"
        );
        let found = default_of(&xml::parse(text.as_bytes()).unwrap());
        assert_eq!(found.map(|one| one.is_some()).map_err(|error| error.code), expected, "{rule}");
    }

    fn rule(mode: &str, period: &str) -> String {
        format!("<Rule><DefaultRetention><Mode>{mode}</Mode>{period}</DefaultRetention></Rule>")
    }

    #[test]
    fn a_default_has_one_mode_and_one_period() {
        check("", Ok(false));
        check(&rule("GOVERNANCE", "<Days>1</Days>"), Ok(true));
        check(&rule("COMPLIANCE", "<Years>1</Years>"), Ok(true));
        check(&rule("governance", "<Days>1</Days>"), Err(Code::MalformedXML));
        check(&rule("GOVERNANCE", ""), Err(Code::MalformedXML));
        check(&rule("GOVERNANCE", "<Days>1</Days><Years>1</Years>"), Err(Code::MalformedXML));
        check(&rule("GOVERNANCE", "<Days>0</Days>"), Err(Code::InvalidRetentionPeriod));
        check(&rule("GOVERNANCE", "<Years>-1</Years>"), Err(Code::InvalidRetentionPeriod));
    }
}
