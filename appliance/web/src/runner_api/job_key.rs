//! The key with which a job asks the S3 service on behalf of its project.
//!
//! Why under names of our own: a job that sets `AWS_ACCESS_KEY_ID` and its sisters means its own
//! account; half of those and half of ours would be neither.
//! Invariants: a job whose network is off gets none; the key ends with the task, with the lease by
//! which it was given, and at the latest with the longest time that the job may take.

use crate::State;
use base::{
    ids::{Fence, TaskId},
    protocol::{Assignment, NetworkPolicy, Variable},
    secret::Secret,
};
use std::time::Duration;
use store::Reader;

/// For a job that was paused, or whose end is late.
const GRACE: Duration = Duration::from_secs(15 * 60);

/// Puts the key in front of the job's secrets, so that a variable of the project wins.
pub(super) fn give(state: &State, job: &mut Assignment) {
    if job.network == NetworkPolicy::Off {
        return;
    }
    let expires = state.now().plus(job.runtime_max + GRACE);
    let subject = subject(job.task, job.fence);
    let key = state.objects.session_key(&subject, &job.repo.to_string(), expires);
    let variable = |name: &str, value: Secret| Variable { name: name.into(), value };
    let variables = [
        variable("APPLIANCE_S3_ACCESS_KEY_ID", Secret::new(key.id)),
        variable("APPLIANCE_S3_SECRET_ACCESS_KEY", key.secret),
        variable("APPLIANCE_S3_SESSION_TOKEN", key.token),
    ];
    job.secrets.splice(0..0, variables);
}

/// What a key is made for: a task, as long as somebody holds it by this lease.
fn subject(task: TaskId, fence: Fence) -> String {
    format!("{task}.{fence}")
}

/// Is the task of a job's key still held as it was when the key was given?
///
/// # Errors
/// The store cannot be read.
pub fn job_key_stands(reader: &Reader<'_>, key: &str) -> Result<bool, store::Error> {
    let id = key.split_once('.').and_then(|(task, _)| task.parse::<TaskId>().ok());
    let Some(id) = id else { return Ok(false) };
    let held =
        |task: store::runs::Task| task.outcome.is_none() && subject(task.id, task.fence) == key;
    Ok(reader.task_get(id)?.is_some_and(held))
}
