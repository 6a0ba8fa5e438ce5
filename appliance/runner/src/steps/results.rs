//! `store_test_results`: what the files of JUnit and Cucumber say.

use super::{asking, discard};
use crate::{
    agent::{self, Asked},
    control_plane::ControlPlane,
    environment::resolve,
    job::{Job, StepError},
};
use base::protocol::{Progress, TestResult};

/// Results in one report and their bytes, so that no request grows without bound.
const RESULTS_AT_ONCE: usize = 500;
const BYTES_AT_ONCE: usize = 1 << 20;

impl<C: ControlPlane> Job<C> {
    pub(crate) async fn store_test_results(&self, step: u32, path: &str) -> Result<(), StepError> {
        let stands = self.stands()?;
        let path = resolve(path, &stands.user.home, &stands.working_directory);
        self.outbox.say(step, &format!("Reading test results from {path}\n"));
        let answer = self.supervised.folder().exchange(step);
        self.agent(step, asking(&Asked::Results { path }), None, Some(answer.clone())).await?;
        let tests = agent::results_of(&answer).map_err(StepError::Failed)?;
        discard(&answer);
        let failed = tests
            .iter()
            .filter(|test| ["failure", "error"].contains(&test.result.as_str()))
            .count();
        self.outbox.say(step, &format!("{} tests, {failed} failed\n", tests.len()));
        let tests = tests.into_iter().map(|test| self.without_secrets(test)).collect();
        for tests in parts(tests) {
            self.outbox.report(Progress::Tests { tests });
        }
        Ok(())
    }

    /// As in output: a test may be named by what it was given, and a failure tells more.
    fn without_secrets(&self, test: TestResult) -> TestResult {
        let masked = |text: String| self.outbox.masked(&text);
        TestResult {
            classname: masked(test.classname),
            name: masked(test.name),
            file: test.file.map(masked),
            message: masked(test.message),
            source: masked(test.source),
            ..test
        }
    }
}

/// The results in parts within the bounds; one that is larger stands alone.
fn parts(tests: Vec<TestResult>) -> Vec<Vec<TestResult>> {
    let mut parts: Vec<Vec<TestResult>> = Vec::new();
    let mut bytes = 0;
    for test in tests {
        let size = serde_json::to_vec(&test).map_or(0, |json| json.len());
        bytes += size;
        match parts.last_mut() {
            Some(part) if part.len() < RESULTS_AT_ONCE && bytes <= BYTES_AT_ONCE => part.push(test),
            _ => {
                bytes = size;
                parts.push(vec![test]);
            }
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(lengths: &[usize], expected: &[usize]) {
        let test = |length: &usize| TestResult {
            classname: String::new(),
            name: String::new(),
            file: None,
            result: "failure".into(),
            message: "x".repeat(*length),
            run_time_ms: 0,
            source: String::new(),
        };
        let parts = parts(lengths.iter().map(test).collect());
        assert_eq!(parts.iter().map(Vec::len).collect::<Vec<_>>(), expected, "{lengths:?}");
    }

    #[test]
    fn a_report_of_results_is_bounded_by_number_and_bytes() {
        check(&[], &[]);
        check(&[1; 3], &[3]);
        check(&[1; 1100], &[500, 500, 100]);
        check(&[400 << 10; 5], &[2, 2, 1]);
        check(&[1, 9 << 20, 1], &[1, 1, 1]);
    }
}
