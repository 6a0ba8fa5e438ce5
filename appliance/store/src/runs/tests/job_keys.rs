//! Keys of jobs: whose they are, and when they end.

use super::{super::job_keys::KeyHolder, *};
use base::ids::TaskId;

/// By a clock that was not set yet.
const LEASED: Timestamp = Timestamp(1_000_000);

fn leased(of: JobId) -> Task {
    Task { leased_at: LEASED, outcome: None, stopped_at: None, ..task(of, 0, 1) }
}

fn held(reader: &Reader<'_>, key: &str) -> Option<KeyHolder> {
    reader.job_key_holder(key).unwrap()
}

#[test]
fn a_jobs_key_is_worth_its_lease() {
    let id = family::job(family::workflow(uuid(1)), 1);
    let write = move |txn: &mut Txn<'_>| {
        let mut made = Pipeline { trust: Trust::Protected, ..pipeline(1, "main") };
        let run = workflow(1, &mut made);
        txn.pipeline_insert(&made, &ConfigTexts::default())?;
        txn.workflow_insert(&run)?;
        txn.job_insert(&job(run.id, 1, &[]), None)?;
        let task = leased(id);
        txn.task_save(&task)?;
        let key = txn.job_key(task.id, task.fence)?;
        let ended = Task { outcome: Some(TaskOutcome::Success), ..task.clone() };
        assert_eq!(held(txn, key.expose()).map(|held| held.job), Some(id));
        txn.task_save(&ended)?;
        assert_eq!(held(txn, key.expose()), None, "its task has ended");
        txn.task_save(&Task { fence: Fence(task.fence.0 + 1), ..task.clone() })?;
        assert_eq!(held(txn, key.expose()), None, "another has its lease");
        txn.task_save(&task)
    };
    check(write, move |reader| {
        let task = leased(id);
        let key = reader.job_key(task.id, task.fence)?;
        let key = key.expose();
        assert!(key.starts_with("apj_"));
        let holder = held(reader, key).unwrap();
        assert_eq!((holder.task, holder.trust), (task.id, Trust::Protected));
        let other = reader.job_key(TaskId(uuid(77)), task.fence)?;
        assert_eq!(held(reader, other.expose()), None, "there is no such task");
        let continuation = reader.continuation_key(PipelineId(uuid(1)))?;
        for bad in ["", "apj_", "apj_00", "apj_zz", "apj_0", &key[4..], &key[..key.len() - 2]] {
            assert_eq!(held(reader, bad), None, "{bad}");
        }
        let taken = format!("apj_{}", continuation.expose());
        assert_eq!(held(reader, &taken), None, "a key of another kind");
        Ok(())
    });
}
