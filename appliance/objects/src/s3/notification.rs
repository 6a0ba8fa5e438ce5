//! Notification configurations over S3: read with their limits, given back as they came.
//!
//! Only addresses below a prefix that the operator allows are taken; by default there is none.

use super::{
    call::Call,
    deed::Deed,
    error::{Code, S3Error},
    route::{document, empty, xml},
    setting::allowed,
    xml::{Element, Xml},
};
use crate::{
    bucket,
    notify::{self, Kind, Rule},
};
use axum::response::Response;
use http::StatusCode;

/// Rules of one bucket, as on S3.
const RULES_MAX: usize = 100;

/// Characters of a rule's name, as on S3.
const ID_MAX: usize = 255;

/// Characters of a prefix or suffix: no key is longer.
const VALUE_MAX: usize = 1024;

/// A kind's element and that of its address.
const KINDS: [(Kind, &str, &str); 3] = [
    (Kind::Topic, "TopicConfiguration", "Topic"),
    (Kind::Queue, "QueueConfiguration", "Queue"),
    (Kind::Function, "CloudFunctionConfiguration", "CloudFunction"),
];

pub(super) async fn get(call: &Call) -> Result<Response, S3Error> {
    let bucket = allowed(call, "s3:GetBucketNotification").await?;
    Ok(xml(Xml::document("NotificationConfiguration", |xml| {
        for (kind, element, address) in KINDS {
            for rule in bucket.settings.notify.iter().filter(|rule| rule.kind == kind) {
                xml.nest(element, |xml| write(xml, rule, address));
            }
        }
    })))
}

fn write(xml: &mut Xml, rule: &Rule, address: &str) {
    xml.text("Id", &rule.id);
    xml.text(address, &rule.arn());
    rule.events.iter().for_each(|event| xml.text("Event", event));
    let parts = [("prefix", &rule.prefix), ("suffix", &rule.suffix)];
    let parts: Vec<_> =
        parts.into_iter().filter_map(|(name, value)| Some((name, value.as_deref()?))).collect();
    if parts.is_empty() {
        return;
    }
    xml.nest("Filter", |xml| {
        xml.nest("S3Key", |xml| {
            for (name, value) in parts {
                xml.nest("FilterRule", |xml| {
                    xml.text("Name", name);
                    xml.text("Value", value);
                });
            }
        });
    });
}

fn malformed() -> S3Error {
    Code::MalformedXML.into()
}

pub(super) fn rules(root: &Element) -> Result<Vec<Rule>, S3Error> {
    if root.name != "NotificationConfiguration" {
        return Err(malformed());
    }
    if root.child("EventBridgeConfiguration").is_some() {
        return Err(Code::InvalidArgument.says("This server has no event bus: name an address."));
    }
    let mut found: Vec<Rule> = Vec::new();
    for (kind, element, address) in KINDS {
        for one in root.all(element) {
            let rule = rule(one, kind, address)?;
            if found.iter().any(|known| known.id == rule.id) {
                return Err(Code::InvalidArgument
                    .says("Same ID used for multiple configurations. IDs must be unique"));
            }
            found.push(rule);
        }
    }
    if found.len() > RULES_MAX { Err(malformed()) } else { Ok(found) }
}

fn rule(one: &Element, kind: Kind, address: &str) -> Result<Rule, S3Error> {
    let arn = one.text_of(address).ok_or_else(malformed)?.trim();
    let address = notify::address(arn).ok_or_else(|| {
        Code::InvalidArgument
            .says("The ARN is not valid: write arn:appliance:webhook:::https://HOST/PATH")
    })?;
    let events: Vec<String> = one.all("Event").map(|event| event.text.trim().to_owned()).collect();
    if events.is_empty() {
        return Err(malformed());
    }
    if let Some(bad) = events.iter().find(|event| !notify::is_event(event)) {
        return Err(Code::InvalidArgument
            .says(format!("The event '{bad}' is not supported for notifications")));
    }
    let id = match one.text_of("Id").filter(|id| !id.is_empty()) {
        Some(id) => id.to_owned(),
        None => crate::digest::hex(&crate::seal::random::<8>()),
    };
    if id.chars().count() > ID_MAX {
        return Err(Code::InvalidArgument.says("ID length should not exceed 255"));
    }
    let mut rule = Rule { id, kind, address: address.to_owned(), events, ..Rule::default() };
    let filter = one.child("Filter").and_then(|filter| filter.child("S3Key"));
    for part in filter.into_iter().flat_map(|key| key.all("FilterRule")) {
        let value = part.text_of("Value").unwrap_or_default();
        let place = match part.text_of("Name").map(str::to_ascii_lowercase).as_deref() {
            Some("prefix") => &mut rule.prefix,
            Some("suffix") => &mut rule.suffix,
            _ => {
                return Err(
                    Code::InvalidArgument.says("filter rule name must be either prefix or suffix")
                );
            }
        };
        if place.is_some() || value.chars().count() > VALUE_MAX {
            return Err(Code::InvalidArgument
                .says("Cannot specify more than one prefix or suffix rule in a filter."));
        }
        *place = Some(value.to_owned());
    }
    Ok(rule)
}

pub(super) async fn put(call: &mut Call) -> Result<Response, S3Error> {
    allowed(call, "s3:PutBucketNotification").await?;
    let wanted = rules(&document(call).await?)?;
    let prefixes = &call.objects.inner.config.webhook_allow;
    if let Some(bad) = wanted.iter().find(|rule| !notify::is_allowed(&rule.address, prefixes)) {
        return Err(Code::InvalidArgument.says(format!(
            "The operator does not allow notices to {}: it is not below a prefix of `webhook_allow`",
            bad.address
        )));
    }
    let trial = call.header("x-amz-skip-destination-validation").is_none_or(|text| text != "true");
    let (name, request, now) = (call.bucket.clone(), call.id.clone(), call.now);
    let deed = Deed::set(call, "notification");
    let work = move |txn: &mut store::Txn<'_>| {
        let mut bucket = bucket::get(txn, &name)?;
        let kept: Vec<&str> = wanted.iter().map(|rule| rule.address.as_str()).collect();
        txn.notice_targets_keep(bucket.id, &kept)?;
        let new =
            |rule: &&Rule| !bucket.settings.notify.iter().any(|old| old.address == rule.address);
        for rule in wanted.iter().filter(|_| trial).filter(new) {
            let body = notify::trial(&name, &request, now).to_string();
            txn.notice_insert(bucket.id, &rule.address, &body, now)?;
        }
        bucket.settings.notify = wanted;
        bucket::save(txn, &bucket)?;
        deed.note(txn)
    };
    call.objects.write(work).await?;
    call.objects.inner.rules_changed.notify_one();
    Ok(empty(StatusCode::OK))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(inside: &str, expected: Result<usize, Code>) {
        let text = format!("<NotificationConfiguration>{inside}</NotificationConfiguration>");
        let root = super::super::xml::parse(text.as_bytes()).unwrap();
        let found = rules(&root).map(|rules| rules.len()).map_err(|error| error.code);
        assert_eq!(found, expected, "{inside}");
    }

    fn one(arn: &str, rest: &str) -> String {
        format!("<QueueConfiguration><Queue>{arn}</Queue>{rest}</QueueConfiguration>")
    }

    #[test]
    fn configurations_are_read_within_their_limits() {
        let arn = "arn:appliance:webhook:::http://hooks/a";
        let event = "<Event>s3:ObjectCreated:*</Event>";
        check("", Ok(0));
        check(&one(arn, event), Ok(1));
        check(&one(arn, ""), Err(Code::MalformedXML));
        check(&one(arn, "<Event>s3:Other</Event>"), Err(Code::InvalidArgument));
        check(&one("arn:aws:sqs:::q", event), Err(Code::InvalidArgument));
        let named = one(arn, &format!("{event}<Id>x</Id>"));
        check(&format!("{named}{named}"), Err(Code::InvalidArgument));
        let part = |name| {
            format!(
                "<Filter><S3Key><FilterRule><Name>{name}</Name><Value>v</Value></FilterRule></S3Key></Filter>"
            )
        };
        check(&one(arn, &format!("{event}{}", part("Prefix"))), Ok(1));
        check(&one(arn, &format!("{event}{}", part("middle"))), Err(Code::InvalidArgument));
        check(&one(arn, event).repeat(RULES_MAX + 1), Err(Code::MalformedXML));
    }
}
