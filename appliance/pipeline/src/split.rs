//! Splitting tests over the copies of a job: `circleci tests split`.
//!
//! Invariants: every item goes to exactly one copy; the same input gives the same split on every
//! copy, whatever the order of the input. Decisions, the original's rule being unpublished: by
//! name, items are dealt out in alphabetical order; by size or time, the heaviest goes first to
//! the lightest copy.
//! Units: weights are bytes or seconds.

use serde::{Deserialize, Serialize};
use std::collections::{BTreeSet, HashMap};

/// What one test took in an earlier run, as JUnit results tell it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TestTime {
    /// Name of the test.
    #[serde(default)]
    pub name: String,
    /// Its class.
    #[serde(default)]
    pub classname: String,
    /// Its file.
    #[serde(default)]
    pub file: String,
    /// Seconds.
    #[serde(default, alias = "run_time")]
    pub time: f64,
}

/// What the items are the names of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimingsType {
    /// Files.
    Filename,
    /// Classes.
    Classname,
    /// Tests.
    Testname,
    /// Whichever kind knows most of the items.
    Autodetect,
}

impl TimingsType {
    /// Reads `filename`, `classname`, `testname` or `autodetect`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "filename" => Some(Self::Filename),
            "classname" => Some(Self::Classname),
            "testname" => Some(Self::Testname),
            "autodetect" => Some(Self::Autodetect),
            _ => None,
        }
    }
}

/// Items dealt out by name: every `total`th of the sorted list, from `index`.
#[must_use]
pub fn by_name(items: &[String], index: usize, total: usize) -> Vec<String> {
    let sorted: BTreeSet<&String> = items.iter().collect();
    sorted.into_iter().skip(index).step_by(total.max(1)).cloned().collect()
}

/// Items dealt out by weight. An item without one takes `default`, or, when that is `None`, the
/// mean of the known ones, so that new tests do not pile up on one copy.
#[must_use]
pub fn by_weight(
    items: &[String],
    weights: &HashMap<String, f64>,
    default: Option<f64>,
    index: usize,
    total: usize,
) -> Vec<String> {
    let sorted: BTreeSet<&String> = items.iter().collect();
    let known: Vec<f64> = sorted
        .iter()
        .filter_map(|item| weights.get(*item))
        .copied()
        .filter(|w| usable(*w))
        .collect();
    #[expect(clippy::cast_precision_loss, reason = "a mean of weights need not be exact")]
    let mean = if known.is_empty() { 1.0 } else { known.iter().sum::<f64>() / known.len() as f64 };
    let other = default.filter(|w| usable(*w)).unwrap_or(mean);
    let weight = |item: &String| weights.get(item).copied().filter(|w| usable(*w)).unwrap_or(other);
    let mut heaviest: Vec<&String> = sorted.into_iter().collect();
    heaviest.sort_by(|a, b| weight(b).total_cmp(&weight(a)).then_with(|| a.cmp(b)));
    let mut buckets: Vec<(f64, Vec<&String>)> = vec![(0.0, vec![]); total.max(1)];
    for item in heaviest {
        // Equal loads: the copy with fewer items, so that weightless items spread as well.
        let lightest = (0..buckets.len())
            .min_by(|a, b| {
                let (a, b) = (&buckets[*a], &buckets[*b]);
                a.0.total_cmp(&b.0).then_with(|| a.1.len().cmp(&b.1.len()))
            })
            .unwrap_or(0);
        buckets[lightest].0 += weight(item);
        buckets[lightest].1.push(item);
    }
    let mut mine: Vec<String> = buckets
        .get(index)
        .map(|(_, items)| items.iter().copied().cloned().collect())
        .unwrap_or_default();
    mine.sort();
    mine
}

fn usable(weight: f64) -> bool {
    weight.is_finite() && weight >= 0.0
}

/// Weights of the items from earlier runs. `None` when no item is known: then split by name, and
/// say so as the original does ([`FALLBACK`]).
#[must_use]
pub fn timings(
    items: &[String],
    times: &[TestTime],
    kind: TimingsType,
) -> Option<HashMap<String, f64>> {
    let of = |key: fn(&TestTime) -> &str| {
        let mut sums: HashMap<&str, f64> = HashMap::new();
        for time in times.iter().filter(|time| usable(time.time)) {
            *sums.entry(plain(key(time))).or_default() += time.time;
        }
        items
            .iter()
            .filter_map(|item| Some((item.clone(), *sums.get(plain(item))?)))
            .collect::<HashMap<_, _>>()
    };
    let found = match kind {
        TimingsType::Filename => of(|time| &time.file),
        TimingsType::Classname => of(|time| &time.classname),
        TimingsType::Testname => of(|time| &time.name),
        TimingsType::Autodetect => {
            let candidates =
                [of(|time| &time.file), of(|time| &time.classname), of(|time| &time.name)];
            // On a tie the first kind counts.
            candidates.into_iter().rev().max_by_key(HashMap::len).unwrap_or_default()
        }
    };
    (!found.is_empty()).then_some(found)
}

/// The original's words when no timing fits.
pub const FALLBACK: &str = "Error auto-detecting timing type, falling back to weighting by name.";

fn plain(name: &str) -> &str {
    name.strip_prefix("./").unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn names(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    fn check(items: &str, weights: &[(&str, f64)], total: usize, expected: &[&str]) {
        let weights = weights.iter().map(|(name, weight)| ((*name).to_owned(), *weight)).collect();
        for (index, expected) in expected.iter().enumerate() {
            assert_eq!(
                by_weight(&names(items), &weights, None, index, total),
                names(expected),
                "copy {index}"
            );
        }
    }

    #[test]
    fn names_are_dealt_out_in_order() {
        assert_eq!(by_name(&names("c a b d"), 0, 2), names("a c"));
        assert_eq!(by_name(&names("c a b d"), 1, 2), names("b d"));
        assert_eq!(by_name(&names("a"), 1, 2), names(""));
    }

    #[test]
    fn the_heaviest_goes_to_the_lightest_copy() {
        check("a b c d", &[("a", 8.0), ("b", 5.0), ("c", 4.0), ("d", 3.0)], 2, &["a d", "b c"]);
        check("a b c", &[("a", 10.0)], 3, &["a", "b", "c"]);
        check("a b", &[("a", f64::NAN)], 2, &["a", "b"]);
    }

    #[test]
    fn timings_find_the_kind_that_knows_most() {
        let times = [TestTime {
            name: "t".into(),
            classname: "C".into(),
            file: "./x.rs".into(),
            time: 2.0,
        }];
        let found = timings(&names("x.rs y.rs"), &times, TimingsType::Autodetect).unwrap();
        assert_eq!(found.get("x.rs"), Some(&2.0));
        assert!(timings(&names("z"), &times, TimingsType::Autodetect).is_none());
        assert_eq!(
            timings(&names("C"), &times, TimingsType::Classname).unwrap().get("C"),
            Some(&2.0)
        );
    }

    proptest! {
        #[test]
        fn every_item_goes_to_exactly_one_copy(items in proptest::collection::vec("[a-z]{1,3}", 0..40), weights in proptest::collection::vec(0.0..9.0_f64, 0..40), total in 1..8_usize) {
            let weights: HashMap<String, f64> = items.iter().cloned().zip(weights).collect();
            for split in [
                (0..total).flat_map(|i| by_weight(&items, &weights, None, i, total)).collect::<Vec<_>>(),
                (0..total).flat_map(|i| by_name(&items, i, total)).collect::<Vec<_>>(),
            ] {
                let mut all = split;
                all.sort();
                let unique: Vec<String> = items.iter().cloned().collect::<BTreeSet<_>>().into_iter().collect();
                prop_assert_eq!(all, unique);
            }
        }
    }
}
