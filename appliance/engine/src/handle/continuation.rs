//! Continuing a setup pipeline with another configuration.
//!
//! Invariants: a key continues its pipeline once, while a workflow of its setup goes on or within
//! [`CONTINUATION_LIFE`]; what is checked here before compiling is checked again in the transaction that
//! continues. A clock that is set in mid-job ends no key.
//! Decision: a continued configuration with errors uses the key up, as on the original: the pipeline
//! is `errored` and tells them.

use super::Handle;
use crate::{
    Error,
    clock::wall,
    command::{Answer, Command, Intake},
    compile::planned,
};
use base::{
    ids::{PipelineId, RepoName},
    state::PipelineState,
    time::Timestamp,
    trigger::{ConfigText, ParameterValue, Trigger},
};
use indexmap::IndexMap;
use pipeline::{CONTINUATION_LIFE, continue_parameters};
use std::{sync::Arc, time::Duration};
use store::runs::{Pipeline, Workflow};

impl Handle {
    /// Continues the pipeline of a key. Tells as well the workflows of the configuration that would run
    /// at times of their own: those of a branch come from its setup configuration alone.
    ///
    /// # Errors
    /// [`Error::Conflict`] when the key is not one of this site, was used or is too old, or when
    /// parameters conflict, with the words for the caller.
    pub async fn continue_pipeline(
        &self,
        key: String,
        configuration: String,
        passed: IndexMap<String, ParameterValue>,
    ) -> Result<(PipelineId, Vec<String>), Error> {
        let (pipeline, setup, repo) = self.store.read(move |reader| setup(reader, &key)).await?;
        let config = Arc::clone(&self.config);
        let compile =
            move || intake(&pipeline, &setup, &repo, configuration, &passed, &config.orbs);
        let intake = tokio::task::spawn_blocking(compile).await;
        let intake = intake.map_err(|_| Error::Store(store::Error::Panicked))??;
        let id = intake.id;
        let timers = intake.planned.as_ref().map(|planned| planned.timers.as_slice());
        let timed = timers.unwrap_or_default().iter().map(|(name, _)| name.clone()).collect();
        match self.change(Command::Continue(Box::new(intake))).await? {
            Answer::Done => Ok((id, timed)),
            other => Err(super::unexpected(&other)),
        }
    }
}

/// The pipeline of a key, its setup configuration and its repository.
fn setup(reader: &store::Reader<'_>, key: &str) -> Result<(Pipeline, String, RepoName), Error> {
    let refused = |why: &str| Error::Conflict(why.to_owned());
    let id = reader.continuation_pipeline(key).ok_or_else(|| {
        refused("The continuation-key is not valid: pass $CIRCLE_CONTINUATION_KEY of a job of the setup workflow.")
    })?;
    let pipeline = reader.pipeline_get(id)?.ok_or(Error::Missing("Pipeline"))?;
    check(&pipeline, goes_on(&reader.workflow_list(id)?), wall())?;
    let texts = reader.pipeline_config(id)?.unwrap_or_default();
    let project = reader.project_get(pipeline.project)?.ok_or(Error::Missing("Project"))?;
    Ok((pipeline, texts.source.unwrap_or_default(), project.repo))
}

/// Has one of them not ended?
pub(crate) fn goes_on(workflows: &[Workflow]) -> bool {
    workflows.iter().any(|workflow| workflow.stopped_at.is_none())
}

/// A pipeline can be continued in its setup: while that goes on, and for six hours.
pub(crate) fn check(pipeline: &Pipeline, goes_on: bool, now: Timestamp) -> Result<(), Error> {
    checked(pipeline.state, goes_on, now.since(pipeline.created_at))
}

fn checked(state: PipelineState, goes_on: bool, age: Duration) -> Result<(), Error> {
    let refused = |why: &str| Err(Error::Conflict(why.to_owned()));
    if !matches!(state, PipelineState::SetupPending | PipelineState::Setup) {
        return refused(
            "The pipeline was continued already: a continuation-key works once; trigger a new pipeline.",
        );
    }
    if !goes_on && age > CONTINUATION_LIFE {
        return refused(
            "The continuation-key has expired: trigger a new pipeline, and continue it within six hours.",
        );
    }
    Ok(())
}

fn intake(
    pipeline: &Pipeline,
    setup: &str,
    repo: &RepoName,
    configuration: String,
    passed: &IndexMap<String, ParameterValue>,
    orbs: &orbs::Registry,
) -> Result<Intake, Error> {
    let parameters = continue_parameters(setup, &configuration, passed, &pipeline.parameters);
    // A text that cannot be read is told by the compiler, with its place.
    let parameters = match parameters {
        Err(pipeline::ContinuationError::Unreadable(_)) => passed.clone(),
        other => other.map_err(|error| Error::Conflict(error.to_string()))?,
    };
    let trigger = trigger_of(pipeline, ConfigText::Found(configuration), parameters);
    let planned = planned(&trigger, pipeline.id, pipeline.number, repo, orbs, true);
    let (id, number, trust) = (pipeline.id, pipeline.number, pipeline.trust);
    Ok(Intake { trigger, id, number, trust, planned })
}

/// What a pipeline was triggered by, with another configuration and its parameters.
pub(crate) fn trigger_of(
    pipeline: &Pipeline,
    config: ConfigText,
    parameters: IndexMap<String, ParameterValue>,
) -> Trigger {
    Trigger {
        project: pipeline.project,
        kind: pipeline.kind,
        actor: pipeline.actor.clone(),
        received_at: pipeline.received_at,
        vcs: pipeline.vcs.clone(),
        config,
        parameters,
        push: None,
        due: pipeline.due.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(state: PipelineState, goes_on: bool, age: Duration, expected: Option<&str>) {
        let told = checked(state, goes_on, age).map_err(|error| error.to_string()).err();
        match (&told, expected) {
            (None, None) => {}
            (Some(told), Some(words)) if told.contains(words) => {}
            _ => panic!("{state:?} after {age:?}: {told:?}, expected {expected:?}"),
        }
    }

    #[test]
    fn a_key_works_in_the_setup_once_while_that_goes_on_and_for_six_hours() {
        let hours = |hours: u64| Duration::from_secs(hours * 3600);
        let more = Duration::from_micros(1);
        check(PipelineState::SetupPending, false, Duration::ZERO, None);
        check(PipelineState::Setup, false, hours(5), None);
        check(PipelineState::Setup, false, hours(6), None);
        check(PipelineState::Setup, false, hours(6) + more, Some("expired"));
        check(PipelineState::SetupPending, false, hours(48), Some("expired"));
        // The clock was set from 1970 while its job ran.
        check(PipelineState::Setup, true, hours(24 * 365 * 56), None);
        check(PipelineState::Created, true, hours(1), Some("once"));
        check(PipelineState::Errored, false, hours(1), Some("once"));
        check(PipelineState::Created, false, hours(7), Some("once"));
    }
}
