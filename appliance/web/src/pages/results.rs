//! Test results of a job: failures first, then the slowest.

use super::{look::Look, moment};
use base::protocol::TestResult;
use maud::{Markup, html};
use std::time::Duration;
use store::runs::TestTally;

/// Passed tests shown; the rest is counted.
const PASSED_MAX: usize = 500;

/// What these come to.
pub(super) fn tally(tests: &[TestResult]) -> TestTally {
    let failed = tests.iter().filter(|test| is_failure(test)).count();
    TestTally { count: tests.len() as u64, failed: failed as u64 }
}

/// Failed, or could not be run.
#[must_use]
fn is_failure(test: &TestResult) -> bool {
    matches!(test.result.as_str(), "failure" | "error")
}

fn rank(test: &TestResult) -> (u8, std::cmp::Reverse<u64>) {
    let rank = match test.result.as_str() {
        "failure" | "error" => 0,
        "skipped" => 2,
        _ => 1,
    };
    (rank, std::cmp::Reverse(test.run_time_ms))
}

fn look(test: &TestResult) -> (Look, &'static str) {
    match test.result.as_str() {
        "failure" => (Look::Bad, "Failed"),
        "error" => (Look::Error, "Error"),
        "skipped" => (Look::Skipped, "Skipped"),
        _ => (Look::Good, "Passed"),
    }
}

/// The results of a job, of which there are `tally` in all.
pub(super) fn list(tests: &[TestResult], tally: TestTally) -> Markup {
    let mut sorted: Vec<&TestResult> = tests.iter().collect();
    sorted.sort_by_key(|test| rank(test));
    let failed = sorted.iter().filter(|test| is_failure(test)).count();
    let skipped = sorted.iter().filter(|test| test.result == "skipped").count();
    let shown = failed + PASSED_MAX;
    html! {
        @if tests.is_empty() { (empty()) } @else {
            @if tally.count > tests.len() as u64 {
                p.alert.hold { "The first " (tests.len()) " of " (tally.count) " results; " (tally.failed) " of all failed. The API has all, page by page." }
            }
            p.tally {
                span.count.bad[failed > 0] { (failed) " failed" }
                span.count { (tests.len() - failed - skipped) " passed" }
                span.count { (skipped) " skipped" }
                span.faint { "in " (moment::span(Duration::from_millis(tests.iter().map(|test| test.run_time_ms).sum()))) }
            }
            ol.tests { @for test in sorted.iter().take(shown) { (one(test)) } }
            @if sorted.len() > shown { p.faint { "and " (sorted.len() - shown) " more that did not fail" } }
        }
    }
}

fn one(test: &TestResult) -> Markup {
    let (look, word) = look(test);
    html! {
        li.test.(look.class()) {
            (look.icon(word))
            div {
                p.test-name { (test.name) }
                p.meta { span { (test.classname) } @if let Some(file) = &test.file { code { (file) } } }
                @if is_failure(test) && !test.message.is_empty() {
                    details open { summary { "What it said" } pre tabindex="0" { (test.message) } }
                }
            }
            span.took { (moment::span(Duration::from_millis(test.run_time_ms))) }
        }
    }
}

fn empty() -> Markup {
    html! {
        section.empty {
            h2 { "No test results" }
            p { "A job whose tests write JUnit XML shows them here with this step:" }
            pre.command { code { "- store_test_results:\n    path: test-results" } }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn test(name: &str, result: &str, run_time_ms: u64) -> TestResult {
        TestResult {
            classname: "c".into(),
            name: name.into(),
            file: None,
            result: result.into(),
            message: "<why>".into(),
            run_time_ms,
            source: "junit.xml".into(),
        }
    }

    #[test]
    fn failures_come_first_then_the_slowest() {
        let tests = [
            test("fast", "success", 1),
            test("skip", "skipped", 0),
            test("slow", "success", 900),
            test("broken", "failure", 5),
        ];
        let shown = list(&tests, tally(&tests)).into_string();
        let places: Vec<usize> = ["broken", "slow", "fast", "skip"]
            .iter()
            .map(|name| shown.find(&format!(">{name}<")).unwrap())
            .collect();
        assert!(places.is_sorted(), "{shown}");
        assert!(shown.contains("&lt;why&gt;") && !shown.contains("<why>"));
        let more = list(&tests, TestTally { count: 9, failed: 3 }).into_string();
        assert!(more.contains("The first 4 of 9 results; 3 of all failed"), "{more}");
    }
}
