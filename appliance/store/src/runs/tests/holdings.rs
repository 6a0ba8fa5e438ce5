//! What pipelines keep, by class.

use super::*;
use crate::runs::holdings::{Class, Holding};

#[test]
fn a_class_of_what_a_pipeline_keeps_goes_alone() {
    let mut made = pipeline(1, "main");
    let run = workflow(9, &mut made);
    let id = made.id;
    let write = move |txn: &mut Txn<'_>| {
        txn.pipeline_insert(&made, &ConfigTexts::default())?;
        txn.workflow_insert(&run)?;
        txn.job_insert(&job(run.id, 1, &[]), Some(&spec()))?;
        let kept = task(family::job(run.id, 1), 0, 1);
        txn.task_save(&kept)?;
        txn.artifact_save(kept.id, "a", "object-a", 5)?;
        txn.artifact_save(kept.id, "b", "object-b", 7)?;
        assert_eq!(txn.pipeline_holds(id, Class::Workspaces)?, Holding::default());
        let removed = txn.pipeline_release(id, Class::Workspaces)?;
        assert_eq!(removed, remove::Removed::default());
        assert_eq!(txn.pipeline_holds(id, Class::Artifacts)?, Holding { count: 2, bytes: 12 });
        assert_eq!(txn.pipeline_holds(id, Class::Logs)?, Holding::default());
        let removed = txn.pipeline_release(id, Class::Artifacts)?;
        assert_eq!(removed, remove::Removed::default(), "it goes on");
        txn.workflow_save(&Workflow { stopped_at: Some(Timestamp(9)), ..run })?;
        let removed = txn.pipeline_release(id, Class::Artifacts)?;
        assert_eq!(removed.artifacts, ["object-a", "object-b"]);
        Ok(())
    };
    check(write, move |reader| {
        assert!(reader.pipeline_get(id)?.is_some(), "the pipeline stays");
        assert_eq!(reader.pipeline_holds(id, Class::Artifacts)?, Holding::default());
        Ok(())
    });
}
