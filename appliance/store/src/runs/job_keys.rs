//! The key of a job: by it the job proves, at the appliance's own Git, which task it is.
//!
//! Invariants: a key is the task and the lease sealed under the site key, so that nothing is stored
//! for the many jobs that never ask; it is worth something while that lease of that task goes on. No
//! clock ends it: one that is set in mid-job must not, and a lease whose runner is silent ends.

use crate::{Reader, error::Error};
use base::{
    ids::{Fence, JobId, JobNumber, ProjectId, TaskId},
    secret::Secret,
    trust::Trust,
};
use uuid::Uuid;

/// What a sealed lease is good for.
const PLACE: &str = "job key";

/// Begins every key, so that one that leaked is found, and none is taken for a password.
pub const PREFIX: &str = "apj_";

/// Who shows the key of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyHolder {
    /// The lease that the key was given for.
    pub task: TaskId,
    /// Its fence.
    pub fence: Fence,
    /// The job.
    pub job: JobId,
    /// The job's number in its project.
    pub number: Option<JobNumber>,
    /// The job's project.
    pub project: ProjectId,
    /// How far it is trusted.
    pub trust: Trust,
}

impl Reader<'_> {
    /// A key for this lease of a task. Each call makes another; all of them fit.
    pub fn job_key(&self, task: TaskId, fence: Fence) -> Result<Secret, Error> {
        let lease = [task.0.as_bytes().as_slice(), &fence.0.to_be_bytes()].concat();
        let sealed = self.key().seal_hex(PLACE, &lease)?;
        Ok(Secret::new(format!("{PREFIX}{}", sealed.expose())))
    }

    /// Who shows this key; `None` when this site did not make it, or its lease is over.
    pub fn job_key_holder(&self, key: &str) -> Result<Option<KeyHolder>, Error> {
        let Some((task, fence)) = self.job_key_lease(key) else { return Ok(None) };
        self.lease_holder(task, fence)
    }

    /// Who holds this lease of a task; `None` when it is over.
    pub fn lease_holder(&self, task: TaskId, fence: Fence) -> Result<Option<KeyHolder>, Error> {
        let goes_on = |found: &crate::runs::Task| found.outcome.is_none() && found.fence == fence;
        let Some(found) = self.task_get(task)?.filter(goes_on) else { return Ok(None) };
        let Some(job) = self.job_get(found.job())? else { return Ok(None) };
        let trust = self.job_trust(job.id)?;
        let (number, project) = (job.number, job.project);
        Ok(Some(KeyHolder { task, fence, job: job.id, number, project, trust }))
    }

    fn job_key_lease(&self, key: &str) -> Option<(TaskId, Fence)> {
        let plain = self.key().open_hex(PLACE, key.strip_prefix(PREFIX)?)?;
        let (task, fence) = plain.split_first_chunk::<16>()?;
        let fence = u64::from_be_bytes(fence.try_into().ok()?);
        Some((TaskId(Uuid::from_bytes(*task)), Fence(fence)))
    }
}
