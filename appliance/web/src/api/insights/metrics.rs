//! What runs of a workflow or job come to. Pure.
//!
//! Source: the fields of API v2 "Insights". A run succeeded, failed, was canceled, or goes on; rates and
//! durations are of those that succeeded or failed.
//! Units: durations in whole seconds; rates from 0 to 1; runs a day.

use base::time::Timestamp;
use serde_json::{Value, json};

const DAY: f64 = 86_400.0;

/// How a run ended, as far as it counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    Good,
    Bad,
    /// Canceled, never run, or going on.
    Other,
}

/// One run.
#[derive(Debug, Clone, Copy)]
pub(super) struct Run {
    pub(super) end: End,
    /// When it came, or a job of it began.
    pub(super) began: Timestamp,
    pub(super) stopped: Option<Timestamp>,
}

/// What runs come to.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Metrics {
    pub(super) total: u64,
    pub(super) good: u64,
    pub(super) bad: u64,
    pub(super) throughput: f64,
    /// Mean seconds from a failure to the next success.
    pub(super) mttr: u64,
    pub(super) recoveries: u64,
    /// In seconds, the shortest first.
    durations: Vec<u64>,
    first: Option<Timestamp>,
    last: Option<Timestamp>,
}

impl Metrics {
    /// Of runs in any order.
    pub(super) fn of(runs: impl IntoIterator<Item = Run>) -> Self {
        let mut runs: Vec<Run> = runs.into_iter().collect();
        runs.sort_by_key(|run| run.began);
        let count = |end| runs.iter().filter(|run| run.end == end).count() as u64;
        let (first, last) = (runs.first().map(|run| run.began), runs.last().map(|run| run.began));
        let judged = || runs.iter().filter(|run| run.end != End::Other);
        let mut durations: Vec<u64> =
            judged().filter_map(|run| Some(seconds(run.began, run.stopped?))).collect();
        durations.sort_unstable();
        let (recoveries, mttr) = recoveries(judged());
        let days = first.zip(last).map_or(1.0, |(first, last)| float(seconds(first, last)) / DAY);
        Self {
            total: runs.len() as u64,
            good: count(End::Good),
            bad: count(End::Bad),
            throughput: float(runs.len() as u64) / days.max(1.0),
            mttr,
            recoveries,
            durations,
            first,
            last,
        }
    }

    pub(super) fn success_rate(&self) -> f64 {
        ratio(self.good, self.good + self.bad)
    }

    /// The duration that this share of the runs did not exceed.
    pub(super) fn percentile(&self, percent: usize) -> u64 {
        nearest_rank(&self.durations, percent)
    }

    fn duration(&self) -> Value {
        let count = float(self.durations.len().max(1) as u64);
        let mean = float(self.durations.iter().sum()) / count;
        let squares = self.durations.iter().map(|one| (float(*one) - mean).powi(2));
        let deviation = (squares.sum::<f64>() / count).sqrt();
        json!({
            "min": self.durations.first().copied().unwrap_or(0),
            "max": self.durations.last().copied().unwrap_or(0),
            "mean": whole(mean),
            "median": self.percentile(50),
            "p95": self.percentile(95),
            "standard_deviation": deviation,
        })
    }

    /// The `metrics` of a workflow.
    pub(super) fn of_workflow(&self) -> Value {
        let mut told = self.of_job();
        told["mttr"] = self.mttr.into();
        told["total_recoveries"] = self.recoveries.into();
        told
    }

    /// The `metrics` of a job. Nothing is paid for here.
    pub(super) fn of_job(&self) -> Value {
        json!({
            "total_runs": self.total,
            "successful_runs": self.good,
            "failed_runs": self.bad,
            "success_rate": self.success_rate(),
            "throughput": self.throughput,
            "duration_metrics": self.duration(),
            "total_credits_used": 0,
        })
    }

    /// The `metrics` of a summary.
    pub(super) fn of_summary(&self) -> Value {
        let mut told = self.of_workflow();
        told["completed_runs"] = (self.good + self.bad).into();
        told["window_start"] = json!(self.first);
        told["window_end"] = json!(self.last);
        told
    }

    /// The first and the last run.
    pub(super) fn window(&self) -> (Option<Timestamp>, Option<Timestamp>) {
        (self.first, self.last)
    }
}

/// The metrics and trends of projects.
pub(super) fn project_page(now: &Metrics, before: &Metrics) -> Value {
    let length = |of: &Metrics| of.durations.iter().sum();
    let compared = trends(now, before);
    json!({
        "metrics": {
            "total_runs": now.total,
            "total_duration_secs": length(now),
            "total_credits_used": 0,
            "success_rate": now.success_rate(),
            "throughput": now.throughput,
        },
        "trends": {
            "total_runs": compared["total_runs"],
            "total_duration_secs": ratio(length(now), length(before)),
            "total_credits_used": 0.0,
            "success_rate": compared["success_rate"],
            "throughput": compared["throughput"],
        },
    })
}

/// The same of a workflow, and of a branch.
pub(super) fn page(now: &Metrics, before: &Metrics) -> Value {
    let mut compared = trends(now, before);
    let names = ["total_runs", "total_credits_used", "success_rate", "p95_duration_secs"];
    if let Some(members) = compared.as_object_mut() {
        members.retain(|name, _| names.contains(&name.as_str()));
    }
    json!({
        "metrics": {
            "total_runs": now.total,
            "total_credits_used": 0,
            "success_rate": now.success_rate(),
            "p95_duration_secs": float(now.percentile(95)),
        },
        "trends": compared,
    })
}

/// How this time compares with the one before: 1 is the same, 2 twice as much. Where there was nothing
/// before there is no trend.
pub(super) fn trends(now: &Metrics, before: &Metrics) -> Value {
    let rates = |now: f64, before: f64| if before > 0.0 { now / before } else { 0.0 };
    let counts = |of: fn(&Metrics) -> u64| ratio(of(now), of(before));
    json!({
        "total_runs": counts(|metrics| metrics.total),
        "failed_runs": counts(|metrics| metrics.bad),
        "success_rate": rates(now.success_rate(), before.success_rate()),
        "p95_duration_secs": counts(|metrics| metrics.percentile(95)),
        "median_duration_secs": counts(|metrics| metrics.percentile(50)),
        "total_credits_used": 0.0,
        "mttr": counts(|metrics| metrics.mttr),
        "throughput": rates(now.throughput, before.throughput),
    })
}

/// How often a success followed a failure, and after how many seconds in the mean.
fn recoveries<'a>(judged: impl Iterator<Item = &'a Run>) -> (u64, u64) {
    let (mut count, mut sum, mut broken) = (0, 0, None);
    for run in judged {
        let Some(stopped) = run.stopped else { continue };
        match (run.end, broken) {
            (End::Good, Some(since)) => {
                (count, sum, broken) = (count + 1, sum + seconds(since, stopped), None);
            }
            (End::Bad, None) => broken = Some(stopped),
            _ => {}
        }
    }
    (count, sum / count.max(1))
}

pub(super) fn seconds(from: Timestamp, to: Timestamp) -> u64 {
    to.since(from).as_secs()
}

/// How many of these in those; 0 of none.
pub(super) fn ratio(of: u64, all: u64) -> f64 {
    if all == 0 { 0.0 } else { float(of) / float(all) }
}

#[expect(clippy::cast_precision_loss, reason = "counts and seconds stay far below 2^52")]
fn float(number: u64) -> f64 {
    number as f64
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a mean of whole seconds is none that is negative or large"
)]
fn whole(number: f64) -> u64 {
    number.round() as u64
}

/// The value that this share of all does not exceed; 0 of none.
pub(super) fn nearest_rank(sorted: &[u64], percent: usize) -> u64 {
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs that begin at these seconds, take so many, and end so.
    fn runs(of: &[(u64, u64, End)]) -> Metrics {
        let at = |seconds: u64| Timestamp(0).plus(std::time::Duration::from_secs(seconds));
        Metrics::of(of.iter().map(|(began, took, end)| Run {
            end: *end,
            began: at(*began),
            stopped: Some(at(began + took)),
        }))
    }

    #[test]
    fn runs_are_counted_and_measured() {
        let day = 86_400;
        let metrics = runs(&[
            (3 * day, 40, End::Good),
            (0, 10, End::Good),
            (day, 20, End::Bad),
            (day + 100, 30, End::Bad),
            (2 * day, 5, End::Other),
        ]);
        assert_eq!((metrics.total, metrics.good, metrics.bad), (5, 2, 2));
        assert!((metrics.success_rate() - 0.5).abs() < 1e-9);
        assert!((metrics.throughput - 5.0 / 3.0).abs() < 1e-9);
        // From the end of the first failure to the end of the next success.
        assert_eq!((metrics.recoveries, metrics.mttr), (1, 2 * day + 20));
        let told = metrics.duration();
        assert_eq!(
            (&told["min"], &told["max"], &told["mean"]),
            (&10.into(), &40.into(), &25.into())
        );
        assert_eq!((metrics.percentile(50), metrics.percentile(95)), (20, 40));
    }

    #[test]
    fn nothing_comes_to_nothing() {
        let none = runs(&[]);
        assert_eq!(none.of_workflow()["duration_metrics"]["p95"], 0);
        assert_eq!(none.of_summary()["window_start"], Value::Null);
        assert_eq!(trends(&none, &none)["total_runs"], 0.0);
        let one = runs(&[(0, 10, End::Good)]);
        assert_eq!(trends(&one, &one)["median_duration_secs"], 1.0);
        assert_eq!(trends(&one, &none)["throughput"], 0.0);
    }
}
