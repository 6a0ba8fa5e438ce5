//! Lifecycle configurations over S3: read with their limits, given back as they came.

use super::{
    bucket::change,
    call::Call,
    dates,
    error::{Code, S3Error},
    route::{document, empty, set, xml},
    setting::allowed,
    xml::{Element, Xml},
};
use crate::{
    details::Details,
    lifecycle::{self, Expire, Form, Noncurrent, Rule, Subject},
};
use axum::response::Response;
use http::StatusCode;
use store::objects::ObjectRow;

/// Rules of one bucket, as on S3.
const RULES_MAX: usize = 1000;

/// Characters of a rule's name, as on S3.
const ID_MAX: usize = 255;

pub(super) async fn get(call: &Call) -> Result<Response, S3Error> {
    let bucket = allowed(call, "s3:GetLifecycleConfiguration").await?;
    if bucket.settings.lifecycle.is_empty() {
        return Err(Code::NoSuchLifecycleConfiguration.into());
    }
    Ok(xml(Xml::document("LifecycleConfiguration", |xml| {
        for rule in &bucket.settings.lifecycle {
            xml.nest("Rule", |xml| write(xml, rule));
        }
    })))
}

fn write(xml: &mut Xml, rule: &Rule) {
    xml.text("ID", &rule.id);
    match rule.form {
        Form::Legacy => xml.text("Prefix", rule.prefix.as_deref().unwrap_or_default()),
        Form::Filter => xml.nest("Filter", |xml| write_filter(xml, rule)),
        Form::And => xml.nest("Filter", |xml| xml.nest("And", |xml| write_filter(xml, rule))),
    }
    xml.text("Status", if rule.enabled { "Enabled" } else { "Disabled" });
    if let Some(expire) = rule.expire {
        xml.nest("Expiration", |xml| match expire {
            Expire::Days(days) => xml.value("Days", days),
            Expire::Date(at) => xml.text("Date", &dates::iso(at)),
            Expire::Marker(wanted) => xml.value("ExpiredObjectDeleteMarker", wanted),
        });
    }
    if let Some(end) = rule.noncurrent {
        xml.nest("NoncurrentVersionExpiration", |xml| {
            if let Some(days) = end.days {
                xml.value("NoncurrentDays", days);
            }
            if let Some(newer) = end.newer {
                xml.value("NewerNoncurrentVersions", newer);
            }
        });
    }
    if let Some(days) = rule.abort_days {
        xml.nest("AbortIncompleteMultipartUpload", |xml| xml.value("DaysAfterInitiation", days));
    }
}

fn write_filter(xml: &mut Xml, rule: &Rule) {
    xml.optional("Prefix", rule.prefix.as_deref());
    for (name, value) in &rule.tags {
        xml.nest("Tag", |xml| {
            xml.text("Key", name);
            xml.text("Value", value);
        });
    }
    if let Some(size) = rule.greater {
        xml.value("ObjectSizeGreaterThan", size);
    }
    if let Some(size) = rule.less {
        xml.value("ObjectSizeLessThan", size);
    }
}

fn malformed() -> S3Error {
    Code::MalformedXML.into()
}

/// A number of days; S3 takes none below one.
fn days(text: &str) -> Result<u32, S3Error> {
    let days: u32 = text.trim().parse().map_err(|_| malformed())?;
    if days == 0 {
        return Err(Code::InvalidArgument.says("Days must be a positive integer"));
    }
    Ok(days)
}

pub(super) fn rules(root: &Element) -> Result<Vec<Rule>, S3Error> {
    if root.name != "LifecycleConfiguration" {
        return Err(malformed());
    }
    let mut found: Vec<Rule> = Vec::new();
    for one in root.all("Rule") {
        let rule = rule(one, found.len())?;
        if found.iter().any(|known| known.id == rule.id) {
            return Err(Code::InvalidArgument
                .says("Rule ID must be unique. Found same ID for more than one rule."));
        }
        found.push(rule);
    }
    if found.is_empty() || found.len() > RULES_MAX { Err(malformed()) } else { Ok(found) }
}

fn rule(one: &Element, number: usize) -> Result<Rule, S3Error> {
    let id = match one.text_of("ID").filter(|id| !id.is_empty()) {
        Some(id) => id.to_owned(),
        None => format!("rule-{}-{}", number + 1, crate::digest::hex(&crate::seal::random::<6>())),
    };
    if id.chars().count() > ID_MAX {
        return Err(Code::InvalidArgument.says("ID length should not exceed allowed limit of 255"));
    }
    if one.children.iter().any(|child| child.name.ends_with("Transition")) {
        return Err(Code::InvalidArgument
            .says("This server has one storage class: a rule cannot ask for a transition."));
    }
    let enabled = match one.text_of("Status").map(str::trim) {
        Some("Enabled") => true,
        Some("Disabled") => false,
        _ => return Err(malformed()),
    };
    let mut rule = Rule { id, enabled, ..Rule::default() };
    filter(&mut rule, one)?;
    rule.expire = one.child("Expiration").map(expire).transpose()?;
    rule.noncurrent = one.child("NoncurrentVersionExpiration").map(noncurrent).transpose()?;
    let abort = one.child("AbortIncompleteMultipartUpload");
    rule.abort_days = abort
        .map(|abort| days(abort.text_of("DaysAfterInitiation").ok_or_else(malformed)?))
        .transpose()?;
    if rule.expire.is_none() && rule.noncurrent.is_none() && rule.abort_days.is_none() {
        return Err(Code::InvalidRequest.says(
            "At least one action needs to be specified in a rule: Expiration, NoncurrentVersionExpiration or AbortIncompleteMultipartUpload.",
        ));
    }
    fits(&rule)?;
    Ok(rule)
}

/// Uploads have no tags and no size yet, and markers have none: a rule by which such would end must
/// not ask for them, or it would seem to spare what it ends.
fn fits(rule: &Rule) -> Result<(), S3Error> {
    let sized = rule.greater.is_some() || rule.less.is_some();
    let tagged = !rule.tags.is_empty();
    let refused = |action: &str, filter: &str| {
        Err(Code::InvalidRequest.says(format!("{action} cannot be specified with {filter}.")))
    };
    match (rule.abort_days.is_some(), matches!(rule.expire, Some(Expire::Marker(_)))) {
        (true, _) if tagged => refused("AbortIncompleteMultipartUpload", "Tags"),
        (true, _) if sized => refused("AbortIncompleteMultipartUpload", "Object Size"),
        (_, true) if tagged => refused("ExpiredObjectDeleteMarker", "Tags"),
        _ => Ok(()),
    }
}

fn filter(rule: &mut Rule, one: &Element) -> Result<(), S3Error> {
    let holder = match (one.child("Prefix"), one.child("Filter")) {
        (Some(prefix), None) => {
            rule.prefix = Some(prefix.text.clone());
            return Ok(());
        }
        (None, None) => {
            rule.prefix = Some(String::new());
            return Ok(());
        }
        (None, Some(filter)) => filter,
        (Some(_), Some(_)) => return Err(malformed()),
    };
    let (form, holder) = match holder.child("And") {
        Some(and) => (Form::And, and),
        None => (Form::Filter, holder),
    };
    rule.form = form;
    rule.prefix = holder.text_of("Prefix").map(str::to_owned);
    for tag in holder.all("Tag") {
        let key = tag.text_of("Key").ok_or_else(malformed)?;
        rule.tags.push((key.to_owned(), tag.text_of("Value").unwrap_or_default().to_owned()));
    }
    let size = |name| {
        let text = holder.text_of(name);
        text.map(|text| text.trim().parse::<u64>().map_err(|_| malformed())).transpose()
    };
    rule.greater = size("ObjectSizeGreaterThan")?;
    rule.less = size("ObjectSizeLessThan")?;
    Ok(())
}

fn expire(one: &Element) -> Result<Expire, S3Error> {
    let marker = one.text_of("ExpiredObjectDeleteMarker").map(str::trim);
    match (one.text_of("Days"), one.text_of("Date"), marker) {
        (Some(text), None, None) => days(text).map(Expire::Days),
        (None, Some(text), None) => dates::parse_day(text.trim())
            .map(Expire::Date)
            .ok_or_else(|| Code::InvalidArgument.says("'Date' must be at midnight GMT")),
        (None, None, Some("true")) => Ok(Expire::Marker(true)),
        (None, None, Some("false")) => Ok(Expire::Marker(false)),
        _ => Err(malformed()),
    }
}

fn noncurrent(one: &Element) -> Result<Noncurrent, S3Error> {
    let days = one.text_of("NoncurrentDays").map(days).transpose()?;
    let newer = one.text_of("NewerNoncurrentVersions").map(|text| text.trim().parse::<u32>());
    let newer = newer.transpose().map_err(|_| malformed())?;
    if days.is_none() { Err(malformed()) } else { Ok(Noncurrent { days, newer }) }
}

pub(super) async fn put(call: &mut Call) -> Result<Response, S3Error> {
    allowed(call, "s3:PutLifecycleConfiguration").await?;
    let wanted = rules(&document(call).await?)?;
    change(call, "lifecycle", move |bucket| bucket.settings.lifecycle = wanted).await?;
    Ok(empty(StatusCode::OK))
}

pub(super) async fn delete(call: &Call) -> Result<Response, S3Error> {
    allowed(call, "s3:PutLifecycleConfiguration").await?;
    change(call, "lifecycle", |bucket| bucket.settings.lifecycle.clear()).await?;
    Ok(empty(StatusCode::NO_CONTENT))
}

/// Tells when an object ends, where a rule says so.
pub(super) fn header(response: &mut Response, rules: &[Rule], row: &ObjectRow, details: &Details) {
    let subject =
        Subject { key: &row.key, size: row.size, tags: &details.tags, since: row.modified };
    if let Some((at, id)) = lifecycle::current_end(rules, &subject).filter(|_| row.latest) {
        let text = format!("expiry-date=\"{}\", rule-id=\"{id}\"", dates::http(at));
        set(response, "x-amz-expiration", &text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(rule: &str, expected: Result<usize, Code>) {
        let text = format!("<LifecycleConfiguration>{rule}</LifecycleConfiguration>");
        let found = rules(&super::super::xml::parse(text.as_bytes()).unwrap());
        assert_eq!(found.map(|all| all.len()).map_err(|error| error.code), expected, "{rule}");
    }

    fn with(inner: &str) -> String {
        format!("<Rule><ID>a</ID><Status>Enabled</Status>{inner}</Rule>")
    }

    #[test]
    fn rules_are_read_within_their_limits() {
        let day = "<Expiration><Days>1</Days></Expiration>";
        check(&with(day), Ok(1));
        check(
            &with(&format!(
                "<Filter><And><Prefix>x</Prefix><Tag><Key>k</Key><Value>v</Value></Tag></And></Filter>{day}"
            )),
            Ok(1),
        );
        check(&with("<Expiration><Date>2017-09-27</Date></Expiration>"), Ok(1));
        check(&with("<Expiration><Date>20200101</Date></Expiration>"), Err(Code::InvalidArgument));
        check(&with("<Expiration><Days>0</Days></Expiration>"), Err(Code::InvalidArgument));
        check(&with("<Expiration><Days>x</Days></Expiration>"), Err(Code::MalformedXML));
        check(&with(""), Err(Code::InvalidRequest));
        check(&with(day).replace("Enabled", "enabled"), Err(Code::MalformedXML));
        check(&(with(day) + &with(day)), Err(Code::InvalidArgument));
        let tag = "<Filter><Tag><Key>k</Key><Value>v</Value></Tag></Filter>";
        let size = "<Filter><ObjectSizeGreaterThan>9</ObjectSizeGreaterThan></Filter>";
        let abort = "<AbortIncompleteMultipartUpload><DaysAfterInitiation>1</DaysAfterInitiation></AbortIncompleteMultipartUpload>";
        let marker =
            "<Expiration><ExpiredObjectDeleteMarker>true</ExpiredObjectDeleteMarker></Expiration>";
        check(&with(abort), Ok(1));
        check(&with(&format!("{tag}{abort}")), Err(Code::InvalidRequest));
        check(&with(&format!("{size}{abort}{day}")), Err(Code::InvalidRequest));
        check(&with(&format!("{tag}{marker}")), Err(Code::InvalidRequest));
        check(&with(&format!("{tag}{day}")), Ok(1));
        check(&with("<Transition><Days>1</Days></Transition>"), Err(Code::InvalidArgument));
        check("", Err(Code::MalformedXML));
    }
}
