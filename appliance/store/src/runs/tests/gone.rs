//! What stays known of runs that were removed.

use super::*;
use crate::projects::Settings;
use base::event::Event;

#[test]
fn numbers_of_jobs_that_are_gone_are_not_given_again() {
    let write = |txn: &mut Txn<'_>| {
        let repo = "acme/relay".parse().unwrap();
        let project = txn.project_ensure(&repo, &Settings::default(), Timestamp(1))?.0.id;
        let mut made = Pipeline { project, ..pipeline(1, "main") };
        let run = Workflow { project, stopped_at: Some(Timestamp(9)), ..workflow(9, &mut made) };
        txn.pipeline_insert(&made, &ConfigTexts::default())?;
        txn.workflow_insert(&run)?;
        for ordinal in 1..=3 {
            txn.job_insert(&Job { project, ..job(run.id, ordinal, &[]) }, Some(&spec()))?;
        }
        txn.pipeline_remove(made.id)?.unwrap();
        assert_eq!(txn.job_by_number(project, JobNumber(3))?, None);
        assert_eq!(txn.job_last_number(project)?, JobNumber(3));
        Ok(())
    };
    check(write, |_| Ok(()));
}

#[test]
fn a_text_that_is_named_again_after_the_look_stays() {
    let write = |txn: &mut Txn<'_>| {
        let texts =
            |text: &str| ConfigTexts { source: Some(text.into()), ..ConfigTexts::default() };
        let put = |txn: &mut Txn<'_>, number, text| {
            let made = pipeline(number, "main");
            txn.pipeline_insert(&made, &texts(text))?;
            let (pipeline, number, state) = (made.id, made.number, made.state);
            let event = Event::PipelineCreated { pipeline, number, state };
            txn.event_append(Timestamp(1), None, &event)?;
            Ok::<_, Error>(made)
        };
        for (number, text) in [(1, "again"), (2, "never")] {
            let made = put(txn, number, text)?;
            txn.pipeline_remove(made.id)?.unwrap();
        }
        let unused = txn.texts_unused()?;
        let made = put(txn, 3, "again")?;
        let pieces: Vec<_> = unused.pieces().collect();
        assert_eq!(pieces.len(), 1);
        assert_eq!(txn.texts_forget(&pieces[0])?, 1, "the other configuration");
        assert_eq!(txn.pipeline_config(made.id)?.unwrap().source.as_deref(), Some("again"));
        assert_eq!(txn.pipeline_get(made.id)?.unwrap().vcs, made.vcs);
        Ok(())
    };
    check(write, |_| Ok(()));
}

#[test]
fn a_text_that_a_job_of_a_new_workflow_names_stays() {
    let write = |txn: &mut Txn<'_>| {
        let mut made = pipeline(1, "main");
        let run = workflow(9, &mut made);
        let unused = {
            let gone = Workflow { stopped_at: Some(Timestamp(9)), ..run.clone() };
            txn.pipeline_insert(&made, &ConfigTexts::default())?;
            txn.workflow_insert(&gone)?;
            txn.job_insert(&job(run.id, 1, &[]), Some(&spec()))?;
            txn.pipeline_remove(made.id)?.unwrap();
            txn.texts_unused()?
        };
        txn.workflow_insert(&run)?;
        txn.job_insert(&job(run.id, 1, &[]), Some(&spec()))?;
        let name = run.name.clone();
        let event = Event::WorkflowCreated { workflow: run.id, pipeline: made.id, name };
        txn.event_append(Timestamp(1), None, &event)?;
        assert_eq!(txn.texts_forget(&unused)?, 1, "the commit of the pipeline that went");
        assert_eq!(txn.job_spec(family::job(run.id, 1))?, Some(spec()));
        Ok(())
    };
    check(write, |_| Ok(()));
}
