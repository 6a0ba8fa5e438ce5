//! What happened in all runs, to be sure that everything did.

use std::collections::BTreeMap;

/// What a simulation worth its name has to meet.
const EVERYTHING: [&str; 15] = [
    "workflows",
    "leases",
    "retries",
    "fenced",
    "given up",
    "gaps",
    "repeats",
    "torn",
    "cuts",
    "undelivered",
    "next",
    "canceled",
    "approved",
    "reruns",
    "stops",
];

/// How often each thing happened.
#[derive(Debug, Default)]
pub(in crate::simulation) struct Seen(BTreeMap<&'static str, u64>);

impl Seen {
    pub(super) fn count(&mut self, what: &'static str) {
        self.add_to(what, 1);
    }

    pub(super) fn add_to(&mut self, what: &'static str, more: u64) {
        assert!(EVERYTHING.contains(&what), "`{what}` is not in the list");
        *self.0.entry(what).or_default() += more;
    }

    pub(in crate::simulation) fn add(&mut self, other: &Self) {
        other.0.iter().for_each(|(what, more)| self.add_to(what, *more));
    }

    pub(in crate::simulation) fn assert_everything_happened(&self) {
        let missing = |what: &&&str| self.0.get(**what).is_none_or(|count| *count == 0);
        let missing: Vec<_> = EVERYTHING.iter().filter(missing).collect();
        assert!(missing.is_empty(), "never happened: {missing:?}; {self:?}");
    }
}
