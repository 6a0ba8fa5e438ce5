//! Which events of a bucket are told to which address, and the form of a notice. Pure.
//!
//! Source: "Event notification types" and "Event message structure" (version 2.1) of the S3 user
//! guide. An address outside is named by an ARN whose last part is the address itself:
//! `arn:appliance:webhook:::https://hooks.site.example/s3`.

use crate::bucket::Bucket;
use base::time::Timestamp;
use percent_encoding::{NON_ALPHANUMERIC, percent_encode};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// What the ARN of an address begins with.
const ARN: &str = "arn:appliance:webhook:::";

/// The longest address.
const ADDRESS_MAX: usize = 2048;

/// What happened to an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Deed {
    /// Stored by a plain request.
    Put,
    /// Stored by a form.
    Post,
    /// Copied.
    Copy,
    /// Completed from parts.
    Complete,
    /// Removed for good.
    Delete,
    /// Hidden by a marker.
    Marker,
    /// Removed by a lifecycle rule.
    Expire,
    /// Hidden by a lifecycle rule.
    ExpireMarker,
}

impl Deed {
    /// The event's name.
    pub(crate) const fn event(self) -> &'static str {
        match self {
            Self::Put => "s3:ObjectCreated:Put",
            Self::Post => "s3:ObjectCreated:Post",
            Self::Copy => "s3:ObjectCreated:Copy",
            Self::Complete => "s3:ObjectCreated:CompleteMultipartUpload",
            Self::Delete => "s3:ObjectRemoved:Delete",
            Self::Marker => "s3:ObjectRemoved:DeleteMarkerCreated",
            Self::Expire => "s3:LifecycleExpiration:Delete",
            Self::ExpireMarker => "s3:LifecycleExpiration:DeleteMarkerCreated",
        }
    }
}

/// Who asks for a removal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cause {
    /// A client.
    Asked,
    /// A lifecycle rule.
    Lifecycle,
}

impl Cause {
    /// The deed of a removal; `marker` when it only hides.
    pub(crate) const fn deed(self, marker: bool) -> Deed {
        match (self, marker) {
            (Self::Asked, false) => Deed::Delete,
            (Self::Asked, true) => Deed::Marker,
            (Self::Lifecycle, false) => Deed::Expire,
            (Self::Lifecycle, true) => Deed::ExpireMarker,
        }
    }
}

/// Events that a rule may name: those that happen here, and those that S3 has and that never do.
const EVENTS: [&str; 11] = [
    "s3:ObjectCreated:*",
    "s3:ObjectCreated:Put",
    "s3:ObjectCreated:Post",
    "s3:ObjectCreated:Copy",
    "s3:ObjectCreated:CompleteMultipartUpload",
    "s3:ObjectRemoved:*",
    "s3:ObjectRemoved:Delete",
    "s3:ObjectRemoved:DeleteMarkerCreated",
    "s3:LifecycleExpiration:*",
    "s3:LifecycleExpiration:Delete",
    "s3:LifecycleExpiration:DeleteMarkerCreated",
];

/// The event is one that can be asked for.
pub(crate) fn is_event(name: &str) -> bool {
    EVENTS.contains(&name)
}

/// As which kind of service the address was named; it is given back so.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Kind {
    /// `TopicConfiguration`.
    Topic,
    /// `QueueConfiguration`.
    #[default]
    Queue,
    /// `CloudFunctionConfiguration`.
    Function,
}

/// One rule.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Rule {
    pub(crate) id: String,
    pub(crate) kind: Kind,
    /// The address.
    pub(crate) address: String,
    pub(crate) events: Vec<String>,
    pub(crate) prefix: Option<String>,
    pub(crate) suffix: Option<String>,
}

impl Rule {
    /// The ARN of its address.
    pub(crate) fn arn(&self) -> String {
        format!("{ARN}{}", self.address)
    }

    fn wants(&self, deed: Deed, key: &str) -> bool {
        let event = deed.event();
        let named = |asked: &String| match asked.strip_suffix('*') {
            Some(begin) => event.starts_with(begin),
            None => asked == event,
        };
        self.prefix.as_deref().is_none_or(|prefix| key.starts_with(prefix))
            && self.suffix.as_deref().is_none_or(|suffix| key.ends_with(suffix))
            && self.events.iter().any(named)
    }
}

/// The address in an ARN, if it is one that could be allowed.
pub(crate) fn address(arn: &str) -> Option<&str> {
    let address = arn.strip_prefix(ARN)?;
    is_address(address).then_some(address)
}

/// It could be allowed.
pub(crate) fn is_address(address: &str) -> bool {
    let rest = ["https://", "http://"].into_iter().find_map(|scheme| address.strip_prefix(scheme));
    let Some((authority, path)) = rest.and_then(|rest| rest.split_once('/')) else { return false };
    let plain = |text: &str| text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
    let path = path.split(['?', '#']).next().unwrap_or_default();
    // A step up in any spelling could lead out of a prefix.
    let steps_up = path.split('/').any(|part| {
        let part = part.to_ascii_lowercase().replace("%2e", ".");
        part == "." || part == ".."
    });
    let hides = path.to_ascii_lowercase().contains("%2f");
    address.len() <= ADDRESS_MAX
        && plain(address)
        && !authority.is_empty()
        && !authority.contains('@')
        && !steps_up
        && !hides
}

/// A prefix of addresses as an operator allows it: a scheme, a host with its port, and a slash.
#[must_use]
pub fn is_prefix(text: &str) -> bool {
    is_address(text)
}

/// The operator allows the address.
pub(crate) fn is_allowed(address: &str, prefixes: &[String]) -> bool {
    prefixes.iter().any(|prefix| is_prefix(prefix) && address.starts_with(prefix.as_str()))
}

/// The object that a notice is about.
#[derive(Debug, Clone, Copy)]
pub(crate) struct What<'a> {
    pub(crate) deed: Deed,
    pub(crate) key: &'a str,
    pub(crate) size: u64,
    pub(crate) etag: &'a str,
    /// `None` where versions are not kept.
    pub(crate) version: Option<&'a str>,
}

/// Addresses and the records that they are to be told.
pub(crate) fn notices<'a>(
    bucket: &'a Bucket,
    what: &What<'_>,
    now: Timestamp,
) -> impl Iterator<Item = (&'a str, String)> {
    let wanted = bucket.settings.notify.iter().filter(|rule| rule.wants(what.deed, what.key));
    let what = *what;
    wanted
        .map(move |rule| (rule.address.as_str(), record(bucket, rule, &what, now).to_string()))
        .collect::<Vec<_>>()
        .into_iter()
}

fn time(at: Timestamp) -> String {
    let at = jiff::Timestamp::from_microsecond(at.0).unwrap_or_default();
    at.strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string()
}

fn record(bucket: &Bucket, rule: &Rule, what: &What<'_>, now: Timestamp) -> Value {
    let key = percent_encode(what.key.as_bytes(), NON_ALPHANUMERIC).to_string();
    // Grows with the time, as a receiver orders by it what it hears of one key.
    let mut object = json!({ "key": key, "sequencer": format!("{:016X}", now.0) });
    if matches!(what.deed, Deed::Put | Deed::Post | Deed::Copy | Deed::Complete) {
        object["size"] = what.size.into();
        object["eTag"] = what.etag.into();
    }
    if let Some(version) = what.version {
        object["versionId"] = version.into();
    }
    let event = what.deed.event().trim_start_matches("s3:");
    json!({
        "eventVersion": "2.1",
        "eventSource": "aws:s3",
        "eventTime": time(now),
        "eventName": event,
        "userIdentity": { "principalId": bucket.owner },
        "s3": {
            "s3SchemaVersion": "1.0",
            "configurationId": rule.id,
            "bucket": {
                "name": bucket.name,
                "ownerIdentity": { "principalId": bucket.owner },
                "arn": format!("arn:aws:s3:::{}", bucket.name),
            },
            "object": object,
        },
    })
}

/// What is told when an address is set by the request of that id, to see that it answers.
pub(crate) fn trial(bucket: &str, request: &str, now: Timestamp) -> Value {
    json!({
        "Service": "Amazon S3",
        "Event": "s3:TestEvent",
        "Time": time(now),
        "Bucket": bucket,
        "RequestId": request,
        "HostId": "appliance",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(address: &str, allowed: bool) {
        let prefixes = ["http://10.0.0.7/hooks/".to_owned(), "https://a.site".to_owned()];
        let arn = format!("{ARN}{address}");
        let found = super::address(&arn).is_some_and(|address| is_allowed(address, &prefixes));
        assert_eq!(found, allowed, "{address}");
    }

    #[test]
    fn only_what_lies_below_an_allowed_prefix_is_an_address() {
        check("http://10.0.0.7/hooks/a?b=c", true);
        for bad in [
            "http://10.0.0.7/other",
            "http://10.0.0.7/hooks/../other",
            "http://10.0.0.7/hooks/%2E%2e/other",
            "http://10.0.0.7/hooks/..%2fother",
            "http://10.0.0.7/hooks/\\..",
            "http://10.0.0.7/hooks/a b",
            "https://10.0.0.7/hooks/a",
            "http://10.0.0.7.example/hooks/a",
            // A prefix without a slash after the host could be the beginning of another host.
            "https://a.site.example/",
            "https://a.site@other/",
            "ftp://10.0.0.7/hooks/a",
            "http:///hooks/",
            "",
        ] {
            check(bad, false);
        }
    }

    #[test]
    fn a_rule_takes_its_events_between_prefix_and_suffix() {
        let rule = Rule {
            events: vec!["s3:ObjectCreated:*".into(), "s3:ObjectRemoved:Delete".into()],
            prefix: Some("in/".into()),
            suffix: Some(".jpg".into()),
            ..Rule::default()
        };
        for (deed, key, expected) in [
            (Deed::Put, "in/a.jpg", true),
            (Deed::Complete, "in/a.jpg", true),
            (Deed::Delete, "in/a.jpg", true),
            (Deed::Marker, "in/a.jpg", false),
            (Deed::Expire, "in/a.jpg", false),
            (Deed::Put, "out/a.jpg", false),
            (Deed::Put, "in/a.png", false),
        ] {
            assert_eq!(rule.wants(deed, key), expected, "{deed:?} {key}");
        }
    }
}
