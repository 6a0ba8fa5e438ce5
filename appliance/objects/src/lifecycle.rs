//! Lifecycle rules of a bucket, pure: what ends when.
//!
//! Days end at the midnight (UTC) that follows them, as on S3, so that all objects of a day go
//! together. Source: "Lifecycle configuration elements" of the S3 user guide.

use base::time::Timestamp;
use serde::{Deserialize, Serialize};

const DAY_MICROS: i64 = 24 * 3600 * 1_000_000;

/// How a rule's filter was written; it is given back in the same form.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Form {
    /// `Prefix` beside the actions, as in the first version of the interface.
    #[default]
    Legacy,
    /// `Filter` with one condition or none.
    Filter,
    /// `Filter` with `And`.
    And,
}

/// When current versions end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Expire {
    /// So many days after they were stored.
    Days(u32),
    /// At this time.
    Date(Timestamp),
    /// Markers that hide nothing any more are removed; `false` is stored as it came.
    Marker(bool),
}

/// When versions end that are no longer the newest.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Noncurrent {
    /// So many days after they were replaced.
    pub(crate) days: Option<u32>,
    /// So many of the newest of them stay.
    pub(crate) newer: Option<u32>,
}

/// One rule.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Rule {
    pub(crate) id: String,
    pub(crate) enabled: bool,
    pub(crate) form: Form,
    /// `None` where none was written.
    pub(crate) prefix: Option<String>,
    pub(crate) tags: Vec<(String, String)>,
    /// Objects must be larger than this many bytes.
    pub(crate) greater: Option<u64>,
    /// Objects must be smaller than this many bytes.
    pub(crate) less: Option<u64>,
    pub(crate) expire: Option<Expire>,
    pub(crate) noncurrent: Option<Noncurrent>,
    /// Unfinished uploads end so many days after they were begun.
    pub(crate) abort_days: Option<u32>,
}

/// What a rule is asked about.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Subject<'a> {
    pub(crate) key: &'a str,
    pub(crate) size: u64,
    pub(crate) tags: &'a [(String, String)],
    /// Stored, or, for a version that is not the newest, replaced.
    pub(crate) since: Timestamp,
}

/// The midnight that follows `days` days after `since`.
fn after_days(since: Timestamp, days: u32) -> Timestamp {
    let end = since.0.saturating_add(i64::from(days).saturating_mul(DAY_MICROS));
    Timestamp(end.div_euclid(DAY_MICROS).saturating_add(1).saturating_mul(DAY_MICROS))
}

impl Rule {
    fn covers_key(&self, key: &str) -> bool {
        self.enabled && self.prefix.as_deref().is_none_or(|prefix| key.starts_with(prefix))
    }

    /// The rule speaks of what has no tags and no size: unfinished uploads and markers.
    fn covers_bare(&self, key: &str) -> bool {
        let bare = self.tags.is_empty() && self.greater.is_none() && self.less.is_none();
        bare && self.covers_key(key)
    }

    fn covers(&self, subject: &Subject<'_>) -> bool {
        self.covers_key(subject.key)
            && self.tags.iter().all(|tag| subject.tags.contains(tag))
            && self.greater.is_none_or(|least| subject.size > least)
            && self.less.is_none_or(|most| subject.size < most)
    }
}

/// When the newest version of a key ends, and by which rule; the earliest wins.
pub(crate) fn current_end<'a>(
    rules: &'a [Rule],
    subject: &Subject<'_>,
) -> Option<(Timestamp, &'a str)> {
    let end = |rule: &'a Rule| {
        let at = match rule.expire? {
            Expire::Days(days) => after_days(subject.since, days),
            Expire::Date(at) => at,
            Expire::Marker(_) => return None,
        };
        Some((at, rule.id.as_str()))
    };
    rules.iter().filter(|rule| rule.covers(subject)).filter_map(end).min()
}

/// Has a version ended that `newer` others of its key followed, the newest of all not counted?
pub(crate) fn noncurrent_ended(
    rules: &[Rule],
    subject: &Subject<'_>,
    newer: u32,
    now: Timestamp,
) -> bool {
    rules.iter().filter(|rule| rule.covers(subject)).filter_map(|rule| rule.noncurrent).any(|end| {
        let days = end.days.is_some_and(|days| after_days(subject.since, days) <= now);
        days && end.newer.is_none_or(|kept| newer >= kept)
    })
}

/// So many newer versions are to be counted at most: more make no difference to any rule.
pub(crate) fn newer_needed(rules: &[Rule]) -> u32 {
    let kept = rules.iter().filter_map(|rule| rule.noncurrent?.newer);
    // The newest of all is not counted by the rules.
    kept.max().unwrap_or(0).saturating_add(1)
}

/// Has a marker ended that hides no version any more?
pub(crate) fn marker_ended(rules: &[Rule], subject: &Subject<'_>, now: Timestamp) -> bool {
    rules.iter().filter(|rule| rule.covers_bare(subject.key)).filter_map(|rule| rule.expire).any(
        |expire| match expire {
            Expire::Marker(wanted) => wanted,
            Expire::Days(days) => after_days(subject.since, days) <= now,
            Expire::Date(at) => at <= now,
        },
    )
}

/// Has an unfinished upload ended?
pub(crate) fn upload_ended(rules: &[Rule], key: &str, begun: Timestamp, now: Timestamp) -> bool {
    rules
        .iter()
        .filter(|rule| rule.covers_bare(key))
        .filter_map(|rule| rule.abort_days)
        .any(|days| after_days(begun, days) <= now)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn rule(expire: Option<Expire>) -> Rule {
        Rule { id: "r".into(), enabled: true, expire, ..Rule::default() }
    }

    fn subject(key: &str) -> Subject<'_> {
        Subject { key, size: 10, tags: &[], since: at("2026-11-23T12:00:00Z") }
    }

    fn check(rule: Rule, expected: Option<&str>) {
        let rules = [rule];
        let found = current_end(&rules, &subject("a/b")).map(|(end, _)| end);
        assert_eq!(found, expected.map(at), "{rules:?}");
    }

    #[test]
    fn days_end_at_the_midnight_that_follows() {
        check(rule(Some(Expire::Days(1))), Some("2026-11-25T00:00:00Z"));
        let date = at("2026-12-01T00:00:00Z");
        check(rule(Some(Expire::Date(date))), Some("2026-12-01T00:00:00Z"));
        check(rule(Some(Expire::Marker(true))), None);
    }

    #[test]
    fn a_rule_speaks_of_what_its_filter_names() {
        let days = Some(Expire::Days(1));
        let end = Some("2026-11-25T00:00:00Z");
        check(Rule { prefix: Some("a/".into()), ..rule(days) }, end);
        check(Rule { prefix: Some("b/".into()), ..rule(days) }, None);
        check(Rule { tags: vec![("k".into(), "v".into())], ..rule(days) }, None);
        check(Rule { greater: Some(9), less: Some(11), ..rule(days) }, end);
        check(Rule { greater: Some(10), ..rule(days) }, None);
        check(Rule { enabled: false, ..rule(days) }, None);
    }

    #[test]
    fn older_versions_end_when_they_are_old_and_enough_newer_ones_stay() {
        let noncurrent = Some(Noncurrent { days: Some(1), newer: Some(2) });
        let rules = [Rule { noncurrent, ..rule(None) }];
        let ended = |newer, now| noncurrent_ended(&rules, &subject("k"), newer, at(now));
        assert!(!ended(2, "2026-11-24T23:59:59Z"));
        assert!(ended(2, "2026-11-25T00:00:00Z"));
        assert!(!ended(1, "2026-11-30T00:00:00Z"));
    }

    #[test]
    fn lone_markers_and_old_uploads_end() {
        let now = at("2026-11-30T00:00:00Z");
        let ended = |expire| marker_ended(&[rule(expire)], &subject("k"), now);
        assert!(ended(Some(Expire::Marker(true))));
        assert!(!ended(Some(Expire::Marker(false))));
        assert!(ended(Some(Expire::Days(1))));
        assert!(!ended(Some(Expire::Days(9))));
        let rules = [Rule { abort_days: Some(3), ..rule(None) }];
        assert!(upload_ended(&rules, "k", at("2026-11-23T12:00:00Z"), now));
        let tagged = Rule { tags: vec![("k".into(), "v".into())], ..rules[0].clone() };
        assert!(!upload_ended(&[tagged], "k", at("2026-11-23T12:00:00Z"), now));
        let sized = Rule { greater: Some(9), ..rules[0].clone() };
        assert!(!upload_ended(&[sized], "k", at("2026-11-23T12:00:00Z"), now));
        assert!(!upload_ended(&rules, "k", at("2026-11-28T12:00:00Z"), now));
    }
}
