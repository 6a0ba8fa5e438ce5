//! Access logs of buckets, in S3's own form: a line for each request, gathered and put into another
//! bucket.
//!
//! The way: a request to a bucket that is logged leaves a line ([`record`]); lines wait in memory by
//! where they go; what has waited for a period, or is much, becomes an object ([`deliver`]).
//! Invariants: a bucket that is not logged costs nothing; a line goes only where the target's owner
//! lets the log service write, asked again at each delivery; what is delivered is not logged again.
//! Bounds: [`WAITING_MAX`] bytes wait; what comes on top is counted as lost. Like S3, this is done as
//! well as it can be: a clean stop delivers what waits, a cut loses it.
//! Source: "Logging requests with server access logging", "Amazon S3 server access log format".

pub(crate) mod deliver;
pub(crate) mod record;

use crate::details::Grant;
use base::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, time::Duration};

/// Bytes of lines that become an object before their period ends.
const OBJECT_BYTES: usize = 1 << 20;

/// Bytes of lines that wait, of all buckets together.
const WAITING_MAX: usize = 8 << 20;

/// How keys of log objects are made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum KeyFormat {
    /// `<prefix>YYYY-mm-DD-HH-MM-SS-<unique>`.
    #[default]
    Simple,
    /// `<prefix><owner>/<region>/<bucket>/YYYY/mm/DD/` before that, by the day of delivery.
    ByDelivery,
    /// The same by the day of the requests, whose time of day is then left out.
    ByEvent,
}

/// Where a bucket's requests are told.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Logging {
    /// The bucket that takes the log.
    pub(crate) target: String,
    /// What keys of log objects begin with.
    pub(crate) prefix: String,
    /// What follows.
    pub(crate) format: KeyFormat,
    /// Who else may do what with log objects.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) grants: Vec<Grant>,
}

/// A bucket whose requests are told.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Source {
    pub(crate) bucket: String,
    pub(crate) owner: String,
}

/// Lines with the same place share an object.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    pub(crate) target: String,
    pub(crate) prefix: String,
    /// The source, when it is part of the key.
    apart: Option<Source>,
    /// The day of the requests, when it is part of the key.
    day: Option<i64>,
    by_delivery: bool,
}

const DAY: i64 = 24 * 3600 * 1_000_000;

impl Place {
    pub(crate) fn of(logging: &Logging, source: &Source, at: Timestamp) -> Self {
        Self {
            target: logging.target.clone(),
            prefix: logging.prefix.clone(),
            apart: (logging.format != KeyFormat::Simple).then(|| source.clone()),
            day: (logging.format == KeyFormat::ByEvent).then(|| at.0.div_euclid(DAY)),
            by_delivery: logging.format == KeyFormat::ByDelivery,
        }
    }

    /// The key of an object that is made at `now`.
    pub(crate) fn key(&self, region: &str, now: Timestamp, unique: &str) -> String {
        let at = self.day.map_or(now, |day| Timestamp(day * DAY));
        let text = |form: &str| {
            let at = jiff::Timestamp::from_microsecond(at.0);
            at.map(|at| at.strftime(form).to_string()).unwrap_or_default()
        };
        let apart = self.apart.as_ref().map(|Source { bucket, owner }| {
            format!("{owner}/{region}/{bucket}/{}", text("%Y/%m/%d/"))
        });
        let apart = apart.unwrap_or_default();
        format!("{}{apart}{}-{unique}", self.prefix, text("%Y-%m-%d-%H-%M-%S"))
    }
}

/// Lines that become one object.
#[derive(Debug)]
pub(crate) struct Batch {
    since: Timestamp,
    size: usize,
    /// By source: each is asked for anew whether it may write.
    pub(crate) lines: BTreeMap<Source, String>,
    pub(crate) grants: Vec<Grant>,
}

/// Lines that wait.
#[derive(Debug, Default)]
pub(crate) struct Waiting {
    batches: BTreeMap<Place, Batch>,
    size: usize,
    /// Lines that found no room, or could not be delivered.
    pub(crate) lost: u64,
}

impl Waiting {
    /// Takes a line; `true` when its batch should go at once.
    pub(crate) fn add(
        &mut self,
        logging: &Logging,
        source: Source,
        line: &str,
        now: Timestamp,
    ) -> bool {
        if self.size + line.len() > WAITING_MAX {
            self.lost += 1;
            return false;
        }
        self.size += line.len();
        let grants = || logging.grants.clone();
        let new = || Batch { since: now, size: 0, lines: BTreeMap::new(), grants: grants() };
        let batch = self.batches.entry(Place::of(logging, &source, now)).or_insert_with(new);
        batch.lines.entry(source).or_default().push_str(line);
        batch.size += line.len();
        batch.size >= OBJECT_BYTES
    }

    /// Takes out what has waited for `period`, or is much; all from before the clock was set back.
    pub(crate) fn due(&mut self, period: Duration, now: Timestamp) -> Vec<(Place, Batch)> {
        let is_due = |_: &Place, batch: &mut Batch| {
            batch.size >= OBJECT_BYTES || batch.since > now || now.since(batch.since) >= period
        };
        let due: Vec<_> = self.batches.extract_if(.., is_due).collect();
        self.size -= due.iter().map(|(_, batch)| batch.size).sum::<usize>();
        due
    }

    /// When the oldest of what waits began to.
    pub(crate) fn oldest(&self) -> Option<Timestamp> {
        self.batches.values().map(|batch| batch.since).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn logging(format: KeyFormat) -> Logging {
        Logging { target: "logs".into(), prefix: "log/".into(), format, grants: vec![] }
    }

    fn source(bucket: &str) -> Source {
        Source { bucket: bucket.into(), owner: "ann".into() }
    }

    fn check(format: KeyFormat, expected: &str) {
        let at: Timestamp = "2026-11-28T23:59:58Z".parse().unwrap();
        let delivered: Timestamp = "2026-11-29T00:01:02Z".parse().unwrap();
        let place = Place::of(&logging(format), &source("site"), at);
        assert_eq!(place.key("here", delivered, "7F"), expected, "{format:?}");
    }

    #[test]
    fn keys_are_those_of_s3() {
        check(KeyFormat::Simple, "log/2026-11-29-00-01-02-7F");
        check(KeyFormat::ByDelivery, "log/ann/here/site/2026/11/29/2026-11-29-00-01-02-7F");
        check(KeyFormat::ByEvent, "log/ann/here/site/2026/11/28/2026-11-28-00-00-00-7F");
    }

    #[test]
    fn lines_of_one_place_share_an_object_and_go_when_their_period_is_over() {
        let mut waiting = Waiting::default();
        let simple = logging(KeyFormat::Simple);
        let at = |seconds: i64| Timestamp(seconds * 1_000_000);
        assert!(!waiting.add(&simple, source("a"), "1\n", at(10)));
        assert!(!waiting.add(&simple, source("b"), "2\n", at(15)));
        let period = Duration::from_secs(10);
        assert!(waiting.due(period, at(19)).is_empty());
        assert_eq!(waiting.oldest(), Some(at(10)));
        let due = waiting.due(period, at(20));
        let texts: Vec<&str> = due[0].1.lines.values().map(String::as_str).collect();
        assert_eq!((due.len(), texts), (1, vec!["1\n", "2\n"]));
        assert_eq!((waiting.size, waiting.oldest()), (0, None));
        waiting.add(&simple, source("a"), "1\n", at(9000));
        assert_eq!(waiting.due(period, at(25)).len(), 1, "the clock was set back");
        waiting.add(&logging(KeyFormat::ByDelivery), source("a"), "1\n", at(30));
        waiting.add(&logging(KeyFormat::ByDelivery), source("b"), "2\n", at(30));
        assert_eq!(waiting.due(period, at(40)).len(), 2, "the source is part of the key");
    }

    #[test]
    fn much_goes_at_once_and_what_finds_no_room_is_counted() {
        let mut waiting = Waiting::default();
        let line = "x".repeat(OBJECT_BYTES / 2);
        let simple = logging(KeyFormat::Simple);
        assert!(!waiting.add(&simple, source("a"), &line, Timestamp(0)));
        assert!(waiting.add(&simple, source("a"), &line, Timestamp(0)));
        while waiting.lost == 0 {
            waiting.add(&simple, source("a"), &line, Timestamp(0));
        }
        assert!(waiting.size <= WAITING_MAX);
        assert_eq!(waiting.due(Duration::from_secs(3600), Timestamp(0)).len(), 1);
    }
}
