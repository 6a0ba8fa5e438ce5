//! `store_test_results`: what JUnit files say.

use super::{asking, discard};
use crate::{
    agent::{self, Asked},
    control_plane::ControlPlane,
    environment::resolve,
    job::{Job, StepError},
};
use base::protocol::Progress;

/// Results in one report, so that no request grows without bound.
const RESULTS_AT_ONCE: usize = 500;

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
        for part in tests.chunks(RESULTS_AT_ONCE) {
            self.outbox.report(Progress::Tests { tests: part.to_vec() });
        }
        Ok(())
    }
}
